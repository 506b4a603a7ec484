"""Judge one version by a run of validate: its mails in a file, its base in the clone, a child process.

The child has a time limit and a disk limit, and runs the code of the series in a sandbox. Whatever happens to
it, the watch goes on.
"""

import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness import diskwatch
from harness.check import ValidateResults
from harness.errors import MissingError, OptionError, StorageError, TimeoutExpiredError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.process import run, shell_quote
from harness.progress import Reporter
from harness.sandbox import GIB
from harness.series import Input, Mail, Version, find_thread, message_id_of, read_input
from harness.series.mbox import quote
from harness.source.clone import find_commit, run_git
from harness.validate.gather import causes_of
from harness.validate.run import validate_file
from harness.watch.intake import mails_of, own_mails, parts_of
from harness.watch.store import Store

_FROM = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_FILE = "series.mbox"
"""Its name is that of the build folder, so that all series share one."""
_LEVELS = 5
"""Levels of ``Based-on:`` that are followed."""
_NAMES = 20
"""Mails that a series names in ``Based-on:`` that are looked for."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What judges series. ``words`` are options of validate, ``branch`` is the clone's upstream branch."""

    store: Store
    layout: Layout
    reporter: Reporter
    folder: Path
    clone: Path
    branch: str
    words: tuple[str, ...] = ()
    minutes: int = 120
    gib: int = 40

    @property
    def results(self) -> Path:
        """The results file of the child."""
        return validate_file(replace(self.layout, build=self.folder / "build"))

    def read_results(self) -> bytes:
        """Return the bytes of that file; empty if it cannot be read."""
        try:
            return self.results.read_bytes()
        except OSError:
            return b""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A version that is ready to be judged."""

    version: int
    sha256: str
    found: Input
    file: Path
    commit: str
    why: str
    """How the commit was chosen."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a run: the bytes of validate.json, or the reason why the harness failed."""

    results: bytes = b""
    reason: str = ""
    final: bool = False
    seconds: float = 0.0


def prepare(worker: Worker, version: int) -> Job | None:
    """Return the job of ``version``; None if it cannot be judged, which is then its state."""
    store = worker.store
    row = store.rows("SELECT * FROM version WHERE id = ?", version)[0]
    file = worker.folder / _FILE
    found = write_series(store, row, worker.layout, file)
    if found is None:
        store.set_state(version, "refused", "its mails cannot be separated from those of another series")
        return None
    commit, why = choose_base(worker.clone, worker.branch, found.base_commit, (row["sent"], row["arrived"]))
    if reason := foreign(worker.clone, commit, found):
        store.set_state(version, "elsewhere", reason)
        return None
    return Job(version=version, sha256=row["sha256"], found=found, file=file, commit=commit, why=why)


def judge(worker: Worker, job: Job) -> None:
    """Judge ``job`` by a child process and store the outcome."""
    run_id = worker.store.start_run(job.version, job.sha256, f"{job.commit} ({job.why})")
    worker.results.unlink(missing_ok=True)
    began = time.monotonic()
    outcome = _run(worker, job)
    finish(worker, job, run_id, replace(outcome, seconds=time.monotonic() - began))


def finish(worker: Worker, job: Job, run_id: int, outcome: Outcome) -> None:
    """Store the outcome of a run, and whether the series is for another project."""
    store = worker.store
    results = _decode(outcome.results)
    if results is None or results.series.sha256 != job.sha256:
        reason = outcome.reason or "the run left no results of this series"
        store.finish_run(run_id, reason=reason, seconds=outcome.seconds, final=outcome.final)
        return
    ids = (mail.message_id for mail in own_mails(job.found.version))
    name = next(filter(None, ids), job.file.name)
    words = (f"-Dseries={name}", f"-Dsource={worker.clone.name}@{job.commit}", *worker.words)
    command = shell_quote(["qemu-harness", "validate", *words])
    named = msgspec.structs.replace(results, command=command)
    reason = outcome.reason
    if results.verdict == "infrastructure" and not reason:
        reason = next(causes_of(results), "the series could not be judged completely")
    with store.change():
        store.finish_run(run_id, results=named, reason=reason, seconds=outcome.seconds, final=outcome.final)
        why = foreign_after(worker.clone, job) if results.verdict == "apply" else ""
        if why:
            store.set_state(job.version, "elsewhere", why)


def recover(worker: Worker) -> None:
    """Complete what a killed watch left: take the results of a run that had ended, drop one that had not."""
    store = worker.store
    for row in store.rows("SELECT * FROM run WHERE state = 'running' AND place = ''"):
        data = worker.read_results()
        results = _decode(data)
        ended = results is not None and results.complete and results.started >= row["started"]
        if results is not None and ended and results.series.sha256 == row["sha256"]:
            seconds = sum(stage.seconds for stage in results.stages)
            resume(worker, row, Outcome(results=data, seconds=seconds))
        else:
            drop(store, row)


