"""Check the names and links of a tree, for archives, folders, git commits and patches alike."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath

_GIT_NAMES = (".git", "git~1")
"""Names reserved by git; the second is the short form of the first on FAT and NTFS (git's verify_path)."""
_PLAIN = re.compile(r"[A-Za-z0-9_+,-][A-Za-z0-9_+,.-]*(?:/[A-Za-z0-9_+,-][A-Za-z0-9_+,.-]*)*")
"""Names that are certainly good: no part begins with a dot, and git interprets no character specially."""
_IGNORED = dict.fromkeys(map(ord, "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff"))
"""Characters that HFS+ ignores in names (git's utf8.c, next_hfs_char)."""


def bad_path(path: str) -> str:
    """Return why a tree must not contain ``path``; empty if it may."""
    if _PLAIN.fullmatch(path):  # almost all paths
        return ""
    if path.startswith("/"):
        return "its name is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "its name contains .."
    if "" in parts or "." in parts:
        return "its name contains an empty part"
    if "\\" in path:
        return "its name contains a backslash"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "its name contains a control character"
    for part in parts:
        plain = part.translate(_IGNORED).lower().partition(":")[0].rstrip(". ")
        if plain in _GIT_NAMES:
            return "its name is reserved by git"
    return ""


def bad_link(path: str, target: str) -> str:
    """Return why a symbolic link at ``path`` must not point to ``target``; empty if it may.

    A target must have the form ``../../name/name``, with at most as many ``..`` as the link has parent
    folders in the tree, and none after a name. Then a link cannot leave the tree, whatever links its target
    passes: leading ``..`` start from the link's real folder (no path of a tree passes through a link), and
    each further name is a file, a folder, or a link with the same property.
    """
    if target.startswith("/"):
        return f"it is a link to {target}, which is absolute"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    if up > path.count("/"):
        return f"it is a link to {target}, outside of the tree"
    if ".." in parts[up:]:
        return f"it is a link to {target}, which has .. after a name"
    if not parts:
        return "it is a link without a target"
    if any(bad_path(part) for part in parts[up:]):
        return f"it is a link to {target}"
    return ""


def through(path: str, names: Collection[str]) -> str:
    """Return the parent of ``path`` that is in ``names`` (links or files); empty if there is none."""
    return next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in names), "")
