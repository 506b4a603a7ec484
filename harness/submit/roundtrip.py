"""Check that ``git am`` of the outgoing mails produces the same commits."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.authoring.branch import Commit, read_commits
from harness.authoring.compare import commit_patch_id
from harness.errors import SubmitError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Series, series_of_files
from harness.tree import Tree, apply_series
from harness.tree.git import Git


def check_round_trip(
    layout: Layout,
    tree: Tree,
    box: Path,
    reporter: Reporter,
    *,
    name: str,
    base: str,
    commits: Sequence[Commit],
) -> str:
    """Apply the mails of ``box`` to ``base`` and compare the result with ``commits``; return a summary.

    Raises SubmitError if tree, patch-id, author, date or message of a commit differ. The cause is a fault of
    the harness, or a commit that mail cannot represent.
    """
    git = Git(repository=tree.path)
    series = _read_back(git, box, name)
    if len(series.patches) != len(commits):
        raise SubmitError(
            f"{box.name} contains {len(series.patches)} mails for {len(commits)} commits",
            "check the messages for lines that begin with From and a date",
        )
    tip = apply_series(tree, series, layout, reporter, onto=base).commit
    read_back = read_commits(git, base, tip)
    for number, (back, commit) in enumerate(zip(read_back, commits, strict=True), start=1):
        for what, actual, expected in (
            ("tree", back.tree, commit.tree),
            ("author", (back.author, back.email), (commit.author, commit.email)),
            ("date", back.date, commit.date),
            ("message", _plain(back.message), _plain(commit.message)),
            ("patch-id", commit_patch_id(git, back), commit_patch_id(git, commit)),
        ):
            if actual != expected:
                raise SubmitError(
                    f"git am of the mail of patch {number} results in another {what}",
                    "report this with the series, and do not send the mails",
                    details=(f"expected: {expected!r:.300}", f"actual: {actual!r:.300}"),
                )
    return f"git am of {box.name} results in the same trees, patch-ids, authors, dates and messages"


def _read_back(git: Git, box: Path, name: str) -> Series:
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        git.run("mailsplit", "--mboxrd", "--keep-cr", f"-o{scratch}", box)
        files = [(path.name, path.read_bytes()) for path in sorted(Path(scratch).iterdir())]
    return series_of_files(f"{name}-outgoing", box.parent, files)


def _plain(message: str) -> list[str]:
    return [line.rstrip() for line in message.strip().splitlines()]
