"""Patches for ``-p0``."""

import pytest

from harness.tree.prefix import lacks_prefix, names_of

PATHS = frozenset({"VERSION", "block.c", "hw/core/a.c", "hw/core/b.c", "util/c.c", "c/util.c"})


def test_names_are_those_of_the_headers():
    diff = (
        "diff --git hw/core/a.c hw/core/a.c\n--- hw/core/a.c\t3 Jan\t1.1\n+++ hw/core/a.c\t3 Jan\n"
        '--- "util/c.c"\r\n+++ /dev/null\r\n--- prose alone\n'
    )
    assert names_of(diff) == ("hw/core/a.c", "util/c.c")


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        (("hw/core/a.c",), True),
        (("block.c",), True),
        (("new.c",), True),
        (("hw/core/new.c",), True),
        (("util/new.c",), True),
        (("block.c", "hw/core/new.c"), True),
        (("a/hw/core/a.c", "b/hw/core/a.c"), False),
        (("qemu/hw/core/a.c", "qemu.new/hw/core/a.c"), False),
        (("qemu/hw/core/new.c",), False),
        (("absent/of/all.c",), False),
        (("c/util/c.c", "w/util/c.c"), False),
        ((), False),
    ],
)
def test_prefix_lacks_if_the_names_are_those_of_the_tree(names, lacking):
    assert lacks_prefix(names, PATHS) is lacking
