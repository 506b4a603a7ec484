"""A tiny release with the files that the rules read, imported once, and series that are checked on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.check import Finding, Judged, JudgedPatch, choose_rules, run_checks
from harness.check.place import Placed, place
from harness.check.registry import RULES
from harness.layout import Layout
from harness.progress import Silent
from harness.series import read_input
from harness.source import Source
from harness.tree import Tree, import_source
from harness.tree.git import Git
from tests.unit.check.support import RELEASE
from tests.unit.conftest import tiny_source
from tests.unit.series.mails import mbox


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path, Path]:
    """The source of the release, the folder of its tree, and a folder with its files."""
    folder = tmp_path_factory.mktemp("tiny")
    source = tiny_source(folder, dict(RELEASE))
    layout = Layout(root=folder, build=folder / "build", trees=folder / "trees", cache=folder / "cache")
    import_source(source, layout, Silent())
    files = folder / "files"
    for name, text in RELEASE.items():
        path = files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return source, layout.trees, files


@pytest.fixture
def tree(tiny: tuple[Source, Path, Path], layout: Layout) -> Tree:
    source, trees, _ = tiny
    shutil.copytree(trees, layout.trees)
    return import_source(source, layout, Silent())


@pytest.fixture
def apply(
    tree: Tree, layout: Layout, tiny: tuple[Source, Path, Path], tmp_path: Path
) -> Callable[..., Placed]:
    """Apply mails, or the series at a path, to the tiny tree."""

    def apply_mails(*mails: bytes, source: str = "", base: str = "pristine") -> Placed:
        path = tmp_path / "series.mbox"
        path.write_bytes(mbox(*mails))
        found = read_input(layout, source or str(path))
        return place(found, tree, base, (), layout, Silent(), source=tiny[2])

    return apply_mails


@pytest.fixture
def check(apply: Callable[..., Placed]) -> Callable[..., tuple[Finding, ...]]:
    """Apply mails to the tree and return the findings of all rules."""
    return lambda *mails, **where: run_checks(apply(*mails, **where).judged, frozenset(RULES), Silent())


@pytest.fixture
def check_mails(
    tiny: tuple[Source, Path, Path], layout: Layout, tmp_path: Path
) -> Callable[..., tuple[Finding, ...]]:
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
            git=Git(repository=tiny[1] / "tiny"),
            base="pristine",
            tip="pristine",
        )
        return run_checks(judged, choose_rules(["checkpatch"]), Silent())

    return check_unapplied
