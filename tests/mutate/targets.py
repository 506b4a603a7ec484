"""Parts of the harness that mutation testing covers, and the tests that have to kill their mutants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = (
    "commands",
    "pipeline.py",
    "options.py",
    "teardown/gates.py",
    "teardown/statistics.py",
    "teardown/slopes.py",
    "check",
    "series",
    "bisect",
    "submit/provenance.py",
)
"""What ``nox -s mutate`` covers unless modules are named: the parts that decide."""
TESTS = {
    "commands": ("commands", "test_cli.py", "test_trust.py"),
    "teardown/gates.py": ("report/test_gates.py",),
}
"""Tests below ``tests/unit`` of parts that the rule of ``tests_of`` does not fit."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One run of mutmut: ``path`` below ``harness`` is mutated, ``modules`` of it are tested now."""

    path: str
    modules: tuple[str, ...]
    """Paths below ``harness``, such as ``series/mail.py``."""

    @property
    def name(self) -> str:
        """Name of its folder below ``build/mutate``."""
        return self.path.removesuffix(".py").replace("/", ".")

    @property
    def pattern(self) -> str:
        """Pattern of its files in the working folder, for mutmut."""
        return f"harness/{self.path}" if self.path.endswith(".py") else f"harness/{self.path}/*.py"

    @property
    def tests(self) -> tuple[str, ...]:
        """Files and folders of its tests, relative to the checkout."""
        return tests_of(self.path)


def tests_of(path: str) -> tuple[str, ...]:
    """The tests of a target: ``tests/unit/STAGE/test_MODULE.py`` of a module, or else the stage's folder."""
    place = Path(path)
    own = place.with_name(f"test_{place.name}")
    usual = own if (ROOT / "tests" / "unit" / own).is_file() else place.parent if place.suffix else place
    return tuple(f"tests/unit/{name}" for name in TESTS.get(path, (usual,)))


def choose_targets(words: Sequence[str], root: Path = ROOT) -> tuple[Target, ...]:
    """The targets of ``words``: paths below ``harness``, or module names; without any, all of ``DEFAULT``.

    A module of a default target is run in that target's folder. Raises OptionError for an unknown module.
    """
    chosen: dict[str, list[str]] = {}
    for path in [_path(word, root) for word in words] or DEFAULT:
        whole = next((each for each in DEFAULT if path == each or path.startswith(f"{each}/")), path)
        place = root / "harness" / path
        files = sorted(place.glob("*.py")) if place.is_dir() else [place]
        modules = [str(file.relative_to(root / "harness")) for file in files]
        known = chosen.setdefault(whole, [])
        known += [module for module in modules if module not in known]
    return tuple(Target(path=path, modules=tuple(modules)) for path, modules in chosen.items())


def _path(word: str, root: Path) -> str:
    """``series/mail.py`` of that, of ``harness/series/mail.py`` and of ``harness.series.mail``."""
    path = word.rstrip("/").removeprefix("harness/").removeprefix("harness.")
    tried = (path, f"{path}.py", path.replace(".", "/"), f"{path.replace('.', '/')}.py")
    for each in tried:
        if (root / "harness" / each).exists() and each:
            return each
    raise OptionError(
        f"there is no module {word!r} below harness", f"name modules such as {' '.join(DEFAULT[-4:])}"
    )
