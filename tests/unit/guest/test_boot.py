from pathlib import Path

import pytest

from harness.errors import OptionError
from harness.guest import boot as module
from harness.guest.boot import prepare_boot
from harness.guest.kernel import Kernel
from harness.progress import Silent


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Replace fetching and compiling: the requested builds, and the resulting program."""
    asked, program = [], tmp_path / "init"

    def build_programs(layout, reporter, names, *, host):
        asked.append((names, host))
        return {"init": program}

    program.write_bytes(b"\x7fELF one")
    kernel = Kernel(image=Path("/vmlinuz"), release="6.1", package="linux-image-6.1")
    monkeypatch.setattr("harness.guest.boot.build_programs", build_programs)
    monkeypatch.setattr(module, "fetch_kernel", lambda *_: kernel)
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    return asked, program


def test_initramfs_is_written_once_for_each_init(built, layout):
    asked, program = built
    boot = prepare_boot(layout, Silent(), "x86_64-softmmu")
    assert (boot.kernel, boot.release) == (Path("/vmlinuz"), "6.1")
    content = boot.initrd.read_bytes()
    assert b"\x7fELF one" in content
    assert b"dev/console\0" in content
    stamp = boot.initrd.stat().st_mtime_ns
    assert prepare_boot(layout, Silent(), "x86_64-softmmu") == boot
    assert boot.initrd.stat().st_mtime_ns == stamp
    program.write_bytes(b"\x7fELF two")
    assert b"\x7fELF two" in prepare_boot(layout, Silent(), "x86_64-softmmu").initrd.read_bytes()
    assert {host for _, host in asked} == {"native"}


def test_init_of_another_architecture_is_cross_compiled(built, layout):
    prepare_boot(layout, Silent(), "s390x-softmmu")
    assert built[0] == [(["init"], "s390x")]


def test_architecture_without_a_compiler_is_refused(built, layout, monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    with pytest.raises(OptionError, match="has no compiler for x86_64 programs on riscv64"):
        prepare_boot(layout, Silent(), "x86_64-softmmu")
