"""What is judged: a series as it was read and, where it applies, the commits that it became."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.series import FileChange, Input, Mail, parse_trailers
from harness.series.thread import Trailer
from harness.tree.fit import PatchFit
from harness.tree.git import Git

POLICY = "docs/devel/code-provenance.rst"


@dataclass(frozen=True, kw_only=True)
class JudgedPatch:
    """One patch. ``commit`` and ``parent`` are empty when it does not apply or changes nothing."""

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
        """Every line that it adds: the change, the line's number in the new file, its text."""
        for change in self.changes:
            for number, text in added_lines(change):
                yield change, number, text


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A series on a base. ``source`` holds the base's files: the tools that judge come from there."""

    input: Input
    patches: tuple[JudgedPatch, ...]
    pin: str
    git: Git
    base: str
    """Commit that it is put on."""
    tip: str
    """Commit of the last patch; the base when the series does not apply."""
    source: Path | None = None
    fits: tuple[PatchFit, ...] = ()
    """How each patch fits the base; those of patches without a sound diff are left out."""
    origin: str = ""
    """What the tree was imported from: a commit id for a git source, else a digest."""

    @property
    def applies(self) -> bool:
        return self.tip != self.base

    def read(self, commit: str, path: str) -> str | None:
        """The text of ``path`` in ``commit``; None when it has no such file."""
        ended = self.git.run("cat-file", "blob", f"{commit}:{path}", check=False, merge_stderr=False)
        return ended.output if ended.returncode == 0 else None

    def base_has(self, path: str, text: str) -> bool:
        """Whether the base's ``path`` holds ``text``."""
        return text in (self.read(self.base, path) or "")

    @cached_property
    def policy(self) -> str:
        """The tree's text on where code may come from; empty where it has none."""
        return self.read(self.base, POLICY) or ""


def added_lines(change: FileChange) -> Iterator[tuple[int, str]]:
    """Number (in the new file) and text of each line that ``change`` adds."""
    for hunk in change.hunks:
        number = hunk.new_start
        for line in hunk.lines:
            if line.startswith("-"):
                continue
            if line.startswith("+"):
                yield number, line[1:]
            number += 1


def snippet(text: str) -> tuple[str, ...]:
    """One line to show, cut to what a mail holds."""
    return (text if len(text) <= 100 else text[:97] + "...",)
