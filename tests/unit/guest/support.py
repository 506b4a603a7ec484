"""Helpers for tests of guest and teardown."""

import sys
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.guest.machine import start
from harness.guest.model import Guest
from tests.unit.programs import write_program

FAKE = Path(__file__).with_name("fake_qemu.py")


def fake_binary(folder, name="qemu-fake"):
    """Create an executable that runs fake_qemu.py, which gets its name as sys.argv[0]."""
    return write_program(folder / name, f"#!{sys.executable} -IS\n{FAKE.read_text(encoding='utf-8')}")


def fake_guest(folder, mode="normal", memory_mib=1, **fields):
    return Guest(
        binary=fake_binary(folder),
        target="x86_64-softmmu",
        memory_mib=memory_mib,
        options=("-fake", mode),
        **fields,
    )


def failure(guest, folder, timeout_s=10):
    """Return the error of a guest that does not become ready."""
    with pytest.raises(GuestError) as caught, start(guest, log=folder / "log", timeout_s=timeout_s):
        pass
    return caught.value
