"""Compressed mailboxes: formats, damage, size."""

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable

import pytest

from harness.errors import OptionError
from harness.series import compressed
from harness.series.compressed import read_bytes, unpack

Pack = Callable[[bytes], bytes]
TEXT = b"From: a@example.org\nSubject: x\n\n" + b"some text " * 2000


def zstd(data):
    """Return ``data`` as a Zstandard frame (RFC 8878) of raw blocks: one segment, its size in 4 bytes."""
    pytest.importorskip("zstandard")
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    pieces = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    for at, piece in enumerate(pieces, start=1):
        frame += (len(piece) << 3 | (at == len(pieces))).to_bytes(3, "little") + piece
    return frame


PACKERS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstd,
}
packed = pytest.mark.parametrize(("name", "pack"), PACKERS.items())


@packed
def test_formats_are_known_by_their_first_bytes(name, pack, tmp_path):
    (tmp_path / "any.name").write_bytes(pack(TEXT))
    assert read_bytes(tmp_path / "any.name") == TEXT
    assert unpack(pack(TEXT[:500]) + pack(TEXT[500:]), name) == TEXT
    assert unpack(pack(TEXT) + b"\0\0\n", name) == TEXT


@packed
@pytest.mark.parametrize("cut", [1, 5, 300])
def test_truncated_file_is_refused(name, pack, cut):
    whole = pack(TEXT + bytes(range(256)) * 4)
    with pytest.raises(OptionError, match=rf"^y\.mbox is a damaged or truncated {name} file: ."):
        unpack(whole[: -min(cut, len(whole) - 6)], "y.mbox")


@packed
def test_damaged_file_is_refused(name, pack):
    whole = bytearray(pack(TEXT))
    whole[6:14] = b"\xff" * 8
    with pytest.raises(OptionError, match=f"^y is a damaged or truncated {name} file"):
        unpack(bytes(whole), "y")


@packed
def test_file_above_the_limit_is_refused(name, pack, monkeypatch):
    monkeypatch.setattr(compressed, "LIMIT", 1024**2)
    assert len(unpack(pack(b"x" * 1024**2), name)) == 1024**2
    with pytest.raises(OptionError, match=f"^{name} is larger than 1 MiB"):
        unpack(pack(b"x" * (1024**2 + 1)), name)


def test_decompression_stops_at_the_limit(monkeypatch):
    monkeypatch.setattr(compressed, "LIMIT", 1024**2)
    seen = []

    class Counter:
        eof, unused_data = False, b""

        def decompress(self, data):
            seen.append(len(data))
            return b"x" * 1024**2

    monkeypatch.setattr(compressed, "_FORMATS", ((b"BOMB", "bomb", Counter),))
    with pytest.raises(OptionError, match="larger"):
        unpack(b"BOMB" * 100_000, "x")
    assert seen == [4096, 4096]


def test_zstd_of_the_program_is_read():
    pytest.importorskip("zstandard")
    try:
        ended = subprocess.run(["zstd", "-q", "-c"], input=TEXT, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("zstd is not installed")
    assert unpack(ended.stdout, "x") == TEXT


def test_missing_library_is_reported_with_a_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(OptionError, match=r"^t\.zst is a zstd file") as error:
        unpack(b"\x28\xb5\x2f\xfd", "t.zst")
    assert "zstd -d" in error.value.remedy


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_byte_order_mark_is_converted(coding):
    text = "Subject: h\u00fcbsch\n"
    assert unpack(f"\ufeff{text}".encode(coding), "x") == text.encode()
    assert unpack(b"\xff\xfeab\xff", "x") == "\u6261\ufffd".encode()


@pytest.mark.parametrize(("data", "kind"), [(b"PK\x03\x04x", "zip"), (bytes(257) + b"ustar", "tar")])
def test_archive_is_refused(data, kind):
    for packed in (data, gzip.compress(data)):
        with pytest.raises(OptionError, match=f"^x is a {kind} archive"):
            unpack(packed, "x")


def test_bundle_is_refused():
    with pytest.raises(OptionError, match=r"^x is a git bundle"):
        unpack(b"# v2 git bundle\n-0123 hw: one\n", "x")


@pytest.mark.parametrize("data", [b"", b"BZ", b"\x1f", b"PK\x03", b"plain\n", b"\xfd7zX"])
def test_other_data_is_unchanged(data):
    assert unpack(data, "x") == data
