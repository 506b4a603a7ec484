"""Clocks that were set back or forward.

The cases change the times of files instead of the clock, because time namespaces (time_namespaces(7)) do not
include CLOCK_REALTIME, and all processes use the clock of the machine.
"""

import os
import struct
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, whole
from tests.faults.standin import patch
from tests.faults.world import WORDS, World

YEAR = 365 * 24 * 3600


def stamp(places: Iterator[Path] | tuple[Path, ...], when: float) -> None:
    """Set the time of all files and folders below ``places`` to ``when``."""
    for place in places:
        for folder, folders, files in os.walk(place):
            for name in (*folders, *files):
                os.utime(Path(folder) / name, (when, when), follow_symlinks=False)


def stamp_ninja(folder: Path, seconds: float) -> None:
    """Shift the times in ninja's records: .ninja_log is text, .ninja_deps is binary (ninja's deps_log.cc)."""
    log = folder / ".ninja_log"
    lines = log.read_text().splitlines(keepends=True)
    rows = [line.split("\t") for line in lines]
    for row in rows:
        if len(row) == 5:
            row[2] = str(int(row[2]) + int(seconds * 1e9))
    log.write_text("".join("\t".join(row) for row in rows))
    deps = folder / ".ninja_deps"
    data = bytearray(deps.read_bytes())
    at = len(b"# ninjadeps\n") + 4
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        if size & 0x80000000:
            (when,) = struct.unpack_from("<q", data, at + 8)
            struct.pack_into("<q", data, at + 8, when + int(seconds * 1e9))
        at += 4 + (size & 0x7FFFFFFF)
    deps.write_bytes(data)


def set_back(world: World, seconds: float) -> None:
    """Shift the times of all files of the runs of ``world`` by ``seconds``."""
    for log in world.build.rglob(".ninja_log"):
        stamp_ninja(log.parent, seconds)
        for file in (*log.parent.rglob("*"), *log.parent.parent.joinpath("src").rglob("*")):
            # The order of the times, which ninja uses, does not change.
            if not file.is_symlink():
                when = file.stat().st_mtime_ns + int(seconds * 1e9)
                os.utime(file, ns=(when, when))


@case("clock")
def clock(bench: Bench) -> Generator[Tried]:
    """the clock is set back by a year after the last run (all files are from the future) or was wrong (all
    files are from 1970): the run is correct, even if the series has changed since"""
    with bench.world() as world:
        yield whole(world, "correct clock", built_only=True)
        places = (world.build, world.trees, world.cache)
        for name, when in (("from the future", time.time() + YEAR), ("from 1970", 86400.0)):
            stamp(places, when)
            yield whole(world, f"all files {name}", built_only=True)
            yield _changed(world, name)
        set_back(world, YEAR)
        yield _changed(world, "and ninja's records from the future")


def _changed(world: World, name: str) -> Tried:
    """Build another series, whose sources are older than all built files."""
    file = world.root / "patches" / "async-teardown" / "0001-osdep-bring-the-feature.patch"
    file.write_text(patch().replace("7.2.0-series", "7.2.0-other"))
    ended = world.run("build", *WORDS)
    built = world.build / "7.2" / "patched-async-teardown" / "native" / "qemu-system-x86_64"
    stale = b"7.2.0-other" not in built.read_bytes()
    file.write_text(patch())
    again = world.run("build", *WORDS)
    return Tried(
        name=f"all files {name}, another series",
        reason=first(
            judge(ended, 0),
            "the binary was not built from the series" if stale else "",
            judge(again, 0),
            world.problems(built_only=True),
        ),
    )
