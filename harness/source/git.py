"""Fetch a commit from a git URL. The commit id verifies the bytes."""

import os
from pathlib import Path

from harness.errors import FetchError, HarnessError
from harness.process import Finished, run
from harness.progress import Reporter

TRANSPORT = ("GIT_SSL", "GIT_SSH", "GIT_PROXY", "GIT_ASKPASS", "GIT_HTTP", "GIT_ALLOW_PROTOCOL")
"""Prefixes of the environment variables that configure git's transport; git gets no other ones."""


def has_commit(repository: Path, commit: str) -> bool:
    """Return whether ``repository`` contains ``commit`` completely."""
    if not (repository / "HEAD").is_file():
        return False
    # git writes the ref after it has received all objects.
    ended = run(
        ["git", "--git-dir", repository, "rev-parse", "--verify", "--quiet", f"refs/harness/{commit}"],
        check=False,
        timeout_s=60,
    )
    return ended.returncode == 0 and ended.output.strip() == commit


def fetch_commit(url: str, commit: str, repository: Path, reporter: Reporter) -> None:
    """Fetch ``commit`` without its history into the bare ``repository``. Raises FetchError.

    The user's git configuration applies, because it contains proxies and credentials.
    """
    transport = {name: value for name, value in os.environ.items() if name.startswith(TRANSPORT)}
    transport["GIT_TERMINAL_PROMPT"] = "0"

    def failed(ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return FetchError(
            f"{url}: {lines[-1] if lines else 'git fetch failed'}",
            "check the URL and the commit, or try another location",
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
        raise FetchError(f"{url} did not provide commit {commit}", "check the commit id")
