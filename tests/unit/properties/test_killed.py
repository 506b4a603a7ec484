"""Row 9: what QEMU does without its helper."""

from types import SimpleNamespace

import pytest

from harness.errors import GuestError
from harness.properties import killed
from harness.properties.outcome import Failed

from ..programs import QUIET_PYTHON, started

X86, S390X = "x86_64-softmmu", "s390x-softmmu"


@pytest.mark.parametrize(("code", "busy"), [("while True: pass", True), ("time.sleep(60)", False)])
def test_process_that_spins_is_busy_even_on_a_busy_machine(code, busy):
    with started(*QUIET_PYTHON, f"import time\nprint(flush=True)\n{code}", ready=True) as child:
        assert (killed.busy_share(child.pid) > killed.BUSY) is busy


def fake(devices=3, refused=""):
    """Return a QEMU that answers commands, and the list of those it got."""
    got = []

    def execute(command, **arguments):
        got.append((command, arguments.get("id")))
        if command == refused:
            raise GuestError("no answer", "x")
        return [{}] * devices

    return SimpleNamespace(execute=execute), got


def test_memory_is_added_and_removed():
    running, got = fake()
    killed.exercise(running, X86)
    assert got.count(("object-add", "b0")) == got.count(("object-del", "b0")) == 2
    assert ("device_add", "d-after1") in got
    assert got[-4:] == [
        ("cont", None),
        ("query-status", None),
        ("stop", None),
        ("query-memory-devices", None),
    ]
    running, got = fake(devices=0)
    killed.exercise(running, S390X)
    assert "device_add" not in [command for command, _ in got]


@pytest.mark.parametrize("fields", [{"refused": "object-del"}, {"refused": "device_add"}, {"devices": 2}])
def test_qemu_that_does_not_do_all_of_it_fails(fields):
    running, _ = fake(**fields)
    with pytest.raises(Failed, match=r"does not work in full|has 2 DIMMs"):
        killed.exercise(running, X86)
