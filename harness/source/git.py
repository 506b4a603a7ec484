"""A commit from a git URL, or the HEAD of a local git folder. A commit id proves its own bytes."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import FetchError, HarnessError, TreeError
from harness.process import Finished, run
from harness.progress import Reporter

TRANSPORT = ("GIT_SSL", "GIT_SSH", "GIT_PROXY", "GIT_ASKPASS", "GIT_HTTP", "GIT_ALLOW_PROTOCOL")
"""What of the user's environment says how to reach a server; the rest of git's is left out."""


def has_commit(repository: Path, commit: str) -> bool:
    """Whether ``repository`` holds ``commit`` with all that it needs."""
    if not (repository / "HEAD").is_file():
        return False
    # The ref is written by git after all objects have arrived, so it means "complete".
    ended = run(
        ["git", "--git-dir", repository, "rev-parse", "--verify", "--quiet", f"refs/harness/{commit}"],
        check=False,
        timeout_s=60,
    )
    return ended.returncode == 0 and ended.output.strip() == commit


def fetch_commit(url: str, commit: str, repository: Path, reporter: Reporter) -> None:
    """Bring ``commit`` alone (no history) into the bare ``repository``. Raises FetchError.

    The user's own git configuration is in force here, because proxies and credentials live there.
    """
    transport = {name: value for name, value in os.environ.items() if name.startswith(TRANSPORT)}
    transport["GIT_TERMINAL_PROMPT"] = "0"

    def failed(ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return FetchError(
            f"{url}: {lines[-1] if lines else 'git fetch failed'}",
            "check URL and commit, or try another location",
            details=tuple(lines[-5:]),
        )

    with reporter.step(f"fetching commit {commit[:12]}"):
        run(["git", "init", "--quiet", "--bare", "--template=", repository], timeout_s=60, error=failed)
        run(
            [
                *("git", "--git-dir", repository, "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"),
                *("fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules"),
                *("--", url, f"+{commit}:refs/harness/{commit}"),
            ],
            env=transport,
            timeout_s=3600,
            error=failed,
        )
    if not has_commit(repository, commit):
        raise FetchError(f"{url} did not give commit {commit}", "check the commit id")


def head_commit(folder: Path, reporter: Reporter) -> str:
    """The commit at HEAD of a local git folder; changes that are not committed are left out, and said."""

    def failed(ended: Finished) -> HarnessError:
        return TreeError(
            f"{folder} is not a git folder with a commit: {ended.output.strip().splitlines()[-1:]}",
            "commit something there, or pass an archive",
        )

    git = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    commit = run([*git, "rev-parse", "--verify", "HEAD^{commit}"], timeout_s=60, error=failed).output.strip()
    changed = run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules"],
        timeout_s=60,
        check=False,
        merge_stderr=False,
    ).output
    if changed.strip():
        count = len(changed.splitlines())
        reporter.warn(f"{folder}: HEAD ({commit[:12]}) is used; {count} changed files there are left out")
    return commit
