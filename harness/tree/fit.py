"""Try whether the patches of a series apply to a commit, in an index of the files that they name.

Nothing is checked out and no ref is set, so a pin takes a second. The attempts, in order: unchanged; at other
lines; with less context (``git apply -C``, the fuzz of patch(1)); merged with the original blobs (``git apply
--3way``). Blobs are also searched for in the trees of other pins, because a maintainer's clone has them.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.process import Finished
from harness.series import FileChange
from harness.tree.git import Git, own_objects
from harness.tree.present import has_change, is_distinctive

Kind = Literal["clean", "offsets", "moved", "fuzz", "3-way", "already", "not"]
Patches = Sequence[tuple[str, Sequence[FileChange]]]
"""Diff and changes of each patch."""
PRESENT = "the tree already contains the change"


@dataclass(frozen=True, kw_only=True)
class PatchFit:
    """Result for one patch. ``exact``: all its files are identical to the ones it was made from."""

    kind: Kind
    exact: bool
    details: tuple[str, ...] = ()


def fit_patches(
    repository: Path,
    commit: str,
    patches: Patches,
    *,
    also: Sequence[Path] = (),
    moved: Mapping[str, str] | None = None,
) -> tuple[PatchFit, ...]:
    """Try each of ``patches`` on ``commit`` and the previous patches that applied.

    ``also`` are repositories that may contain the original blobs. ``moved`` has the name in ``commit`` of
    files that the patches know by another name (harness.tree.moves). Raises TreeError.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = _Trial(repository, Path(folder), patches, moved or {}, also)
        trial.fill(commit)
        return tuple(trial.fit(at) for at in range(len(patches)))


