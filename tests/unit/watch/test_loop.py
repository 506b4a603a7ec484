"""The watch as a whole: kills, a full disk, changes of the inbox."""

import subprocess
import sys
import threading
import time

import pytest

from harness.errors import OptionError, StorageError
from harness.progress import Silent
from harness.watch import work
from harness.watch.changes import Changes
from harness.watch.inbox import Batch, Cursor
from harness.watch.intake import take
from harness.watch.loop import Plan, choice_of, find_clone, look, watch
from harness.watch.sections import Choice
from harness.watch.store import Store
from tests.unit.conftest import ROOT
from tests.unit.watch.children import Child, make_worker
from tests.unit.watch.inboxes import fifty, git, make_clone, reply, series, write_maildir, write_mbox


@pytest.fixture
def clone(tmp_path):
    return make_clone(tmp_path / "qemu")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_watch_ends_with_what_an_undisturbed_one_knows(tmp_path):
    words = [sys.executable, "-m", "tests.unit.watch.killed", str(tmp_path), "20"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, *differences = ended.stdout.splitlines()
    assert int(first.split()[0]) > 500
    assert int(first.split()[2]) > 30
    assert differences == []


def test_full_disk_loses_nothing(tmp_path):
    mails = fifty()
    with Store(tmp_path / "a") as full, Store(tmp_path / "b") as other:
        pages = full.one("PRAGMA page_count")
        full.rows(f"PRAGMA max_page_count = {pages + 20}")
        with pytest.raises(StorageError, match="full"):
            take(full, "inbox", Batch(mails=tuple(mails), cursor=Cursor(offset=7)), Choice())
        assert full.all_series() == ()
        assert full.fact("cursor inbox") == ""
        full.rows(f"PRAGMA max_page_count = {pages + 20_000}")
        for store in (full, other):
            take(store, "inbox", Batch(mails=tuple(mails), cursor=Cursor(offset=7)), Choice())
        facts = [[(row.title, row.state) for row in store.all_series()] for store in (full, other)]
        assert facts[0] == facts[1]


def test_inbox_that_grows_while_the_clone_moves_on_is_worked_off(layout, tmp_path, clone, monkeypatch):
    """Waiting, until the test ends it. Each change of the inbox wakes it."""
    inbox, child = write_maildir(tmp_path / "inbox", series(1, 2)), Child(layout)
    monkeypatch.setattr(work, "run", child)
    done = []
    with Store(tmp_path / "state" / "watch.sqlite") as store:
        plan = Plan(inboxes=(inbox,), choice=Choice())

        def after():
            states = tuple(row.state for row in store.all_series())
            if states in done or set(states) != {"done"}:
                return
            done.append(states)
            if len(done) == 1:
                git(clone, "commit", "--quiet", "--allow-empty", "--message=newer")
                threading.Timer(0.3, write_maildir, (inbox, series(2, 1), 10)).start()
            elif len(done) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            watch(make_worker(store, layout, clone), plan, after)
    assert done == [("done",), ("done", "done")]
    assert len(child.calls) == 2


def test_reply_and_reroll_are_taken_between_runs(layout, tmp_path, clone, monkeypatch):
    inbox = write_maildir(tmp_path / "inbox", [*series(1, 2), *series(2, 2)])
    child = Child(layout)
    child.moment = lambda: child.calls[1:] or write_maildir(inbox, [*series(2, 2, version=2), reply(1)], 90)
    monkeypatch.setattr(work, "run", child)
    with Store(tmp_path / "state" / "watch.sqlite") as store:
        watch(
            make_worker(store, layout, clone),
            Plan(inboxes=(inbox,), choice=Choice(), once=True),
            lambda: None,
        )
        assert [(row.number, row.state, row.given) for row in store.all_series()] == [
            (2, "done", 0),
            (1, "done", 1),
        ]
        assert len(child.calls) == 2


def test_too_large_mails_are_named(tmp_path, monkeypatch):
    inbox, reporter = write_mbox(tmp_path / "x", [b"Subject: x\n\n" + b"x\n" * 5_000_000]), Silent()
    with Store(tmp_path / "watch.sqlite") as store:
        look(store, Plan(inboxes=(inbox,), choice=Choice()), reporter)
        assert store.rows("SELECT * FROM mail") == []
    assert any("too large" in line for line in reporter.lines)


def test_change_of_the_watched_file_ends_the_wait(tmp_path):
    changes = Changes()
    changes.add({tmp_path: "inbox"})
    try:
        (tmp_path / "else").write_text("x")
        assert not changes.wait(0.2)
        for change in ((tmp_path / "inbox").touch, lambda: (tmp_path / "else").rename(tmp_path / "inbox")):
            threading.Timer(0.1, change).start()
            began = time.monotonic()
            assert changes.wait(60)
            assert time.monotonic() - began < 30
        with pytest.raises(StorageError, match="cannot wait for changes"):
            changes.add({tmp_path / "missing": ""})
    finally:
        changes.close()


def test_clone_and_branch_are_found(clone, tmp_path):
    assert find_clone(str(clone)) == (clone, "refs/heads/master")
    git(clone, "branch", "staging", "master~1")
    assert find_clone(f"{clone}@staging") == (clone, "staging")
    for source in ("", str(tmp_path), "/nowhere"):
        with pytest.raises(OptionError, match="needs a clone"):
            find_clone(source)
    with pytest.raises(OptionError, match=f"{clone} has no commit nosuch"):
        find_clone(f"{clone}@nosuch")


def test_sections_come_from_the_branch(clone):
    choice = choice_of(clone, "master", ["Tiny"])
    assert choice.rank(["util/a.c"]) == 0
    assert choice.rank(["hw/a.c"]) is None
