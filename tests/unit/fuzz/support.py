"""What the tests of fuzzing share."""

import dataclasses

from harness.layout import find_layout


def moved(folder):
    """The layout of this checkout, with all that is written in ``folder``."""
    return dataclasses.replace(find_layout(), build=folder / "build", trees=folder / "t", cache=folder / "c")
