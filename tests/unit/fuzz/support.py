"""What the tests of fuzzing share."""

import dataclasses
from pathlib import Path

from harness.layout import Layout, find_layout


def moved(folder: Path) -> Layout:
    """The layout of this checkout, with all that is written in ``folder``."""
    return dataclasses.replace(find_layout(), build=folder / "build", trees=folder / "t", cache=folder / "c")
