"""Builds with the devices of timed guests only, and without debug information."""

from pathlib import Path

import pytest

from harness.build import find_binary
from harness.build.devices import ALL, GUESTS, SETS, devices_of
from harness.build.plan import folder_name
from harness.errors import NothingBuiltError, StorageError
from harness.guest.model import ARCHITECTURES
from harness.pipeline import with_devices
from tests.unit.build.support import build_it, configure_runs, make_checkout, make_options

X86, S390 = ("x86_64-softmmu",), ("s390x-softmmu",)


@pytest.fixture
def checkout(layout):
    """A QEMU whose configure knows the switches, and fails if a device set does not exist."""
    made = make_checkout(layout)
    configure = made.path / "configure"
    switches = "--without-default-devices | --disable-debug-info | --enable-trace-backends=nop) ;;\n"
    switches += "    --with-devices-*=*)\n"
    place = '"$source_path/configs/devices/${arch%%=*}-softmmu/$value.mak"'
    check = f"        arch=${{opt#--with-devices-}}; test -f {place} ;;\n"
    text = configure.read_text().replace("--disable-docs |", f"{switches}{check}    --disable-docs |")
    configure.write_text(text)
    for target in (*X86, *S390, "arm-softmmu"):
        (made.path / "configs" / "devices" / target).mkdir(parents=True)
    return made


def words_of(checkout):
    return (checkout.path.parent / "configure-runs").read_text().splitlines()[-1]


def test_every_guest_architecture_has_a_set():
    assert {target.removesuffix("-softmmu") for target in SETS} == set(ARCHITECTURES)


def test_devices_of_guests_have_a_separate_build(layout, checkout):
    every = build_it(checkout, layout, targets=X86)
    assert "devices" not in words_of(checkout)
    few = build_it(checkout, layout, targets=X86, devices=GUESTS)
    assert "--without-default-devices" in words_of(checkout)
    assert "--with-devices-x86_64=harness-guests" in words_of(checkout)
    assert (every.devices, few.devices) == (ALL, GUESTS)
    assert Path(few.folder) == Path(every.folder).with_name("native-guests")
    file = checkout.path / "configs" / "devices" / X86[0] / "harness-guests.mak"
    assert file.read_text() == "CONFIG_Q35=y\nCONFIG_ISA_DEBUG=y\n"
    assert build_it(checkout, layout, targets=X86, devices=GUESTS).reused
    assert any("devices" in text for text in few.left_out)
    assert not any("devices" in text for text in every.left_out)


def test_devices_that_the_release_does_not_link_without_are_added(layout, checkout):
    caller = checkout.path / "hw" / "acpi" / "cxl.c"
    caller.parent.mkdir(parents=True, exist_ok=True)
    caller.write_text("cfmws_list = cxl_fmws_get_all_sorted();\n")
    build_it(checkout, layout, targets=(*X86, *S390), devices=GUESTS)
    files = [
        checkout.path / "configs" / "devices" / target / "harness-guests.mak" for target in (*X86, *S390)
    ]
    assert [file.read_text().count("CXL") for file in files] == [2, 0]


def test_targets_join_those_of_an_earlier_build(layout, checkout):
    build_it(checkout, layout, targets=X86, devices=GUESTS)
    both = build_it(checkout, layout, targets=S390, devices=GUESTS)
    assert both.targets == (*S390, *X86)
    assert "--with-devices-s390x=harness-guests --with-devices-x86_64=harness-guests" in words_of(checkout)


def test_changed_set_is_configured_again(layout, checkout, monkeypatch):
    build_it(checkout, layout, targets=X86, devices=GUESTS)
    build_it(checkout, layout, targets=X86, devices=GUESTS)
    assert configure_runs(checkout) == 1
    monkeypatch.setitem(SETS, X86[0], ("Q35",))
    build_it(checkout, layout, targets=X86, devices=GUESTS)
    assert configure_runs(checkout) == 2
    file = checkout.path / "configs" / "devices" / X86[0] / "harness-guests.mak"
    assert file.read_text() == "CONFIG_Q35=y\n"


def test_set_that_cannot_be_written_is_an_error(layout, checkout):
    (checkout.path / "configs" / "devices" / X86[0]).rmdir()
    with pytest.raises(StorageError, match=r"harness-guests\.mak"):
        build_it(checkout, layout, targets=X86, devices=GUESTS)


@pytest.mark.parametrize(
    ("wanted", "targets", "knows", "chosen"),
    [
        (GUESTS, X86, True, GUESTS),
        (GUESTS, (*X86, *S390), True, GUESTS),
        (GUESTS, (*X86, "arm-softmmu"), True, ALL),
        (GUESTS, ("arm-linux-user",), True, ALL),
        (GUESTS, X86, False, ALL),
        ("auto", X86, True, ALL),
        (ALL, X86, True, ALL),
    ],
)
def test_targets_without_a_set_have_all_devices(wanted, targets, knows, chosen):
    class Configure:
        def knows(self, switch):
            return knows or switch == "--without-default-devices"

    assert devices_of(wanted, targets, Configure()) == chosen


def test_option_precedes_the_choice_of_the_session():
    assert with_devices(make_options(), GUESTS).devices == GUESTS
    assert with_devices(make_options(devices=ALL), GUESTS).devices == ALL
    assert with_devices(make_options(devices=GUESTS), ALL).devices == GUESTS


def test_debug_information_is_left_out_unless_asked_for(layout, checkout):
    plain = build_it(checkout, layout, targets=X86)
    assert "--disable-debug-info" in words_of(checkout)
    assert (plain.debug, plain.left_out) == (False, ("debug information (-Ddebug=true)",))
    full = build_it(checkout, layout, targets=X86, debug=True)
    assert "--disable-debug-info" not in words_of(checkout)
    assert (full.debug, full.left_out, full.reused) == (True, (), False)
    build_it(checkout, layout, targets=X86, profile="sanitize")
    assert "--disable-debug-info" not in words_of(checkout), "a sanitizer names lines"


def test_binary_of_the_last_build_is_found(layout, checkout):
    def find(**which):
        return find_binary(layout, "7.2", "base", X86[0], **which).parent.name

    with pytest.raises(NothingBuiltError):
        find()
    build_it(checkout, layout, targets=X86, devices=GUESTS)
    assert find() == find(devices=GUESTS) == "native-guests"
    with pytest.raises(NothingBuiltError):
        find(devices=ALL)
    build_it(checkout, layout, targets=X86)
    assert (find(), find(devices=GUESTS), find(devices=ALL)) == ("native", "native-guests", "native")
    build_it(checkout, layout, targets=(*X86, *S390), devices=GUESTS)
    assert find() == "native-guests"


def test_folder_names_are_unique():
    names = [
        folder_name("native", profile, compiler, devices)
        for profile in ("release", "sanitize")
        for compiler in ("gcc", "clang")
        for devices in (ALL, GUESTS)
    ]
    assert len(set(names)) == len(names)
    assert names[0] == "native"
