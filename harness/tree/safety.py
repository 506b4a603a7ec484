"""Refuse unsafe patches: check each diff before git applies it, and the resulting commit afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import ApplyError
from harness.series import FileChange, PatchFormatError, Series, scan_changes
from harness.tree.git import Git
from harness.tree.paths import bad_link, bad_path, through

_MODES = ("", "100644", "100755", "120000")
_MODULES = ".gitmodules"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Position in a series, for messages."""

    series: Series
    index: int

    @property
    def title(self) -> str:
        if self.series.commits:
            return f"commit {self.series.commits[self.index][:12]} of {self.series.name}"
        patch = self.series.patches[self.index]
        return f"patch {self.index + 1}/{len(self.series.patches)} of {self.series.name} ({patch.file})"

    def error(
        self,
        reason: str,
        remedy: str,
        *,
        details: tuple[str, ...] = (),
        kind: Literal["context", "file", "refused"] = "refused",
    ) -> ApplyError:
        """Return the error of this patch."""
        error = ApplyError(f"{self.title} {reason}", remedy, details=details)
        error.patch, error.reason, error.kind = self.index + 1, f"the patch {reason}", kind
        return error


def tree_links(git: Git, commit: str) -> set[str]:
    """Return the paths of all symbolic links in ``commit``."""
    return {path for facts, path in git.entries("ls-tree", "-r", "-z", commit) if facts[0] == "120000"}


def check_diff(place: Place, diff: str, links: set[str]) -> None:
    """Raise ApplyError if the patch writes outside of the tree or to files reserved by git.

    ``diff`` is the text as decoded by git from the mail. ``links`` are the links of the tree and of the
    previous patches; the links of this patch are added.
    """
    try:
        changes = scan_changes(diff)
    except PatchFormatError as error:
        raise _refused(place, "", str(error)) from error
    links.update(change.new for change in changes if change.new and change.new_mode == "120000")
    for change in changes:
        for path in change.paths:
            problem = _bad_file(path, links)
            if problem:
                raise _refused(place, path, problem)
        problem = _bad_content(change)
        if problem:
            raise _refused(place, change.path, problem)


def check_result(places: Sequence[Place], git: Git, commits: Sequence[str]) -> None:
    """Raise ApplyError if one of ``commits`` adds an unsafe path or link, or a submodule; each has a place.

    The changes are read from git, so this also covers renamed links and any diff that the scanner interprets
    differently from git.
    """
    if not commits:
        return
    words = ("diff-tree", "--stdin", "--root", "-m", "-r", "-z", "--no-renames")
    listed = git.read(*words, stdin="".join(f"{commit}\n" for commit in commits).encode()).split("\0")
    place = dict(zip(commits, places, strict=True))
    at = places[0]
    items = iter(filter(None, listed))
    for item in items:
        if not item.startswith(":"):
            at = place[item.split(" ")[0].strip()]
            continue
        path, (_, mode, _, blob, _) = next(items), item.split(" ")
        problem = _bad_file(path, ())
        if mode == "120000":
            problem = problem or bad_link(path, git.read("cat-file", "blob", blob))
        elif mode == "160000":
            problem = problem or "it adds a submodule"
        if problem:
            raise _refused(at, path, problem)


def _bad_file(path: str, links: Collection[str]) -> str:
    problem = bad_path(path)
    if not problem and path.rpartition("/")[2].lower() == _MODULES:
        problem = "it would change submodules"
    parent = "" if problem else through(path, links)
    return f"it passes through the symbolic link {parent}" if parent else problem


def _bad_content(change: FileChange) -> str:
    if "160000" in (change.old_mode, change.new_mode):
        return "it adds or changes a submodule"
    if change.new_mode not in _MODES:
        return f"it has the mode {change.new_mode}"
    if change.new_mode == "120000" and change.new:
        if change.binary:
            return "it is a link in a binary patch"
        added = [line for hunk in change.hunks for line in hunk.added]
        if len(added) > 1:
            return "it is a link whose target has several lines"
        return bad_link(change.new, added[0]) if added else ""
    return ""


def _refused(place: Place, path: str, problem: str) -> ApplyError:
    subject = f"{path!r}: " if path else ""
    return place.error(
        f"is refused: {subject}{problem}",
        "apply only patches that you have read; write it again with git format-patch",
    )
