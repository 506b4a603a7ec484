"""kill -9 while the real QEMU is fetched, built and timed. This takes minutes, and runs only on request."""

import random
import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

from harness.layout import find_layout
from harness.options import parse_options
from harness.source.pin import find_pin
from tests.faults.bench import Bench, Tried, case, whole
from tests.faults.kills import VICTIMS, kill_after
from tests.faults.standin import ROOT
from tests.faults.world import World


class RealWorld(World):
    """A checkout for the real QEMU and the real series, with an empty cache.

    Only ccache is that of the user, so that compiling takes two minutes instead of thirty.
    """

    def lay_out(self, *, own_cache: bool) -> None:
        layout = find_layout(ROOT)
        pin = find_pin(layout, parse_options(layout, []).pin)
        self.archive_name, self.digest = pin.archive, pin.sha256
        self.limit_s = 3600.0
        shutil.copy(layout.pins_file, self.root / "qemu-src" / "pins.toml")
        shutil.copytree(layout.patches, self.root / "patches")
        if own_cache:
            self._link_ccache()

    def _link_ccache(self) -> None:
        objects = find_layout(ROOT).cache / "ccache"
        if objects.is_dir():
            self.cache.mkdir()
            (self.cache / "ccache").symlink_to(objects)

    def reset(self) -> None:
        """Remove everything except the user's compiled objects."""
        for place in (self.build, self.trees, self.cache):
            shutil.rmtree(place, ignore_errors=True)
        self._link_ccache()

    def wrong_build(self, variant: str, path: Path, version: str, recorded: str) -> Iterator[str]:
        if version.splitlines()[:1] != [recorded]:
            yield f"{variant} prints {version!r}, not {recorded!r}"
        words = [str(path), "-async-teardown", "-version"]
        supports = subprocess.run(words, capture_output=True, check=False).returncode == 0
        if supports != (variant == "patched"):
            yield f"{variant} {'supports' if supports else 'does not support'} -async-teardown"

    def unprepared(self, source: Path) -> str:
        edited = "unpack_edk2_blobs = false" in (source / "meson.build").read_text()
        return "" if edited else f"{source} is not prepared"


@case("kill-qemu", asked=True)
def kill_qemu(bench: Bench) -> Generator[Tried]:
    """kill with the real QEMU: a run is killed at a random instant, and the next one continues from there
    until it is killed, and so on; a run that completes is correct, and in half of the cases the next one
    then starts from scratch (takes ten minutes and needs a network; runs only when named)"""
    draw = random.Random(bench.seed)
    with bench.world(kind=RealWorld) as world:
        for number in range(bench.kills):
            # Half of the kills are early: fetch and import take seconds, configure and compile a minute.
            seconds = draw.uniform(0.5, 12) if draw.random() < 0.5 else draw.uniform(12, 60)
            victim = VICTIMS[number % len(VICTIMS)]
            killed = kill_after(world, seconds, victim)
            if killed is not None:
                yield Tried(name=f"{victim}{killed[0]}", reason=killed[1])
                continue
            yield Tried(name=f"a run that ended before {seconds:.0f} s", reason=world.problems())
            if draw.random() < 0.5:  # otherwise most later kills would interrupt timing and report
                assert isinstance(world, RealWorld)
                world.reset()
        yield whole(world, "a complete run")
