"""watch: arguments, status, the answer to a series, and a list worked off by real runs of validate."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import BusyError, OptionError, StorageError
from harness.lock import locked
from harness.progress import Silent
from harness.watch import work
from harness.watch.store import Store
from tests.fuzz.site import check_site
from tests.unit.conftest import ROOT
from tests.unit.programs import wait_until
from tests.unit.watch.children import Child
from tests.unit.watch.inboxes import UNIT, make_clone, reply, series, write_maildir, write_mbox


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("upstream") / "qemu")


@pytest.fixture
def words(tmp_path, clone, calls):
    """Return the arguments for an inbox of two series. No sandbox is tried."""
    calls.spy("harness.sandbox.open_sandbox", lambda *_: contextlib.nullcontext())
    inbox = write_mbox(tmp_path / "inbox", [*series(1, 2), reply(1), *series(2, 1)])
    return [str(inbox), "--once", f"-Dsource={clone}", f"--state={tmp_path / 'state'}"]


def test_list_is_worked_off_and_answered(run, words, layout, monkeypatch):
    child = Child(layout)
    monkeypatch.setattr(work, "run", child)
    ended = run("watch", *words, "-Dbisect=none", "-Dmatrix=none", "--site-url=https://e.org/watch")
    assert (ended.code, len(child.calls)) == (0, 2)
    assert {"-Dbisect=none", "-Dmatrix=none"} <= set(child.words)
    assert "done: 2 (findings 2)" in ended.out
    state = words[-1]
    site = Path(state.partition("=")[2]) / "site"
    check_site(site, "https://e.org/watch/")
    again, mail = run("watch", "status", state), run("watch", "mail", "1", state)
    assert (again.code, again.out, mail.code) == (0, ended.out, 0)
    assert "In-Reply-To: <1-v1-0@example.org>" in mail.out
    assert not mail.out.endswith("\n\n")
    assert run("watch", "mail", "1-v1-2@example.org", state).out == run("watch", "mail", "1", state).out
    assert run("watch", *words).code == 0
    assert len(child.calls) == 2
    pages = check_site(site)
    assert "2 series, newest first" in pages["index.html"].text
    assert pages["index.html"].text.count("findings") == 2


@pytest.mark.parametrize(
    ("more", "error", "cause"),
    [
        (["-Dseries=x"], OptionError, "-Dseries="),
        (["-Dpin=7.2"], OptionError, "-Dpin="),
        (["-Dpatches=1"], OptionError, "-Dpatches="),
        (["-Disolation=none"], OptionError, "not trusted"),
        (["--only=no/such/"], OptionError, "--only: 'no/such/'"),
        (["--since=today"], OptionError, "--since: 'today'"),
        (["--since=2026-02-31"], OptionError, "--since: '2026-02-31'"),
        (["--since=20260105"], OptionError, "--since: '20260105'"),
        (["--since=1969-12-31"], OptionError, "--since: '1969-12-31'"),
        (["--state=a b"], OptionError, "cannot build QEMU in "),
        (["--project=g/q"], OptionError, "are for --dispatch"),
        (["--ref=b"], OptionError, "are for --dispatch"),
        (["--site-url=e.org/watch"], OptionError, "--site-url: 'e.org/watch'"),
        (["--site-url=javascript:alert(1)"], OptionError, "is no address of a folder"),
        (["--site-url=https://e.org/?list=1"], OptionError, "is no address of a folder"),
        (["--dispatch=gitlab"], Exception, "--dispatch gitlab needs"),
        (["-Dsource=/nowhere"], OptionError, "needs a clone"),
        (["no/such/inbox"], OptionError, "is no inbox"),
    ],
)
def test_wrong_arguments_are_refused(run, words, more, error, cause):
    ended = run("watch", *more, *words) if more[0] == "no/such/inbox" else run("watch", *words, *more)
    assert isinstance(ended.error, error)
    assert cause in ended.error.cause
    assert "--since" not in cause or ended.error.remedy == "write YYYY-MM-DD"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_arguments_reach_the_worker_its_plan_and_the_pipelines(
    run, words, layout, tmp_path, *, clone, calls, elsewhere
):
    calls.spy("harness.watch.loop.choice_of")
    calls.spy("harness.watch.loop.watch", lambda *_: None)
    calls.spy("harness.watch.dispatch.GitLab", lambda *_: "pipelines")
    state = tmp_path / "state"
    more = ["--since=2026-01-05", "--only=hw/dev1.c", "--minutes=7", "--gib=8", "-Dmatrix=none"]
    more += ["--dispatch=gitlab", "--project=g/q", "--ref=b"] if elsewhere else []
    assert run("watch", *words, *more).code == 0
    (((worker, plan, _, dispatch), _),) = calls.given["watch"]
    assert worker == work.Worker(
        store=worker.store,
        layout=layout,
        reporter=worker.reporter,
        folder=state,
        clone=clone,
        branch="refs/heads/master",
        words=("-Dmatrix=none",),
        minutes=7,
        gib=8,
    )
    assert isinstance(worker.reporter, Silent)
    assert (plan.inboxes, plan.since, plan.once) == ((tmp_path / "inbox",), "2026-01-05", True)
    assert calls.given["choice_of"] == [((clone, "refs/heads/master", ["hw/dev1.c"]), {})]
    sandboxed = (dataclasses.replace(layout, build=state / "build"), "bwrap", worker.reporter)
    assert calls.given["open_sandbox"][-1] == (sandboxed, {})
    assert dispatch == ("pipelines" if elsewhere else None)
    assert calls.given.get("GitLab", []) == [((worker, "g/q", "b"), {})] * elsewhere


def test_state_is_in_the_checkout_unless_a_folder_is_named(run, layout):
    ended = run("watch", "status")
    assert isinstance(ended.error, StorageError)
    assert str(layout.root / "watch" / "watch.sqlite") in ended.error.cause


def test_questions_about_nothing_are_refused(run, words, tmp_path):
    state = words[-1]
    run("watch", "status", state).fails(StorageError)
    with Store(tmp_path / "state" / "watch.sqlite"):
        pass
    for question in (
        ["status", "x"],
        ["mail"],
        ["mail", "7"],
        ["mail", "x@y"],
        ["mail", "9" * 5000],
        ["mail", "\u0663"],
    ):
        assert isinstance(run("watch", *question, state).error, OptionError), question
    ended = run("watch", "status", state)
    assert ended.out.startswith("queued: 0; how long that takes is unknown")


def test_second_watch_is_refused(run, words, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.commands.watch.LOCK_S", 0.1)
    with locked(tmp_path / "state" / "watch", "x", Silent()):
        ended = run("watch", *words)
    assert isinstance(ended.error, BusyError)
    assert ended.error.cause.startswith(f"the watch in {tmp_path / 'state'} ")
    assert f"process {os.getpid()}" in ended.error.cause


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_list_is_worked_off_by_real_runs_also_after_a_kill(world, tmp_path, clone):
    works = ["bwrap", "--ro-bind", "/", "/", "true"]
    if shutil.which(works[0]) is None or subprocess.run(works, check=False).returncode:
        pytest.skip("bubblewrap does not work here")
    foreign = series(3, 1, title="Makefile: add it", diff=UNIT, tag="kvm-unit-tests PATCH")
    inbox = write_maildir(tmp_path / "inbox", [*series(1, 2), reply(1), *foreign])
    argv = [
        *(sys.executable, "-m", "harness", "--root", world.root, "watch", inbox, "--once"),
        *(f"-Dsource={clone}", f"--state={tmp_path / 'state'}", "-Dbisect=none", "-Dmatrix=none"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QEMU_HARNESS_CACHE": str(world.cache)}
    environment |= {"QEMU_HARNESS_TREES": str(tmp_path / "trees")}
    first = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    database = tmp_path / "state" / "watch.sqlite"
    wait_until(lambda: database.exists() and runs(database), 50)
    first.send_signal(signal.SIGKILL)
    first.wait()
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "done: 1" in ended.stdout, ended.stdout + ended.stderr
    assert "for another project: 1" in ended.stdout
    with Store(database) as store:
        found = store.series(1)
        (run,) = found.versions[0].runs
        assert run.results is not None
        assert run.results.verdict in ("clean", "findings")
        assert [fit.kind for fit in run.results.fits if fit.pin == run.results.pin] == ["clean", "clean"]
        assert [trailer.text for trailer in run.results.series.trailers] == [
            "Reviewed-by: Dua Developer <dua@example.org>"
        ]


def runs(database):
    try:
        with Store(database) as store:
            return len(store.rows("SELECT id FROM run"))
    except StorageError:
        return 0
