"""kill -9 while the real QEMU is fetched, built and timed: minutes instead of seconds, only when asked."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.layout import find_layout
from harness.options import parse_options
from harness.source.pin import find_pin
from tests.faults.bench import Bench, Tried, case, first, judge
from tests.faults.kills import WHOM, kill_in
from tests.faults.standin import ROOT
from tests.faults.world import World

STAGES: tuple[tuple[str, str, float], ...] = (
    ("fetch", "fetching ", 3.0),
    ("import", "importing ", 6.0),
    ("checkout of base", "checking out base", 5.0),
    ("apply", "applying ", 0.7),
    ("checkout of patched", "checking out patched", 5.0),
    ("configure of base", "configure 7.2 base", 20.0),
    ("compile of base", "compile 7.2 base", 60.0),
    ("configure of patched", "configure 7.2 patched", 12.0),
    ("compile of patched", "compile 7.2 patched", 50.0),
    ("warm-up", "warm-up", 2.0),
    ("samples", "round 1", 2.0),
    ("report", "report …", 1.0),
)
"""Stages in the order in which a run comes to them, their first lines, and how long they last at least."""


class RealWorld(World):
    """A checkout of the real QEMU and the real series, with a cache of its own: nothing is fetched yet.

    Only ccache is the user's, so that compiling takes two minutes and not thirty.
    """

    def lay_out(self, *, own_cache: bool) -> None:
        layout = find_layout(ROOT)
        pin = find_pin(layout, parse_options(layout, []).pin)
        self.archive_name, self.digest = pin.archive, pin.sha256
        self.limit_s = 3600.0
        shutil.copy(layout.pins_file, self.root / "qemu-src" / "pins.toml")
        shutil.copytree(layout.patches, self.root / "patches")
        if own_cache and (layout.cache / "ccache").is_dir():
            self.cache.mkdir()
            (self.cache / "ccache").symlink_to(layout.cache / "ccache")

    def wrong_build(self, variant: str, path: Path, said: str, recorded: str) -> Iterator[str]:
        if said.splitlines()[:1] != [recorded]:
            yield f"{variant} says {said!r}, not {recorded!r}"
        words = [path, "-async-teardown", "-version"]
        knows = subprocess.run(words, capture_output=True, check=False).returncode == 0
        if knows != (variant == "patched"):
            yield f"{variant} {'knows' if knows else 'does not know'} -async-teardown"

    def unprepared(self, source: Path) -> str:
        edited = "unpack_edk2_blobs = false" in (source / "meson.build").read_text()
        return "" if edited else f"{source} is not prepared"


@case("kill-qemu", asked=True)
def kill_qemu(bench: Bench) -> Iterator[Tried]:
    """the same with the real QEMU, from nothing: each run is killed a stage later than the one before it and
    goes on from what that left, and the last one is right (a quarter of an hour, and needs a network; not
    among those tried by default)"""
    draw = random.Random(bench.seed)
    number = 0
    with bench.world(kind=RealWorld) as world:
        for index, (stage, words, seconds) in enumerate(STAGES):
            for _ in range(len(range(index, bench.kills, len(STAGES)))):
                whom = WHOM[number % len(WHOM)]
                number += 1
                where, problem = kill_in(world, words, seconds * draw.random(), whom)
                yield Tried(name=f"{whom} in {stage}{where}", reason=problem)
        ended = world.teardown()
        yield Tried(name="a run to its end", reason=first(judge(ended, 0), world.problems()))
