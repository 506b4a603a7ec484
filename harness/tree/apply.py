"""Apply a series on top of ``base`` with ``git am -3``, in a temporary worktree.

For speed, the worktree contains only the files that the series touches (git-sparse-checkout(1), "Internals").
One ref is set after the last patch; a failure or a kill before that does not change the tree.
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
from harness.tree.tree import Tree, start_of

_SPARSE = ("core.sparseCheckout=true", "core.sparseCheckoutCone=false")


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The commit with the whole series. ``notes`` list the hunks that moved; they are empty if ``reused``."""

    commit: str
    notes: tuple[str, ...] = ()
    reused: bool = False


def apply_series(
    tree: Tree, series: Series, layout: Layout, reporter: Reporter, *, onto: str = ""
) -> Applied:
    """Apply ``series`` to the commit ``onto``, by default to the state that its series.toml names.

    The commit ids depend on these two only. A range of a clone keeps its own commits, if ``onto`` is the
    commit before it.

    Raises ApplyError (a patch is refused or does not apply), TreeError, BusyError, StorageError.
    """
    if not series.fits(tree.pin.name):
        reporter.warn(
            f"series {series.name} is written for pin {' '.join(series.pins)}, not for {tree.pin.name}"
        )
    git = Git(repository=tree.path)
    start = onto or start_of(tree, series.metadata.base or "pristine", reporter)
    ref = f"refs/harness/{series.name}/{series.digest[:12]}-{start[:12]}"
    with locked(layout.tree(tree.name), f"the tree {tree.name}", reporter):
        known = git.find(f"{ref}^{{commit}}")
        if known and _is_above(git, start, known[0]):
            return Applied(commit=known[0], reused=True)
        if is_range_on(git, series, start):
            for index, (before, commit) in enumerate(
                zip((start, *series.commits), series.commits, strict=False)
            ):
                check_result(Place(series=series, index=index), git, before, commit)
            git.run("update-ref", ref, series.commits[-1])
            return Applied(commit=series.commits[-1])
        links = tree_links(git, start)
        with _scratch(layout, tree) as scratch, reporter.step(f"applying {series.name}") as step:
            mails = _check(git, series, links, scratch)
            worktree = _worktree(git, tree, series, scratch, start)
            notes: list[str] = []
            commit = start
            for index, mail in enumerate(mails):
                place = Place(series=series, index=index)
                step.update(index, len(mails), series.patches[index].subject)
                moved = _offsets(worktree, scratch / f"{index}.diff")
                merged = _am(worktree, place, mail, scratch / f"{index}.diff", notes)
                notes += [f"{series.patches[index].file}: {note}" for note in moved]
                if merged:
                    notes.append(f"{series.patches[index].file}: applied by a three-way merge")
                before, commit = commit, worktree.read("rev-parse", "HEAD")
                check_result(place, git, before, commit)
            git.run("update-ref", ref, commit)
        for note in notes:
            reporter.note(f"  {note}")
        return Applied(commit=commit, notes=tuple(notes))


def _check(git: Git, series: Series, links: set[str], scratch: Path) -> list[Path]:
    """Split and decode each file as git am does, and check its diff; return the mails. Raises ApplyError."""
    mails = []
    for index, patch in enumerate(series.patches):
        place = Place(series=series, index=index)
        folder = scratch / f"mail-{index}"
        folder.mkdir()
        keep = ["--keep-cr"] if _keeps_cr(patch.data) else []

        def unreadable(ended: Finished, place: Place = place) -> HarnessError:
            return ApplyError(
                f"git cannot read {place.title} as a mail",
                "write it again with git format-patch",
                details=tuple(ended.output.splitlines()[-3:]),
            )

        count = git.run(
            "mailsplit", "-b", *keep, f"-o{folder}", stdin=patch.data, error=unreadable, merge_stderr=False
        ).output.strip()
        if count != "1":
            raise ApplyError(f"{place.title} contains {count} mails", "write each patch to its own file")
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
    """Return whether carriage returns belong to the patched files: the mail's headers have none then."""
    head = data.partition(b"\ndiff --git ")[0]
    return b"\r\n" in data and b"\r\n" not in head