def resume(worker: Worker, row: sqlite3.Row, outcome: Outcome) -> None:
    """Store the outcome of the run ``row``, which an earlier watch began."""
    job = prepare(worker, row["version"])
    if job is None:
        worker.store.rows("DELETE FROM run WHERE id = ?", row["id"])
        return
    commit = row["base"].partition(" ")[0]
    finish(worker, replace(job, sha256=row["sha256"], commit=commit), row["id"], outcome)


def drop(store: Store, row: sqlite3.Row) -> None:
    """Forget the run ``row``, which did not end, and queue its version again."""
    with store.change():
        store.rows("DELETE FROM run WHERE id = ?", row["id"])
        if store.one("SELECT state FROM version WHERE id = ?", row["version"]) == "running":
            store.set_state(row["version"], "queued")


def _run(worker: Worker, job: Job) -> Outcome:
    build = worker.folder / "build"
    shutil.rmtree(build / "logs", ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    log = worker.folder / "validate.log"
    log.unlink(missing_ok=True)
    root = [] if worker.layout.shipped else ["--root", str(worker.layout.root)]
    words = [
        *(sys.executable, "-I", diskwatch.__file__, str(worker.gib * GIB), str(build), "--"),
        *(sys.executable, "-m", "harness", *root, "--die-with-parent", "validate", *worker.words),
        *(f"-Dsource={worker.clone}@{job.commit}", f"-Dseries={job.file}", "-Disolation=bwrap"),
    ]
    environment = {
        "PYTHONPATH": str(Path(diskwatch.__file__).parents[1]),
        "QEMU_HARNESS_BUILD": str(build),
        "QEMU_HARNESS_TREES": str(worker.layout.trees),
        "QEMU_HARNESS_CACHE": str(worker.layout.cache),
        "QEMU_HARNESS_COMMAND": "",
    }
    limit_s = worker.minutes * 60
    try:
        ended = run(words, env=environment, log=log, check=False, timeout_s=limit_s, grace_s=30)
    except TimeoutExpiredError:
        return Outcome(reason=f"the run took more than {worker.minutes} minutes", final=True)
    except (MissingError, StorageError) as error:
        return Outcome(reason=error.cause)
    lines = [line.removeprefix("error: ") for line in ended.output.splitlines() if line.startswith("error: ")]
    if ended.returncode == diskwatch.TOO_MUCH:
        reason = lines[-1] if lines else "it has written too much"
        shutil.rmtree(build, ignore_errors=True)
        return Outcome(reason=reason, final="the disk is almost full" not in reason)
    data = worker.read_results()
    results = _decode(data)
    if results is not None and results.complete:
        return Outcome(results=data)
    status = f"validate ended with status {ended.returncode}"
    return Outcome(results=data, reason=lines[0] if lines else status)


def _decode(data: bytes) -> ValidateResults | None:
    try:
        return msgspec.json.decode(data, type=ValidateResults) if data else None
    except UNREADABLE:
        return None


# The mails


def write_series(store: Store, row: sqlite3.Row, layout: Layout, file: Path) -> Input | None:
    """Write the mails of a version to ``file``: its own, older versions, replies, and what it is based on.

    Returns them as validate reads them; None if validate would judge another series of the same thread.
    """
    mails = mails_of(store, row["thread"])
    versions = find_thread(mails).versions
    mine = next((one for one in versions if _row_of(store, one) == (row["id"], row["series"])), None)
    if mine is None:
        return None
    related = [
        one
        for one in versions
        if one is mine or (one.number < mine.number and _row_of(store, one)[1] == row["series"])
    ]
    choices = (
        [mail for one in related for mail in (*_members(one), *one.replies)],
        [*_members(mine), *mine.replies],
        own_mails(mine),
    )
    for chosen in choices:
        numbers = _numbers(chosen)
        found = _written(store, numbers, row["sha256"], layout, file)
        if found is not None:
            return _with_required(store, found, numbers, layout, file)
    return None


def _with_required(store: Store, found: Input, numbers: list[int], layout: Layout, file: Path) -> Input:
    """Add the mails of the series that ``found`` is based on, where they are known."""
    for _ in range(_LEVELS):
        required = _required(store, found)
        if set(required) <= set(numbers):
            break
        wider = sorted({*numbers, *required})
        more = _written(store, wider, found.sha256, layout, file)
        if more is None:
            return _written(store, numbers, found.sha256, layout, file) or found
        found, numbers = more, wider
    return found


def _row_of(store: Store, version: Version) -> tuple[int, int]:
    """Return the ids of the row and the series of ``version``."""
    for part in parts_of(version):
        found = store.rows(
            "SELECT version.id, series FROM part JOIN version ON version.id = part.version"
            " WHERE part.message_id = ? AND part.number = ?",
            *(part, version.number),
        )
        if found:
            return found[0][0], found[0][1]
    return 0, 0


def _members(version: Version) -> list[Mail]:
    return [*([version.cover] if version.cover else []), *version.patches, *version.duplicates]


def _numbers(mails: Iterable[Mail]) -> list[int]:
    return sorted({int(mail.origin.rpartition(" ")[2]) for mail in mails})


def _required(store: Store, found: Input) -> list[int]:
    """Return the rows of the mails of the series that those in ``found`` are based on."""
    inputs = [replace(found, thread=replace(found.thread, versions=(one,))) for one in found.thread.versions]
    names = dict.fromkeys(message_id_of(name) for one in inputs for name in one.based_on)
    query = "SELECT thread FROM version JOIN part ON version.id = part.version WHERE part.message_id = ?"
    threads = dict.fromkeys(store.one(query, name) for name in [*filter(None, names)][:_NAMES])
    rows: list[int] = []
    for thread in filter(None, threads):
        for version in find_thread(mails_of(store, thread)).versions:
            if not version.message_ids.isdisjoint(names):
                rows += _numbers(_members(version))
    return rows


def _written(store: Store, numbers: Sequence[int], sha256: str, layout: Layout, file: Path) -> Input | None:
    """Write the mails of the rows ``numbers`` and read them; None if they are not the series ``sha256``."""
    mails = [store.mail(number) for number in numbers]
    whole = b"".join(_FROM + quote(mail) + b"\n" for mail in mails)
    # A single mail has the digest of its file.
    file.write_bytes(mails[0] if len(mails) == 1 else whole)
    try:
        found = read_input(layout, str(file))
    except OptionError:
        return None
    return found if found.sha256 == sha256 else None


# The base


def choose_base(clone: Path, branch: str, stated: str, dates: tuple[str, str]) -> tuple[str, str]:
    """Return the commit to apply a series to, and why: the one that it states, or the branch at its date.

    ``dates`` are those of the mail (may be empty) and of its arrival, which replaces one that is later.
    Raises OptionError if the clone has no such branch.
    """
    if stated and find_commit(clone, stated):
        return stated, "the series states it"
    date = min(filter(None, dates))
    before = run_git(clone, "rev-list", "-1", f"--before={date}", branch).output.strip()
    if re.fullmatch(r"[0-9a-f]{40,64}", before):
        return before, f"{branch} on {date[:10]}"
    tip = find_commit(clone, branch)
    if tip is None:
        raise OptionError(f"{clone} has no branch {branch}", "name one: -Dsource=CLONE@BRANCH")
    return tip.commit, branch


def files_of(clone: Path, commit: str) -> frozenset[str]:
    """Return the paths of all files of ``commit``."""
    listed = run_git(clone, "ls-tree", "-r", "-z", "--name-only", commit).output.split("\0")
    return frozenset(filter(None, listed))


def foreign(clone: Path, commit: str, found: Input) -> str:
    """Return why a series is for another project, empty if it may be for this one: some file or folder that
    it changes exists."""
    changed = [change for mail in found.patches for change in mail.changes]
    if not changed:
        return ""
    files = files_of(clone, commit)
    folders = {parent for path in files for parent in _parents(path)}
    known = any(change.old in files or folders.intersection(_parents(change.path)) for change in changed)
    return "" if known else "the clone has none of the files and folders that it changes"


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def foreign_after(clone: Path, job: Job) -> str:
    """Return why a series that does not apply is for another project, empty if it is for this one.

    Less than half of its files exist; or its tag has a word, as in ``[kvm-unit-tests PATCH]``, and the clone
    has none of the blobs that its diffs start from.
    """
    changes = [change for mail in job.found.patches for change in mail.changes]
    made = {change.new for change in changes if not change.old}
    olds = {change.old for change in changes if change.old} - made
    if job.found.based_on or not olds:
        return ""
    there = len(olds & files_of(clone, job.commit))
    facts = f"no patch applies, and the clone has {there} of the {len(olds)} files that it changes"
    if 2 * there < len(olds):
        return facts
    mails = [*([job.found.cover] if job.found.cover else []), *job.found.patches]
    words = [word for mail in mails for word in mail.subject.words if not word.startswith("for-")]
    blobs = sorted({change.old_blob for change in changes if re.fullmatch("[0-9a-f]{7,64}", change.old_blob)})
    asked = "\n".join(blobs).encode()
    lines = run_git(clone, "cat-file", "--batch-check", stdin=asked).output.splitlines() if blobs else []
    missing = bool(lines) and all(line.endswith(" missing") for line in lines)
    return f"{facts}, but none of their versions; its tag names {words[0]}" if words and missing else ""
