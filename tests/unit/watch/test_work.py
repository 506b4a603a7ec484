"""One version judged: the mails that the child gets, its base, and what each of its ends means."""

import re
import sys
import time
import zlib

import pytest

from harness import diskwatch
from harness.check import StageRow
from harness.errors import OptionError, TimeoutExpiredError
from harness.process import Finished
from harness.progress import Silent
from harness.series import read_input
from harness.watch import work
from harness.watch.inbox import Batch, Cursor
from harness.watch.intake import mails_of, take
from harness.watch.loop import next_version
from harness.watch.sections import Choice
from harness.watch.status import reply_to, status_lines
from harness.watch.store import Store
from harness.watch.work import choose_base, judge, prepare, recover
from tests.unit.check.support import patch
from tests.unit.validate.test_outputs import results
from tests.unit.watch.children import Child, make_worker
from tests.unit.watch.inboxes import device, fifty, git, make_clone, reply, series, who


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("upstream") / "qemu")


@pytest.fixture
def worker(layout, tmp_path, clone):
    with Store(tmp_path / "watch" / "watch.sqlite") as store:
        yield make_worker(store, layout, clone)


@pytest.fixture
def child(layout, monkeypatch):
    child = Child(layout)
    monkeypatch.setattr(work, "run", child)
    return child


def add(worker, *mails):
    """Take ``mails`` and return the version that is judged next."""
    take(worker.store, "inbox", Batch(mails=mails, cursor=Cursor()), Choice())
    return next_version(worker.store) or 0


def judged(worker, version):
    job = prepare(worker, version)
    if job is not None:
        judge(worker, job)
    row = worker.store.rows("SELECT state, reason FROM version WHERE id = ?", version)[0]
    return row["state"], row["reason"]


def run_of(worker, version):
    return worker.store.rows("SELECT * FROM run WHERE version = ? ORDER BY id DESC", version)[0]


# The mails


def test_child_gets_what_was_sent_with_replies_and_older_versions(worker, layout):
    old, new = series(1, 2), series(1, 2, version=2, above="1-v1-0@example.org")
    version = add(worker, *old, reply(1), *new, reply(1, version=2), *series(2, 2))
    job = prepare(worker, version)
    found = read_input(layout, str(job.file))
    assert [one.number for one in found.thread.versions] == [1, 2]
    assert len(found.version.trailers) == 1
    assert [mail.data for mail in found.patches] == new[1:]


def test_every_series_can_be_written_and_read_again(worker, layout):
    """Whatever else is in its thread. Two are for other projects, which is seen before or after the run."""
    add(worker, *fifty())
    for row in worker.store.rows("SELECT * FROM version"):
        found = work.write_series(worker.store, row, layout, worker.folder / "x.mbox")
        assert found is not None, row["title"]
        assert found.sha256 == row["sha256"]


def test_series_that_it_is_based_on_goes_with_it(worker):
    below = series(35, 1)
    on_top = series(36, 1, message="On top.\n\nBased-on: <35-v1-1@example.org>")
    above = series(37, 1, message="On top of that.\n\nBased-on: <36-v1-1@example.org>")
    add(worker, *below, *on_top, *above)
    job = prepare(worker, 3)
    assert {mail.message_id[:2] for mail in job.found.mails} == {"35", "36", "37"}
    assert job.found.patches[0].message_id == "37-v1-1@example.org"


def test_few_threads_are_read_for_a_series_that_names_many_mails(worker, monkeypatch):
    for at in range(10, 40):
        add(worker, *series(at, 2))
    names = [f"{at}-v1-{number}@example.org" for at in range(10, 40) for number in (1, 2)]
    lines = "\n".join(f"Based-on: <{name}>" for name in names)
    add(worker, *series(1, 1, message=f"On top.\n\n{lines}\nSigned-off-by: {who(1)}"))
    read = []

    def spy(store, thread):
        read.append(thread)
        return mails_of(store, thread)

    monkeypatch.setattr(work, "mails_of", spy)
    monkeypatch.setattr(work, "_LEVELS", 1)
    job = prepare(worker, 31)
    assert len(read) == 11, "its own thread, and those of 20 mails"
    assert len({mail.message_id for mail in job.found.mails}) == 1 + 10 * 3


