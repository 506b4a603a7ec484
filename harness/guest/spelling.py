"""Options that QEMU has renamed: -runas and -chroot are properties of -run-with in later releases."""

import functools
import mmap
import re
from collections.abc import Sequence
from pathlib import Path

_RENAMED = {"-runas": "user", "-chroot": "chroot"}
"""-runas is gone since 10.0 and -chroot since 9.0 (docs/about/removed-features.rst of QEMU)."""


def respell(words: Sequence[str], binary: Path) -> tuple[str, ...]:
    """Return ``words`` with each renamed option as ``binary`` spells it. Raises OSError.

    The spelling is read from the help text in the binary, because a cross-built one cannot be run.
    """
    if not _RENAMED.keys() & set(words):
        return tuple(words)
    known = _properties(binary, binary.stat().st_mtime_ns)
    result: list[str] = []
    rest = iter(words)
    for word in rest:
        name = _RENAMED.get(word, "")
        result += ["-run-with", f"{name}={next(rest)}"] if name in known else [word]
    return tuple(result)


@functools.cache
def _properties(binary: Path, _mtime_ns: int) -> frozenset[str]:
    """The properties of -run-with that the help text in ``binary`` lists."""
    with binary.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = re.search(rb"-run-with \[[^\0]*?\](?=\n +[A-Z]|\0)", content)
        listed = re.findall(rb"\[,?([a-z-]+)=", found[0]) if found else []
    return frozenset(name.decode() for name in listed)
