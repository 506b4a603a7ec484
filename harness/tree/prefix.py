"""Recognize patches for ``-p0``: their names have no folder such as ``a/`` and ``b/`` in front.

``cvs diff``, ``svn diff`` and ``git format-patch --no-prefix`` write them. git am removes the first folder of
each name, and so looks for the wrong files.
"""

import re
from collections.abc import Set as AbstractSet

_NAMES = re.compile(
    r"^diff --git (?P<both>\S+ \S+)$|^--- (?P<old>[^\t\n\r]+).*\n\+\+\+ (?P<new>[^\t\n\r]+)", re.MULTILINE
)
_PREFIXES = ("a/", "b/", "c/", "i/", "o/", "w/", "old/", "new/")
"""Those of git (diff.mnemonicPrefix in git-config(1)) and common others."""


def names_of(diff: str) -> tuple[str, ...]:
    """Return the names of files in the headers of ``diff``, as they are written."""
    found = [
        name
        for match in _NAMES.finditer(diff)
        for name in ((match["both"].split(" ")) if match["both"] else (match["old"], match["new"]))
    ]
    plain = (name.strip().strip('"') for name in found)
    return tuple(dict.fromkeys(name for name in plain if name and name != "/dev/null"))


def lacks_prefix(names: tuple[str, ...], paths: AbstractSet[str]) -> bool:
    """Return whether ``names`` are paths of a tree with the files ``paths`` only if none of their folders is
    removed."""
    if not names or any(name.startswith(_PREFIXES) for name in names):
        return False
    whole = [name for name in names if name in paths]
    if whole or any("/" not in name for name in names):
        return not any(name.partition("/")[2] in paths for name in names)
    # All files are new: their folders decide.
    folders = {path.rpartition("/")[0] for path in paths} - {""}
    above = {name.rpartition("/")[0] for name in names}
    return above <= folders and not any(folder.partition("/")[2] in folders for folder in above)
