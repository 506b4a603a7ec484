"""QEMU binaries that misbehave."""

import json
import re
from collections.abc import Generator
from pathlib import Path

from tests.faults.bench import Bench, Tried, case, first, judge, whole
from tests.faults.world import WORDS, World

SAMPLES = 11
GUEST_WORDS = ("-Dmemory=16M", "-Dtimeout=3", "--no-build")
RUNS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "sigterm",
        {
            "hang-start": "not ready after 3 s",
            "ignore-term": "did not end",
            "core": "signal 6",
            "crash-start": "signal 11",
            "megabytes": "",
        },
    ),
    ("quit", {"hang-quit": "did not end"}),
    ("sigterm", {"endless": "more than 256 MiB"}),
)
"""Trigger, and the modes of qemu.c for it: mode → text that the reason of its row must contain."""
LOG_LIMIT = 4 << 20


@case("bad-qemu")
def bad_qemu(bench: Bench) -> Generator[Tried]:
    """a QEMU hangs at start, at quit or at --version, ignores SIGTERM, prints a hundred megabytes or
    endlessly, dumps core or crashes: the row fails in good time with the reason, and nothing is left
    behind"""
    with bench.world() as world:
        build = whole(world, "build of a correct QEMU", built_only=True)
        yield build
        if build.reason:
            return
        built = world.build / "7.2" / "patched-async-teardown" / "native" / "qemu-system-x86_64"
        for trigger, modes in RUNS[:1] if bench.quick else RUNS:
            binaries = [f"{mode}={built},-async-teardown,-fault,{mode}" for mode in modes]
            ended = world.run(
                "teardown",
                *(*WORDS, *GUEST_WORDS, f"-Dtriggers={trigger}"),
                *(word for binary in binaries for word in ("--binary", binary)),
            )
            problem = first(judge(ended, SAMPLES if any(modes.values()) else 0), _remains(world))
            for mode, wanted in modes.items():
                yield Tried(name=f"{mode}, {trigger}", reason=first(_row(world, mode, wanted), problem))
        if bench.quick:
            return
        for name, text in (
            ("hang-version", "sleep 1000"),
            ("no-version", "exit 1"),
            ("megabytes-version", "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -c 50000000"),
        ):
            path = program(world.folder / name, text)
            ended = world.run(
                "teardown", *(*WORDS, *GUEST_WORDS), "--binary", f"{name}={path},-async-teardown"
            )
            yield Tried(name=name, reason=first(judge(ended, 1, 2, 10, SAMPLES, 13), _remains(world)))


def _row(world: World, mode: str, wanted: str) -> str:
    rows = json.loads((world.build / "results" / "teardown.json").read_text())["rows"]
    row = next(row for row in rows if row["kind"] == "teardown" and row["variant"] == mode)
    if not wanted:
        return "" if row["outcome"] == "ok" else f"row {row['outcome']}: {row['reason']}"
    if row["outcome"] != "failed" or wanted not in row["reason"]:
        return f"row {row['outcome']}: {row['reason']}"
    return ""


def _remains(world: World) -> str:
    """Return the first leftover: processes, core files, large logs."""
    files = [file for file in world.folder.rglob("*") if file.is_file() and not file.is_symlink()]
    cores = [file for file in files if re.fullmatch(r"core(\.\d+)?|.*\.core", file.name)]
    large = [file for file in files if file.stat().st_size > LOG_LIMIT]
    return first(
        world.leftovers(),
        f"core file {cores[0]}" if cores else "",
        f"{large[0].name} has {large[0].stat().st_size >> 20} MiB" if large else "",
    )


def program(folder: Path, text: str) -> Path:
    """Create a shell script with the name of a QEMU binary."""
    folder.mkdir()
    path = folder / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
