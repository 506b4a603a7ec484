"""A series → commits on top of ``base``, by ``git am -3``, in a worktree that is thrown away.

Only the files that the series touches are checked out there (git-sparse-checkout(1), "Internals"), so it
takes no longer than the patches do. Nothing refers to the new commits until the last patch is in: then one
ref is set. A failure or a kill at any instant leaves the tree as it was.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ApplyError, HarnessError, StorageError
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, disk_is_full
from harness.progress import Reporter
from harness.series import Series
from harness.tree.explain import explain
from harness.tree.git import EMAIL, NAME, Git
from harness.tree.safety import Place, check_diff, check_result, tree_links
from harness.tree.tree import Tree

_SPARSE = ("core.sparseCheckout=true", "core.sparseCheckoutCone=false")


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The commit with the whole series on it. ``notes`` say which hunks moved; empty when ``reused``."""

    commit: str
    notes: tuple[str, ...] = ()
    reused: bool = False


def apply_series(
    tree: Tree, series: Series, layout: Layout, reporter: Reporter, *, onto: str = ""
) -> Applied:
    """``base`` (or the commit ``onto``) with ``series``, as commits whose ids depend on the two alone.

    Raises ApplyError (a patch is refused or does not apply), TreeError, BusyError, StorageError.
    """
    if not series.fits(tree.pin.name):
        reporter.warn(
            f"series {series.name} is meant for pin {' '.join(series.pins)}, not for {tree.pin.name}"
        )
    git = Git(repository=tree.path)
    start = onto or tree.base
    suffix = "" if start == tree.base else f"-{start[:12]}"
    ref = f"refs/harness/{series.name}/{series.digest[:12]}{suffix}"
    with locked(layout.tree(tree.name), f"the tree {tree.name}", reporter):
        known = git.find(f"{ref}^{{commit}}")
        if known and _is_above(git, start, known[0]):
            return Applied(commit=known[0], reused=True)
        links = tree_links(git, start)
        with _scratch(layout, tree) as scratch, reporter.step(f"applying {series.name}") as step:
            mails = _check(git, series, links, scratch)
            worktree = _worktree(git, tree, series, scratch, start)
            notes: list[str] = []
            for index, mail in enumerate(mails):
                place = Place(series=series, index=index)
                step.update(index, len(mails), series.patches[index].subject)
                before = worktree.read("rev-parse", "HEAD")
                moved = _offsets(worktree, scratch / f"{index}.diff")
                merged = _am(worktree, place, mail, scratch / f"{index}.diff", notes)
                notes += [f"{series.patches[index].file}: {note}" for note in moved]
                if merged:
                    notes.append(f"{series.patches[index].file}: applied by a three-way merge")
                check_result(place, git, before, worktree.read("rev-parse", "HEAD"))
            commit = worktree.read("rev-parse", "HEAD")
            git.run("update-ref", ref, commit)
        for note in notes:
            reporter.note(f"  {note}")
        return Applied(commit=commit, notes=tuple(notes))


def _check(git: Git, series: Series, links: set[str], scratch: Path) -> list[Path]:
    """Split and decode each file as git am will, refuse what must not be applied; returns the mails."""
    mails = []
    for index, patch in enumerate(series.patches):
        place = Place(series=series, index=index)
        folder = scratch / f"mail-{index}"
        folder.mkdir()
        keep = ["--keep-cr"] if _keeps_cr(patch.data) else []

        def unreadable(ended: Finished, place: Place = place) -> HarnessError:
            return ApplyError(
                f"{place.title} is no mail that git can read",
                "write it again with git format-patch",
                details=tuple(ended.output.splitlines()[-3:]),
            )

        count = git.run(
            "mailsplit", "-b", *keep, f"-o{folder}", stdin=patch.data, error=unreadable, merge_stderr=False
        ).output.strip()
        if count != "1":
            raise ApplyError(f"{place.title} holds {count} mails, not one", "split it: one patch, one file")
        mail, diff = folder / "0001", scratch / f"{index}.diff"
        git.run(
            *("mailinfo", "-b", "--no-scissors", scratch / "message", diff),
            stdin=mail.read_bytes(),
            error=unreadable,
        )
        check_diff(place, diff.read_bytes().decode("utf-8", "surrogateescape"), links)
        mails.append(mail)
    return mails


