"""Which Python modules of the tree a script imports, directly or not. Nothing is executed."""

import ast
from collections.abc import Callable, Collection, Iterator, Sequence


class Imports:
    """The imports of a tree. ``read`` returns the text of a file, empty if there is none."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._names: dict[str, tuple[tuple[str, int], ...] | None] = {}

    def reach(self, script: str, search: Sequence[str], modules: Collection[str]) -> bool:
        """Return whether ``script`` is or imports one of ``modules``, which are paths in the tree.

        ``search`` are folders with modules, besides that of the script. All modules in the folder of an
        imported package count, because a package may load them by name.
        """
        found: set[str] = set()
        pending = [script]
        while pending:
            path = pending.pop()
            if path in found:
                continue
            found.add(path)
            if path not in self._names:
                text = self._read(path)
                self._names[path] = tuple(_imported(text)) if text else None
            names = self._names[path]
            if names is None:
                continue  # no file of the tree, such as a module of Python
            package = path.removesuffix("__init__.py")
            if path in modules or (package != path and any(one.startswith(package) for one in modules)):
                return True
            for name, level in names:
                pending += _places(name, level, path, (script.rpartition("/")[0], *search))
        return False


def _places(name: str, level: int, path: str, search: Sequence[str]) -> Iterator[str]:
    """Yield the paths that a module imported by the file ``path`` may have. ``level`` counts leading dots."""
    own = path.split("/")[:-1]
    folders = ["/".join(own[: len(own) - level + 1])] if level else ["/".join(own), *search]
    parts = name.split(".")
    for folder in dict.fromkeys(folders):
        for depth in range(len(parts), -1 if level else 0, -1):
            stem = "/".join(filter(None, (folder, *parts[:depth])))
            yield from (f"{stem}.py", f"{stem}/__init__.py")


def _imported(text: str) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # The name may be a module; what contains it, node.module among it, is looked up too.
            yield from ((f"{node.module or ''}.{alias.name}", node.level) for alias in node.names)
