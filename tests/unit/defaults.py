"""The options of meson_options.txt with their defaults, read once for each worker of pytest."""

import dataclasses
import functools
import tempfile
from pathlib import Path

from harness.layout import Layout
from harness.options import parse_options

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def default_options():
    """What no option on the command line means."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        return parse_options(Layout(root=ROOT, build=there, trees=there, cache=there), ())


def options_with(**changes):
    """The defaults with ``changes``."""
    return dataclasses.replace(default_options(), **changes)
