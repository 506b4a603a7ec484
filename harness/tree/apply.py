"""Apply a series on top of ``base`` with ``git am -3``, in a temporary worktree.

For speed, the worktree contains only the files that the series touches (git-sparse-checkout(1), "Internals").
One ref is set after the last patch; a failure or a kill before that does not change the tree.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from harness.errors import HarnessError
from harness.jsonfile import storing
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, disk_is_full
from harness.progress import Reporter
from harness.series import FileChange, Series, scan_changes
from harness.series.mbox import bare, split_mbox
from harness.series.patch import Patch
from harness.tree.explain import explain
from harness.tree.fit import PatchFit, fit_patches
from harness.tree.git import EMAIL, NAME, Git
from harness.tree.safety import Place, check_diff, check_result, tree_links
from harness.tree.tree import Tree, start_of

# Each patch writes the index; a split index writes only the changed entries (git-update-index(1)).
_SPARSE = ("core.sparseCheckout=true", "core.sparseCheckoutCone=false", "core.splitIndex=true")


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
        if known and git.is_ancestor(start, known[0]):
            return Applied(commit=known[0], reused=True)
        places = [Place(series=series, index=index) for index in range(len(series.patches))]
        if is_range_on(git, series, start):
            check_result(places, git, series.commits)
            git.run("update-ref", ref, series.commits[-1])
            return Applied(commit=series.commits[-1])
        links = tree_links(git, start)
        with _scratch(layout, tree) as scratch, reporter.step(f"applying {series.name}"):
            mails = _check(git, series, links, scratch)
            diffs = [scratch / f"{index}.diff" for index in range(len(mails))]
            fits = fit_patches(tree.path, start, list(map(_read_diff, diffs)))
            worktree = _worktree(git, tree, series, scratch, start)
            notes = [_notes(place, fit) for place, fit in zip(places, fits, strict=True)]
            for keep, group in groupby(
                places, key=lambda place: _keeps_cr(place.series.patches[place.index].data)
            ):
                _am(worktree, list(group), mails, diffs, notes, keep=keep)
            commit = worktree.read("rev-parse", "HEAD")
            made = commits_of(git, start, commit, series.patches)
            place_of = {one: places[index] for index, (one, _) in made.items()}
            commits = git.read("rev-list", "--reverse", f"{start}..{commit}").split()
            check_result([place_of.get(one, places[-1]) for one in commits], git, commits)
            git.run("update-ref", ref, commit)
        lines = tuple(note for each in notes for note in each)
        for note in lines:
            reporter.note(f"  {note}")
        return Applied(commit=commit, notes=lines)


def commits_of(git: Git, base: str, tip: str, patches: Sequence[Patch]) -> dict[int, tuple[str, str]]:
    """Return commit and parent of each of the ``patches`` that has a commit above ``base``.

    ``git am`` skips a patch that changes nothing. Another one may have its title.
    """
    lines = git.read("log", "--reverse", "--format=%H %P %s", f"{base}..{tip}").splitlines()
    commits: dict[int, tuple[str, str]] = {}
    for index, patch in enumerate(patches):
        if len(commits) == len(lines):
            break
        commit, parent, title = lines[len(commits)].split(" ", 2)
        same = " ".join(title.split()) == patch.subject
        if same and patch.subject in [later.subject for later in patches[index + 1 :]]:
            words = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", parent, commit)
            same = {*filter(None, git.read(*words).split("\0"))} <= {*patch.paths}
        if same or len(lines) == len(patches):
            commits[index] = (commit, parent)
    return commits


def _check(git: Git, series: Series, links: set[str], scratch: Path) -> list[Path]:
    """Split and decode each file as git am does, and check its diff; return the mails. Raises ApplyError."""
    mails = []
    for index, patch in enumerate(series.patches):
        place = Place(series=series, index=index)
        folder = scratch / f"mail-{index}"
        folder.mkdir()
        keep = ["--keep-cr"] if _keeps_cr(patch.data) else []

        def unreadable(ended: Finished, place: Place = place) -> HarnessError:
            return place.error(
                "cannot be read by git as a mail",
                "write it again with git format-patch",
                details=tuple(ended.output.splitlines()[-3:]),
            )

        count = len(split_mbox(patch.data))
        if count != 1:
            reason = f"contains {count} mails: a line of it begins a mail of a mailbox (From …)"
            raise place.error(reason, "indent that line, or write each patch to its own file")
        git.run("mailsplit", "-b", *keep, f"-o{folder}", stdin=bare(patch.data), error=unreadable)
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


def _am(
    worktree: Git,
    places: Sequence[Place],
    mails: Sequence[Path],
    diffs: Sequence[Path],
    notes: Sequence[Sequence[str]],
    *,
    keep: bool,
) -> None:
    """Commit the mails of ``places``, all with or all without carriage returns to ``keep``.

    ``notes`` are those of each patch. Raises ApplyError.
    """
    words = ("am", "--3way", "--keep-non-patch", "--keep-cr" if keep else "--no-keep-cr", "--no-scissors")
    ended = worktree.run(
        *(*words, "--no-gpg-sign", "--no-signoff", "--patch-format=mbox", "--whitespace=nowarn"),
        "--committer-date-is-author-date",
        *(mails[place.index] for place in places),
        # git takes the author from the mail.
        env={"GIT_COMMITTER_NAME": NAME, "GIT_COMMITTER_EMAIL": EMAIL},
        check=False,
    )
    if ended.returncode == 0:
        return
    full = disk_is_full(ended.output, diffs[0])
    if full is not None:
        raise full  # the patch is not the cause
    # The state of git am (builtin/am.c): the number of the mail that it stopped at, from 1.
    stopped = Path(worktree.read("rev-parse", "--absolute-git-dir")) / "rebase-apply" / "next"
    number = int(stopped.read_text(encoding="ascii")) if stopped.is_file() else 1
    worktree.run("am", "--quit", check=False)
    worktree.run("reset", "--quiet", "--hard", check=False)
    place = places[min(number, len(places)) - 1]
    earlier = [note for each in notes[: place.index] for note in each]
    raise explain(worktree, place, diffs[place.index], ended.output, earlier)


def _read_diff(path: Path) -> tuple[str, tuple[FileChange, ...]]:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return text, scan_changes(text)


def _notes(place: Place, fit: PatchFit) -> list[str]:
    """Return a line for each hunk that applies at another line, and one for a three-way merge."""
    lines = fit.details if fit.kind == "offsets" else ()
    if fit.kind in ("3-way", "fuzz"):
        lines = ("applied by a three-way merge",)
    return [f"{place.series.patches[place.index].file}: {line}" for line in lines]


def is_range_on(git: Git, series: Series, start: str) -> bool:
    """Whether ``series`` is a range of commits that begins after ``start``, and the tree has all of them."""
    wanted = [f"{commit}^{{tree}}" for commit in series.commits]
    return bool(wanted) and series.range_base == start and git.find(*wanted) is not None


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
    with storing(f"create {path}"):
        os.mkdir(path)  # noqa: PTH102 - fails when clear() could not
    try:
        yield path
    finally:
        clear()
