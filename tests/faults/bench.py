"""Common parts of the cases: their working folder, the result of a trial, and the list of cases."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.world import WORDS, Ended, World, kill_marked

TRACEBACK = "Traceback (most recent call last)"
INTERNAL = 70


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One injected fault. ``reason`` is that of a failure, or with ``cancelled`` that of the cancellation."""

    name: str
    reason: str = ""
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The input of a case. ``kills`` is the number of instants; ``quick`` reduces the trials for CI.
    ``weakness`` is the defence that the harness lacks (weak.py)."""

    folder: Path
    seed: int
    kills: int
    quick: bool
    weakness: str = ""
    worlds: list[World] = field(default_factory=list)

    def stop(self) -> None:
        """End the runs of all open worlds."""
        for world in self.worlds:
            kill_marked(world.mark)

    @contextlib.contextmanager
    def world(self, kind: type[World] = World, **options: object) -> Iterator[World]:
        """Create a separate world; remove it afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        world = kind(folder, weakness=self.weakness, **options)  # type: ignore[arg-type]
        self.worlds.append(world)
        try:
            yield world
        finally:
            self.worlds.remove(world)
            world.close()
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def tmpfs(self, size: str) -> Iterator[Path]:
        """Mount a small file system in the private mount namespace of __main__."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
            folder.rmdir()

    @contextlib.contextmanager
    def two_worlds(self) -> Iterator[tuple[World, World]]:
        """Create two checkouts with a common cache and server."""
        with self.world() as first:
            second = World(
                first.folder, server=first.server, cache=first.cache, name="second", weakness=first.weakness
            )
            second.mark = first.mark
            yield first, second


Function = Callable[[Bench], Generator[Tried]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A named fault. ``private``: needs a private mount namespace; ``asked``: runs only when named."""

    name: str
    does: str
    private: bool
    asked: bool
    run: Function


CASES: dict[str, Case] = {}


def case(name: str, *, private: bool = False, asked: bool = False) -> Callable[[Function], Function]:
    """Register a function in CASES; docs/faults.md contains its docstring."""

    def keep(function: Function) -> Function:
        does = " ".join((function.__doc__ or "").split())
        CASES[name] = Case(name=name, does=does, private=private, asked=asked, run=function)
        return function

    return keep


def judge(ended: Ended, *codes: int, contains: str = "") -> str:
    """Return the reason if ``ended`` is not as expected, else "".

    The exit code must be one of ``codes``, the error must contain ``contains``, and have cause and remedy.
    """
    if TRACEBACK in ended.error or TRACEBACK in ended.out or ended.code == INTERNAL:
        return f"a traceback: {ended.tail()}"
    if ended.code not in codes:
        return ended.tail()
    if contains and contains not in ended.error:
        return f"the error does not contain {contains!r}: {ended.tail()}"
    if ended.code and ended.code < 128 and not ("error: " in ended.error and "remedy: " in ended.error):
        return f"no cause and remedy: {ended.tail()}"
    return ""


def first(*problems: str) -> str:
    """Return the first problem that is not empty."""
    return next(filter(None, problems), "")


def tried(
    world: World, name: str, stage: str, *codes: int, contains: str = "", before: Sequence[str] = ()
) -> Tried:
    """Run a stage; see ``judge``."""
    ended = world.run(stage, *WORDS, before=before)
    return Tried(name=name, reason=judge(ended, *codes, contains=contains))


def whole(world: World, name: str, *, built_only: bool = False, before: Sequence[str] = ()) -> Tried:
    """Run teardown, or only a build: it must succeed, and its results must be right."""
    ended = world.run("build" if built_only else "teardown", *WORDS, before=before)
    return Tried(name=name, reason=first(judge(ended, 0), world.problems(built_only=built_only)))


def stage_under_way(lines: list[str]) -> str:
    """Return the last step in a run's progress that had started and not ended."""
    begun = [line.strip().removesuffix(" …") for line in lines if line.rstrip().endswith(" …")]
    ended = [line for line in lines if ": done in " in line or ": failed in " in line]
    open_ = [title for title in begun if sum(line.startswith(f"{title}: ") for line in ended) == 0]
    return (open_ or ["between steps"])[-1]
