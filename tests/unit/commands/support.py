"""Fixtures of the commands that maintain a series: a temporary checkout, and the tree of a small release."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import pytest

from harness.layout import Layout
from harness.options import declared_options
from harness.tree import Tree
from tests.unit.defaults import ROOT


@dataclass
class Fetched:
    """The calls of tree_of, which returns ``tree``: the pin of each, and whether the checkout was locked."""

    tree: Tree
    pins: list[str] = field(default_factory=list)
    locked: list[bool] = field(default_factory=list)

    def tree_of(self, layout, options, _):
        self.pins.append(options.pin)
        self.locked.append(is_locked(layout))
        return self.tree


def is_locked(layout):
    """Return whether a command holds the lock of the checkout."""
    path = layout.checkout_lock.with_name(layout.checkout_lock.name + ".lock")
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True


@functools.cache
def real_options():
    """Return the options of this project's meson_options.txt."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        return declared_options(Layout(root=ROOT, build=there, trees=there, cache=there))


@pytest.fixture
def fetched(tree, calls, monkeypatch):
    """Replace the fetching and importing of the tree, and let a temporary checkout have the real options."""
    monkeypatch.setattr("harness.options.declared_options", lambda _: real_options())
    fetched = Fetched(tree=tree)
    calls.spy("harness.pipeline.tree_of", fetched.tree_of)
    return fetched
