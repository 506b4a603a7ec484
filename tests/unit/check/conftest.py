"""A tiny release with the files that the rules read, imported once, and series that are checked on it."""

import pytest

from harness.check import Judged, JudgedPatch, choose_rules, run_checks
from harness.check.place import place
from harness.check.registry import RULES
from harness.progress import Silent
from harness.series import read_input
from harness.tree.git import Git
from tests.unit.check.support import RELEASE
from tests.unit.conftest import copy_tree, import_tiny
from tests.unit.series.mails import mbox


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """The tree of the tiny release; not to be written to."""
    return import_tiny(tmp_path_factory.mktemp("imported"), RELEASE)[1]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The files of the tiny release as a checkout would have them."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in RELEASE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def tree(imported, layout):
    return copy_tree(imported, layout)


@pytest.fixture
def apply(tree, layout, files, tmp_path):
    """Apply mails, or the series at a path, to the tiny tree."""

    def apply_mails(*mails, source="", base="pristine"):
        path = tmp_path / "series.mbox"
        path.write_bytes(mbox(*mails))
        found = read_input(layout, source or str(path))
        return place(found, tree, base, (), layout, Silent(), source=files)

    return apply_mails


@pytest.fixture
def check(apply):
    """Apply mails to the tree and return the findings of all rules."""
    return lambda *mails, **where: run_checks(apply(*mails, **where).judged, frozenset(RULES), Silent())


@pytest.fixture
def check_mails(imported, layout, tmp_path):
    """Return the findings of the rules that need no commits, which is much faster than ``check``."""

    def check_unapplied(*mails, source=""):
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
