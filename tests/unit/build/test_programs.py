"""Build the programs for guests with a fake meson."""

from pathlib import Path

import pytest

from harness.build import programs
from harness.build.elf import Elf
from harness.build.hosts import HOSTS
from harness.build.programs import SOURCES, build_programs
from harness.build.sysroot import Sysroot
from harness.errors import CompileError, ConfigureError
from harness.process import Finished
from harness.progress import Silent

STATIC = Elf(machine="EM_S390", interpreter="", needed=())


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """The calls of meson, which creates build.ninja, and of ninja."""
    calls = []

    def run(argv, **_):
        words = tuple(map(str, argv))
        calls.append(words[2:])
        if "setup" in words:
            folder = Path(words[-2])
            folder.mkdir(parents=True)
            (folder / "build.ninja").touch()

    monkeypatch.setattr(programs, "run", run)
    monkeypatch.setattr(programs, "read_elf", lambda _: STATIC)
    monkeypatch.setattr(
        programs, "ensure_sysroot", lambda host, *_: Sysroot(path=tmp_path / "root", host=host)
    )
    return calls


def test_meson_runs_once_and_ninja_each_time(tools, layout):
    found = build_programs(layout, Silent(), ["measure"], host="s390x")
    assert found == {"measure": layout.build / "guest/s390x/measure"}
    assert [words[0] for words in tools] == ["mesonbuild.mesonmain", "ninja"]
    cross = Path(tools[0][tools[0].index("--cross-file") + 1])
    assert "endian = 'big'" in cross.read_text()
    assert tools[1][-1] == "measure"
    build_programs(layout, Silent(), ["measure"], host="s390x")
    assert [words[0] for words in tools] == ["mesonbuild.mesonmain", "ninja", "ninja"]


def test_another_sysroot_runs_meson_again(tools, layout, monkeypatch, tmp_path):
    build_programs(layout, Silent(), ["measure"], host="s390x")
    monkeypatch.setattr(
        programs, "ensure_sysroot", lambda host, *_: Sysroot(path=tmp_path / "newer", host=host)
    )
    build_programs(layout, Silent(), ["measure"], host="s390x")
    assert [words[0] for words in tools] == ["mesonbuild.mesonmain", "ninja"] * 2


def test_folder_of_other_sources_is_set_up_again(tools, layout, tmp_path, monkeypatch):
    build_programs(layout, Silent(), ["measure"])
    monkeypatch.setattr(programs, "SOURCES", tmp_path / "moved")
    build_programs(layout, Silent(), ["measure"])
    assert [words[-1] for words in tools if words[0] != "ninja"] == [str(SOURCES), str(tmp_path / "moved")]


def test_native_programs_use_no_sysroot_and_no_cross_file(tools, layout, monkeypatch):
    monkeypatch.setattr(programs, "ensure_sysroot", lambda *_: pytest.fail("a sysroot was made"))
    build_programs(layout, Silent(), ["measure"])
    assert "--cross-file" not in tools[0]


def test_program_with_libraries_is_refused(tools, layout, monkeypatch):
    shared = Elf(machine="EM_S390", interpreter="/lib/ld64.so.1", needed=("libc.so.6",))
    monkeypatch.setattr(programs, "read_elf", lambda _: shared)
    with pytest.raises(CompileError, match="measure is not a static program"):
        build_programs(layout, Silent(), ["measure"], host="s390x")


@pytest.mark.parametrize(
    ("tool", "output", "wanted", "error"),
    [
        (
            "mesonbuild.mesonmain",
            "Project\nmeson.build:3:0: ERROR: Unknown compiler\nlog",
            "Unknown compiler",
            ConfigureError,
        ),
        ("ninja", "[1/2]\nmeasure.c:9:1: error: expected ';'\n1 error", "expected ';'", CompileError),
    ],
)
def test_error_contains_the_relevant_line(tool, output, wanted, error, layout, monkeypatch):
    def run(argv, **options):
        if tool in argv:
            raise options["error"](Finished(argv=tuple(argv), returncode=1, output=output, duration_s=1))

    monkeypatch.setattr(programs, "run", run)
    with pytest.raises(error, match=wanted):
        build_programs(layout, Silent(), ["measure"])


def test_every_cross_host_has_the_fields_of_a_cross_file():
    for host in HOSTS.values():
        if host.is_cross:
            assert host.debian
            assert host.cpu_family
            assert host.machine.startswith("EM_")
            assert host.endian in ("big", "little")
            assert host.target.endswith("-softmmu")
