"""Which sources include a file, read from the ``#include`` lines of a checkout."""

import posixpath
import re
from dataclasses import dataclass, field

from harness.errors import TreeError
from harness.tree.git import Git

_LINE = re.compile(r'^([^:]+):\s*#\s*include\s+["<]([^">]+)[">]')
_FILES = ("*.c", "*.h", "*.inc", "*.cc", "*.cpp", "*.m", "*.S")
_FOLDERS = ("include", "", "linux-headers", "include/standard-headers", "linux-user", "tests/qtest")
"""Folders in which compilers look for a header first, for every target."""


@dataclass(kw_only=True)
class Includes:
    """The ``#include`` lines of a checkout. ``files`` are all its files."""

    files: frozenset[str]
    lines: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Last part of an included name → each file that includes it, and the name that it uses."""
    named: dict[str, list[str]] = field(default_factory=dict)
    """Last part of a path → the files that have it."""
    found: dict[str, frozenset[str]] = field(default_factory=dict)
    """Answers of ``users``: a header of half of the tree takes half a second."""

    def users(self, path: str) -> frozenset[str]:
        """Return the files that include ``path``, directly or through others, as far as that is certain.

        A name that several headers have, such as cpu.h, is certain only in the folder of one of them.
        """
        if path in self.found:
            return self.found[path]
        found: set[str] = set()
        waiting = [path]
        while waiting:
            one = waiting.pop()
            for user, name in self.lines.get(posixpath.basename(one), ()):
                if user not in found and self._resolve(user, name) == one:
                    found.add(user)
                    waiting.append(user)
        self.found[path] = frozenset(found)
        return self.found[path]

    def _resolve(self, user: str, name: str) -> str:
        own = posixpath.normpath(posixpath.join(posixpath.dirname(user), name))
        if own in self.files:
            return own
        for folder in _FOLDERS:
            path = posixpath.normpath(posixpath.join(folder, name))
            if path in self.files:
                return path
        ending = f"/{posixpath.normpath(name)}"
        ends = [path for path in self.named.get(posixpath.basename(name), ()) if path.endswith(ending)]
        return ends[0] if len(ends) == 1 else ""


def read_includes(git: Git) -> Includes:
    """Read the files of the worktree of ``git``. Raises TreeError."""
    listed = git.read("ls-files", "-z")
    ended = git.run(
        *("grep", "-I", "--full-name", "-F", "-e", "#include", "-e", "# include"),
        *("--", *_FILES),
        check=False,  # 1: no file includes another
        merge_stderr=False,
    )
    if ended.returncode > 1:
        raise TreeError(f"git grep ends with status {ended.returncode} in {git.at}", "run git fsck in it")
    includes = Includes(files=frozenset(filter(None, listed.split("\0"))))
    for path in includes.files:
        includes.named.setdefault(posixpath.basename(path), []).append(path)
    for line in ended.output.splitlines():
        if match := _LINE.match(line):
            includes.lines.setdefault(posixpath.basename(match[2]), []).append((match[1], match[2]))
    return includes
