"""The smallest sets of programs that compile every file, or half of the sources that include a header."""

from harness.bisect.cover import cover, demand_of, missing, smallest, within
from harness.build.probe import Sources
from tests.unit.bisect.test_scope import KNOWN, WIDEST

EMPTY = Sources()


def test_programs_that_are_not_needed_any_more_are_left_out():
    two = [demand_of([frozenset(pair)]) for pair in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"))]
    assert smallest(two, EMPTY, ()) == ("b", "c"), "a was chosen first"
    groups = [demand_of([frozenset(pair)]) for pair in (("a", "b"), ("b", "c"), ("c", "d"))]
    assert smallest(groups, EMPTY, ()) == ("b", "c")
    one = demand_of([frozenset("ab")])
    assert smallest([one, demand_of([frozenset("b")])], EMPTY, ("a",)) == ("b",)
    assert smallest([one], EMPTY, ("b",)) == ("b",)
    assert smallest([], EMPTY, ()) == smallest([{}], EMPTY, ()) == ()
    assert cover([demand_of([frozenset({"qemu-img"})])], KNOWN[:2], KNOWN, WIDEST) == ("x86_64-softmmu",)


def test_half_of_the_sources_are_enough():
    header = demand_of([frozenset("ab"), frozenset("ab"), frozenset("c"), frozenset("d"), frozenset()])
    assert header == {frozenset("ab"): 2, frozenset("c"): 1, frozenset("d"): 1}
    assert (missing(header, "c"), missing(header, "b"), missing(header, "cd")) == (1, 0, 0)
    assert smallest([header], EMPTY, ("d", "c", "b")) == ("b",)
    assert smallest([header, demand_of([frozenset("c")])], EMPTY, ("b", "d")) == ("c", "b")
    odd = demand_of([frozenset("a"), frozenset("b"), frozenset("c")])
    assert smallest([odd], EMPTY, ("c",)) == ("c", "a"), "two of three"
    assert within(header, "bc") == {frozenset("b"): 2, frozenset("c"): 1}