def _worktree(git: Git, tree: Tree, series: Series, scratch: Path, start: str) -> Git:
    path = scratch / "tree"
    # A killed git leaves a locked registration; --force is required twice to replace it (git-worktree(1)).
    git.run("worktree", "add", "--quiet", "--force", "--force", "--no-checkout", "--detach", path, start)
    worktree = Git(repository=tree.path, at=path, settings=_SPARSE)
    # gitrepository-layout(5): the file .git names the folder of this worktree's own configuration.
    folder = os.fsdecode((path / ".git").read_bytes()).removeprefix("gitdir: ").removesuffix("\n")
    info = Path(folder) / "info" / "sparse-checkout"
    info.parent.mkdir(exist_ok=True)
    touched = sorted({name for patch in series.patches for name in patch.paths})
    # gitignore(5) patterns: a backslash makes a wildcard literal.
    patterns = ["/" + re.sub(r"([\\*?\[\] !#])", r"\\\1", name) for name in touched]
    info.write_text("\n".join(patterns) + "\n", encoding="utf-8", errors="surrogateescape")
    worktree.run("read-tree", "-m", "-u", "HEAD")
    return worktree


def _am(worktree: Git, place: Place, mail: Path, diff: Path, notes: list[str]) -> bool:
    """Commit one mail; return whether git used a three-way merge. Raises ApplyError."""
    patch = place.series.patches[place.index]
    keep = "--keep-cr" if _keeps_cr(patch.data) else "--no-keep-cr"
    ended = worktree.run(
        *("am", "--3way", "--keep-non-patch", keep, "--no-scissors", "--no-gpg-sign", "--no-signoff"),
        *("--patch-format=mbox", "--whitespace=nowarn", "--committer-date-is-author-date", mail),
        # git takes the author from the mail.
        env={"GIT_COMMITTER_NAME": NAME, "GIT_COMMITTER_EMAIL": EMAIL},
        check=False,
    )
    if ended.returncode != 0:
        full = disk_is_full(ended.output, diff)
        worktree.run("am", "--abort", check=False)
        if full is not None:
            raise full  # the patch is not the cause
        raise explain(worktree, place, diff, ended.output, tuple(notes))
    return "Falling back to patching base and 3-way merge" in ended.output


def _offsets(worktree: Git, diff: Path) -> list[str]:
    """Return a note for each hunk of ``diff`` that git-apply(1) applies at another line."""
    ended = worktree.run("apply", "--check", "-v", "--whitespace=nowarn", diff, check=False)
    notes, file = [], ""
    for line in ended.output.splitlines():
        if line.startswith("Checking patch "):
            file = line.removeprefix("Checking patch ").removesuffix("...")
        found = re.match(r"Hunk #(\d+) succeeded at (\d+) \(offset (-?\d+) lines?\)", line)
        if found:
            notes.append(f"{file} hunk {found[1]} applies at line {found[2]} (offset {int(found[3]):+d})")
    return notes


def is_range_on(git: Git, series: Series, start: str) -> bool:
    """Whether ``series`` is a range of commits that begins after ``start``, and the tree has all of them."""
    wanted = [f"{commit}^{{tree}}" for commit in series.commits]
    return bool(wanted) and series.range_base == start and git.find(*wanted) is not None


def _is_above(git: Git, base: str, commit: str) -> bool:
    return git.run("merge-base", "--is-ancestor", base, commit, check=False).returncode == 0


@contextmanager
def _scratch(layout: Layout, tree: Tree) -> Iterator[Path]:
    """Provide a folder for the worktree; remove it and its registration, before (a killed run) and after."""
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
        raise StorageError(f"cannot create {path}: {error}", "make the folder writable") from error
    try:
        yield path
    finally:
        clear()
