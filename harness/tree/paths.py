"""Which names and links may be in a tree. One rule for archives, folders, git commits and patches."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

_GIT_NAMES = (".git", "git~1")
"""Names that git keeps for itself, the second as FAT and NTFS shorten the first (git's verify_path)."""
_PLAIN = re.compile(r"[A-Za-z0-9_+,-][A-Za-z0-9_+,.-]*(?:/[A-Za-z0-9_+,-][A-Za-z0-9_+,.-]*)*")
"""Names that cannot be bad: no part begins with a dot, and there is no character that git reads otherwise."""
_IGNORED = dict.fromkeys(map(ord, "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff"))
"""Characters that HFS+ ignores in names (git's utf8.c, next_hfs_char)."""


def bad_path(path: str) -> str:
    """Why ``path`` must not be in a tree; empty when it may be."""
    if _PLAIN.fullmatch(path):  # nearly all of them
        return ""
    if path.startswith("/"):
        return "its name is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "its name has .. in it"
    if "" in parts or "." in parts:
        return "its name has an empty part"
    if "\\" in path:
        return "its name has a backslash"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "its name has a control character"
    for part in parts:
        plain = part.translate(_IGNORED).lower().partition(":")[0].rstrip(". ")
        if plain in _GIT_NAMES:
            return "its name is one of git's own"
    return ""


def bad_link(path: str, target: str) -> str:
    """Why a symbolic link at ``path`` must not point to ``target``; empty when it may.

    Only a target of the form ``../../name/name`` is let through, with no more ``..`` than folders above the
    link, and none after a name. Then each link leads to a place inside the tree whatever other links there
    are on the way: leading ``..`` start from the link's real folder (no path of ours leads through a link),
    and each further name is a file, a folder, or a link for which the same holds.
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
        return f"it is a link to {target}, which goes up after going down"
    if not parts:
        return "it is a link to nothing"
    if any(bad_path(part) for part in parts[up:]):
        return f"it is a link to {target}"
    return ""


def through(path: str, names: Collection[str]) -> str:
    """The member of ``names`` (links, or files) that ``path`` would lead through; empty for none."""
    return next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in names), "")
