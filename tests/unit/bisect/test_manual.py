"""New problems in the manual are findings, problems of the base are not."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bisect import manual as module
from harness.bisect.diagnostics import Diagnostic
from harness.bisect.manual import (
    Manual,
    compare_manuals,
    find_sphinx,
    make_manual,
    read_warnings,
    touches_manual,
)
from harness.errors import TimeoutExpiredError
from tests.unit.bisect.support import RecordingSandbox

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


def touching(*paths, number=1, commit="c"):
    return SimpleNamespace(number=number, commit=commit, changes=(SimpleNamespace(paths=paths),))


def judged(*patches):
    texts = {"base": HX, "tip": NEW}

    def read(commit, path):
        assert path == "qemu-options.hx"
        return texts[commit]

    return SimpleNamespace(patches=patches, base="base", tip="tip", read=read)


def manual(page="-old -new-thing", *output, status=0):
    return Manual(
        returncode=status, warnings=read_warnings(output, Path("/x/src")), page=page, last=(*output, "")[0]
    )


@pytest.mark.parametrize(
    "path",
    [
        "qemu-options.hx",
        "util/notes.rst",
        "util/part.rst.inc",
        "docs/conf.py",
        "qapi/run-state.json",
        "qga/qapi-schema.json",
    ],
)
def test_changes_of_its_sources_are_recognised(path):
    assert touches_manual([touching("util/a.c", path)])


def test_other_changes_do_not_touch_it():
    assert not touches_manual([touching("util/a.c"), touching("tests/data/x.json")])


def test_paths_of_messages_are_relative_to_the_tree():
    places = [(one.file, one.line) for one in read_warnings([*MESSAGES, MESSAGES[0]], Path("/x/src"))]
    assert places == [("qemu-options.hx", 12), ("docs/system/a.rst", 3)]
    (deep,) = read_warnings(["/x/src/docs/a/../../b/../c.rst:1: WARNING: odd"], Path("/x/src"))
    assert deep.file == "c.rst"


def test_messages_have_a_level():
    lines = ["noise", "/x/a.rst:1: ERROR: one  ", "/x/a.rst:2: WARNING: two", "/x/a.rst:3: INFO: three"]
    assert read_warnings(lines, Path("/x")) == (
        Diagnostic(file="a.rst", line=1, text="one", switch="", is_warning=False),
        Diagnostic(file="a.rst", line=2, text="two", switch="", is_warning=True),
    )


def test_new_warnings_are_attributed_to_the_patch_that_changes_the_file():
    patches = (touching("docs/system/a.rst"), touching("qemu-options.hx", number=2))
    findings = compare_manuals(judged(*patches), manual(), manual("-old -new-thing", *MESSAGES))
    assert [(one.rule, one.patch, one.file, one.line, one.message) for one in findings] == [
        ("manual-warning", 2, "qemu-options.hx", 12, "Unexpected indentation."),
        ("manual-warning", 1, "docs/system/a.rst", 3, "undefined label: here"),
    ]
    moved = MESSAGES[0].replace(":12:", ":40:")
    assert compare_manuals(judged(*patches), manual("", MESSAGES[0]), manual("-new-thing", moved)) == ()


def test_warning_in_a_file_that_no_commit_changes_has_no_patch():
    patches = (touching("docs/system/a.rst", commit=""), touching("util/a.c", number=2))
    (finding,) = compare_manuals(judged(*patches), manual(), manual("-new-thing", MESSAGES[1]))
    assert finding.patch == 0


def test_new_option_without_an_entry_in_the_page_is_a_finding():
    patches = (touching("qemu-options.hx", number=3),)
    (finding,) = compare_manuals(judged(*patches), manual(), manual("-old and -new-things"))
    assert (finding.rule, finding.patch, finding.line) == ("manual-option", 3, 5)
    assert finding.file == "qemu-options.hx"
    assert "-new-thing " in finding.message
    assert compare_manuals(judged(*patches), manual(), manual()) == ()


def test_tree_without_options_has_none_that_are_missing():
    series = judged(touching("docs/a.rst"))
    series.read = lambda commit, path: None
    assert compare_manuals(series, manual(), manual()) == ()


def test_failure_of_sphinx_is_a_finding_unless_the_base_fails_too():
    (finding,) = compare_manuals(judged(), manual(), manual("", "Theme error", status=2))
    assert finding.rule == "manual-fails"
    assert "Theme error" in finding.message
    assert finding.snippet == ("Theme error",)
    assert compare_manuals(judged(), manual(status=2), manual("", status=2)) == ()


@dataclass
class Sphinx:
    """A fake of Sphinx: a shell script that gets the folder of the man pages as ``$8``."""

    folder: Path
    sandbox: RecordingSandbox = field(default_factory=RecordingSandbox)

    @property
    def program(self):
        return self.folder / "sphinx-build"

    @property
    def log(self):
        return self.folder / "log"

    def __call__(self, script):
        """Build the manual with ``script``."""
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)
        (self.folder / "native").mkdir(exist_ok=True)
        build = SimpleNamespace(folder=str(self.folder / "native"), source=str(self.folder / "src"))
        return make_manual(str(self.program), build, self.sandbox, self.log)


@pytest.fixture
def sphinx(tmp_path):
    return Sphinx(tmp_path)


def test_sphinx_is_run_in_the_build_folder(sphinx, monkeypatch):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    made = sphinx(
        'mkdir -p "$8"; printf "%s" ".B \\fB\\-new\\-thing\\fP" > "$8/qemu.1"\n'
        'echo "$7/../qemu-options.hx:1: WARNING: odd" >&2\n'
        'echo "$PWD $CONFDIR $PYTHONDONTWRITEBYTECODE"'
    )
    folder = sphinx.folder / "native"
    assert (made.returncode, made.page) == (0, ".B -new-thing")
    assert [(one.file, one.text) for one in made.warnings] == [("qemu-options.hx", "odd")]
    assert made.last == f"{folder} /etc/qemu 1"
    out = f"{folder}/manual-check"
    words = f"-q -N -b man -d {out}/doctrees {sphinx.folder}/src/docs {out}/man"
    assert sphinx.sandbox.commands == [(f"{sphinx.program} {words}", folder)]


def test_every_message_of_sphinx_is_read(sphinx):
    """More messages than ``process.run`` keeps of an output with a log."""
    script = 'for n in $(seq 600); do echo "$7/a$n.rst:1: WARNING: odd"; done'
    assert len(sphinx(script).warnings) == 600
    assert len(sphinx(script).warnings) == 600, "the log is overwritten"


def test_failed_sphinx_leaves_no_page(sphinx):
    sphinx('mkdir -p "$8"; echo old > "$8/qemu.1"')
    made = sphinx("echo Theme error; exit 2")
    assert (made.returncode, made.page, made.last) == (2, "", "Theme error")
    assert sphinx("exit 3").last == "status 3"


def test_sphinx_that_hangs_is_ended(sphinx, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    with pytest.raises(TimeoutExpiredError):
        sphinx("sleep 60")


def test_page_that_is_no_text_is_read(sphinx):
    assert sphinx(r'mkdir -p "$8"; printf "\377-x" > "$8/qemu.1"').page == "\ufffd-x"


def test_sphinx_is_found_on_the_path(sphinx, monkeypatch):
    sphinx("")
    monkeypatch.setenv("PATH", str(sphinx.folder))
    assert find_sphinx() == str(sphinx.program)
    sphinx.program.unlink()
    assert find_sphinx() == ""
