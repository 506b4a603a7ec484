"""The Python environment of a build, with a fake pip. No network."""

import sys
from pathlib import Path

import pytest

from harness.build import pyenv
from harness.build import tools as tools_module
from harness.build.hosts import HOSTS
from harness.build.tools import find_tools
from harness.errors import FetchError, MissingError
from harness.process import Finished
from harness.progress import Silent


class FakePip:
    """Fake of ``python -m venv`` and ``pip install``, which records the calls."""

    def __init__(self):
        self.calls: list[tuple[str, ...]] = []
        self.status = 0

    def __call__(self, argv, **settings):
        words = tuple(map(str, argv))
        self.calls.append(words)
        if "venv" in words:
            python = Path(words[-1]) / "bin" / "python3"
            python.parent.mkdir(parents=True)
            python.touch()
        ended = Finished(
            argv=words, returncode=self.status, output="ERROR: no such version\n", duration_s=0.0
        )
        if "pip" in words and self.status:
            raise settings["error"](ended)
        return ended


@pytest.fixture
def pip(monkeypatch):
    fake = FakePip()
    monkeypatch.setattr(pyenv, "run", fake)
    return fake


def test_environment_is_created_once_with_pinned_digests(layout, pip, monkeypatch):
    wanted = ["meson==1.8.5", "pycotap==1.3.1"]
    python = pyenv.ensure_environment(wanted, layout, Silent())
    assert python.is_relative_to(layout.cache / "pyenvs")
    assert "--require-hashes" in pip.calls[1]
    lines = (python.parents[1] / "requirements.txt").read_text().splitlines()
    assert lines[1].startswith("pycotap==1.3.1 --hash=sha256:1c3a25b3")
    own = {"own_python": True, "ccache": False, "layout": layout, "reporter": Silent()}
    monkeypatch.setattr(tools_module, "installed_features", lambda: ("--enable-x",))
    tools = find_tools(HOSTS["native"], wanted, **own)
    assert tools.features == ("--enable-x",)
    assert (tools.python, tools.meson) == (python, python.with_name("meson"))
    assert tools.python_digest == pyenv.environment_digest(wanted)
    assert len(pip.calls) == 2


def test_unlisted_requirements_are_installed_by_version(layout, pip):
    pyenv.ensure_environment(["other==1.0", pyenv.MESON], layout, Silent())
    assert "--require-hashes" not in pip.calls[1]


def test_failed_installation_is_repeated(layout, pip):
    pip.status = 1
    with pytest.raises(FetchError) as caught:
        pyenv.ensure_environment([pyenv.MESON], layout, Silent())
    assert caught.value.details == ("ERROR: no such version",)
    pip.status = 0
    assert pyenv.ensure_environment([pyenv.MESON], layout, Silent()).exists()
    assert len(pip.calls) == 4


def test_missing_pip_is_an_error_with_a_remedy(layout, pip, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError) as caught:
        pyenv.ensure_environment([pyenv.MESON], layout, Silent())
    assert sys.executable in caught.value.remedy


def test_digest_depends_on_the_requirements():
    assert pyenv.environment_digest(["a==1"]) != pyenv.environment_digest(["a==2"])
