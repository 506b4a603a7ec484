"""Read a user's git clone, without writing to it: the commit, its objects, what is missing in them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError, OptionError, TreeError
from harness.figures import shown
from harness.process import Finished, run, shell_quote
from harness.progress import Reporter

# No index refresh, no file system monitor, no download of missing objects (git(1), "Environment Variables").
_READ_ONLY = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
_SETTINGS = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"),
    *("-c", "protocol.allow=never"),  # git before 2.44 does not know GIT_NO_LAZY_FETCH
)


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A clone and one of its commits. ``common`` is the folder with its objects (git-rev-parse(1))."""

    folder: Path
    common: Path
    commit: str

    @property
    def objects(self) -> Path:
        """The object database, for another repository's info/alternates (gitrepository-layout(5))."""
        return self.common / "objects"

    @property
    def shallow(self) -> bytes:
        """The commits whose parents are missing in a shallow clone; empty in a complete one."""
        file = self.common / "shallow"
        return file.read_bytes() if file.is_file() else b""


def run_git(
    folder: Path,
    *words: str,
    error: Callable[[Finished], HarnessError] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    into: BinaryIO | None = None,
) -> Finished:
    """Run git in a user's clone, without writing to it. Raises ``error(finished)`` if given, else nothing.

    Only with ``error``, the output contains standard error: the reason is there. ``into`` is as in ``run``.
    """
    return run(
        ["git", "-C", folder, *_SETTINGS, *words],
        env={**_READ_ONLY, **(env or {})},
        check=error is not None,
        merge_stderr=error is not None,
        error=error,
        stdin=stdin,
        into=into,
        timeout_s=1800,
    )


def git_reason(ended: Finished) -> str:
    """Return the reason that git gave for a failure, without ``fatal:``; an empty string if it gave none."""
    found = re.search(r"^(?:fatal|error): (.+)", ended.output, re.MULTILINE)
    return found[1] if found else ""


def split_revision(text: str) -> tuple[Path, str]:
    """Split ``CLONE@REVISION`` into folder and revision, which is empty if ``text`` is a path."""
    path = Path(text).expanduser()
    if path.exists() or "@" not in text:
        return path, ""
    folder, _, revision = text.rpartition("@")
    return Path(folder).expanduser(), revision


def is_clone(folder: Path) -> bool:
    """Return whether ``folder`` is the top of a clone, a worktree of one, or a bare clone."""
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def open_clone(folder: Path, revision: str, reporter: Reporter) -> Clone:
    """Return the clone in ``folder`` at ``revision``, at HEAD if that is empty.

    Uncommitted changes are not part of a commit; for HEAD they are named in a warning. Raises OptionError (no
    such revision), TreeError (git refuses the folder, or objects are missing in a partial clone).
    """
    clone = find_commit(folder, revision or "HEAD")
    if clone is None:
        raise OptionError(
            f"-Dsource: {folder} has no commit {revision or 'HEAD'}",
            "list its branches: " + shell_quote(["git", "-C", folder, "branch", "--all"]),
        )
    if not revision:
        warn_of_changes(clone, reporter)
    _check_objects(clone)
    return clone


def commit_of(source: str) -> Clone:
    """Return the clone ``CLONE`` or ``CLONE@REVISION``; without one, that around the working folder.

    Raises OptionError if there is none, TreeError if git refuses it.
    """
    folder, revision = split_revision(source or ".")
    top = run_git(folder, "rev-parse", "--show-toplevel").output.strip() if folder.is_dir() else ""
    clone = find_commit(Path(top), revision or "HEAD") if top else None
    if clone is None:
        raise OptionError(
            f"{source or Path.cwd()} is no commit of a git clone with files",
            "run it in a clone of QEMU, or name one: -Dsource=CLONE@REVISION",
        )
    return clone


