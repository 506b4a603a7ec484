"""Plans fit into memory, or say why they do not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.guest import needed_mib
from harness.load import plan_load
from harness.load.plan import LANES, RESERVE_MIB, each_mib, share


def plans(available: int, **fields: Any) -> dict[str, Any]:
    asked = {"guests": 50, "memory_mib": 256, "seconds": 65.0, "restarts": 50, "restart_mib": 16384}
    made = plan_load(available, **{**asked, "wait": False, **fields})
    return {plan.kind: plan for plan in made}


def test_all_that_fits_is_run() -> None:
    made = plans(24000)
    assert (made["crowd"].guests, made["crowd"].slices, made["crowd"].wait) == (50, 3, "room")
    assert (made["restart"].memory_mib, made["restart"].slices, made["restart"].wait) == (16384, 10, "none")
    assert not made["crowd"].reason
    assert not made["restart"].reason


@pytest.mark.parametrize("available", [0, 900, 1500, 2200, 5000, 9000, 16000])
def test_less_memory_makes_it_smaller_with_a_reason_and_never_too_large(available: int) -> None:
    made = plans(available)
    crowd, restart = made["crowd"], made["restart"]
    assert 0 <= crowd.guests < 50
    assert restart.memory_mib < 16384
    assert f"{available} MiB are available" in crowd.reason
    assert f"{available} are available" in restart.reason
    if crowd.guests:
        assert (crowd.guests + LANES) * each_mib(256) + RESERVE_MIB <= available
    if restart.guests:
        assert needed_mib(restart.memory_mib) + RESERVE_MIB <= available
    assert bool(restart.guests) == (available >= 2200)


def test_what_is_not_asked_for_is_not_planned_and_waiting_is_passed_on() -> None:
    assert set(plans(24000, seconds=0.0)) == {"restart"}
    assert set(plans(24000, restarts=0)) == {"crowd"}
    assert {plan.wait for plan in plans(24000, wait=True).values()} == {"memory"}


def test_shares_sum_up() -> None:
    assert [share(50, 4, index) for index in range(4)] == [13, 13, 12, 12]
