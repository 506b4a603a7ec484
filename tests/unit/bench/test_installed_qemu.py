"""-Dpreset=installed: the QEMU of the distribution, with its option off and on."""

import platform

import pytest

from harness.bench.installed import installed_subjects, installed_targets
from harness.build.needs import requirements
from harness.errors import OptionError
from harness.teardown.presets import apply_preset
from harness.teardown.statistics import reference_of
from tests.unit.bench.test_named import program
from tests.unit.defaults import options_with

BOTH = ("x86_64-softmmu", "s390x-softmmu")
HELP = "-run-with [async-teardown=on|off]"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The first folder on PATH; the others have no QEMU."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin-without-qemu")
    return tmp_path / "bin"


def test_each_qemu_is_timed_without_and_with_its_option(folder):
    path = program(folder, "qemu-system-s390x", HELP)
    off, on = installed_subjects(BOTH[1:])
    assert (off.variant, off.options, off.able) == ("installed", (), True)
    assert (on.variant, on.options) == ("installed+option", ("-run-with", "async-teardown=on"))
    assert {one.path for one in (off, on)} == {str(path)}
    assert {one.left_out for one in (off, on)} == {()}
    assert reference_of(["installed+option", "installed"]) == "installed"
    assert off.label == "installed", "a reference is not marked"


def test_qemu_without_the_option_is_refused(folder):
    program(folder, "qemu-system-s390x", "-daemonize")
    with pytest.raises(OptionError, match=r"QEMU 9.*has no option for asynchronous teardown"):
        installed_subjects(BOTH[1:])


def test_targets_are_those_that_are_installed_or_asked_for(folder):
    own = (f"{platform.machine()}-softmmu",)
    assert installed_targets(BOTH, asked=False) == own, "what the doctor installs"
    program(folder, "qemu-system-s390x", HELP)
    assert installed_targets(BOTH, asked=False) == BOTH[1:]
    assert installed_targets(BOTH, asked=True) == BOTH


def test_preset_has_a_short_budget_and_needs_qemu():
    options = apply_preset(options_with(preset="installed"))
    assert (options.memory_mib, options.budget_s, options.restart) == ((256, 1024), 60, "none")
    given = options_with(preset="installed", budget_s=300, given=("-Dbudget=300s",))
    assert apply_preset(given).budget_s == 300

    def needed(*targets):
        return {need.name for need in requirements(options_with(targets=targets), ("guest", "installed"))}

    assert {"qemu-system-x86_64", "qemu-system-s390x"} <= needed(*BOTH)
    assert "qemu-system-x86_64" not in needed(*BOTH[1:])
    assert "gcc" not in needed(*BOTH), "nothing is built"
    assert "qemu-system-x86_64" not in {need.name for need in requirements(options_with(targets=BOTH))}
