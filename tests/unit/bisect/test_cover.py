"""The smallest sets of programs that compile every file, or half of the sources that include a header."""

from harness.bisect.cover import cover, demand_of, missing, smallest, within
from harness.build.probe import Sources
from tests.unit.bisect.test_scope import KNOWN, WIDEST, sources_of

EMPTY = Sources()


def demands(*groups):
    """A source for each of ``groups``, which are the programs that compile it, letters mostly."""
    return [demand_of([frozenset(group)]) for group in groups]


def test_programs_that_are_not_needed_any_more_are_left_out():
    assert smallest(demands("ab", "ac", "bd", "ce"), EMPTY, ()) == ("b", "c"), "a was chosen first"
    assert smallest(demands("ab", "bc", "cd"), EMPTY, ()) == ("b", "c")
    assert smallest(demands("ab", "b"), EMPTY, ("a",)) == ("b",)
    assert smallest(demands("ab"), EMPTY, ("b",)) == ("b",)
    assert smallest([], EMPTY, ()) == smallest([{}], EMPTY, ()) == ()
    assert cover(demands(["qemu-img"]), KNOWN[:2], KNOWN, WIDEST) == ("x86_64-softmmu",)


def test_forced_programs_are_first_then_those_that_meet_most():
    assert smallest(demands("b", "cz", "dz"), EMPTY, ()) == ("b", "z")
    assert smallest(demands("c", "b"), EMPTY, ("c",)) == ("c", "b")
    header = demand_of([frozenset("a"), frozenset("b")])
    assert smallest([header, *demands("cd", "ce")], EMPTY, ()) == ("c", "a"), "either of a and b will do"


def test_among_equals_the_one_of_fewer_steps_wins():
    arm = ("qemu-system-aarch64", "qemu-system-arm")
    assert smallest(demands(arm), WIDEST, ()) == ("qemu-system-arm",)
    assert smallest(demands(("a program without steps", *arm)), WIDEST, ()) == ("a program without steps",)
    only = sources_of("qemu-system-x86_64")
    assert cover(demands((*arm, "qemu-system-x86_64")), KNOWN[1:2], KNOWN, only) == ("x86_64-softmmu",)
    user = demands(("qemu-arm", "qemu-x86_64"))
    assert cover(user, ("arm-softmmu",), KNOWN, WIDEST) == ("arm-linux-user",), "as the usual target"
    assert cover(user, ("s390x-softmmu",), KNOWN, WIDEST) == ("x86_64-linux-user",), "the largest target"


def test_half_of_the_sources_are_enough():
    header = demand_of([frozenset("ab"), frozenset("ab"), frozenset("c"), frozenset("d"), frozenset()])
    assert header == {frozenset("ab"): 2, frozenset("c"): 1, frozenset("d"): 1}
    assert (missing(header, "c"), missing(header, "b"), missing(header, "cd")) == (1, 0, 0)
    assert smallest([header], EMPTY, ("d", "c", "b")) == ("b",)
    assert smallest([header, demand_of([frozenset("c")])], EMPTY, ("b", "d")) == ("c", "b")
    odd = demand_of([frozenset("a"), frozenset("b"), frozenset("c")])
    assert smallest([odd], EMPTY, ("c",)) == ("c", "a"), "two of three"
    assert within(header, "bc") == {frozenset("b"): 2, frozenset("c"): 1}
    assert within(demand_of(map(frozenset, ("ab", "bc", "d"))), "b") == {frozenset("b"): 2}
