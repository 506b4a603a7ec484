"""Guided fuzzing: an explorer's examples, ends and finds, with a stand-in for atheris."""

from pathlib import Path

import pytest

from harness.errors import FuzzError, MissingError
from harness.process import Finished
from harness.progress import Silent
from tests.fuzz import guided
from tests.fuzz.guided import fuzz_guided
from tests.fuzz.runner import check_fuzz
from tests.unit.fuzz.support import moved

STAND_IN = """
import contextlib, os, pathlib, sys

def instrument_imports(**_):
    return contextlib.nullcontext()

def Setup(words, read):
    globals().update(words=words, read=read)

def Fuzz():
    for path in pathlib.Path(words[-1]).iterdir():
        read(path.read_bytes())
    {end}
"""
FIND = """
    prefix = next(word for word in words if word.startswith("-artifact_prefix=")).partition("=")[2]
    pathlib.Path(prefix + "{kind}-1").write_bytes(b"[")
    os._exit(77)  # nothing is unwound when libFuzzer ends a process
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder where atheris.py is to be written."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return folder / "atheris.py"


def test_missing_atheris_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingError, match="needs atheris"):
        fuzz_guided(moved(tmp_path), Silent(), seconds=1)


@pytest.mark.slow
def test_examples_of_an_explorer_are_counted_and_its_corpus_is_kept(stand_in, tmp_path):
    stand_in.write_text(STAND_IN.format(end="sys.exit(0)"))
    layout = moved(tmp_path)
    done = fuzz_guided(layout, Silent(), seconds=1, names=["console"], seed=1)
    check_fuzz(done)
    kept = list((layout.build / "fuzz" / "corpus" / "console").iterdir())
    assert 20 <= done.rows[0].examples <= len(kept)
    assert list((layout.build / "fuzz").iterdir()) == [layout.build / "fuzz" / "corpus"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made; nothing may be left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "again",
    [
        (0, "console: read\n", "the explorer ended with status 77"),
        (33, "x\nerror: console: KeyError in a.py: 'x'\nremedy: mend\n", "KeyError in a.py: 'x'"),
        (-11, "", "reading it ends with status -11"),
    ],
)
def test_example_that_ends_an_explorer_is_stored_and_reported(
    stand_in, temporary, tmp_path, monkeypatch, again
):
    status, output, problem = again

    def run(words, **more):
        if "--repeat" in words:
            return Finished(argv=(), returncode=status, output=output, duration_s=0)
        return really(words, **more)

    really = guided.run
    monkeypatch.setattr(guided, "run", run)
    stand_in.write_text(STAND_IN.format(end=FIND.format(kind="crash")))
    layout = moved(tmp_path)
    done = fuzz_guided(layout, Silent(), seconds=1, names=["console"], seed=1)
    with pytest.raises(FuzzError, match="1 of 1 parsers") as caught:
        check_fuzz(done)
    (failure,) = (row.failure for row in done.rows)
    assert (failure.problem, failure.path.read_bytes()) == (problem, b"[")
    assert f"--repeat {failure.path}" in caught.value.details[1]
    assert not list(temporary.iterdir())
    assert not list((layout.build / "fuzz").glob(".*"))


@pytest.mark.slow
def test_slow_example_on_a_busy_machine_is_not_a_failure(stand_in, tmp_path):
    stand_in.write_text(STAND_IN.format(end=FIND.format(kind="timeout")))
    layout = moved(tmp_path)
    check_fuzz(fuzz_guided(layout, Silent(), seconds=1, names=["console"], seed=1))
    assert not list((layout.build / "fuzz").glob("console-*"))


@pytest.mark.slow
def test_broken_explorer_is_reported(stand_in, tmp_path):
    stand_in.write_text("raise RuntimeError('no such libFuzzer')\n")
    done = fuzz_guided(moved(tmp_path), Silent(), seconds=1, names=["console", "gates"], seed=1)
    assert [row.failure is not None for row in done.rows] == [True, True]
    with pytest.raises(FuzzError, match="2 of 2 parsers") as caught:
        check_fuzz(done)
    assert caught.value.details[0] == "console: the explorer ended with status 1"
    log = Path(caught.value.details[1].removeprefix("  see "))
    assert "no such libFuzzer" in log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_same_seed_gives_the_same_corpus(stand_in, tmp_path):
    stand_in.write_text(STAND_IN.format(end="os._exit(0)"))
    corpora = []
    for name in ("one", "two"):
        layout = moved(tmp_path / name)
        fuzz_guided(layout, Silent(), seconds=1, names=["console"], seed=7)
        corpora.append({file.name for file in (layout.build / "fuzz" / "corpus" / "console").iterdir()})
    assert corpora[0] == corpora[1]
