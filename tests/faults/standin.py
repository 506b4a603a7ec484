"""The stand-in for QEMU: a release, its pin, and a series of one patch. Their bytes are always the same."""

import difflib
import functools
import io
import json
import random
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "fakeqemu"
TARGET = "x86_64-softmmu"
ARCHIVE = "stand-in.tar.xz"
OSDEP = """\
#include <fake.h>

const char *fake_version(void)
{
    return "7.2.0";
}

int fake_feature(void)
{
    return 1; /* upstream */
}
"""
OPTIONS = 'DEF("fake", 0, QEMU_OPTION_fake, "-fake MODE\\n", QEMU_ARCH_ALL)\n'
FEATURE = 'DEF("async-teardown", 0, QEMU_OPTION_asyncteardown, "-async-teardown\\n", QEMU_ARCH_ALL)\n'
WITHOUT = OSDEP.replace("return 1; /* upstream */", "return 0;")
WITH_SERIES = WITHOUT.replace("7.2.0", "7.2.0-series").replace("return 0;", "return 1;")
VERSIONS = {
    "base": "QEMU emulator version 7.2.0 (fake x86_64, feature 0)",
    "patched": "QEMU emulator version 7.2.0-series (fake x86_64, feature 1)",
}


@functools.cache
def release() -> bytes:
    """Return the archive. Additional files make the import and the checkout take longer."""
    files = {
        "VERSION": "7.2.0\n",
        "configure": (FAKE / "configure").read_text(),
        "slow.sh": (FAKE / "slow.sh").read_text(),
        "main.c": (FAKE / "main.c").read_text(),
        "include/fake.h": (FAKE / "include" / "fake.h").read_text(),
        "vl.c": (Path(__file__).with_name("qemu.c")).read_text(),
        "osdep.c": OSDEP,
        "qemu-options.hx": OPTIONS + FEATURE,
        "configs/targets/x86_64-softmmu.mak": "",
        "prepared": "no\n",
    }
    draw = random.Random(1)
    files |= {f"docs/{number}.txt": draw.randbytes(4000).hex() for number in range(300)}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz", preset=0) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"qemu-7.2.0/{name}")
            member.size, member.mode = len(text.encode()), 0o755 if name == "configure" else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def patch() -> str:
    """Return the patch of the series."""
    changes = {"osdep.c": (WITHOUT, WITH_SERIES), "qemu-options.hx": (OPTIONS, OPTIONS + FEATURE)}
    diff = ""
    for name, (old, new) in changes.items():
        lines = difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
        diff += f"diff --git a/{name} b/{name}\n{''.join(lines)}"
    return (
        "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
        "From: Somebody <somebody@example.org>\nDate: Tue, 1 Feb 2022 10:00:00 +0100\n"
        "Subject: [PATCH 1/1] osdep: bring the feature\n\nThe harness tests faults with it.\n---\n"
        " osdep.c         | 4 ++--\n qemu-options.hx | 1 +\n"
        " 2 files changed, 3 insertions(+), 2 deletions(-)\n\n"
        f"{diff}-- \n2.39.5\n"
    )


def pins(url: str, digest: str, size: int) -> str:
    """Return the pin of the stand-in, in the format of qemu-src/pins.toml."""
    edits = [
        ("prepare", "prepared", "no", "yes"),
        ("unmerge", "osdep.c", "return 1; /* upstream */", "return 0;"),
        ("unmerge", "qemu-options.hx", FEATURE, ""),
    ]
    text = (
        f'["7.2"]\narchive = "{ARCHIVE}"\nsha256 = "{digest}"\nsize = {size}\n'
        f'[["7.2".locations]]\nkind = "url"\nurl = "{url}"\n'
        '["7.2".traces]\npatterns = ["upstream"]\n'
    )
    for kind, file, old, new in edits:
        texts = f"old = {json.dumps(old)}\nnew = {json.dumps(new)}\n"
        text += f'[["7.2".{kind}]]\nkind = "replace"\nfile = "{file}"\n{texts}'
    return text
