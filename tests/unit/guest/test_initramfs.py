import hashlib
import os
import stat

import pytest

from harness.errors import GuestError, StorageError
from harness.guest.initramfs import CONSOLE, ArchiveEntry, archive, directory, file, symlink, write_initramfs


def members(data):
    """Parse an archive and check its alignment: name → (header fields, content)."""
    names = ("ino", "mode", "uid", "gid", "nlink", "mtime", "size")
    names += ("major", "minor", "rmajor", "rminor", "namesize", "check")
    found, place = {}, 0
    while True:
        assert place % 4 == 0
        assert data[place : place + 6] == b"070701"
        fields = {
            name: int(data[place + 6 + 8 * number : place + 14 + 8 * number], 16)
            for number, name in enumerate(names)
        }
        end = place + 110 + fields["namesize"]
        name = data[place + 110 : end - 1].decode()
        assert data[end - 1] == 0
        start = end + -end % 4
        place = start + fields["size"] + -fields["size"] % 4
        if name == "TRAILER!!!":
            assert place == len(data)
            return found
        assert name not in found
        found[name] = (fields, data[start : start + fields["size"]])


def test_all_file_types_can_be_parsed():
    entries = [
        file("init", b"\x7fELF!", 0o755),
        CONSOLE,
        symlink("bin/sh", "/bin/busybox"),
        directory("proc", 0o555),
        ArchiveEntry(name="dev/vda", mode=stat.S_IFCHR | 0o600, device=(254, 0)),
    ]
    read = members(b"".join(archive(entries)))
    assert list(read) == ["bin", "bin/sh", "dev", "dev/console", "dev/vda", "init", "proc"]
    assert read["init"][1] == b"\x7fELF!"
    assert read["init"][0]["mode"] == stat.S_IFREG | 0o755
    assert read["bin/sh"][1] == b"/bin/busybox"
    assert stat.S_ISLNK(read["bin/sh"][0]["mode"])
    console = read["dev/console"][0]
    assert stat.S_ISCHR(console["mode"])
    assert (console["rmajor"], console["rminor"]) == (5, 1)
    assert read["proc"][0]["mode"] == stat.S_IFDIR | 0o555
    assert len({fields["ino"] for fields, _ in read.values()}) == len(read)


def test_archive_is_reproducible(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for number, path in enumerate((first, second)):
        content = tmp_path / f"content{number}"
        content.write_bytes(b"data" * 1000)
        content.chmod(0o600 + number)
        os.utime(content, (number, number))
        entries = [file("lib/x", content, 0o755), file("init", b"i"), directory("lib")]
        write_initramfs(path, entries if number else reversed(entries))
    assert first.read_bytes() == second.read_bytes()
    for fields, _ in members(first.read_bytes()).values():
        assert (fields["mtime"], fields["uid"], fields["gid"]) == (0, 0, 0)
    # The format is fixed, and therefore the bytes: if they change, every initramfs is regenerated.
    assert hashlib.sha256(first.read_bytes()).hexdigest().startswith("a5b280ced67609f7")


@pytest.mark.parametrize(
    "name", ["", "/init", "../init", "a/../../init", "a//b", "a/", "./a", "a\nb", "a\0b", "TRAILER!!!"]
)
def test_unsafe_names_are_refused(name):
    with pytest.raises(GuestError):
        list(archive([file(name, b"")]))


@pytest.mark.parametrize(
    ("names", "cause"), [(("a", "a"), "twice"), (("a/b", "a"), "'a', which is not a folder")]
)
def test_contradicting_names_are_refused(names, cause):
    with pytest.raises(GuestError, match=cause):
        list(archive([file(name, b"") for name in names]))


def test_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        write_initramfs(tmp_path / "out", [file("init", tmp_path / "missing")])
    with pytest.raises(GuestError):
        write_initramfs(tmp_path / "out", [ArchiveEntry(name="..", mode=0)])
    assert list(tmp_path.iterdir()) == []
