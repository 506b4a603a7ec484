"""New problems in the manual are findings, problems of the base are not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bisect import manual as module
from harness.bisect.manual import Manual, compare_manuals, make_manual, read_warnings, touches_manual
from harness.sandbox import NO_SANDBOX

HX = 'DEF("old", 0, QEMU_OPTION_old, "-old  x\\n", QEMU_ARCH_ALL)\nSRST\n``-old``\nERST\n'
NEW = (
    HX
    + 'DEF("new-thing", 0, QEMU_OPTION_new, "-new-thing  y\\n", QEMU_ARCH_ALL)\nSRST\n``-new-thing``\nERST\n'
)
MESSAGES = [
    "/x/src/docs/../qemu-options.hx:12: WARNING: Unexpected indentation.",
    "/x/src/docs/system/a.rst:3: WARNING: undefined label: here",
    "noise",
]


def touching(*paths: str, number: int = 1, commit: str = "c") -> Any:
    return SimpleNamespace(number=number, commit=commit, changes=(SimpleNamespace(paths=paths),))


def judged(*patches: Any) -> Any:
    texts = {"base": HX, "tip": NEW}
    return SimpleNamespace(patches=patches, base="base", tip="tip", read=lambda commit, path: texts[commit])


def manual(page: str = "-old -new-thing", *output: str, status: int = 0) -> Manual:
    return Manual(
        returncode=status, warnings=read_warnings(output, Path("/x/src")), page=page, last=(*output, "")[0]
    )


def test_changes_of_its_sources_are_recognised() -> None:
    assert touches_manual([touching("util/a.c", "qemu-options.hx")])
    assert touches_manual([touching("docs/system/index.rst")])
    assert touches_manual([touching("qapi/run-state.json")])
    assert not touches_manual([touching("util/a.c"), touching("tests/data/x.json")])


def test_paths_of_messages_are_relative_to_the_tree() -> None:
    places = [(one.file, one.line) for one in read_warnings([*MESSAGES, MESSAGES[0]], Path("/x/src"))]
    assert places == [("qemu-options.hx", 12), ("docs/system/a.rst", 3)]


def test_new_warnings_are_attributed_to_the_patch_that_changes_the_file() -> None:
    patches = (touching("docs/system/a.rst"), touching("qemu-options.hx", number=2))
    findings = compare_manuals(judged(*patches), manual(), manual("-old -new-thing", *MESSAGES))
    assert [(one.rule, one.patch, one.file) for one in findings] == [
        ("manual-warning", 2, "qemu-options.hx"),
        ("manual-warning", 1, "docs/system/a.rst"),
    ]
    moved = MESSAGES[0].replace(":12:", ":40:")
    assert compare_manuals(judged(*patches), manual("", MESSAGES[0]), manual("-new-thing", moved)) == ()


def test_new_option_without_an_entry_in_the_page_is_a_finding() -> None:
    patches = (touching("qemu-options.hx", number=3),)
    (finding,) = compare_manuals(judged(*patches), manual(), manual("-old and -new-things"))
    assert (finding.rule, finding.patch, finding.line) == ("manual-option", 3, 5)
    assert compare_manuals(judged(*patches), manual(), manual()) == ()


def test_failure_of_sphinx_is_a_finding_unless_the_base_fails_too() -> None:
    (finding,) = compare_manuals(judged(), manual(), manual("", "Theme error", status=2))
    assert finding.rule == "manual-fails"
    assert "Theme error" in finding.message
    assert compare_manuals(judged(), manual(status=2), manual("", status=2)) == ()


def test_sphinx_is_run_in_the_build_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sphinx-build"
    program.write_text(
        '#!/bin/sh\nmkdir -p "$8"\nprintf "%s" ".B \\fB\\-new\\-thing\\fP" > "$8/qemu.1"\n'
        'echo "$7/../qemu-options.hx:1: WARNING: odd" >&2\n'
    )
    program.chmod(0o755)
    folder, source = tmp_path / "native", tmp_path / "src"
    folder.mkdir()
    build: Any = SimpleNamespace(folder=str(folder), source=str(source))
    made = make_manual(str(program), build, NO_SANDBOX, tmp_path / "log")
    assert (made.returncode, made.page) == (0, ".B -new-thing")
    assert [(one.file, one.text) for one in made.warnings] == [("qemu-options.hx", "odd")]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module.find_sphinx() == str(program)
    program.unlink()
    assert not module.find_sphinx()
