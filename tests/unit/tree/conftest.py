"""A tree of the tiny release, imported once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.layout import Layout
from harness.progress import Silent
from harness.source import Source
from harness.tree import Tree, import_source
from tests.unit.conftest import tiny_source


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path]:
    """A source with the folder that holds its tree; not to be written to."""
    folder = tmp_path_factory.mktemp("imported")
    source = tiny_source(folder, {"crlf.txt": b"one\r\ntwo\r\nthree\r\n"})
    layout = Layout(root=folder, build=folder / "build", trees=folder / "trees", cache=folder / "cache")
    import_source(source, layout, Silent())
    return source, layout.trees


@pytest.fixture
def tree(imported: tuple[Source, Path], layout: Layout, reporter: Silent) -> Tree:
    """The test's own tree."""
    source, trees = imported
    shutil.copytree(trees, layout.trees)
    return import_source(source, layout, reporter)