# The base


def test_base_is_the_stated_one_or_the_branch_at_the_date(worker, clone):
    old, new = git(clone, "rev-parse", "master~1"), git(clone, "rev-parse", "master")
    arrived = "2026-03-01T00:00:00+00:00"
    for stated, sent, commit in (
        (new, "2026-01-05T00:00:00+00:00", new),
        ("1" * 40, "2026-01-05T00:00:00+00:00", old),
        ("", "1970-01-01T00:00:00+00:00", new),
        ("", "", new),
    ):
        assert choose_base(clone, "master", stated, (sent, arrived))[0] == commit
    arrived = "2026-01-20T00:00:00+00:00"
    for sent in ("2099-01-01T00:00:00+00:00", ""):
        assert choose_base(clone, "master", "", (sent, arrived)) == (old, "master on 2026-01-20")
    with pytest.raises(OptionError, match="has no branch none"):
        choose_base(clone, "none", "", ("", arrived))
    version = add(worker, *series(1, 1, notes=f" x\n\nbase-commit: {new}\n"))
    job = prepare(worker, version)
    assert (job.commit, job.why) == (new, "the series states it")


# The end of the child


def test_results_are_stored_and_answered(worker, child):
    version = add(worker, *(mail.replace(b"1-v1-0@", b"cover@") for mail in series(1, 2)))
    assert judged(worker, version) == ("done", "")
    assert run_of(worker, version)["verdict"] == "findings"
    answer = reply_to(worker.store, "1")
    assert answer == reply_to(worker.store, "<1-v1-2@example.org>")
    assert "To repeat: qemu-harness validate -Dseries=cover@example.org -Dsource=qemu@" in answer
    assert "In-Reply-To: <cover@example.org>" in answer
    assert child.words[:2] == [sys.executable, "-I"]
    assert child.words[-1] == "-Disolation=bwrap"
    assert any("done: 1 (findings 1)" in line for line in status_lines(worker.store))
    worker.store.rows("UPDATE run SET seconds = 0")  # as on a fast machine
    assert any(re.search(r"\(\d+ m?s each, the mean of 1 run:", line) for line in status_lines(worker.store))


LARGE = "the program was ended: it has written 41.0 GiB, more than 40.0 GiB"
FULL = "the program was ended: the disk is almost full, and so on"


@pytest.mark.parametrize(
    ("code", "output", "reason", "final"),
    [
        (139, "", "validate ended with status 139", 0),
        (3, "x\nerror: bwrap is missing\n", "bwrap is missing", 0),
        (diskwatch.TOO_MUCH, f"error: {LARGE}\n", LARGE, 1),
        (diskwatch.TOO_MUCH, f"error: {FULL}\n", FULL, 0),
    ],
)
def test_failure_of_the_harness_is_no_fault_of_the_series(worker, child, *, code, output, reason, final):
    child.ended = Finished(argv=(), returncode=code, output=output, duration_s=0)
    version = add(worker, *series(1, 1, message="BROKEN"))
    assert judged(worker, version) == ("failed", reason)
    assert run_of(worker, version)["final"] == final
    assert any(reason in line for line in status_lines(worker.store))


def test_run_that_takes_too_long_is_ended(worker, monkeypatch):
    def late(*_, **words):
        assert words["timeout_s"] == 7200
        raise TimeoutExpiredError("x", "y")

    monkeypatch.setattr(work, "run", late)
    version = add(worker, *series(1, 1))
    assert judged(worker, version) == ("failed", "the run took more than 120 minutes")
    assert run_of(worker, version)["final"] == 1


def test_incomplete_run_is_kept_with_its_reason(worker, child):
    stage = StageRow(name="build", outcome="infrastructure", reason="the base does not build")
    child.changes = {"verdict": "infrastructure", "stages": (stage,)}
    version = add(worker, *series(1, 1))
    assert judged(worker, version) == ("failed", "the base does not build")
    assert run_of(worker, version)["results"]


