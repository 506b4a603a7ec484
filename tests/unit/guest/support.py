"""Helpers for tests of guest and teardown."""

import sys
from pathlib import Path

from harness.guest import Guest

FAKE = Path(__file__).with_name("fake_qemu.py")


def fake_binary(folder: Path, name: str = "qemu-fake") -> Path:
    """Create an executable that runs fake_qemu.py, which gets its name as sys.argv[0]."""
    binary = folder / name
    binary.write_text(f"#!{sys.executable} -IS\n" + FAKE.read_text(encoding="utf-8"), encoding="utf-8")
    binary.chmod(0o755)
    return binary


def fake_guest(folder: Path, mode: str = "normal", memory_mib: int = 1, **fields) -> Guest:
    return Guest(
        binary=fake_binary(folder),
        target="x86_64-softmmu",
        memory_mib=memory_mib,
        options=("-fake", mode),
        **fields,
    )


def is_gone(pid: int) -> bool:
    """Return whether the process has ended or is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