def _keeps_cr(data: bytes) -> bool:
    """Whether carriage returns belong to the files: only then are the mail's own headers free of them."""
    head = data.partition(b"\ndiff --git ")[0]
    return b"\r\n" in data and b"\r\n" not in head


def _worktree(git: Git, tree: Tree, series: Series, scratch: Path, start: str) -> Git:
    path = scratch / "tree"
    # Forced twice over the locked registration that a killed git leaves (git-worktree(1)).
    git.run("worktree", "add", "--quiet", "--force", "--force", "--no-checkout", "--detach", path, start)
    worktree = Git(repository=tree.path, at=path, settings=_SPARSE)
    info = Path(worktree.read("rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout"))
    info.parent.mkdir(exist_ok=True)
    touched = sorted({name for patch in series.patches for name in patch.paths})
    # gitignore(5) patterns: a backslash before what would be a wildcard.
    patterns = ["/" + re.sub(r"([\\*?\[\] !#])", r"\\\1", name) for name in touched]
    info.write_text("\n".join(patterns) + "\n", encoding="utf-8", errors="surrogateescape")
    worktree.run("read-tree", "-m", "-u", "HEAD")
    return worktree


def _am(worktree: Git, place: Place, mail: Path, diff: Path, notes: list[str]) -> bool:
    """Commit one mail. Whether git had to fall back on a three-way merge. Raises ApplyError."""
    patch = place.series.patches[place.index]
    keep = "--keep-cr" if _keeps_cr(patch.data) else "--no-keep-cr"
    ended = worktree.run(
        *("am", "--3way", "--keep-non-patch", keep, "--no-scissors", "--no-gpg-sign", "--no-signoff"),
        *("--patch-format=mbox", "--whitespace=nowarn", "--committer-date-is-author-date", mail),
        # The author comes from the mail alone.
        env={"GIT_COMMITTER_NAME": NAME, "GIT_COMMITTER_EMAIL": EMAIL},
        check=False,
    )
    if ended.returncode != 0:
        full = disk_is_full(ended.output, diff)
        worktree.run("am", "--abort", check=False)
        if full is not None:
            raise full  # no fault of the patch
        raise explain(worktree, place, diff, ended.output, tuple(notes))
    return "Falling back to patching base and 3-way merge" in ended.output


def _offsets(worktree: Git, diff: Path) -> list[str]:
    """Which hunks of ``diff`` find their place elsewhere, as git-apply(1) says it."""
    ended = worktree.run("apply", "--check", "-v", "--whitespace=nowarn", diff, check=False)
    notes, file = [], ""
    for line in ended.output.splitlines():
        if line.startswith("Checking patch "):
            file = line.removeprefix("Checking patch ").removesuffix("...")
        found = re.match(r"Hunk #(\d+) succeeded at (\d+) \(offset (-?\d+) lines?\)", line)
        if found:
            notes.append(f"{file} hunk {found[1]} applies at line {found[2]} (offset {int(found[3]):+d})")
    return notes


def _is_above(git: Git, base: str, commit: str) -> bool:
    return git.run("merge-base", "--is-ancestor", base, commit, check=False).returncode == 0


@contextmanager
def _scratch(layout: Layout, tree: Tree) -> Iterator[Path]:
    """A folder for the worktree, removed with its registration; so is what a killed run left there."""
    path = layout.tree(tree.name).with_name(f".{tree.name}.apply")
    git = Git(repository=tree.path)

    def clear() -> None:
        if path.exists():
            shutil.rmtree(path, ignore_errors=True)
            git.run("worktree", "prune", "--expire=now")

    clear()
    try:
        os.mkdir(path)  # noqa: PTH102 - fails when clear() could not
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error}", "make the folder writable") from error
    try:
        yield path
    finally:
        clear()
