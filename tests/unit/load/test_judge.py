"""Summaries of load: counts, medians, and reasons of failures."""

import pytest

from harness.load.judge import summarize
from tests.unit.load.support import make_remains, make_row, make_slice


def test_slices_of_a_binary_are_summarized_together():
    base, patched, restart = summarize(
        [
            make_slice(make_row(), kind="restart"),
            make_slice(make_row(reclaim_s=0.4, helper_cpu_s=0.25), make_row(restart_s=None)),
            make_slice(make_row(), variant="base"),
            make_slice(make_row(exit_s=0.01, helper_cpu_s=0.25)),
        ]
    )
    assert [(each.kind, each.variant) for each in (base, patched, restart)] == [
        ("crowd", "base"),
        ("crowd", "patched"),
        ("restart", "patched"),
    ]
    assert (patched.exits, patched.reclaims, patched.restarts, patched.overlaps) == (3, 3, 2, 1)
    assert (patched.helper_cpu_s, patched.wall_s, patched.exit_s) == (0.5, 60.0, 0.02)
    assert {each.outcome for each in (base, patched, restart)} == {"pass"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"lost": 200.0}, "200.0 MiB were not freed"),
        ({"oom_kills": 2}, "2 processes were killed because memory ran out"),
        (
            {"remains": (make_remains(left=("cleanup/7 (zombie)",)),)},
            "1 processes remain: cleanup/7 (zombie)",
        ),
        ({"remains": (make_remains(zombies=("x", "x")),)}, "2 zombies while QEMU was running: x"),
        ({"remains": (make_remains(fds_after=8),)}, "3 file descriptors were left open"),
    ],
)
def test_leftovers_fail_the_load(fields, reason):
    (summary,) = summarize([make_slice(make_row(), **fields)])
    assert (summary.outcome, summary.reasons) == ("fail", (reason,))


def test_failed_rows_are_counted_by_their_message():
    failed = make_row(restart_s=None, failure="QEMU ended during its start, SIGKILL")
    (summary,) = summarize([make_slice(failed, make_row(), failed)])
    assert summary.reasons == ("2 times: QEMU ended during its start, SIGKILL",)
    assert (summary.failures, summary.restarts) == (2, 1)
