"""Plans that fit into memory, and reasons for reduced ones."""

import pytest

from harness.guest.memory import needed_mib
from harness.load.plan import LANES, RESERVE_MIB, each_mib, plan_load, share


def plans(available, **fields):
    usual = {"guests": 50, "memory_mib": 256, "seconds": 65.0, "restarts": 50, "restart_mib": 16384}
    made = plan_load(available, **{**usual, "wait": False, **fields})
    return {plan.kind: plan for plan in made}


def test_request_that_fits_is_planned_unchanged():
    made = plans(24000)
    assert (made["crowd"].guests, made["crowd"].slices, made["crowd"].wait) == (50, 3, "room")
    assert (made["restart"].memory_mib, made["restart"].slices, made["restart"].wait) == (16384, 10, "none")
    assert not made["crowd"].reason
    assert not made["restart"].reason


@pytest.mark.parametrize("available", [0, 900, 1500, 2200, 5000, 9000, 16000])
def test_plan_is_reduced_to_the_available_memory(available):
    made = plans(available)
    crowd, restart = made["crowd"], made["restart"]
    assert 0 <= crowd.guests < 50
    assert restart.memory_mib < 16384
    assert f"{available} MiB are available" in crowd.reason
    assert f"{available} MiB are available" in restart.reason
    if crowd.guests:
        assert (crowd.guests + LANES) * each_mib(256) + RESERVE_MIB <= available
    if restart.guests:
        assert needed_mib(restart.memory_mib) + RESERVE_MIB <= available
    assert bool(restart.guests) == (available >= 2200)


def test_plan_has_only_the_requested_kinds():
    assert set(plans(24000, seconds=0.0)) == {"restart"}
    assert set(plans(24000, restarts=0)) == {"crowd"}
    assert {plan.wait for plan in plans(24000, wait=True).values()} == {"memory"}


def test_shares_add_up_to_the_total():
    assert [share(50, 4, index) for index in range(4)] == [13, 13, 12, 12]
