"""harness.guest.spelling: -runas and -chroot as the release of a binary spells them."""

import pytest

from harness.guest.spelling import respell

WORDS = ("-sandbox", "on", "-runas", "nobody", "-chroot", "/x", "-m", "1")
OLD = b"\0-runas user     change to user\n\0-chroot dir     chroot to dir\n\0[,user=no]\0"
ONLY_CHROOT = (
    b"\0-runas user\n\0-run-with [async-teardown=on|off][,chroot=dir]\n       Set options\n\0[,user=no]"
)
BOTH = (
    b"\0-run-with [async-teardown=on|off][,chroot=dir]\n          [,exit-with-parent=on|off][,user=name]\n"
    b"                Set options:\n                chroot=dir chroot\n\0"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (OLD, WORDS),
        (ONLY_CHROOT, ("-sandbox", "on", "-runas", "nobody", "-run-with", "chroot=/x", "-m", "1")),
        (BOTH, ("-sandbox", "on", "-run-with", "user=nobody", "-run-with", "chroot=/x", "-m", "1")),
    ],
)
def test_renamed_options_follow_the_help_text_in_the_binary(content, expected, tmp_path):
    binary = tmp_path / "qemu"
    binary.write_bytes(b"\x7fELF" + content)
    assert respell(WORDS, binary) == expected


def test_other_options_do_not_read_the_binary(tmp_path):
    assert respell(("-daemonize", "-sandbox", "on"), tmp_path / "missing") == ("-daemonize", "-sandbox", "on")
    with pytest.raises(OSError, match="missing"):
        respell(("-runas", "nobody"), tmp_path / "missing")


def test_a_binary_that_is_built_again_is_read_again(tmp_path):
    binary = tmp_path / "qemu"
    binary.write_bytes(OLD)
    assert respell(("-runas", "nobody"), binary) == ("-runas", "nobody")
    binary.unlink()
    binary.write_bytes(BOTH)
    assert respell(("-runas", "nobody"), binary) == ("-run-with", "user=nobody")
