"""A tree of the tiny release, imported once and copied for each test."""

import pytest

from tests.unit.conftest import copy_tree, import_tiny


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """A source with its tree; not to be written to."""
    return import_tiny(tmp_path_factory.mktemp("imported"), {"crlf.txt": b"one\r\ntwo\r\nthree\r\n"})


@pytest.fixture
def tree(imported, layout):
    """The test's own tree."""
    return copy_tree(imported[1], layout)
