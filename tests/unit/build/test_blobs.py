"""harness.build.blobs: firmware images that only meson asks for."""

import bz2

from harness.build.blobs import add_missing_blobs


def test_missing_images_are_replaced_by_empty_ones(tmp_path):
    folder = tmp_path / "pc-bios"
    folder.mkdir()
    (folder / "meson.build").write_text(
        "fds = [\n  'edk2-arm-code.fd',\n  'edk2-arm-vars.fd',\n]\nblobs = ['bios.bin']\n"
    )
    (folder / "edk2-arm-vars.fd.bz2").write_bytes(b"real")
    assert add_missing_blobs(tmp_path) == ("edk2-arm-code.fd.bz2",)
    assert bz2.decompress((folder / "edk2-arm-code.fd.bz2").read_bytes()) == b""
    assert (folder / "edk2-arm-vars.fd.bz2").read_bytes() == b"real"
    assert sorted(path.name for path in folder.iterdir()) == [
        "edk2-arm-code.fd.bz2",
        "edk2-arm-vars.fd.bz2",
        "meson.build",
    ]
    assert add_missing_blobs(tmp_path) == ()


def test_a_tree_without_a_list_needs_none(tmp_path):
    assert add_missing_blobs(tmp_path) == ()
