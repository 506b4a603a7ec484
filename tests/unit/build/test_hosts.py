"""Hosts: their plans, sysroots, tools and documentation."""

import re
import struct
from pathlib import Path

import pytest

from harness.build.binary import check_machine
from harness.build.elf import library_closure, read_elf
from harness.build.hosts import HOSTS, Host
from harness.build.needs import requirements
from harness.build.sysroot import Sysroot, content_key, cross_file, repair_links
from harness.errors import CompileError, FetchError, StorageError
from harness.source.packages import Deb
from harness.teardown.image import PROPERTIES
from tests.unit.build.support import ROOT, make_options
from tests.unit.build.test_plan import plan_of

S390X = HOSTS["s390x"]
CROSS = [host for host in HOSTS.values() if host.is_cross]


def test_every_host_is_a_choice_of_the_option_and_documented():
    """HOSTS, the option and the documentation must list the same hosts."""
    options = (ROOT / "meson_options.txt").read_text()
    choices = re.search(r"option\('hosts'.*?choices: \[(.*?)\]", options, re.DOTALL)
    assert re.findall(r"'([^']+)'", choices[1]) == list(HOSTS)
    rows = re.findall(
        r"^\| `([a-z0-9_]+)` \| (\S+) \| `(\S+)` \|", (ROOT / "docs/build.md").read_text(), re.M
    )
    assert rows == [(host.name, host.debian, host.compiler_package) for host in CROSS]


def test_every_checked_property_is_documented():
    text = (ROOT / "docs/build.md").read_text()
    cells = re.findall(r"^\| (`[a-z`, ]+`) \| .+ \|$", text, re.MULTILINE)
    assert set(PROPERTIES) <= {name.strip("`") for cell in cells for name in cell.split(", ")}


def test_cross_build_uses_prefix_and_sysroot_only(layout, tmp_path):
    plan = plan_of(layout, host="s390x", sysroot=Sysroot(path=tmp_path / "root", host=S390X))
    assert plan.folder == layout.build_root("7.2", "base") / "s390x"
    assert "--cross-prefix=s390x-linux-gnu-" in plan.configure
    assert f"--extra-cflags=--sysroot={tmp_path}/root" in plan.configure
    assert f"--extra-ldflags=--sysroot={tmp_path}/root" in plan.configure
    assert not [word for word in plan.configure if word.startswith("--host-cc=")]
    assert plan.env["PKG_CONFIG"] == "pkg-config"
    assert plan.env["PKG_CONFIG_PATH"] == ""
    folders = plan.env["PKG_CONFIG_LIBDIR"].split(":")
    assert folders[0] == f"{tmp_path}/root/usr/lib/s390x-linux-gnu/pkgconfig"
    assert all(folder.startswith(f"{tmp_path}/root/") for folder in folders)
    assert plan.machine == "EM_S390"
    assert "CCACHE_DIR" in plan.env


def test_another_sysroot_changes_the_fingerprint_of_cross_builds_only(layout, tmp_path):
    one, two = (
        plan_of(layout, host="s390x", sysroot=Sysroot(path=tmp_path / name, host=S390X))
        for name in ("one", "two")
    )
    assert one.fingerprint != two.fingerprint
    native = plan_of(layout)
    assert native.machine == ""
    assert "PKG_CONFIG_LIBDIR" not in native.env


def test_cross_compiler_is_required_only_for_its_host():
    def names(*hosts):
        return {need.name for need in requirements(make_options(hosts=hosts))}

    assert "s390x-linux-gnu-gcc" not in names("native")
    assert names("native", "s390x") - names("native") == {"s390x-linux-gnu-gcc", "s390x-linux-gnu-strip"}
    assert "s390x-linux-gnu-gcc" not in {need.name for need in requirements(None)}


def test_package_names_have_no_underscores():
    host = Host(name="x", triplet="x86_64-linux-gnu")
    assert host.compiler_package == "gcc-x86-64-linux-gnu"


def test_cross_file_is_valid_and_quotes_paths(tmp_path):
    text = cross_file(Sysroot(path=tmp_path / "it's", host=S390X))
    assert "[host_machine]\nsystem = 'linux'\ncpu_family = 's390x'" in text
    assert "endian = 'big'" in text
    assert f"c_args = ['--sysroot={tmp_path}/it\\'s']" in text
    assert re.search(r"^c = '\S*s390x-linux-gnu-gcc'$", text, re.MULTILINE)
    assert "endian = 'little'" in cross_file(Sysroot(path=tmp_path, host=HOSTS["aarch64"]))


def test_content_key_depends_only_on_the_set_of_packages():
    libc, zlib = Deb(file="libc6_2_s390x.deb", sha256="a"), Deb(file="zlib1g_1_s390x.deb", sha256="b")
    key = content_key({"libc6": libc, "zlib1g": zlib})
    assert content_key({"zlib1g": zlib, "libc6": libc}) == key
    assert content_key({"libc6": libc}) != key
    assert content_key({"libc6": Deb(file=libc.file, sha256="c"), "zlib1g": zlib}) != key
    assert content_key({"libc6": Deb(file="libc6_3_s390x.deb", sha256="a"), "zlib1g": zlib}) != key


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "usr/lib/s390x-linux-gnu").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib/ld64.so").write_text("")
    return root


