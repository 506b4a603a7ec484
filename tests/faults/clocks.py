"""Clocks that were set back or forth. A file's time stands for the clock that wrote it: time namespaces
(time_namespaces(7)) leave CLOCK_REALTIME alone, and the machine's own clock is everybody's."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge
from tests.faults.standin import patch
from tests.faults.world import WORDS, World

YEAR = 365 * 24 * 3600


def stamp(places: Iterator[Path] | tuple[Path, ...], when: float) -> None:
    """Give every file and folder below ``places`` the time ``when``."""
    for place in places:
        for folder, folders, files in os.walk(place):
            for name in (*folders, *files):
                os.utime(Path(folder) / name, (when, when), follow_symlinks=False)


def stamp_ninja(folder: Path, seconds: float) -> None:
    """Move the times in ninja's own records: .ninja_log is text, .ninja_deps is not (ninja's deps_log.cc)."""
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
    """All that the runs of ``world`` have written was written ``seconds`` from now."""
    for log in world.build.rglob(".ninja_log"):
        stamp_ninja(log.parent, seconds)
        for file in (*log.parent.rglob("*"), *log.parent.parent.joinpath("src").rglob("*")):
            # Each keeps its place among the others, which is what ninja looks at.
            if not file.is_symlink():
                when = file.stat().st_mtime_ns + int(seconds * 1e9)
                os.utime(file, ns=(when, when))


@case("clock")
def clock(bench: Bench) -> Generator[Tried]:
    """the clock is set back by a year after the last run (all files are from the future) or was wrong (all
    files are from 1970): the run is correct, even if the series has changed since"""
    with bench.world() as world:
        ended = world.run("build", *WORDS)
        yield Tried(name="as it is", reason=first(judge(ended, 0), world.problems(built_only=True)))
        places = (world.build, world.trees, world.cache)
        for name, when in (("from the future", time.time() + YEAR), ("from 1970", 86400.0)):
            stamp(places, when)
            ended = world.run("build", *WORDS)
            yield Tried(name=f"all {name}", reason=first(judge(ended, 0), world.problems(built_only=True)))
            yield _changed(world, name)
        set_back(world, YEAR)
        yield _changed(world, "from the future, ninja's records too")


def _changed(world: World, name: str) -> Tried:
    """Another series, whose sources have times from before all that was built."""
    file = world.root / "patches" / "async-teardown" / "0001-osdep-bring-the-feature.patch"
    file.write_text(patch().replace("7.2.0-series", "7.2.0-other"))
    ended = world.run("build", *WORDS)
    built = world.build / "7.2" / "patched-async-teardown" / "native" / "qemu-system-x86_64"
    stale = b"7.2.0-other" not in built.read_bytes()
    file.write_text(patch())
    again = world.run("build", *WORDS)
    return Tried(
        name=f"all {name}, and another series",
        reason=first(
            judge(ended, 0),
            "the binary is not of the series" if stale else "",
            judge(again, 0),
            world.problems(built_only=True),
        ),
    )
