"""Where patches apply: each patch of a series tried on a commit, in the index alone.

Nothing is checked out and no ref is set, so a pin takes a second. The ladder: as it stands; at other lines;
with less context (``git apply -C``, what patch(1) calls fuzz); merged by the blobs that it was made from
(``git apply --3way``). Blobs are looked for in the other pins' trees too: a maintainer's clone has them.
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
    """What came of one patch. ``exact``: all its files are the ones it was made from."""

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
    """Try each of ``patches`` (its diff and what it changes) on ``commit`` and those before it that applied.

    ``also`` are repositories that may hold the blobs which patches were made from. Raises TreeError.
    """
    with tempfile.TemporaryDirectory() as folder:
        others = os.pathsep.join(str(path / "objects") for path in also if path != repository)
        env = {
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
            "GIT_OBJECT_DIRECTORY": str(Path(folder) / "objects"),  # nothing is left in the tree
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(
                filter(None, (str(repository / "objects"), others))
            ),
        }
        # git apply --cached --3way writes files that a patch adds into the working folder (seen with 2.39).
        aside = Path(folder) / "aside"
        aside.mkdir()
        (Path(folder) / "objects").mkdir()
        git = Git(repository=repository, cwd=aside)
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
        return PatchFit(kind="already", exact=False, details=("the tree holds what it adds",))
    for context in (2, 1):
        loose = git.run(*plain, f"-C{context}", path, env=env, check=False)
        if loose.returncode == 0:
            fuzz = f"applies when {3 - context} of 3 lines of context are left out"
            return PatchFit(kind="fuzz", exact=exact, details=(fuzz, *_moved(loose.output), *failed))
    if _lacks_context(changes):
        bare = git.run(*plain, "--unidiff-zero", path, env=env, check=False)
        if bare.returncode == 0:
            why = "its hunks have no lines of context, which git am refuses"
            return PatchFit(kind="fuzz", exact=exact, details=(why, *_moved(bare.output)))
    tree = git.read("write-tree", env=env)
    merged = git.run(*plain, "--3way", path, env=env, check=False)
    if merged.returncode == 0:
        return PatchFit(kind="3-way", exact=exact, details=failed)
    git.run("read-tree", tree, env=env)
    lacking = [path for change in changes if change.lacks_content for path in change.paths]
    if lacking:
        # So that patches after it are tried on what it would have left, but for the files that it lacks.
        plainly = [re.sub(r"([*?[])", r"[\1]", name) for name in lacking]
        rest = [f"--exclude={name}" for name in plainly]
        if git.run(*plain, *rest, path, env=env, check=False).returncode != 0:
            git.run("read-tree", tree, env=env)
    return PatchFit(kind="not", exact=exact, details=failed)


def _lacks_context(changes: Sequence[FileChange]) -> bool:
    """Whether a change of a file that is there was written with ``diff -U0``."""
    hunks = [hunk for change in changes if change.old and change.new for hunk in change.hunks]
    return any(not any(line.startswith(" ") for line in hunk.lines) for hunk in hunks)


def _is_exact(git: Git, env: dict[str, str], changes: Sequence[FileChange]) -> bool:
    """Whether the index has each file that is changed at just the blob which the patch names."""
    wanted = {change.old: change.old_blob for change in changes if change.old}
    if not wanted or not all(wanted.values()):
        return not wanted
    listed = git.read(
        "--literal-pathspecs", "ls-files", "-s", "-z", "--", *(name for name in wanted), env=env
    ).split("\0")
    there = {}
    for line in filter(None, listed):
        facts, _, name = line.partition("\t")
        there[name] = facts.split(" ")[1]
    return all(there.get(name, "").startswith(blob) for name, blob in wanted.items())


def _moved(output: str) -> tuple[str, ...]:
    moved, file = [], ""
    for line in output.splitlines():
        if line.startswith(("Checking patch ", "Applying patch ")):
            file = line.split(" patch ", 1)[1].removesuffix("...")
        found = re.match(r"Hunk #(\d+) succeeded at (\d+) \(offset (-?\d+) lines?\)", line)
        if found:
            told = f"{file} hunk {found[1]} applies at line {found[2]} (offset {int(found[3]):+d})"
            if told not in moved:
                moved.append(told)
    return tuple(moved)


def _failed(output: str) -> tuple[str, ...]:
    lines = [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]
    told = [line for line in lines if not line.endswith((": patch does not apply", "while searching for:"))]
    return tuple(dict.fromkeys(told or lines))[:8]
