"""Full disks, missing networks, and bad downloads."""

import contextlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, stage_under_way, tried, whole
from tests.faults.standin import ARCHIVE
from tests.faults.world import WORDS, World

KIB = 1024
FETCH, FULL = 4, 14
LATE = (("", "guest"), ("warm-up", "warm-up"), ("round 1", "round"), ("report", "report"))
STEPS_KIB = (0, 40, 800, 1400, 1800, 2600, 3600, 4400, 5200, 5600, 6000, 6200, 6400, 6800, 7200)
"""Free space for each run. Each run gets a little further than the previous one."""


class Ballast:
    """A file that limits the free space of a file system."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "ballast"

    def leave(self, room: int) -> None:
        """Leave ``room`` bytes free."""
        self.file.unlink(missing_ok=True)
        disk = os.statvfs(self.folder)
        with contextlib.suppress(OSError), self.file.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(4096, disk.f_bavail * disk.f_frsize - room))


@case("disk-full", private=True)
def disk_full(bench: Bench) -> Generator[Tried]:
    """the disk becomes full in each stage: the run ends with a cause, no wrong file is kept, and with more
    space the next run continues from there"""
    with bench.tmpfs("100m") as folder:
        (folder / "world").mkdir()
        world = World(folder / "world", weakness=bench.weakness)
        bench.worlds.append(world)
        ballast = Ballast(folder)
        start = _used(folder)
        try:
            for step in STEPS_KIB:
                ballast.file.unlink(missing_ok=True)
                ballast.leave(max(0, step * KIB - (_used(folder) - start)))
                running = world.start("build", *WORDS)
                ended = running.finish()
                if ended.code == 0:
                    break
                yield Tried(
                    name=f"{step} KiB for build: {stage_under_way(running.lines)}"
                    if ": failed in" not in ended.error
                    else f"{step} KiB for build: {_failed_step(ended.error)}",
                    reason=judge(ended, FULL),
                )
            ballast.file.unlink(missing_ok=True)
            yield whole(world, "more space, after build", built_only=True)
            for line, name in LATE:
                ballast.leave(4096 if not line else 10**8)
                running = world.start("teardown", *WORDS)
                if line:
                    running.wait_for(line)
                    ballast.leave(0)
                ended = running.finish()
                # A run that needs no more space may succeed.
                yield Tried(name=f"no space from {name} on", reason=judge(ended, FULL, 11, 0))
                ballast.file.unlink(missing_ok=True)
                if bench.quick:
                    break
            yield whole(world, "more space, after guest")
        finally:
            bench.worlds.remove(world)
            world.close()


def _failed_step(text: str) -> str:
    return next((line.partition(":")[0] for line in text.splitlines() if ": failed in " in line), "")


def _used(folder: Path) -> int:
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


@case("network-gone", private=True)
def network_gone(bench: Bench) -> Generator[Tried]:
    """no network (a network namespace without one) before, during and after the fetch: everything cached is
    used, and the error names what is missing"""
    away = ("unshare", "--net")
    with bench.world() as world:
        ended = world.teardown(before=away)
        yield Tried(name="before fetch", reason=first(judge(ended, FETCH), world.leftovers()))
        world.server.fault, world.server.once = "cut", True
        ended = world.run("fetch", *WORDS)
        yield Tried(name="during fetch", reason=first(judge(ended, FETCH), world.leftovers()))
        if not bench.quick:
            world.server.fault = "stall"
            yield tried(world, "a server stops sending", "fetch", FETCH, contains="timed out")
        yield tried(world, "network restored", "fetch", 0)
        if bench.quick:
            yield whole(world, "after fetch", built_only=True, before=away)
            return
        yield whole(world, "after fetch, complete run", before=away)
        debs = next(each for each in (world.cache / "downloads" / "debs").iterdir() if each.is_dir())
        kept = debs.with_name(f".{debs.name}")
        debs.rename(kept)
        yield tried(world, "without firmware", "teardown", FETCH, before=away)
        shutil.rmtree(debs, ignore_errors=True)
        kept.rename(debs)
        yield whole(world, "firmware restored")


@case("bad-downloads")
def bad_downloads(bench: Bench) -> Generator[Tried]:
    """a server returns a truncated, corrupt or different file, or none, or the cached file is damaged in
    these ways: it is never used, is reported, and is fetched again"""
    faults = {"cut": 4, "short": 5, "corrupt": 5, "swapped": 5, "gone": 4, "away": 4}
    with bench.world() as world:
        for fault, code in faults.items():
            world.server.fault, world.server.once = fault, True
            ended = world.run("fetch", *WORDS)
            reason = judge(ended, code)
            if world.archive.exists():
                reason = reason or "the cache contains the bad file"
            yield Tried(name=f"download {fault}", reason=reason)
        for file in world.archive.parent.glob("*.bad-*"):
            file.unlink()
        yield tried(world, "correct download", "fetch", 0)
        good = world.archive.read_bytes()
        bad = {
            "truncated": good[:-1000],
            "empty": b"",
            "corrupt": good[:5000] + bytes([good[5000] ^ 4]) + good[5001:],
            "swapped": b"something else" * 1000,
        }
        for name, data in bad.items():
            world.archive.write_bytes(data)
            ended = world.run("fetch", *WORDS)
            same = world.archive.is_file() and world.archive.read_bytes() == good
            yield Tried(
                name=f"cached {name}",
                reason=first(judge(ended, 0, contains="is damaged"), "" if same else "not fetched again"),
            )
        if bench.quick:
            return
        for file in world.archive.parent.glob("*.bad-*"):
            file.unlink()
        world.archive.unlink()
        world.archive.mkdir()
        yield tried(world, f"a folder in place of {ARCHIVE}", "fetch", 0, FULL)
        shutil.rmtree(world.archive, ignore_errors=True)
        yield whole(world, "final build", built_only=True)
