"""errors, layout, lock, progress: the modules that every stage stands on."""

import io
import re
import subprocess
import sys
import time

import pytest
from rich.table import Table

from harness.console import LiteralConsole
from harness.errors import BusyError, HarnessError, OptionError, StorageError, all_errors
from harness.jsonfile import storing
from harness.layout import Layout, find_layout, safe_name
from harness.lock import locked
from harness.progress import Plain, Silent, Terminal, times
from tests.unit.defaults import ROOT


def test_exit_codes_are_distinct_and_documented():
    codes = {error.code: error.__name__ for error in all_errors()}
    assert len(codes) == len(all_errors())
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(str(error.code), error.__name__, error.summary) for error in all_errors()]


def test_error_summaries_are_single_lines():
    for error in all_errors():
        assert error.summary
        assert "\n" not in error.summary


def test_layout_is_found_from_a_subfolder_and_moved_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT / "tests")
    monkeypatch.setenv("QEMU_HARNESS_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("QEMU_HARNESS_BUILD", str(tmp_path / "b"))
    layout = find_layout()
    assert layout.root == ROOT
    assert layout.cache == tmp_path / "c"
    assert layout.results == tmp_path / "b" / "results"


def make_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


QEMU = (".git", "VERSION", "configure", "meson.build", "qemu-options.hx", "util/cutils.c")
CHECKOUT = ("qemu-src/pins.toml", "meson_options.txt")


def test_qemu_clone_around_the_working_folder_is_found(monkeypatch, tmp_path):
    clone = make_files(tmp_path / "qemu", *QEMU)
    monkeypatch.chdir(clone / "util")
    layout = find_layout()
    assert (layout.root, layout.clone, layout.files) == (ROOT, clone, ROOT)
    assert find_layout(ROOT).clone is None
    (clone / "qemu-options.hx").unlink()
    assert find_layout().clone is None


def test_checkout_that_the_harness_made_is_not_taken_for_the_users_clone(monkeypatch, tmp_path):
    root = make_files(tmp_path, *CHECKOUT)
    monkeypatch.chdir(make_files(root / "build" / "7.2" / "base" / "src", *QEMU))
    assert (find_layout().root, find_layout().clone) == (root, None)


def test_installed_harness_has_a_folder_for_each_clone(monkeypatch, tmp_path):
    files = make_files(tmp_path / "site" / "shipped", *CHECKOUT)
    monkeypatch.setattr("harness.layout.shipped_files", lambda: files)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("BUILD", "TREES"):
        monkeypatch.delenv(f"QEMU_HARNESS_{name}", raising=False)
    roots = []
    for name in ("a/qemu", "b/qemu"):
        clone = make_files(tmp_path / name, *QEMU)
        monkeypatch.chdir(clone)
        layout = find_layout()
        assert (layout.clone, layout.files, layout.start) == (clone, files, clone)
        assert layout.root.parent == tmp_path / "state" / "qemu-harness"
        assert (layout.build, layout.trees) == (layout.root / "build", layout.root / "trees")
        assert layout.pins_file == files / "qemu-src" / "pins.toml"
        roots.append(layout.root.name)
    assert roots[0] != roots[1]
    monkeypatch.chdir(tmp_path)
    assert find_layout().root.name == "default"
    shipped = make_files(files / "patches" / "theirs", "series.toml")
    assert layout.series("theirs") == shipped
    own = make_files(layout.patches / "theirs", "series.toml")
    assert layout.series("theirs") == own
    assert layout.series("new") == layout.patches / "new"


def test_incomplete_package_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.layout.shipped_files", lambda: tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="no checkout"):
        find_layout()


def test_missing_checkout_is_refused(tmp_path):
    with pytest.raises(OptionError, match="no checkout"):
        find_layout(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".git", "a b", "-x", "a\n"])
def test_unsafe_names_are_refused(name):
    with pytest.raises(OptionError):
        safe_name(name)


def test_build_folders_have_the_same_relative_path_to_their_sources(tmp_path):
    layout = Layout(root=tmp_path, build=tmp_path / "build", trees=tmp_path / "t", cache=tmp_path / "c")
    for label in ("base", "patched-async-teardown"):
        root = layout.build_root("7.2", label)
        assert (root / "src").parent == (root / "native").parent


