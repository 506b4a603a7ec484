"""Malformed files, and caches that other users can write to."""

import contextlib
import os
import shutil
import stat
from collections.abc import Generator, Iterator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, tried, whole
from tests.faults.world import WORDS, World

BAD: dict[str, bytes] = {
    "empty": b"",
    "truncated": b"option('pin', type: 'str\ntitle = \"Fa",
    "not UTF-8": b"title = \"\xff\xfe\"\noption('pin', type: 'string', value: '\xff')\n",
    "binary": bytes(range(256)) * 20,
    "JSON": b"[]\n",
}
CACHES = (
    "build/7.2/base/native/configured.json",
    "build/7.2/base/native/build.json",
    "build/7.2/base/native/build.ninja",
    "build/7.2/base/native/.ninja_log",
    "build/7.2/base/native/qemu-system-x86_64",
    "build/7.2/base/src/.git",
    "build/results/build.json",
    "qemu-src/trees/7.2/harness.json",
    "qemu-src/trees/7.2/HEAD",
    "qemu-src/trees/7.2/config",
    "qemu-src/trees/7.2/packed-refs",
)
KEPT = ("options/*.json", "downloads/*.origin", "downloads/debs/*/resolved.json")


@contextlib.contextmanager
def instead(file: Path, data: bytes) -> Iterator[None]:
    """Replace the content of ``file`` until the block ends."""
    good = file.read_bytes()
    file.write_bytes(data)
    try:
        yield
    finally:
        file.write_bytes(good)


@case("bad-input")
def bad_input(bench: Bench) -> Generator[Tried]:
    """meson_options.txt, pins.toml, series.toml or a patch is empty, truncated, not UTF-8, binary or a
    folder: the run ends with an error with cause and remedy"""
    inputs = (
        "meson_options.txt",
        "qemu-src/pins.toml",
        "patches/async-teardown/series.toml",
        "patches/async-teardown/0001-osdep-bring-the-feature.patch",
    )
    with bench.world() as world:
        world.run("fetch", *WORDS)
        for name in inputs[:1] if bench.quick else inputs:
            file = world.root / name
            for kind, data in BAD.items():
                if name.endswith(".toml") and kind == "empty" and "series" in name:
                    continue  # an empty series.toml is valid
                with instead(file, data):
                    ended = world.run("tree", *WORDS)
                yield Tried(name=f"{file.name} {kind}", reason=judge(ended, 2, 6, 7))
            good = file.read_bytes()
            file.unlink()
            file.mkdir()
            ended = world.run("tree", *WORDS)
            file.rmdir()
            file.write_bytes(good)
            yield Tried(name=f"{file.name} is a folder", reason=judge(ended, 2, 7, 14))
        yield whole(world, "all restored", built_only=True)


@case("damage")
def damage(bench: Bench) -> Generator[Tried]:
    """files of an earlier run (stamps, results, git's files, a binary, caches) are emptied or overwritten:
    the run regenerates them and is correct, or prints what to remove"""
    with bench.world() as world:
        yield whole(world, "undamaged", built_only=True)
        files = [world.root / name for name in CACHES]
        files += [file for pattern in KEPT for file in sorted(world.cache.glob(pattern))]
        for file in files[:2] if bench.quick else files:
            if not file.is_file():
                continue
            for kind, data in (("empty", b""), ("other bytes", b'{"schema": 1}\n[]')):
                if not file.is_file():
                    continue
                file.write_bytes(data)
                yield _recovers(world, f"{file.name} {kind}")
        base, patched = (
            world.build / "7.2" / label / "native" / "qemu-system-x86_64"
            for label in ("base", "patched-async-teardown")
        )
        # Of the same size. The binary still runs, because the loaded parts are at the start of an ELF file.
        size = patched.stat().st_size
        patched.write_bytes(base.read_bytes()[:size].ljust(size, b"\0"))
        yield _recovers(world, "patched has base's binary")


def _recovers(world: World, name: str) -> Tried:
    ended = world.run("build", *WORDS)
    if ended.code == 6 and "remedy: " in ended.error and str(world.trees / "7.2") in ended.error:
        # The remedy may be to remove the tree; then this must work.
        world.run("clean")
        ended = world.run("build", *WORDS)
    for kept in (
        world.trees / "7.2.old",
        *world.build.rglob("src.old-*"),
        *world.archive.parent.glob("*.bad-*"),
    ):
        _remove(kept)
    return Tried(name=name, reason=first(judge(ended, 0), world.problems(built_only=True)))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@case("poisoned-cache")
def poisoned_cache(bench: Bench) -> Generator[Tried]:
    """a cache belongs to another user, is writable by others, contains an entry of another user, or can be
    replaced by others: it is refused, with a remedy"""
    with bench.world() as world:
        yield tried(world, "owned by the user", "fetch", 0)
        archive = world.archive.parent
        loose: dict[str, tuple[Path, int, int, int]] = {
            "writable by all": (world.cache, 0o777, -1, -1),
            "a folder in it writable by all": (archive, 0o777, -1, -1),
            "a folder above it writable by all": (world.folder, 0o777, -1, -1),
        }
        if os.geteuid() == 0:
            loose |= {
                "owned by another user": (world.cache, 0o755, 12345, 0),
                "an entry owned by another user": (archive, 0o755, 12345, 0),
                "writable by a group with other users": (world.cache, 0o775, 0, 100),
            }
        for name, (place, mode, owner, group) in loose.items():
            before = place.stat()
            os.chown(place, owner, group)
            place.chmod(mode)
            tried_now = tried(world, name, "fetch", 14, contains="cache")
            os.chown(place, before.st_uid, before.st_gid)
            place.chmod(stat.S_IMODE(before.st_mode))
            yield tried_now
        yield tried(world, "owned by the user again", "fetch", 0)