def test_results_of_another_series_are_not_taken(worker, child):
    first = add(worker, *series(1, 1))
    judged(worker, first)
    version = add(worker, *series(2, 1, message="BROKEN"))
    assert judged(worker, version)[0] == "failed"
    child.changes = {"series": results().series}
    version = add(worker, *series(3, 1))
    assert judged(worker, version) == ("failed", "the run left no results of this series")
    child.changes, child.silent = {}, True
    worker.results.write_bytes(zlib.decompress(run_of(worker, first)["results"]))
    worker.store.set_state(first, "queued")
    assert judged(worker, first) == ("failed", "validate ended with status 20")


@pytest.mark.parametrize(("tries", "final", "again"), [(1, False, True), (3, False, False), (1, True, False)])
def test_failed_version_is_tried_again_later(worker, tries, final, again):
    version = add(worker, *series(1, 1))
    for _ in range(tries):
        run = worker.store.start_run(version, worker.store.one("SELECT sha256 FROM version"))
        worker.store.finish_run(run, reason="x", final=final)
    assert next_version(worker.store) is None
    worker.store.rows("UPDATE run SET finished = '2026-01-01T00:00:00+00:00'")
    assert (next_version(worker.store) == version) == again


# Other projects


@pytest.mark.parametrize(
    ("mails", "state", "runs"),
    [
        (series(48, 1, tag="libvirt PATCH", diff=device(1).replace("hw/", "src/")), "elsewhere", 0),
        (series(49, 1, tag="kvm-unit-tests PATCH", diff=device(1, 1, "gone")), "elsewhere", 1),
        (series(49, 1, diff=device(1, 1, "gone").replace("dev1.c", "none.c")), "elsewhere", 1),
        (series(49, 1, diff=device(1, 1, "gone")), "done", 1),
        (series(49, 1, tag="PATCH for-11.0", diff=device(1, 1, "gone")), "done", 1),
        (
            series(49, 1, message="Based-on: <x@y>", diff=device(1, 1, "gone").replace("dev1", "no")),
            "done",
            1,
        ),
        ([patch("[PATCH] x", diff=device(1, 1, "BRACE"))], "done", 1),
    ],
    ids=["folder", "tag", "file", "does-not-apply", "release", "based-on", "findings"],
)
def test_series_for_another_project_is_not_blamed(worker, child, mails, state, runs):
    version = add(worker, *mails)
    assert judged(worker, version)[0] == state
    assert len(child.calls) == runs
    assert next_version(worker.store) is None


# After a kill


def test_run_that_had_ended_is_taken_and_another_repeated(worker, child):
    version = add(worker, *series(1, 2))
    job = prepare(worker, version)
    worker.store.start_run(version, job.sha256, f"{job.commit} (x)")
    recover(worker)  # it had not ended
    assert worker.store.rows("SELECT * FROM run") == []
    assert next_version(worker.store) == version
    worker.store.start_run(version, job.sha256, f"{job.commit} (x)")
    work._run(worker, job)
    recover(worker)
    assert run_of(worker, version)["verdict"] == "findings"
    assert next_version(worker.store) is None
    assert len(child.calls) == 1


def test_results_that_are_older_than_the_run_are_not_taken(worker, child):
    version = add(worker, *series(1, 2))
    assert judged(worker, version)[0] == "done"
    worker.store.set_state(version, "queued")
    run = worker.store.start_run(version, worker.store.one("SELECT sha256 FROM version"))
    worker.store.update("run", run, started="2099-01-01T00:00:00+00:00")
    recover(worker)
    assert next_version(worker.store) == version


def test_child_that_is_too_slow_or_large_ends_for_real(worker, monkeypatch):
    """With a real process instead of validate."""
    program = worker.folder / "program"
    program.parent.mkdir(exist_ok=True)
    program.write_text("import time\ntime.sleep(60)\n")
    real = work.run

    def run(words, **more):
        at = words.index("--")
        more["timeout_s"] = 0.5
        return real([*words[: at + 1], sys.executable, str(program)], **more)

    monkeypatch.setattr(work, "run", run)
    began = time.monotonic()
    version = add(worker, *series(1, 1))
    assert judged(worker, version) == ("failed", "the run took more than 120 minutes")
    assert time.monotonic() - began < 50
    assert isinstance(worker.reporter, Silent)
