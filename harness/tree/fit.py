"""Try whether the patches of a series apply to a commit, in an index only.

Nothing is checked out and no ref is set, so a pin takes a second. The attempts, in order: unchanged; at other
lines; with less context (``git apply -C``, the fuzz of patch(1)); merged with the original blobs (``git apply
--3way``). Blobs are also searched for in the trees of other pins, because a maintainer's clone has them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.series import FileChange
from harness.tree.git import Git

Kind = Literal["clean", "offsets", "fuzz", "3-way", "already", "not"]


@dataclass(frozen=True, kw_only=True)
class PatchFit:
    """Result for one patch. ``exact``: all its files are identical to the ones it was made from."""

    kind: Kind
    exact: bool
    details: tuple[str, ...] = ()


def fit_patches(
    repository: Path,
    commit: str,
    patches: Sequence[tuple[str, Sequence[FileChange]]],
    *,
    also: Sequence[Path] = (),
) -> tuple[PatchFit, ...]:
    """Try each of ``patches`` (diff and changes) on ``commit`` and the previous patches that applied.

    ``also`` are repositories that may contain the original blobs. Raises TreeError.
    """
    with tempfile.TemporaryDirectory() as folder:
        others = os.pathsep.join(str(path / "objects") for path in also if path != repository)
        env = {
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
            "GIT_OBJECT_DIRECTORY": str(Path(folder) / "objects"),  # do not write to the tree
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(
                filter(None, (str(repository / "objects"), others))
            ),
        }
        # git 2.39 apply --cached --3way writes files that a patch adds into the working folder.
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        (Path(folder) / "objects").mkdir()
        git = Git(repository=repository, cwd=scratch)
        git.run("read-tree", commit, env=env)
        return tuple(_fit(git, env, Path(folder), diff, changes) for diff, changes in patches)


def _fit(git: Git, env: dict[str, str], folder: Path, diff: str, changes: Sequence[FileChange]) -> PatchFit:
    path = folder / "diff"
    path.write_bytes(diff.encode("utf-8", "surrogateescape"))
    exact = _is_exact(git, env, changes)
    plain = ("apply", "--cached", "--whitespace=nowarn", "-v")
    strict = git.run(*plain, path, env=env, check=False)
    if strict.returncode == 0:
        moved = _moved(strict.output)
        return PatchFit(kind="offsets" if moved else "clean", exact=exact, details=moved)
    failed = _failed(strict.output)
    if git.run(*plain, "-R", "--check", path, env=env, check=False).returncode == 0:
        return PatchFit(kind="already", exact=False, details=("the tree already contains the change",))
    for context in (2, 1):
        loose = git.run(*plain, f"-C{context}", path, env=env, check=False)
        if loose.returncode == 0:
            fuzz = f"applies if {3 - context} of 3 lines of context are ignored"
            return PatchFit(kind="fuzz", exact=exact, details=(fuzz, *_moved(loose.output), *failed))
    if _lacks_context(changes):
        bare = git.run(*plain, "--unidiff-zero", path, env=env, check=False)
        if bare.returncode == 0:
            why = "its hunks have no context lines, which git am refuses"
            return PatchFit(kind="fuzz", exact=exact, details=(why, *_moved(bare.output)))
    tree = git.read("write-tree", env=env)
    merged = git.run(*plain, "--3way", path, env=env, check=False)
    if merged.returncode == 0:
        return PatchFit(kind="3-way", exact=exact, details=failed)
    git.run("read-tree", tree, env=env)
    lacking = [path for change in changes if change.lacks_content for path in change.paths]
    if lacking:
        # Apply the rest of the patch, so that later patches are tried on its result.
        plainly = [re.sub(r"([*?[])", r"[\1]", name) for name in lacking]
        rest = [f"--exclude={name}" for name in plainly]
        if git.run(*plain, *rest, path, env=env, check=False).returncode != 0:
            git.run("read-tree", tree, env=env)
    return PatchFit(kind="not", exact=exact, details=failed)


def _lacks_context(changes: Sequence[FileChange]) -> bool:
    """Return whether a change of an existing file was written with ``diff -U0``."""
    hunks = [hunk for change in changes if change.old and change.new for hunk in change.hunks]
    return any(not any(line.startswith(" ") for line in hunk.lines) for hunk in hunks)


def _is_exact(git: Git, env: dict[str, str], changes: Sequence[FileChange]) -> bool:
    """Return whether the index has each changed file with the blob that the patch specifies."""
    wanted = {change.old: change.old_blob for change in changes if change.old}
    if not wanted or not all(wanted.values()):
        return not wanted
    listed = git.read(
        "--literal-pathspecs", "ls-files", "-s", "-z", "--", *(name for name in wanted), env=env
    ).split("\0")
    present = {}
    for line in filter(None, listed):
        facts, _, name = line.partition("\t")
        present[name] = facts.split(" ")[1]
    return all(present.get(name, "").startswith(blob) for name, blob in wanted.items())


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
