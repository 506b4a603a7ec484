"""Check that others cannot write to the cache: the harness runs and boots its files without verifying all.

Digests protect downloads. Only the file system's owners and modes protect derived files: unpacked firmware,
sysroots, Python environments, compiled objects, and the list of digests itself.
"""

import grp
import os
import pwd
import stat
from pathlib import Path

from harness.errors import StorageError

SHOWN = 5


def protect_cache(cache: Path) -> None:
    """Create the cache folder with mode 700, or check who can write to an existing one.

    Folder and entries must belong to the user or root and must not be writable by others, except for the
    user's private group (Debian's user private groups). The targets of links are checked too. Others must not
    be able to replace the cache: a world-writable folder above it must be sticky, as /tmp is (inode(7)).
    Raises StorageError.
    """
    try:
        if not cache.is_dir():
            for folder in reversed([each for each in cache.absolute().parents if not each.is_dir()]):
                folder.mkdir(mode=0o755, exist_ok=True)
            cache.mkdir(mode=0o700, exist_ok=True)
        places = {cache.absolute(): None, cache.resolve(): None}
        above = {folder: None for place in places for folder in place.parents}
        bad = [(path, why) for path in above if (why := _why_replaceable(path))]
        names = [*places, *sorted(cache.iterdir())]
        bad += [(path, why) for path in names if (why := _why_not(path))]
    except OSError as error:
        raise StorageError(
            f"cannot use the cache {cache}: {error.strerror}",
            "choose a writable folder with QEMU_HARNESS_CACHE",
        ) from error
    if bad:
        path, why = bad[0]
        raise StorageError(
            f"the cache cannot be trusted: {path} {why}",
            f"inspect and remove {cache}, or choose another folder with QEMU_HARNESS_CACHE",
            details=tuple(f"{path} {why}" for path, why in bad[1:SHOWN]),
        )


def _why_not(path: Path) -> str:
    """Return why others could have changed ``path``; empty if they could not, or if it no longer exists."""
    try:
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode) and _is_ours(facts):
            facts = path.stat()  # a link has no mode
    except FileNotFoundError:
        return ""
    if not _is_ours(facts):
        return f"belongs to {_user(facts.st_uid)}, not to {_user(os.geteuid())}"
    if facts.st_mode & stat.S_IWOTH:
        return f"is world-writable (mode {stat.S_IMODE(facts.st_mode):o})"
    if facts.st_mode & stat.S_IWGRP and not _is_private(facts.st_gid, facts.st_uid):
        return f"is writable by group {_group(facts.st_gid)} (mode {stat.S_IMODE(facts.st_mode):o})"
    return ""


def _why_replaceable(folder: Path) -> str:
    """Return why others could replace entries of ``folder``; empty if they could not."""
    facts = folder.stat()
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        return f"is world-writable (mode {stat.S_IMODE(facts.st_mode):o}), and is above the cache"
    return ""


def _is_ours(facts: os.stat_result) -> bool:
    return facts.st_uid in (os.geteuid(), 0)


def _is_private(gid: int, uid: int) -> bool:
    """Whether user ``uid`` is the only member of group ``gid`` (group(5), passwd(5))."""
    if gid == 0:
        return True
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False
    members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    return bool(members) and members <= {uid, 0}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