class _Trial:
    """An index with the files that ``patches`` name. It changes with each patch that applies."""

    def __init__(
        self, repository: Path, folder: Path, patches: Patches, moved: Mapping[str, str], also: Sequence[Path]
    ) -> None:
        self.patches, self.moved, self.folder = patches, moved, folder
        # git 2.39 apply --cached --3way writes files that a patch adds into the working folder.
        (folder / "scratch").mkdir()
        self.git = Git(repository=repository, cwd=folder / "scratch")
        self.env = own_objects(folder, [repository, *(path for path in also if path != repository)])
        self.index, self.first, self.spare = (folder / name for name in ("index", "first", "spare"))
        self.present: dict[int, bool] = {}
        for at, (diff, _) in enumerate(patches):
            (folder / f"{at}.diff").write_bytes(diff.encode("utf-8", "surrogateescape"))

    def fill(self, commit: str) -> None:
        """Read the named files of ``commit``."""
        named = {path for _, changes in self.patches for change in changes for path in change.paths}
        wanted = sorted(self.moved.get(path, path) for path in named)
        known_as = {new: old for old, new in self.moved.items()}
        # ls-tree refuses names outside of the tree.
        inside = [path for path in wanted if ".." not in path.split("/") and not path.startswith("/")]
        listed = self.git.entries("ls-tree", "-r", "-z", commit, "--", *inside) if inside else ()
        lines = (f"{' '.join(facts)}\t{known_as.get(path, path)}\0" for facts, path in listed)
        text = "".join(lines).encode("utf-8", "surrogateescape")
        self.git.run("update-index", "-z", "--index-info", stdin=text, env=self._env(self.index))
        if not self.index.exists():
            self.git.run("read-tree", "--empty", env=self._env(self.index))
        shutil.copyfile(self.index, self.first)

    def fit(self, at: int) -> PatchFit:
        """Try patch ``at``."""
        _, changes = self.patches[at]
        exact = self._is_exact(changes)
        notes = [f"{old} is {self.moved[old]} in this tree" for old in _paths(changes) if old in self.moved]
        strict = self._apply(at)
        if strict.returncode == 0:
            lines = _moved(strict.output)
            kind: Kind = "moved" if notes else "offsets" if lines else "clean"
            return PatchFit(kind=kind, exact=exact, details=(*notes, *lines))
        failed = _failed(strict.output)
        if self._apply(at, "-R", "--check").returncode == 0 or self._is_present(at):
            return PatchFit(kind="already", exact=False, details=(PRESENT, *notes))
        for context in (2, 1):
            loose = self._apply(at, f"-C{context}")
            if loose.returncode == 0:
                fuzz = f"applies if {3 - context} of 3 lines of context are ignored"
                details = (fuzz, *notes, *_moved(loose.output), *failed)
                return PatchFit(kind="fuzz", exact=exact, details=details)
        if _lacks_context(changes):
            bare = self._apply(at, "--unidiff-zero")
            if bare.returncode == 0:
                why = "its hunks have no context lines, which git am refuses"
                return PatchFit(kind="fuzz", exact=exact, details=(why, *notes, *_moved(bare.output)))
        shutil.copyfile(self.index, self.spare)
        before = self._files()
        if self._apply(at, "--3way").returncode == 0:
            if self._files() == before:
                return PatchFit(kind="already", exact=False, details=(PRESENT, *notes))
            return PatchFit(kind="3-way", exact=exact, details=(*notes, *failed))
        shutil.copyfile(self.spare, self.index)
        lacking = [path for change in changes if change.lacks_content for path in change.paths]
        if lacking:
            # Apply the rest of the patch, so that later patches are tried on its result.
            literal = [re.sub(r"([*?[])", r"[\1]", name) for name in lacking]
            self._apply(at, *(f"--exclude={name}" for name in literal))
        return PatchFit(kind="not", exact=exact, details=(*notes, *failed))

    def _is_present(self, at: int) -> bool:
        """Return whether the commit contains patch ``at``: whether it can be taken out of it, after the later
        patches of its files."""
        if at not in self.present:
            shutil.copyfile(self.first, self.spare)
            for one in reversed(self._related(at)):
                self.present[one] = self._take_out(one)
        return self.present[at]

    def _related(self, at: int) -> list[int]:
        """Return patch ``at`` and all that share files with it, directly or through others."""
        paths, related = set[str](), {at}
        while True:
            paths.update(path for one in related for path in _paths(self.patches[one][1]))
            found = {one for one, (_, changes) in enumerate(self.patches) if paths & set(_paths(changes))}
            if found <= related:
                return sorted(related)
            related |= found

    def _take_out(self, at: int) -> bool:
        _, changes = self.patches[at]
        for how in ((), ("-C1",)) if is_distinctive(changes) else ((),):
            if self._apply(at, "-R", *how, index=self.spare).returncode == 0:
                return True
        return has_change(changes, lambda path: self._read(path, self.spare))

    def _apply(self, at: int, *how: str, index: Path | None = None) -> Finished:
        words = ("apply", "--cached", "--whitespace=nowarn", "-v", *how)
        env = self._env(index or self.index)
        return self.git.run(*words, self.folder / f"{at}.diff", env=env, check=False)

    def _env(self, index: Path) -> dict[str, str]:
        return {**self.env, "GIT_INDEX_FILE": str(index)}

    def _files(self) -> str:
        return self.git.read("ls-files", "-s", "-z", env=self._env(self.index))

    def _read(self, path: str, index: Path) -> str | None:
        return self.git.blob(f":{path}", env=self._env(index))

    def _is_exact(self, changes: Sequence[FileChange]) -> bool:
        """Return whether the index has each changed file with the blob that the patch specifies."""
        wanted = {change.old: change.old_blob for change in changes if change.old}
        if not wanted or not all(wanted.values()):
            return not wanted
        files = self.git.entries("ls-files", "-s", "-z", env=self._env(self.index))
        present = {name: facts[1] for facts, name in files}
        return all(present.get(name, "").startswith(blob) for name, blob in wanted.items())


def _paths(changes: Sequence[FileChange]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for change in changes for path in change.paths))


def _lacks_context(changes: Sequence[FileChange]) -> bool:
    """Return whether a change of an existing file was written with ``diff -U0``."""
    hunks = [hunk for change in changes if change.old and change.new for hunk in change.hunks]
    return any(not any(line.startswith(" ") for line in hunk.lines) for hunk in hunks)


def _moved(output: str) -> tuple[str, ...]:
    moved, file = [], ""
    for line in output.splitlines():
        if line.startswith(("Checking patch ", "Applying patch ")):
            file = line.split(" patch ", 1)[1].removesuffix("...")
        found = re.match(r"Hunk #(\d+) succeeded at (\d+) \(offset (-?\d+) lines?\)", line)
        if found:
            note = f"{file} hunk {found[1]} applies at line {found[2]} (offset {int(found[3]):+d})"
            if note not in moved:
                moved.append(note)
    return tuple(moved)


def _failed(output: str) -> tuple[str, ...]:
    lines = [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]
    specific = [
        line for line in lines if not line.endswith((": patch does not apply", "while searching for:"))
    ]
    return tuple(dict.fromkeys(specific or lines))[:8]