HOLDER = """
import sys, time
from pathlib import Path
from harness.lock import locked
from harness.progress import Silent
with locked(Path(sys.argv[1]), "the thing", Silent()):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_waits_names_the_holder_and_gives_up(tmp_path):
    reporter = Silent()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(BusyError) as caught, locked(tmp_path / "x", "the thing", reporter, timeout_s=0.3):
            pass
        assert str(other.pid) in caught.value.cause
        assert f"process {other.pid}" in reporter.lines[0]
        other.kill()
    # A killed holder leaves nothing that stops the next.
    started = time.monotonic()
    with locked(tmp_path / "x", "the thing", reporter, timeout_s=5):
        pass
    assert time.monotonic() - started < 2


def test_plain_progress_is_folded_in_ci():
    def output(**environ):
        stream = io.StringIO()
        with Plain(stream, environ).step("Build 7.2") as step:
            step.update(1, 2)
        return stream.getvalue()

    assert output().startswith("Build 7.2 …\nBuild 7.2: done in ")
    assert output(GITHUB_ACTIONS="true").startswith("::group::Build 7.2\n::endgroup::\n")
    assert re.search(r"section_start:\d+:build_7_2\[collapsed=true\]", output(GITLAB_CI="true"))


@pytest.mark.parametrize(
    ("spent", "done", "total", "text"),
    [
        (30.0, 1, 4, "30 s spent, about 90 s left"),
        (600.0, 3, 4, "10 min spent, about 3 min left"),
        (30.0, 0, 4, "30 s spent"),
        (30.0, 4, 4, "30 s spent"),
        (30.0, 4, None, "30 s spent"),
    ],
)
def test_times_of_a_step(spent, done, total, text):
    assert times(spent, done, total) == text


def test_plain_progress_shows_time_spent_and_left(monkeypatch):
    """Each tenth of the work, at most every five seconds; a step of unknown length once a minute."""
    now, stream = [0.0], io.StringIO()
    monkeypatch.setattr("harness.progress.time.monotonic", lambda: now[0])
    with Plain(stream, {}).step("compile") as step:
        for now[0], done in ((4.0, 20), (10.0, 25), (12.0, 40), (20.0, 50)):
            step.update(done, 100, "x.c")
    assert stream.getvalue().splitlines()[1:] == [
        "  compile: 25 %, 10 s spent, about 30 s left: x.c",
        "  compile: 50 %, 20 s spent, about 20 s left: x.c",
        "compile: done in 20.0 s",
    ]
    now[0], stream = 0.0, io.StringIO()
    with Plain(stream, {}).step("configure") as step:
        for now[0] in (30.0, 61.0, 70.0, 122.0):
            step.update(1)
    assert stream.getvalue().splitlines()[1:3] == ["  configure: 61 s spent", "  configure: 2 min spent"]


def test_terminal_progress_shows_time_spent_and_left():
    console = LiteralConsole(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with Terminal(console).step("compile") as step:
        step.update(1, 2)
        time.sleep(0.3)  # more than one refresh
    assert re.search(r"\d+ s spent, about \d+ s left", console.file.getvalue())


def test_plain_progress_reports_a_failed_step():
    stream = io.StringIO()
    with pytest.raises(HarnessError), Plain(stream, {}).step("Build"):
        raise HarnessError("x", "y")
    assert "Build: failed in" in stream.getvalue()


def test_plain_progress_survives_a_closed_pipe():
    stream = io.StringIO()
    stream.close()
    Plain(stream, {}).note("a line")


def test_terminal_progress_shows_each_text_as_it_is():
    text = "[x86_64] a.c:100: [/red]"
    console = LiteralConsole(file=io.StringIO(), width=60, force_terminal=False)
    reporter = Terminal(console)
    with reporter.step(f"build {text}") as step:
        step.update(1, 2, text)
    reporter.note(f"note {text}")
    reporter.warn(text)
    lines = [re.sub(r"\(.* s\)", "(0.1 s)", line) for line in console.file.getvalue().splitlines() if line]
    assert lines == [f"✓ build {text} (0.1 s)", f"note {text}", f"warning: {text}"]


def test_table_is_shown_below_the_bar_while_a_step_runs():
    stream = io.StringIO()
    console = LiteralConsole(file=stream, force_terminal=True, width=80, color_system=None)
    table = Table("medians so far")
    with Terminal(console).step("round 1") as step:
        step.update(1, 2, "x86_64")
        step.show(table)
        time.sleep(0.3)  # more than one refresh
    text = stream.getvalue()
    assert "medians so far" in text
    assert "✓ round 1" in text.rpartition("medians so far")[2]
    for quiet in (Plain(stream := io.StringIO()), Silent()):
        with quiet.step("round 1") as step:
            step.show(table)
    assert "medians" not in stream.getvalue()


def test_failed_write_has_the_file_and_a_remedy():
    with pytest.raises(StorageError, match=r"^cannot write a\.txt: full$") as raised, storing("write a.txt"):
        raise OSError("full")
    assert raised.value.remedy == "free some disk space, or make the folder writable"
