"""A tiny release with the files that the rules read, imported once, and series that are checked on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.check import Finding, Judged, JudgedPatch, choose_rules, run_checks
from harness.check.place import Placed, place
from harness.check.registry import RULES
from harness.layout import Layout
from harness.progress import Silent
from harness.series import read_input
from harness.tree import Tree
from harness.tree.git import Git
from tests.unit.check.support import RELEASE
from tests.unit.conftest import copy_tree, import_tiny
from tests.unit.series.mails import mbox


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The tree of the tiny release; not to be written to."""
    return import_tiny(tmp_path_factory.mktemp("imported"), RELEASE)[1]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny release as a checkout would have them."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in RELEASE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def tree(imported: Tree, layout: Layout) -> Tree:
    return copy_tree(imported, layout)


@pytest.fixture
def apply(tree: Tree, layout: Layout, files: Path, tmp_path: Path) -> Callable[..., Placed]:
    """Apply mails, or the series at a path, to the tiny tree."""

    def apply_mails(*mails: bytes, source: str = "", base: str = "pristine") -> Placed:
        path = tmp_path / "series.mbox"
        path.write_bytes(mbox(*mails))
        found = read_input(layout, source or str(path))
        return place(found, tree, base, (), layout, Silent(), source=files)

    return apply_mails


@pytest.fixture
def check(apply: Callable[..., Placed]) -> Callable[..., tuple[Finding, ...]]:
    """Apply mails to the tree and return the findings of all rules."""
    return lambda *mails, **where: run_checks(apply(*mails, **where).judged, frozenset(RULES), Silent())


@pytest.fixture
def check_mails(imported: Tree, layout: Layout, tmp_path: Path) -> Callable[..., tuple[Finding, ...]]:
    """Return the findings of the rules that need no commits, which is much faster than ``check``."""

    def check_unapplied(*mails: bytes, source: str = "") -> tuple[Finding, ...]:
        path = tmp_path / "series.mbox"
        path.write_bytes(mbox(*mails))
        found = read_input(layout, source or str(path))
        judged = Judged(
            input=found,
            patches=tuple(
                JudgedPatch(number=at, mail=mail) for at, mail in enumerate(found.patches, start=1)
            ),
            pin="tiny",
            git=Git(repository=imported.path),
            base="pristine",
            tip="pristine",
        )
        return run_checks(judged, choose_rules(["checkpatch"]), Silent())

    return check_unapplied
