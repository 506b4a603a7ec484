from pathlib import Path

import pytest

from harness.errors import FetchError, OptionError
from harness.guest.firmware import locate, needed_files
from harness.guest.model import Guest, command_line, proof_command_line


def words(**fields):
    guest = Guest(**{"binary": Path("/q"), "target": "x86_64-softmmu", "memory_mib": 256, **fields})
    return list(command_line(guest, qmp_fd=7, threads=2))


def value(line, option):
    return [line[place + 1] for place, word in enumerate(line) if word == option]


def test_paused_guest_preallocates_its_memory_and_does_not_run():
    line = words()
    assert value(line, "-object") == ["memory-backend-ram,id=mem,size=256M,prealloc=on,prealloc-threads=2"]
    assert value(line, "-m") == ["256M"]
    assert "memory-backend=mem" in value(line, "-machine")
    assert "-S" in line


def test_backend_memfd_is_shared():
    assert value(words(backend="memfd"), "-object")[0].startswith("memory-backend-memfd,share=on,id=mem")


def test_monitor_uses_the_inherited_socket():
    assert value(words(), "-chardev") == ["socket,id=qmp,fd=7"]
    assert value(words(), "-mon") == ["chardev=qmp,mode=control"]


@pytest.mark.parametrize(
    ("target", "machine"), [("x86_64-softmmu", "q35"), ("s390x-softmmu", "s390-ccw-virtio")]
)
def test_machine_depends_on_the_architecture(target, machine):
    assert machine in value(words(target=target), "-machine")


def test_firmware_folders_and_options_are_arguments():
    line = words(firmware=(Path("/a"), Path("/b")), options=("-run-with", "async-teardown=on"))
    assert value(line, "-L") == ["/a", "/b"]
    assert line[-2:] == ["-run-with", "async-teardown=on"]


def test_user_configuration_is_disabled():
    assert {"-no-user-config", "-nodefaults"} <= set(words())


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


def linux_words(payload="linux", **fields):
    made = {"binary": Path("/q"), "target": "x86_64-softmmu", "memory_mib": 256, "payload": payload}
    guest = Guest(**{**made, "kernel": Path("/k"), "initrd": Path("/i"), **fields})
    return list(command_line(guest, qmp_fd=7, threads=64, console_fd=9))


def test_memory_of_a_linux_guest_is_not_preallocated():
    line = linux_words()
    assert value(line, "-object") == ["memory-backend-ram,id=mem,size=256M"]
    assert (value(line, "-kernel"), value(line, "-initrd")) == (["/k"], ["/i"])
    assert value(line, "-smp") == ["8"]
    assert "-no-reboot" in line
    assert "socket,id=console,fd=9" in value(line, "-chardev")


@pytest.mark.parametrize(
    ("target", "device", "terminal"),
    [("x86_64-softmmu", "isa-serial", "ttyS0"), ("s390x-softmmu", "sclpconsole", "ttysclp0")],
)
def test_console_depends_on_the_architecture(target, device, terminal):
    line = linux_words(target=target)
    assert value(line, "-device") == [f"{device},chardev=console"]
    assert f"console={terminal}" in value(line, "-append")[0].split()


def test_tcg_buffer_is_limited_for_linux_guests_only():
    assert value(linux_words(), "-accel") == ["tcg,tb-size=128"]
    assert value(linux_words(accel="kvm"), "-accel") == ["kvm"]
    assert value(words(), "-accel") == ["tcg"]


def test_busy_payload_sets_a_kernel_parameter():
    assert "harness.busy=1" in value(linux_words("linux-busy"), "-append")[0].split()
    assert "harness.busy=1" not in value(linux_words(), "-append")[0]


def test_payload_linux_without_a_kernel_is_refused():
    with pytest.raises(OptionError, match="needs a kernel"):
        linux_words(kernel=None)