def find_commit(folder: Path, revision: str) -> Clone | None:
    """Return the clone in ``folder`` at ``revision``, None without such a commit. Raises TreeError."""
    folder = folder.resolve()
    common = Path(_git(folder, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    name = f"{revision}^{{commit}}"
    ended = run_git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    commit = ended.output.strip()
    return Clone(folder=folder, common=common, commit=commit) if ended.returncode == 0 else None


def range_commits(folder: Path, revisions: str) -> tuple[str, tuple[str, ...]]:
    """Return the commit before a range, empty without one, and the commits of the range, oldest first."""
    listed = run_git(
        folder, "rev-list", "--reverse", "--topo-order", "--parents", "--end-of-options", revisions
    )
    rows = [line.split() for line in listed.output.splitlines()] if listed.returncode == 0 else []
    before = rows[0][1] if rows and len(rows[0]) > 1 else ""
    return before, tuple(row[0] for row in rows)


def commits_of_mail(folder: Path, message_id: str) -> tuple[str, ...]:
    """Return the commits made of the mails of a series, newest first; ``message_id`` is one of its mails.

    Maintainers record a mail in a trailer, Message-Id: or Link:. The mails of a series differ in one number
    (git-send-email(1), b4), and the cover letter, which is named most often, is in no commit.
    """
    name, _, host = message_id.rpartition("@")
    parts = re.fullmatch(r"(.+-)\d+(-[^-]+)", name)
    start = parts[1] if parts else name
    same = rf"{re.escape(parts[1])}\d+{re.escape(parts[2])}" if parts else re.escape(name)
    trailer = re.compile(
        rf"^(?:message-id|link):.*(?<![^\s<>/]){same}@{re.escape(host)}(?![^\s<>/])", re.I | re.M
    )
    words = (
        *("-c", "log.showSignature=false", "log", "--all", "--topo-order", "-z", "--format=%H%n%B"),
        *("--encoding=UTF-8", "--regexp-ignore-case", "--fixed-strings", f"--grep={start}"),
    )
    found = [entry.partition("\n") for entry in run_git(folder, *words).output.split("\0")]
    return tuple(commit for commit, _, message in found if trailer.search(message))


def merge_base(clone: Clone, one: str, other: str) -> str:
    """Return the best common ancestor of two revisions; empty without one."""
    ended = run_git(clone.folder, "merge-base", "--end-of-options", one, other)
    return ended.output.strip() if ended.returncode == 0 else ""


def upstream_branch(clone: Clone) -> str:
    """Return the branch that patches are for: HEAD of a remote (origin's first), else a branch called
    master."""
    listed = _git(clone.folder, "for-each-ref", "--format=%(refname)", "refs/remotes/*/HEAD").splitlines()
    found = sorted(listed, key=lambda name: "/origin/" not in name)
    names = [*found, "refs/remotes/origin/master", "refs/heads/master", "refs/heads/main"]
    for name in names:
        if run_git(clone.folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0:
            return name
    return ""


def _check_objects(clone: Clone) -> None:
    """Raise TreeError if objects of the commit's tree are missing, as in a partial clone."""
    promised = run_git(
        clone.folder, "config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"
    )
    if promised.returncode != 0:
        return
    listed = _git(
        clone.folder, "rev-list", "--objects", "--no-walk", "--missing=print", f"{clone.commit}^{{tree}}"
    )
    missing = [line for line in listed.splitlines() if line.startswith("?")]
    if missing:
        raise TreeError(
            f"{clone.folder} is a partial clone: {len(missing)} objects of {clone.commit[:12]} are missing",
            f"check that commit out in the clone once, or: {refetch(clone.folder)}",
        )


def refetch(folder: Path) -> str:
    """Return the command that completes a partial clone."""
    return shell_quote(["git", "-C", folder, "fetch", "--refetch", "--no-filter"])


def warn_of_changes(clone: Clone, reporter: Reporter) -> None:
    """Name the uncommitted changes of the clone in a warning: they are not part of a commit."""
    changed = run_git(clone.folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules")
    files = [line[3:] for line in changed.output.splitlines()] if changed.returncode == 0 else []
    if files:
        reporter.warn(
            f"{clone.folder}: uncommitted changes are not part of {clone.commit[:12]}: {shown(files)}"
        )


def _git(folder: Path, *words: str) -> str:
    def failed(ended: Finished) -> HarnessError:
        if re.search("dubious ownership|safe.directory", ended.output):
            return TreeError(
                f"git refuses {folder}, which belongs to another user",
                f"if you trust it: git config --global --add safe.directory {shell_quote([folder])}",
            )
        return TreeError(
            f"git cannot read {folder}: {git_reason(ended) or 'no reason given'}",
            "pass a clone, a folder or an archive of QEMU",
        )

    return run_git(folder, *words, error=failed).output.strip()
