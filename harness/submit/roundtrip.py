"""The proof that what goes out is what was meant: ``git am`` of the mails gives the very same commits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.authoring.branch import Commit, read_commit
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
    """Apply the mails of ``box`` to ``base`` and compare with ``commits``; says what was found equal.

    Raises SubmitError when tree, patch-id, author, date or message of any differ: a fault of the harness, or
    something that mail cannot carry.
    """
    git = Git(repository=tree.path)
    series = _read_back(git, box, name)
    if len(series.patches) != len(commits):
        raise SubmitError(
            f"{box.name} holds {len(series.patches)} mails for {len(commits)} commits",
            "look for lines in the messages that begin with From and a date",
        )
    tip = apply_series(tree, series, layout, reporter, onto=base).commit
    ids = git.read("rev-list", "--reverse", f"{base}..{tip}").split()
    for number, (one, commit) in enumerate(zip(ids, commits, strict=True), start=1):
        back = read_commit(git, one)
        for what, there, meant in (
            ("tree", back.tree, commit.tree),
            ("author", (back.author, back.email), (commit.author, commit.email)),
            ("date", back.date, commit.date),
            ("message", _plain(back.message), _plain(commit.message)),
            ("patch-id", commit_patch_id(git, back), commit_patch_id(git, commit)),
        ):
            if there != meant:
                raise SubmitError(
                    f"patch {number} comes back from its mail with another {what}",
                    "please report it with the series: the mails must not be sent",
                    details=(f"meant: {meant!r:.300}", f"came back: {there!r:.300}"),
                )
    return f"git am of {box.name} gives the same trees, patch-ids, authors and messages"


def _read_back(git: Git, box: Path, name: str) -> Series:
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        git.run("mailsplit", "--mboxrd", "--keep-cr", f"-o{scratch}", box)
        files = [(path.name, path.read_bytes()) for path in sorted(Path(scratch).iterdir())]
    return series_of_files(f"{name}-outgoing", box.parent, files)


def _plain(message: str) -> list[str]:
    return [line.rstrip() for line in message.strip().splitlines()]
