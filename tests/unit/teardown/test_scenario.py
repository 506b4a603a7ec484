import dataclasses
from pathlib import Path

import pytest

from harness.errors import OptionError
from harness.guest import Accel, Boot, Firmware
from harness.options import Options
from harness.teardown.model import Subject
from harness.teardown.scenario import plan

TARGETS = ("x86_64-softmmu", "s390x-softmmu")


def options(**fields) -> Options:
    known = {field.name: () for field in dataclasses.fields(Options)}
    return Options(
        **{
            **known,
            "targets": TARGETS,
            "hosts": ("native",),
            "memory_mib": (256, 1024),
            "backends": ("ram",),
            "pages": ("4k",),
            "payload": ("paused",),
            "triggers": ("sigterm", "sigkill"),
            "rounds": 3,
            "timeout": 5,
            **fields,
        }
    )


def subjects(*variants):
    return [
        Subject(
            variant=variant,
            host="native",
            target=target,
            path=f"/{variant}",
            sha256="",
            version="",
            options=() if variant == "base" else ("-async-teardown",),
        )
        for variant in variants
        for target in TARGETS
    ]


def planned(variants=("base", "patched"), seed=None, **fields):
    accels = {(target, "paused"): Accel(target=target, name="tcg", reason="") for target in TARGETS}
    firmware = Firmware(folders=(Path("/fw"),))
    return plan(options(**fields), subjects(*variants), accels, firmware, seed=seed)


def test_every_cell_once_a_round_numbered_from_one():
    cells = planned()
    assert len(cells) == 2 * 2 * 2 * 2 * 3
    assert [cell.index for cell in cells] == list(range(1, len(cells) + 1))
    assert len({cell.name for cell in cells}) == len(cells)
    assert [cell.round for cell in cells] == sorted(cell.round for cell in cells)


def test_variants_of_a_place_are_neighbours_and_take_turns_at_being_first():
    cells = planned()
    first = {}
    for one, two in zip(cells[::2], cells[1::2], strict=True):
        assert {one.variant, two.variant} == {"base", "patched"}
        place = (one.target, one.memory_mib, one.trigger)
        assert place == (two.target, two.memory_mib, two.trigger)
        first.setdefault(place, []).append(one.variant)
    for order in first.values():
        assert order in (["base", "patched", "base"], ["patched", "base", "patched"])
    # Neither is first more often over a round.
    assert sum(order[0] == "base" for order in first.values()) == len(first) // 2


def test_only_variants_with_the_feature_must_have_a_helper():
    assert {(cell.variant, cell.helper) for cell in planned(("pristine", "base"))} == {
        ("pristine", True),
        ("base", False),
    }


def test_a_seed_shuffles_the_same_way_each_time():
    names = [cell.name for cell in planned(seed=1)]
    assert names == [cell.name for cell in planned(seed=1)]
    assert names != [cell.name for cell in planned(seed=2)]
    assert sorted(names) == sorted(cell.name for cell in planned())


def test_nothing_to_time_is_an_error():
    with pytest.raises(OptionError, match="nothing to time"):
        planned(())


def test_payloads_that_run_linux_get_their_boot_files_and_their_own_accelerator():
    boots = {target: Boot(kernel=Path("/k"), initrd=Path("/i"), release="6.1") for target in TARGETS}
    accels = {
        (target, payload): Accel(target=target, payload=payload, name=name, reason="")
        for target in TARGETS
        for payload, name in (("paused", "kvm"), ("linux", "tcg"))
    }
    cells = plan(
        options(payload=("paused", "linux"), rounds=1),
        subjects("base"),
        accels,
        Firmware(folders=()),
        boots=boots,
    )
    assert {(cell.payload, cell.accel, cell.kernel, cell.initrd) for cell in cells} == {
        ("paused", "kvm", "", ""),
        ("linux", "tcg", "/k", "/i"),
    }
    assert len({cell.name for cell in cells}) == len(cells)
