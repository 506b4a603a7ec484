"""Find the behaviour tests in a file without running it."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError

BASE = "BehaviourTest"


@dataclass(frozen=True, kw_only=True)
class BehaviourTestName:
    """A test. ``reference`` is avocado's."""

    file: Path
    case: str
    method: str

    @property
    def name(self) -> str:
        return f"{self.file.name}:{self.case}.{self.method}"

    @property
    def reference(self) -> str:
        return f"{self.file}:{self.case}.{self.method}"


def find_tests(files: Iterable[Path]) -> tuple[BehaviourTestName, ...]:
    """Return the methods ``test*`` of subclasses of BehaviourTest in ``files``.

    Raises OptionError for a file that cannot be read or has no test.
    """
    found: list[BehaviourTestName] = []
    for file in files:
        try:
            parsed = ast.parse(file.read_bytes(), filename=str(file))
        except (OSError, SyntaxError, ValueError) as error:
            cause = getattr(error, "strerror", None) or error
            raise OptionError(
                f"cannot read the tests in {file}: {cause}", "correct the file, or name another"
            ) from error
        here = [
            BehaviourTestName(file=file.resolve(), case=node.name, method=method.name)
            for node in parsed.body
            if isinstance(node, ast.ClassDef) and BASE in {_last_name(base) for base in node.bases}
            for method in node.body
            if isinstance(method, ast.FunctionDef) and method.name.startswith("test")
        ]
        if not here:
            raise OptionError(
                f"{file} has no test",
                f"derive a class from harness.behaviour.api.{BASE}, with methods test_*",
            )
        found += here
    return tuple(found)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
