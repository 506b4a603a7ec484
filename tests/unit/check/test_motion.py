"""The rule on patches that move code and change other code."""

import pytest

from harness.check.motion import CHANGED, MOVED, RUN, check, motion
from tests.unit.check.support import good, judged

HEAD = "diff --git a/util/{0} b/util/{0}\n--- a/util/{0}\n+++ b/util/{0}\n"


def lines(mark, *numbers, indent=""):
    return [f"{mark}{indent}line {number};" for number in numbers]


def diff(**files):
    """A diff of files with their hunks."""
    text = ""
    for name, hunks in files.items():
        text += HEAD.format(name)
        for hunk in hunks:
            old = sum(line[0] in " -" for line in hunk)
            new = sum(line[0] in " +" for line in hunk)
            text += f"@@ -1,{old} +1,{new} @@\n" + "".join(f"{line}\n" for line in hunk)
    return text


def counts(**files):
    (patch,) = judged(good(diff=diff(**files))).patches
    assert patch.mail.is_sound
    return motion(patch)


def test_lines_that_move_to_another_hunk_or_file_are_counted():
    removed, added = lines("-", *range(8)), lines("+", *range(8))
    assert counts(a=[removed], b=[added]) == (8, 0)
    assert counts(a=[removed, [" keep", *added]]) == (8, 0)
    assert counts(a=[[" keep", *removed, " keep"]], b=[[*added, " keep"]]) == (8, 0)


def test_indentation_may_change():
    assert counts(a=[lines("-", *range(8))], b=[lines("+", *range(8), indent="    ")]) == (8, 0)


def test_lines_that_stay_in_their_hunk_are_changes():
    assert counts(a=[[*lines("-", *range(8)), *lines("+", *range(8))]]) == (0, 8)


def test_few_consecutive_lines_are_changes():
    few = range(RUN - 1)
    assert counts(a=[lines("-", *few)], b=[lines("+", *few)]) == (0, RUN - 1)
    enough = range(RUN)
    assert counts(a=[lines("-", *enough)], b=[lines("+", *enough)]) == (RUN, 0)
    # Context between them ends a run.
    split = [[*lines("+", 0, 1), " keep", *lines("+", 2, 3, 4)]]
    assert counts(a=[lines("-", *enough)], b=split) == (0, RUN)


def test_added_lines_do_not_end_a_run_of_removed_lines():
    mixed = [*lines("-", 0, 1), *lines("+", 90), *lines("-", 2, 3, 4)]
    assert counts(a=[mixed], b=[lines("+", *range(5))]) == (5, 1)


def test_other_changes_are_the_larger_number_of_added_or_removed_lines():
    moved = (lines("-", *range(6)), lines("+", *range(6)))
    assert counts(a=[moved[0]], b=[[*moved[1], *lines("+", 20, 21, 22)]]) == (6, 3)
    assert counts(a=[[*moved[0], *lines("-", 20, 21)]], b=[moved[1]]) == (6, 2)
    assert counts(a=[moved[0]], b=[[*lines("+", 20, 21, 22), *moved[1]]]) == (6, 3)
    assert counts(a=[lines("-", 1, 2)], b=[lines("+", 3, 4, 5)]) == (0, 3)


def test_blank_lines_move_but_are_no_changes():
    blank = [*lines("-", 1, 2), "-", *lines("-", 3, 4)]
    assert counts(a=[blank], b=[[line.replace("-", "+") for line in blank]]) == (5, 0)
    assert counts(a=[["-", *lines("-", 1), "-"]]) == (0, 1)


def patch(moved, changed):
    other = [lines("+", *range(100, 100 + changed))] if changed else []
    return good(diff=diff(a=[lines("-", *range(moved))], b=[lines("+", *range(moved)), *other]))


def test_patch_that_moves_and_changes_many_lines_is_a_finding():
    (finding,) = check(judged(patch(MOVED, CHANGED)))
    assert (finding.rule, finding.patch) == ("motion-mixed", 1)
    assert finding.message == f"the patch moves about {MOVED} lines and changes {CHANGED} others"


@pytest.mark.parametrize(("moved", "changed"), [(MOVED - 1, CHANGED), (MOVED, CHANGED - 1), (MOVED, 0)])
def test_patch_that_moves_or_changes_few_lines_has_no_finding(moved, changed):
    assert list(check(judged(patch(moved, changed)))) == []
