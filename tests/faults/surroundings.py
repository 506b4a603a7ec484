"""Unusual environments, paths and terminals."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import threading
from collections.abc import Generator

from tests.faults.bench import Bench, Tried, case, first, judge, tried, whole
from tests.faults.standin import ROOT
from tests.faults.world import WORDS, World

QUOTED = 'it\'s a "folder"'
ODD = f"{QUOTED} $HOME;\\ ü"


@case("environment")
def environment(bench: Bench) -> Generator[Tried]:
    """no UTF-8, variables that are not text, no HOME, no TMPDIR, an empty PATH, no standard output: the run
    completes, or ends with an error with cause and remedy"""
    changes: dict[str, dict[str, str | None]] = {
        "locale C without UTF-8": {
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
            "LANG": None,
        },
        "a locale that does not exist": {"LC_ALL": "xx_YY.UTF-9"},
        "variables that are not UTF-8": {"WEIRD": "\udcff\udcfe", "LANG": "\udcff"},
        "no HOME": {"HOME": None},
        "a HOME that does not exist": {"HOME": "/nonexistent/home"},
        "a TMPDIR that does not exist": {"TMPDIR": "/nonexistent/tmp"},
        "an unknown TERM": {"TERM": "no-such-terminal"},
        "COLUMNS that is not a number": {"COLUMNS": "many"},
    }
    with bench.world() as world:
        yield tried(world, "unchanged", "build", 0)
        for name, changed in changes.items():
            world.extra = changed
            shutil.rmtree(world.build / "7.2" / "base", ignore_errors=True)
            yield whole(world, name, built_only=True)
            if bench.quick:
                break
        world.extra = {}
        if not bench.quick:
            for changed in changes.values():
                world.extra |= changed
            yield whole(world, "all of these at once")
        world.extra = {"PATH": "/nonexistent"}
        yield tried(world, "an empty PATH", "build", 3)
        world.extra = {"HOME": None, "QEMU_HARNESS_CACHE": None, "XDG_CACHE_HOME": None}
        ended = world.run("which", "base", "x86_64-softmmu", *WORDS)
        yield Tried(name="no HOME and no cache variable", reason=judge(ended, 0))
        world.extra = {"HOME": "/proc/nonexistent", "QEMU_HARNESS_CACHE": None}
        yield tried(world, "a cache folder that cannot be created", "build", 14)
        world.extra = {}
        for name, redirect in (("standard output closed", ">&-"), ("standard error closed", "2>&-")):
            ended = world.run("build", *WORDS, before=("sh", "-c", f'exec "$@" {redirect}', "sh"))
            reason = world.problems(built_only=True)
            yield Tried(name=name, reason=first(reason, "" if ended.code == 0 else ended.tail()))
        yield tried(world, "standard output full", "build", 14, before=("sh", "-c", '"$@" >/dev/full', "sh"))


@case("paths", private=True)
def paths(bench: Bench) -> Generator[Tried]:
    """spaces, quotes and other characters in the paths of the cache, the trees and the checkout, and a
    read-only checkout with build folder and trees elsewhere"""
    with bench.world() as world:
        odd = world.folder / ODD
        world.cache.rename(odd)
        world.cache = odd
        world.extra = {"QEMU_HARNESS_TREES": str(world.folder / f"{ODD} trees")}
        yield whole(world, "cache and trees", built_only=bench.quick)
    with bench.world(name=QUOTED) as world:
        ended = world.run("build", *WORDS)
        # QEMU's own configure refuses such a folder ("cannot contain spaces nor colons").
        yield Tried(name="build folder", reason=judge(ended, 2, contains="QEMU_HARNESS_BUILD"))
        world.extra = {"QEMU_HARNESS_BUILD": str(world.folder / "build")}
        yield whole(world, "checkout, build folder elsewhere", built_only=bench.quick)
        if bench.quick:
            return
    with bench.world() as world:
        subprocess.run(["mount", "--bind", world.root, world.root], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", world.root], check=True)
            yield tried(world, "read-only checkout", "build", 14, contains="QEMU_HARNESS_BUILD")
            world.extra = {
                "QEMU_HARNESS_BUILD": str(world.folder / "build"),
                "QEMU_HARNESS_TREES": str(world.folder / "trees"),
            }
            yield whole(world, "read-only checkout, other folders elsewhere")
        finally:
            subprocess.run(["umount", "-l", world.root], check=True)


@case("terminal")
def terminal(bench: Bench) -> Generator[Tried]:
    """a terminal of 40 columns, of 1 column, of unknown width, or one that is closed during the run: no line
    is wider than the terminal while a progress bar is shown, and the run is correct"""
    with bench.world() as world:
        yield tried(world, "unchanged", "build", 0)
        for columns in (40,) if bench.quick else (40, 1, 0):
            stage = "report" if bench.quick else "teardown"
            code, text = at_terminal(world, columns, "build" if bench.quick else stage, *WORDS)
            lost = "Traceback" in text or "error:" in text
            wide = [line for line in bar_lines(text) if columns > 1 and len(line) > columns]
            yield Tried(
                name=f"{columns} columns",
                reason=first(
                    f"status {code}: {text[-300:]}" if code or lost else "",
                    f"a line of {len(wide[0])} columns: {wide[0]}" if wide else "",
                    world.problems(built_only=bench.quick),
                ),
            )
        if not bench.quick:
            code, text = at_terminal(world, 80, "teardown", *WORDS, hang_up_after="round 1")
            yield whole(world, "closed during the run")


def bar_lines(text: str) -> list[str]:
    """Return the lines with progress bars, before the final table, without control sequences (ECMA-48)."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.partition("Teardown, medians")[0])
    return [line for line in re.split(r"[\r\n]+", plain) if "━" in line or "✓" in line]


def at_terminal(
    world: World, columns: int, stage: str, *words: str, hang_up_after: str = ""
) -> tuple[int, str]:
    """Run in a pseudo-terminal. Return the exit status and the output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *world.command(stage, *words)],
        cwd=ROOT,
        env={**world.environment(), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                shown.append(data)
                if hang_up_after and hang_up_after.encode() in b"".join(shown):
                    break
        os.close(ours)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    code = process.wait(200)
    reader.join(10)
    return code, b"".join(shown).decode("utf-8", "replace")