@pytest.mark.parametrize(
    ("place", "target", "repaired"),
    [
        ("usr/lib/s390x-linux-gnu/ld.so", "/lib/ld64.so", "../../../lib/ld64.so"),
        ("top", "/", "."),
        ("usr/lib/good", "../../lib/ld64.so", "../../lib/ld64.so"),
        ("usr/passwd", "/etc/passwd", "../etc/passwd"),  # as maintainer scripts create in /etc/alternatives
        ("lib/escape", f"{'../' * 11}etc/hostname", "../etc/hostname"),  # the parent of / is /
    ],
)
def test_links_point_into_the_sysroot(root, place, target, repaired):
    link = root / place
    link.symlink_to(target)
    repair_links(root)
    assert str(link.readlink()) == repaired
    assert link.resolve().is_relative_to(root)


def test_link_that_leaves_through_another_link_is_refused(root):
    (root / "usr/lib/s390x-linux-gnu/deep").symlink_to("../../../lib")
    (root / "lib/out").symlink_to("../usr/lib/s390x-linux-gnu/deep/../../outside")
    with pytest.raises(FetchError, match="link lib/out of a package points outside of the sysroot"):
        repair_links(root)


def elf(machine, *, endian, size=64):
    """An ELF64 header without segments (elf(5), Elf64_Ehdr)."""
    order = ">" if endian == "big" else "<"
    ident = b"\x7fELF" + bytes([2, 2 if endian == "big" else 1, 1]) + bytes(9)
    return (ident + struct.pack(order + "HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0))[:size]


@pytest.mark.parametrize(("host", "number"), [("s390x", 22), ("aarch64", 183)])
def test_machine_is_read_from_the_elf_header(tmp_path, host, number):
    path = tmp_path / "qemu"
    path.write_bytes(elf(number, endian=HOSTS[host].endian))
    check_machine(path, HOSTS[host].machine)
    path.write_bytes(elf(62, endian="little"))
    with pytest.raises(CompileError, match=f"is for EM_X86_64, expected {HOSTS[host].machine}"):
        check_machine(path, HOSTS[host].machine)


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", elf(22, endian="big", size=20)])
def test_file_that_is_not_elf_is_an_error(tmp_path, data):
    path = tmp_path / "qemu"
    path.write_bytes(data)
    assert read_elf(path) is None
    with pytest.raises(CompileError, match="not an ELF file"):
        check_machine(path, "EM_S390")


def shared_object(*needed):
    """A big-endian ELF64 file with a DT_NEEDED for each name (elf(5): Elf64_Ehdr, Elf64_Phdr, Elf64_Dyn)."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [names.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
    dynamic_at = 64 + 2 * 56
    names_at = dynamic_at + 16 * (len(needed) + 3)
    entries = [*((1, offset) for offset in offsets), (5, names_at), (10, len(names)), (0, 0)]
    dynamic = b"".join(struct.pack(">QQ", tag, value) for tag, value in entries)
    ident = b"\x7fELF" + bytes([2, 2, 1]) + bytes(9)
    header = ident + struct.pack(">HHIQQQIHHHHHH", 3, 22, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    segments = [(1, 0, names_at + len(names)), (2, dynamic_at, len(dynamic))]  # PT_LOAD, PT_DYNAMIC
    table = b"".join(
        struct.pack(">IIQQQQQQ", kind, 4, at, at, at, size, size, 8) for kind, at, size in segments
    )
    return header + table + dynamic + names


def test_indirect_libraries_are_found_in_folder_order(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name, needed in (
        (tmp_path, "qemu", ["liba.so.1", "libc.so.6"]),
        (second, "liba.so.1", ["libb.so.1", "libc.so.6"]),
        (second, "libb.so.1", ["liba.so.1", "libdeep.so"]),
        (first, "libdeep.so", []),
        (first, "libc.so.6", []),
        (second, "libc.so.6", []),
        (second, "libunused.so", []),
    ):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(shared_object(*needed))
    assert library_closure([tmp_path / "qemu"], [first, second]) == {
        "liba.so.1": second / "liba.so.1",
        "libb.so.1": second / "libb.so.1",
        "libc.so.6": first / "libc.so.6",
        "libdeep.so": first / "libdeep.so",
    }
    (first / "libdeep.so").unlink()
    with pytest.raises(StorageError, match=r"libb\.so\.1 .*libdeep\.so"):
        library_closure([tmp_path / "qemu"], [first, second])


def test_interpreter_and_libraries_of_a_real_program_are_parsed():
    shell = read_elf(Path("/bin/sh").resolve())
    assert Path(shell.interpreter).is_file()
    assert "libc.so.6" in shell.needed
