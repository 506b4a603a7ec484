"""harness.clients.judge: claims, with constructed rows."""

import pytest

from harness.clients.judge import judge, median_of
from harness.clients.model import CLIENTS
from tests.unit.clients.support import BASE, PATCHED, WITHOUT, row

EXIT = "QEMU itself exits at once with the option"
TOLD = "a client that waits for QEMU is notified at once"
SHUT_OFF = "libvirt reports shut off no later than without the option"
LAST = "a client that waits for the last process is notified when the memory is freed"
HELPERS = "one process shares QEMU's memory with the option, none without"
RESTART = "a domain of the same name starts at once"
WHOLE = "every guest starts and ends, and its end is reported"
CONTROL = "with a cgroup, libvirt waits for the helper, but at most 1 s"
REFUSAL = "a QEMU without the option is refused, with its message"


def outcomes(*rows):
    return {claim.name: claim.outcome for claim in judge(rows)}


def test_claims_hold_for_a_successful_run():
    rows = [row(name, binary) for name in CLIENTS for binary in (BASE, WITHOUT, PATCHED)]
    rows = [
        row(each.client, told_s=0.1, **({} if CLIENTS[each.client].alone else {"exit_s": 0.1}))
        if each.option and CLIENTS[each.client].waits
        else each
        for each in rows
    ]
    assert set(outcomes(*rows).values()) == {"pass"}


def test_claims_without_rows_are_cancelled():
    assert outcomes() == dict.fromkeys(outcomes(), "cancel")


@pytest.mark.parametrize(
    ("claim", "bad"),
    [
        (EXIT, row("timeout", exit_s=0.03)),
        (TOLD, row("timeout", told_s=0.06)),
        (SHUT_OFF, row("libvirt destroy", told_s=0.5)),
        (LAST, row("cgroup main", told_s=0.002)),
        (HELPERS, row("timeout", helpers=0)),
        (HELPERS, row("timeout", helpers=2)),
        (RESTART, row("libvirt destroy", moments={})),
        (WHOLE, row("timeout", outcome="failed", reason="why")),
        (CONTROL, row("libvirt cgroup", told_s=1.6)),
        (REFUSAL, row("libvirt refused", BASE, outcome="failed", reason="started")),
    ],
)
def test_each_claim_can_fail(claim, bad):
    found = outcomes(row(bad.client, BASE), bad)
    assert found[claim] == "fail"


def test_libvirt_may_wait_one_second_for_an_empty_cgroup():
    found = outcomes(row("libvirt cgroup", BASE), row("libvirt cgroup", told_s=1.4))
    assert (found[CONTROL], found[SHUT_OFF]) == ("pass", "cancel")


def test_helper_without_the_option_fails():
    assert outcomes(row("timeout", BASE, helpers=1))[HELPERS] == "fail"


def test_early_and_waiting_clients_have_no_time_limit():
    found = outcomes(
        row("qmp quit", BASE, told_s=0.0004),
        row("qmp quit", told_s=0.0005),
        row("cgroup kill", BASE),
        row("cgroup kill", exit_s=0.1, told_s=0.1),
    )
    assert (found[EXIT], found[TOLD], found[LAST]) == ("pass", "cancel", "pass")


def test_medians_are_compared_with_base():
    mine = [row("timeout", exit_s=value) for value in (0.001, 0.04, 9.0)]
    without = [row("timeout", WITHOUT, exit_s=0.2)] * 2
    assert outcomes(row("timeout", BASE), *without, *mine)[EXIT] == "fail"
    assert outcomes(*without, *mine)[EXIT] == "pass"


def test_small_guests_are_not_judged():
    small = row("timeout", BASE, exit_s=0.05, told_s=0.05)
    found = outcomes(small, row("timeout", exit_s=0.04, told_s=0.04))
    assert (found[EXIT], found[TOLD]) == ("cancel", "cancel")


def test_first_problem_is_reported_and_others_are_counted():
    bad = [row("timeout", outcome="failed", reason=reason) for reason in ("one", "two")]
    claim = judge(bad)[0]
    assert claim.reason.endswith("one (and 1 more)")


def test_medians_of_fields_and_moments_use_good_rows():
    rows = [row("libvirt destroy", moments={"restart_s": value}) for value in (1.0, 2.0, 4.0)]
    rows.append(row("libvirt destroy", outcome="failed", moments={"restart_s": 99.0}))
    assert median_of(rows, "restart_s") == 2.0
    assert median_of(rows, "held_mib") is None
