from pathlib import Path

import pytest

from harness.errors import FetchError, OptionError
from harness.guest.firmware import locate, needed_files
from harness.guest.model import Guest, command_line, proof_command_line

LINUX = {"payload": "linux", "kernel": Path("/k"), "initrd": Path("/i")}
S390X = {"target": "s390x-softmmu"}


def words(threads=2, **fields):
    guest = Guest(**{"binary": Path("/q"), "target": "x86_64-softmmu", "memory_mib": 256, **fields})
    console = {"console_fd": 9} if "payload" in fields else {}
    return list(command_line(guest, qmp_fd=7, threads=threads, **console))


def value(line, option):
    return [line[place + 1] for place, word in enumerate(line) if word == option]


@pytest.mark.parametrize(
    ("fields", "option", "values"),
    [
        ({}, "-object", ["memory-backend-ram,id=mem,size=256M,prealloc=on,prealloc-threads=2"]),
        ({}, "-m", ["256M"]),
        ({}, "-chardev", ["socket,id=qmp,fd=7"]),
        ({}, "-mon", ["chardev=qmp,mode=control"]),
        ({}, "-accel", ["tcg"]),
        ({"firmware": (Path("/a"), Path("/b"))}, "-L", ["/a", "/b"]),
        (LINUX, "-object", ["memory-backend-ram,id=mem,size=256M"]),
        (LINUX, "-chardev", ["socket,id=qmp,fd=7", "socket,id=console,fd=9"]),
        (LINUX, "-kernel", ["/k"]),
        (LINUX, "-initrd", ["/i"]),
        (LINUX | {"threads": 64}, "-smp", ["8"]),
        (LINUX, "-accel", ["tcg,tb-size=128"]),
        (LINUX | {"accel": "kvm"}, "-accel", ["kvm"]),
        (LINUX, "-device", ["isa-serial,chardev=console"]),
        (LINUX | S390X, "-device", ["sclpconsole,chardev=console"]),
    ],
)
def test_option_has_its_values(fields, option, values):
    assert value(words(**fields), option) == values


@pytest.mark.parametrize(
    ("fields", "option", "part", "without"),
    [
        ({}, "-machine", "q35", S390X),
        (S390X, "-machine", "s390-ccw-virtio", {}),
        ({"backend": "memfd"}, "-object", "memory-backend-memfd,share=on,id=mem", {}),
        (LINUX, "-append", "console=ttyS0", LINUX | S390X),
        (LINUX | S390X, "-append", "console=ttysclp0", LINUX),
        (LINUX | {"payload": "linux-busy"}, "-append", "harness.busy=1", LINUX),
    ],
)
def test_option_depends_on_the_guest(fields, option, part, without):
    with_it, without_it = (" ".join(value(words(**one), option)) for one in (fields, without))
    assert part in with_it
    assert part not in without_it


def test_paused_guest_does_not_run_and_has_no_configuration_of_the_user():
    assert {"-S", "-no-user-config", "-nodefaults"} <= set(words())
    assert "memory-backend=mem" in value(words(), "-machine")
    assert "-no-reboot" in words(**LINUX)
    assert words(options=("-run-with", "async-teardown=on"))[-2:] == ["-run-with", "async-teardown=on"]


@pytest.mark.parametrize(
    ("field", "bad"), [("backend", "nvme"), ("payload", "windows"), ("target", "sparc-softmmu")]
)
def test_unknown_values_are_refused_with_a_remedy(field, bad):
    with pytest.raises(OptionError) as caught:
        words(**{field: bad})
    assert bad in caught.value.cause
    assert caught.value.remedy


def test_probe_runs_the_firmware():
    line = list(proof_command_line(Path("/q"), "x86_64-softmmu", "kvm", (), proof_fd=5))
    assert "-S" not in line
    assert value(line, "-device") == ["isa-debugcon,iobase=0x402,chardev=proof"]


def test_firmware_folders_are_in_the_order_of_their_packages(tmp_path):
    needed = needed_files(["x86_64-softmmu", "s390x-softmmu"])
    for files in needed.values():
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    assert [folder.name for folder in locate(tmp_path, needed).folders] == ["seabios", "qemu"]


def test_package_without_its_firmware_is_an_error(tmp_path):
    with pytest.raises(FetchError, match=r"seabios does not contain usr/share/seabios/bios-256k\.bin"):
        locate(tmp_path, needed_files(["x86_64-softmmu"]))


def test_payload_linux_without_a_kernel_is_refused():
    with pytest.raises(OptionError, match="needs a kernel"):
        words(**LINUX | {"kernel": None})
