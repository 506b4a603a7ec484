"""Find files that another release has in another place, such as softmmu/vl.c in system/vl.c.

git finds them by their similarity (git-diff(1), ``--find-renames``), among the files that only the other
release has. Where too much of a file has changed, most files of its folder decide.
"""

import posixpath
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from harness.tree.git import Git, own_objects

Place = tuple[Path, str]
"""A repository and one of its commits."""
_Files = Mapping[str, str]
"""Mode, type and id of each path."""


def find_moves(paths: Collection[str], target: Place, others: Sequence[Place]) -> dict[str, str]:
    """Return the name in ``target`` of those ``paths`` that it lacks, as far as it has them elsewhere.

    ``others`` are releases that may have them: the first one that has a path is compared. Raises TreeError.
    """
    present = _files(target)
    missing = {path for path in paths if path not in present}
    moves: dict[str, str] = {}
    for other in others:
        if not missing:
            break
        known = _files(other)
        lost = {path: known[path] for path in missing if path in known}
        if lost:
            added = {path: facts for path, facts in present.items() if path not in known}
            gone = [path for path in known if path not in present]
            moves |= _by_folder(lost, gone, added) | _by_content(lost, added, target[0], other[0])
            missing -= set(lost)
    return moves


def _files(place: Place) -> _Files:
    listed = Git(repository=place[0]).entries("ls-tree", "-r", "-z", place[1])
    return {path: " ".join(facts) for facts, path in listed}


def _by_folder(lost: _Files, gone: Sequence[str], added: _Files) -> dict[str, str]:
    """Return the moves of files whose folder most other files left for one other folder."""
    folders: dict[str, list[str]] = defaultdict(list)
    for path in added:
        folders[posixpath.basename(path)].append(posixpath.dirname(path))
    left: dict[str, list[str]] = defaultdict(list)
    for path in gone:
        left[posixpath.dirname(path)].append(posixpath.basename(path))
    moves = {}
    for path in lost:
        siblings = left[posixpath.dirname(path)]
        votes = Counter(place for one in siblings for place in folders.get(one, ()))
        place, count = votes.most_common(1)[0] if votes else ("", 0)
        new = posixpath.join(place, posixpath.basename(path))
        if count > 1 and 2 * count > len(siblings) and new in added:
            moves[path] = new
    return moves


def _by_content(lost: _Files, added: _Files, *repositories: Path) -> dict[str, str]:
    """Return the renames that git finds between a tree of the ``lost`` files and one of the ``added``."""
    ends = {PurePosixPath(path).suffix for path in lost}
    likely = {path: facts for path, facts in added.items() if PurePosixPath(path).suffix in ends}
    with tempfile.TemporaryDirectory() as folder:
        env = own_objects(Path(folder), repositories)
        git = Git(repository=repositories[0])
        trees = []
        for name, files in (("old", lost), ("new", likely)):
            own = {**env, "GIT_INDEX_FILE": str(Path(folder) / name)}
            text = "".join(f"{facts}\t{path}\0" for path, facts in files.items())
            data = text.encode("utf-8", "surrogateescape")
            git.run("update-index", "-z", "--index-info", stdin=data, env=own)
            trees.append(git.read("write-tree", env=own))
        words = ("diff-tree", "-r", "-z", "--find-renames", "-l0", "--diff-filter=R", "--name-status")
        found = git.read(*words, *trees, env=env).split("\0")
    return dict(zip(found[1::3], found[2::3], strict=False))
