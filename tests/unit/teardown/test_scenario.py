from pathlib import Path

import pytest

from harness.bench import Subject
from harness.errors import OptionError
from harness.guest.accel import Accel
from harness.guest.boot import Boot
from harness.guest.firmware import Firmware
from harness.teardown.model import cell_key, sample_of
from harness.teardown.scenario import design

from ..defaults import options_with

TARGETS = ("x86_64-softmmu", "s390x-softmmu")


def options(**fields):
    known = {"memory_mib": (256, 1024), "triggers": ("sigterm", "sigkill"), "rounds": 3, "timeout": 5}
    return options_with(**{**known, "targets": TARGETS, "restart": "none", "budget_s": 120, **fields})


def subjects(*variants):
    return [
        Subject(
            variant=variant,
            target=target,
            path=f"/{variant}",
            options=() if variant == "base" else ("-async-teardown",),
        )
        for variant in variants
        for target in TARGETS
    ]


def matrix(variants=("base", "patched"), seed=1, **fields):
    accels = {(target, "paused"): Accel(target=target, name="tcg", reason="") for target in TARGETS}
    firmware = Firmware(folders=(Path("/fw"),))
    return design(options(**fields), subjects(*variants), accels, firmware, seed=seed)


def visited(turn=1, **fields):
    return [cell for block in matrix(**fields).round(turn) for cell in block]


def test_each_round_has_each_cell_once_numbered_from_one():
    cells = visited()
    assert len(cells) == 2 * 2 * 2 * 2
    assert [cell.index for cell in cells] == list(range(1, len(cells) + 1))
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.round for cell in cells} == {1}
    assert [cell.index for block in matrix().round(2, 17) for cell in block] == list(range(17, 33))


def test_variants_of_a_cell_run_in_succession():
    for block in matrix(variants=("base", "pristine", "patched")).round(1):
        assert sorted(cell.variant for cell in block) == ["base", "patched", "pristine"]
        assert len({(cell.target, cell.memory_mib, cell.trigger, cell.kind) for cell in block}) == 1


def test_order_of_variants_and_cells_varies():
    rounds = [matrix().round(turn) for turn in range(1, 41)]
    first = [block[0].variant for blocks in rounds for block in blocks]
    assert 0.4 < first.count("base") / len(first) < 0.6
    assert len({blocks[0][0].memory_mib for blocks in rounds}) == 2


def test_order_depends_on_seed_and_round_only():
    def names(seed, turn):
        return [cell.name.rpartition("-r")[0] for cell in visited(turn, seed=seed)]

    assert names(1, 1) == names(1, 1)
    assert names(1, 1) != names(2, 1)
    assert names(1, 1) != names(1, 2)
    assert sorted(names(1, 1)) == sorted(names(2, 5))


def test_only_variants_with_the_feature_have_a_helper():
    assert {(cell.variant, cell.helper) for cell in visited(variants=("pristine", "base"))} == {
        ("pristine", True),
        ("base", False),
    }


@pytest.mark.parametrize(("restart", "sizes"), [("none", set()), ("largest", {1024}), ("all", {256, 1024})])
def test_restarts_are_separate_cells(restart, sizes):
    cells = visited(restart=restart)
    assert {cell.memory_mib for cell in cells if cell.kind == "restart"} == sizes
    assert len({cell.name for cell in cells}) == len(cells)


def test_hugetlb_ignores_the_option_pages():
    cells = visited(backends=("ram", "hugetlb"), pages=("4k", "thp"))
    assert {(cell.backend, cell.pages) for cell in cells} == {
        ("ram", "4k"),
        ("ram", "thp"),
        ("hugetlb", "hugetlb"),
    }


def test_adaptive_round_visits_what_it_is_asked_to():
    design = matrix().with_floor(Path("/floor"), 4, 9.0)
    one, other = (cell_key(block[0]) for block in design.blocks[:2])
    blocks = design.round(2, 10, {one: 7, other: 1})
    guests = [block for block in blocks if block[0].kind == "teardown"]
    assert sorted((cell_key(block[0]) == one, len(block)) for block in guests) == [
        (False, 2), (True, 2), (True, 6), (True, 6),
    ]  # fmt: skip
    for block in guests:
        for at in range(0, len(block), 2):
            assert {cell.variant for cell in block[at : at + 2]} == {"base", "patched"}
    assert [cell.index for block in blocks for cell in block] == list(range(10, 10 + 16 + 6))
    assert [len(block) for block in blocks if block[0].kind != "teardown"] == [6]


def test_cells_that_were_never_visited_are_known():
    design = matrix(restart="largest")
    samples = [sample_of(cell, outcome="ok") for block in design.round(1) for cell in block]
    guests = [sample for sample in samples if sample.kind == "teardown"]
    assert design.never(samples) == ()
    never = design.never(guests)
    assert {cell.kind for cell in never} == {"restart"}
    last = max(sample.index for sample in guests)
    assert [cell.index for cell in never] == list(range(last + 1, last + 1 + len(never)))


def test_each_round_has_the_floor_and_the_overhead():
    with_floor = matrix().with_floor(Path("/floor"), 4, 9.0)
    small = [cell for block in with_floor.round(3) for cell in block if cell.kind != "teardown"]
    assert {(cell.kind, cell.threads, cell.binary, cell.round) for cell in small} == {
        ("floor", 4, "/floor", 3),
        ("overhead", 1, "/floor", 3),
    }


def test_warm_up_has_each_cell_of_the_smallest_size_once():
    cells = [cell for block in matrix(restart="all", backends=("ram", "memfd")).warm_up() for cell in block]
    assert {(cell.memory_mib, cell.kind, cell.round) for cell in cells} == {(256, "teardown", 0)}
    assert len(cells) == 2 * 2 * 2 * 2


def test_empty_matrix_is_an_error():
    with pytest.raises(OptionError, match="nothing to time"):
        matrix(())


def test_linux_payloads_have_boot_files_and_their_accelerator():
    boots = {target: Boot(kernel=Path("/k"), initrd=Path("/i"), release="6.1") for target in TARGETS}
    accels = {
        (target, payload): Accel(target=target, payload=payload, name=name, reason="")
        for target in TARGETS
        for payload, name in (("paused", "kvm"), ("linux", "tcg"))
    }
    made = design(
        options(payload=("paused", "linux")), subjects("base"), accels, Firmware(folders=()), boots=boots
    )
    cells = [cell for block in made.round(1) for cell in block]
    assert {(cell.payload, cell.accel, cell.kernel, cell.initrd) for cell in cells} == {
        ("paused", "kvm", "", ""),
        ("linux", "tcg", "/k", "/i"),
    }
    assert len({cell.name for cell in cells}) == len(cells)
