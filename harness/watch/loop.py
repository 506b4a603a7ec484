"""The watch: take what is new, judge what is queued, write the site, wait."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import FetchError, OptionError
from harness.figures import counted
from harness.progress import Reporter
from harness.source.clone import find_commit, is_clone, run_git, split_revision, upstream_branch
from harness.watch.changes import Changes
from harness.watch.inbox import places_of, read_new
from harness.watch.intake import choose_again, place_of, ripen, take
from harness.watch.sections import Choice, choose
from harness.watch.store import Store
from harness.watch.work import Job, Worker, files_of, judge, prepare, recover

FILE = "watch.sqlite"
PATIENCE_S = 3600.0
"""Seconds after which a series is judged without the patches that are missing."""
POLL_S = 300.0
"""Seconds after which the inboxes are read without a change; file systems of other machines report none."""
DISPATCH_POLL_S = 60.0
TRIES = 3
RETRY_S = 3600.0
"""Seconds after which a version is judged again for which the harness failed, at most TRIES times."""


class Dispatch(Protocol):
    """Judges series elsewhere."""

    @property
    def room(self) -> bool:
        """Whether another series may be started."""

    def start(self, job: Job) -> None:
        """Start to judge ``job``. Raises FetchError."""

    def collect(self) -> None:
        """Store the outcome of those that have ended. Raises FetchError."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to watch. ``since`` (YYYY-MM-DD) is for inboxes that are read for the first time."""

    inboxes: tuple[Path, ...]
    choice: Choice
    since: str = ""
    once: bool = False


def find_clone(source: str) -> tuple[Path, str]:
    """Return the clone ``CLONE`` or ``CLONE@BRANCH``, and its upstream branch.

    Raises OptionError, TreeError.
    """
    folder, branch = split_revision(source)
    is_there = bool(source) and is_clone(folder)
    clone = find_commit(folder, branch or "HEAD") if is_there else None
    if clone is None and is_there:
        raise OptionError(f"{folder} has no commit {branch or 'yet'}", "name one: -Dsource=CLONE@BRANCH")
    if clone is None:
        raise OptionError(
            f"watch needs a clone of QEMU, and {source or 'the working folder'} is none",
            "name one: -Dsource=CLONE, or -Dsource=CLONE@BRANCH for another branch than the upstream one",
        )
    branch = branch or upstream_branch(clone)
    if not branch:
        raise OptionError(f"{folder} has no upstream branch", "name a branch: -Dsource=CLONE@BRANCH")
    return clone.folder, branch


def choice_of(clone: Path, branch: str, only: Sequence[str]) -> Choice:
    """Return the choice of ``--only``, by MAINTAINERS of the branch. Raises OptionError."""
    maintainers = run_git(clone, "cat-file", "blob", f"{branch}:MAINTAINERS")
    text = maintainers.output if maintainers.returncode == 0 else ""
    return choose(only, text, sorted(files_of(clone, branch)) if only else ())


def watch(worker: Worker, plan: Plan, after: Callable[[], None], dispatch: Dispatch | None = None) -> None:
    """Watch the inboxes of ``plan``: until they have nothing new with ``once``, else until interrupted.

    ``after`` is called after each change. Raises FetchError if ``dispatch`` fails, with ``once``.
    """
    recover(worker)
    choose_again(worker.store, plan.choice)
    changes = None if plan.once else Changes()
    while True:
        if changes:
            for inbox in plan.inboxes:
                changes.add(places_of(inbox))
        try:
            if dispatch:
                dispatch.collect()
            look(worker.store, plan, worker.reporter)
            after()
            while work(worker, dispatch):
                after()
                look(worker.store, plan, worker.reporter)
        except FetchError as error:
            if changes is None:
                raise
            worker.reporter.warn(error.cause)
        if changes is None:
            return
        changes.wait(DISPATCH_POLL_S if dispatch else POLL_S)


def work(worker: Worker, dispatch: Dispatch | None) -> bool:
    """Judge the next version. Returns whether there was one."""
    version = next_version(worker.store) if dispatch is None or dispatch.room else None
    if version is None:
        return False
    job = prepare(worker, version)
    if job is not None:
        with worker.reporter.step(f"judging {_title(worker.store, version)}"):
            if dispatch:
                dispatch.start(job)
            else:
                judge(worker, job)
    return True


def look(store: Store, plan: Plan, reporter: Reporter) -> None:
    """Take what is new in the inboxes, and queue what has waited long enough."""
    for inbox in plan.inboxes:
        cursor, seen = place_of(store, str(inbox))
        for batch in read_new(inbox, cursor, seen, plan.since):
            taken = take(store, str(inbox), batch, plan.choice)
            for line in batch.skipped:
                reporter.warn(f"{inbox}: a mail is too large and was not read: {line}")
            if taken.full:
                reporter.warn(f"{inbox}: {taken.full} mails of threads that are too long were not read")
            if taken.mails:
                reporter.note(f"{inbox}: {counted(taken.mails, 'new mail')}")
    ripen(store, plan.choice, PATIENCE_S)


def next_version(store: Store) -> int | None:
    """Return the version to judge next: by the order of ``--only``, then by arrival; failed ones last."""
    queued = store.one("SELECT id FROM version WHERE state = 'queued' ORDER BY rank, id LIMIT 1")
    if queued:
        return int(queued)
    limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=RETRY_S)
    again = store.one(
        "SELECT version.id FROM version JOIN series ON series.newest = version.id"
        " JOIN run ON run.version = version.id AND run.sha256 = version.sha256"
        " WHERE version.state = 'failed' GROUP BY version.id"
        " HAVING max(final) = 0 AND count(*) < ? AND max(finished) <= ? ORDER BY rank, version.id LIMIT 1",
        *(TRIES, limit.isoformat(timespec="seconds")),
    )
    return int(again) if again else None


def _title(store: Store, version: int) -> str:
    row = store.rows("SELECT title, number FROM version WHERE id = ?", version)[0]
    return f"{row['title'][:60]!r} v{row['number']}"
