"""watch: arguments, status, the answer to a series, and a list worked off by real runs of validate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import BusyError, OptionError, StorageError
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Silent
from harness.watch import work
from harness.watch.store import Store
from tests.faults.world import World
from tests.fuzz.site import check_site
from tests.unit.conftest import ROOT
from tests.unit.watch.children import Child
from tests.unit.watch.inboxes import UNIT, make_clone, reply, series, write_maildir, write_mbox

from .conftest import Calls, Run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("upstream") / "qemu")


@pytest.fixture
def words(tmp_path: Path, clone: Path, calls: Calls) -> list[str]:
    """Return the arguments for an inbox of two series. No sandbox is tried."""
    import contextlib

    calls.spy("harness.sandbox.open_sandbox", lambda *_: contextlib.nullcontext())
    inbox = write_mbox(tmp_path / "inbox", [*series(1, 2), reply(1), *series(2, 1)])
    return [str(inbox), "--once", f"-Dsource={clone}", f"--state={tmp_path / 'state'}"]


def test_list_is_worked_off_and_answered(
    run: Run, words: list[str], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(layout)
    monkeypatch.setattr(work, "run", child)
    ended = run("watch", *words, "-Dbisect=none", "-Dmatrix=none")
    assert (ended.code, len(child.calls)) == (0, 2)
    assert {"-Dbisect=none", "-Dmatrix=none"} <= set(child.words)
    assert "done: 2 (findings 2)" in ended.out
    state = words[-1]
    assert run("watch", "status", state).out == ended.out
    assert "In-Reply-To: <1-v1-1@example.org>" in run("watch", "mail", "1", state).out
    assert run("watch", "mail", "1-v1-2@example.org", state).out == run("watch", "mail", "1", state).out
    assert run("watch", *words).code == 0
    assert len(child.calls) == 2
    pages = check_site(Path(state.partition("=")[2]) / "site")
    assert "2 series, newest first" in pages["index.html"].text
    assert pages["index.html"].text.count("findings") == 2


@pytest.mark.parametrize(
    ("more", "error", "cause"),
    [
        (["-Dseries=x"], OptionError, "-Dseries="),
        (["-Dpin=7.2"], OptionError, "-Dpin="),
        (["-Disolation=none"], OptionError, "not trusted"),
        (["--only=no/such/"], OptionError, "--only: 'no/such/'"),
        (["--since=today"], OptionError, "--since: 'today'"),
        (["--dispatch=gitlab"], Exception, "--dispatch gitlab needs"),
        (["-Dsource=/nowhere"], OptionError, "needs a clone"),
        (["no/such/inbox"], OptionError, "is no inbox"),
    ],
)
def test_wrong_arguments_are_refused(
    run: Run, words: list[str], more: list[str], error: type[Exception], cause: str
) -> None:
    ended = run("watch", *more, *words) if more[0] == "no/such/inbox" else run("watch", *words, *more)
    assert isinstance(ended.error, error)
    assert cause in ended.error.cause


def test_questions_about_nothing_are_refused(run: Run, words: list[str], tmp_path: Path) -> None:
    state = words[-1]
    assert isinstance(run("watch", "status", state).error, StorageError)
    with Store(tmp_path / "state" / "watch.sqlite"):
        pass
    for question in (
        ["status", "x"],
        ["mail"],
        ["mail", "7"],
        ["mail", "x@y"],
        ["mail", "9" * 30],
        ["mail", "\u0663"],
    ):
        assert isinstance(run("watch", *question, state).error, OptionError), question
    ended = run("watch", "status", state)
    assert ended.out.startswith("queued: 0; how long that takes is unknown")


def test_second_watch_is_refused(
    run: Run, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.commands.watch.LOCK_S", 0.1)
    with locked(tmp_path / "state" / "watch", "x", Silent()):
        ended = run("watch", *words)
    assert isinstance(ended.error, BusyError)
    assert f"process {os.getpid()}" in ended.error.cause


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_list_is_worked_off_by_real_runs_also_after_a_kill(world: World, tmp_path: Path, clone: Path) -> None:
    if subprocess.run(["bwrap", "--ro-bind", "/", "/", "true"], check=False).returncode:
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
    deadline = time.monotonic() + 50
    while not (database.exists() and runs(database)) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "done: 1" in ended.stdout, ended.stdout + ended.stderr
    assert "for another project: 1" in ended.stdout
    with Store(database) as store:
        found = store.series(1)
        assert found is not None
        (run,) = found.versions[0].runs
        assert run.results is not None
        assert run.results.verdict in ("clean", "findings")
        assert [fit.kind for fit in run.results.fits if fit.pin == run.results.pin] == ["clean", "clean"]
        assert [trailer.text for trailer in run.results.series.trailers] == [
            "Reviewed-by: Dua Developer <dua@example.org>"
        ]


def runs(database: Path) -> int:
    try:
        with Store(database) as store:
            return len(store.rows("SELECT id FROM run"))
    except StorageError:
        return 0
