"""The subject of the checks: a series and, if it applies to the base, its commits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.errors import ApplyError
from harness.series import FileChange, Input, Mail, parse_trailers
from harness.series.trailers import Trailer
from harness.tree.fit import PatchFit
from harness.tree.git import Git

_COMMIT_DIGITS = 40
POLICY = "docs/devel/code-provenance.rst"


@dataclass(frozen=True, kw_only=True)
class JudgedPatch:
    """One patch. ``commit`` and ``parent`` are empty if the patch does not apply or changes nothing."""

    number: int
    mail: Mail
    commit: str = ""
    parent: str = ""

    @property
    def changes(self) -> tuple[FileChange, ...]:
        return self.mail.changes

    @cached_property
    def trailers(self) -> tuple[Trailer, ...]:
        return parse_trailers(self.mail.message)

    def added(self) -> Iterator[tuple[FileChange, int, str]]:
        """Yield each added line: the change, the number of the line in the new file, and its text."""
        for change in self.changes:
            for number, text in added_lines(change):
                yield change, number, text


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A series on a base. ``source`` is a folder with the base's files; checkpatch.pl comes from there."""

    input: Input
    patches: tuple[JudgedPatch, ...]
    pin: str
    git: Git
    base: str
    """Commit that the series is applied to."""
    tip: str
    """Commit of the last patch; the base if the series does not apply."""
    source: Path | None = None
    fits: tuple[PatchFit, ...] = ()
    """How each patch with a sound diff fits the base."""
    origin: str = ""
    """Source of the tree: a commit id for a git source, else a digest."""
    required: Mapping[str, str] = field(default_factory=dict)
    """The series that ``input`` requires: why each is not below the patches; empty if it is."""

    error: ApplyError | None = None
    """Why the series does not apply to the base."""
    stopped_at: int = 0
    """Number of the patch of ``error``."""
    unprefixed: frozenset[int] = frozenset()
    """Numbers of the patches for ``-p0``."""

    @property
    def applies(self) -> bool:
        return self.tip != self.base

    def read(self, commit: str, path: str) -> str | None:
        """Return the text of ``path`` in ``commit``; None if the commit has no such file."""
        ended = self.git.run("cat-file", "blob", f"{commit}:{path}", check=False, merge_stderr=False)
        return ended.output if ended.returncode == 0 else None

    @cached_property
    def has_history(self) -> bool:
        """Whether the tree is a clone with the commits before the base, neither an archive nor shallow."""
        is_clone = len(self.origin) == _COMMIT_DIGITS
        return is_clone and self.git.read("rev-parse", "--is-shallow-repository") == "false"

    @cached_property
    def policy(self) -> str:
        """The tree's policy on the provenance of code; empty if the tree has none."""
        return self.read(self.base, POLICY) or ""


def added_lines(change: FileChange) -> Iterator[tuple[int, str]]:
    """Yield the number (in the new file) and the text of each line that ``change`` adds."""
    for hunk in change.hunks:
        number = hunk.new_start
        for line in hunk.lines:
            if line.startswith("-"):
                continue
            if line.startswith("+"):
                yield number, line[1:]
            number += 1


def snippet(text: str) -> tuple[str, ...]:
    """Return ``text`` as a snippet of one line, cut to 100 characters."""
    return (text if len(text) <= 100 else text[:97] + "...",)
