"""harness.clients.plan and parse_groups: trials and their order."""

import pytest

from harness.bench import Subject
from harness.clients.model import CLIENTS, GROUPS, parse_groups
from harness.clients.plan import check_backends, others_mib, plan_round, refused, with_and_without
from harness.errors import OptionError
from tests.unit.clients.support import BASE, PATCHED, WITHOUT

BINARIES = (BASE, WITHOUT, PATCHED)


def planned(turn=1, seed=5, groups=GROUPS):
    return plan_round(
        turn,
        BINARIES,
        groups,
        memory_mib=(1024, 8192),
        backends=("ram", "memfd"),
        accel_of={"x86_64-softmmu": "tcg"}.__getitem__,
        seed=seed,
        timeout_s=9.0,
    )


def order(trials):
    """Return the fields that are compared between rounds."""
    return [(one.clients, one.memory_mib, one.backend, one.binary.label) for one in trials]


def test_each_client_runs_with_each_binary_once():
    trials = planned(turn=2)
    for name, client in CLIENTS.items():
        places = 0 if name == "libvirt refused" else 4 if client.is_libvirt else 1
        for binary in BINARIES:
            mine = [trial for trial in trials if name in trial.clients and trial.binary == binary]
            assert len(mine) == places
            assert {trial.memory_mib for trial in mine} <= ({1024, 8192} if places == 4 else {1024})


def test_binaries_of_a_cell_run_in_succession():
    trials, orders = planned(turn=2), set()
    for first in range(0, len(trials), len(BINARIES)):
        block = trials[first : first + len(BINARIES)]
        assert len({(one.clients, one.memory_mib, one.backend) for one in block}) == 1
        assert {one.binary.label for one in block} == {"base", "patched without", "patched"}
        orders.add(tuple(one.binary.label for one in block))
    assert len(orders) > 1


def test_order_depends_on_seed_and_round():
    assert planned() == planned()
    assert order(planned(turn=2)) != order(planned(turn=3))
    assert order(planned(turn=2, seed=6)) != order(planned(turn=2, seed=5))


def test_refusal_is_tried_once_with_binaries_that_lack_the_option():
    assert [trial.binary for trial in planned() if trial.clients == ("libvirt refused",)] == [
        Subject(variant="base", target=BASE.target, path=BASE.path, options=PATCHED.options)
    ]
    assert not [trial for trial in planned(turn=2) if trial.clients == ("libvirt refused",)]
    assert refused((BASE,)) == ()


def test_pristine_with_and_without_the_option_is_one_pair_and_refuses_nothing():
    with_option = Subject(
        variant="pristine+option", target="t", path="/p", options=("-run-with", "x"), able=True
    )
    pristine = Subject(variant="pristine", target="t", path="/p", able=True)
    both = with_and_without([pristine, with_option])
    assert both == (pristine, with_option)
    assert [one.label for one in both] == ["pristine", "pristine+option"]
    assert refused(both) == ()


def test_plan_has_only_the_requested_groups():
    assert {name for trial in planned(groups=("qmp",)) for name in trial.clients} == {"qmp quit", "qmp kill"}


def test_binary_with_the_option_also_runs_without_it():
    given = Subject(variant="patched", target="t", path="/p", options=("-async-teardown",))
    both = with_and_without([Subject(variant="base", target="t", path="/b"), given])
    assert [(one.label, bool(one.options)) for one in both] == [
        ("base", False),
        ("patched without", False),
        ("patched", True),
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"), [((256, 1024, 12288), 1024), ((8192,), 8192), ((4096,), 4096)]
)
def test_size_of_guests_of_other_clients_is_limited(sizes, expected):
    assert others_mib(sizes) == expected


def test_lists_of_clients_are_parsed():
    assert parse_groups("qmp, libvirt") == ("libvirt", "qmp")
    for bad in ("libvirt,podman", "", ","):
        with pytest.raises(OptionError):
            parse_groups(bad)


def test_unsupported_backends_are_refused():
    check_backends(("ram", "memfd"))
    with pytest.raises(OptionError, match="hugetlb"):
        check_backends(("ram", "hugetlb"))
