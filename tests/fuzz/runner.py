"""Run examples for every target until the time is over; minimise, store and report failures."""

import contextlib
import hashlib
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from rich.console import RenderableType
from rich.table import Table

from harness.errors import FuzzError, HarnessError, OptionError, StorageError
from harness.jsonfile import write_bytes
from harness.layout import Layout
from harness.options import choose_seed
from harness.process import shell_quote
from harness.progress import Reporter
from tests.fuzz.targets import TARGETS, Target

BATCH = 2000
"""Examples of one hypothesis run; its memory use grows with them."""
CPU_LIMIT_S = 10.0
"""CPU seconds for one example of at most 200 kB; a parser that takes longer counts as hung."""
SHRINK_S = 30.0


class HangError(AssertionError):
    """An example took longer than CPU_LIMIT_S."""


class _EnoughError(KeyboardInterrupt):
    """Ends a hypothesis run, which passes on only KeyboardInterrupt at once."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An example that a parser crashed or hung on."""

    target: str
    problem: str
    """Type, message and place of the exception."""
    path: Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one target."""

    target: Target
    examples: int
    refused: int
    """Number of examples that were refused with a HarnessError."""
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class FuzzResults:
    """A complete run. ``seed`` repeats the same examples, as far as the time permits."""

    seed: int
    rows: tuple[Row, ...]


def choose_targets(names: Sequence[str]) -> tuple[Target, ...]:
    """Return the targets with these names; all without names. Raises OptionError."""
    known = {target.name: target for target in TARGETS}
    for name in names:
        if name not in known:
            raise OptionError(f"--only: there is no parser {name!r}", f"choose from: {' '.join(known)}")
    return tuple(known[name] for name in names) or TARGETS


def fuzz(
    layout: Layout,
    reporter: Reporter,
    *,
    seconds: float,
    names: Sequence[str] = (),
    seed: int = 0,
    most: int | None = None,
) -> FuzzResults:
    """Fuzz the targets ``names`` (default: all) for ``seconds`` in total, at most ``most`` examples each.

    Failing examples are stored below ``build/fuzz``. Raises OptionError, StorageError.
    """
    targets, seed = choose_targets(names), choose_seed(seed)
    parts = sum(target.share for target in targets)
    rows = []
    for number, target in enumerate(targets, start=1):
        with (
            reporter.step(f"{number}/{len(targets)} {target.about}") as step,
            scratch_layout(layout) as scratch,
        ):
            run = _Run(
                target=target,
                layout=scratch,
                seconds=seconds * target.share / parts,
                most=most or 10**9,
                update=step.update,
            )
            run.work(seed)
            rows.append(
                Row(target=target, examples=run.examples, refused=run.refused, failure=run.store(layout))
            )
    return FuzzResults(seed=seed, rows=tuple(rows))


def repeat(layout: Layout, path: Path) -> str:
    """Read the stored example ``path`` again and return the result in a line. Raises the parser's errors."""
    (target,) = choose_targets([path.name.partition("-")[0]])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OptionError(
            f"cannot read {path}: {error.strerror}", "choose a file below build/fuzz"
        ) from error
    with scratch_layout(layout) as scratch:
        try:
            _checked(target, scratch, data)
        except HarnessError as error:
            return f"{target.name}: refused as expected: {error.cause}"
        except Exception as error:
            raise FuzzError(
                f"{target.name}: {_describe(error)}",
                "fix the parser, and keep the example as a test",
                details=tuple("".join(traceback.format_exception(error)).splitlines()[-12:]),
            ) from error
    return f"{target.name}: read"


def check_fuzz(results: FuzzResults) -> None:
    """Raise FuzzError if an example failed; its details are the commands that repeat them."""
    failed = [row.failure for row in results.rows if row.failure]
    if failed:
        raise FuzzError(
            f"{len(failed)} of {len(results.rows)} parsers crashed or hung on an example",
            "fix them; the command below an example reads it again",
            details=tuple(
                line
                for failure in failed
                for line in (
                    f"{failure.target}: {failure.problem}",
                    f"  nox -s fuzz -- {shell_quote(['--repeat', str(failure.path)])}"
                    if failure.path.suffix == ".bin"
                    else f"  see {failure.path}",
                )
            ),
        )


def render_fuzz(results: FuzzResults) -> RenderableType:
    """Render a table of the targets."""
    table = Table("parser", "of", box=None, pad_edge=False)
    table.add_column("examples", justify="right")
    table.add_column("refused", justify="right")
    table.add_column("outcome")
    for row in results.rows:
        outcome = row.failure.problem if row.failure else "ok"
        table.add_row(row.target.name, row.target.about, str(row.examples), str(row.refused), outcome)
    return table


def settings_for(most: int, *phases: Phase) -> hypothesis.settings:
    """Return settings of hypothesis for ``most`` examples, without a database and a deadline."""
    return hypothesis.settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=tuple(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )


class _Run:
    def __init__(
        self,
        *,
        target: Target,
        layout: Layout,
        seconds: float,
        most: int,
        update: Callable[[float, float, str], None],
    ) -> None:
        self.examples = self.refused = 0
        self._target, self._layout, self._most, self._update = target, layout, most, update
        self._seconds = seconds
        self._began = self._end = 0.0
        self._failing: tuple[bytes, Exception] | None = None
        self._kind = ""

    def work(self, seed: int) -> None:
        """Run examples until the time is over, the number is reached, or a failure was minimised."""
        examples = self._target.examples(self._layout)
        self._began = time.monotonic()
        self._end = self._began + self._seconds
        batch = 0
        while self._failing is None and self.examples < self._most and time.monotonic() < self._end:
            most = min(BATCH, self._most - self.examples)
            test = hypothesis.seed(seed + batch)(hypothesis.given(examples)(self._one))
            settings = settings_for(most, Phase.generate, Phase.shrink)
            before = self.examples
            try:
                settings(test)()
            except _EnoughError:
                break
            except Exception:
                if self._failing is None:
                    raise  # an error of the strategies
            batch += 1
            if self.examples == before:
                break

    def store(self, layout: Layout) -> Failure | None:
        """Store the smallest failing example below ``build/fuzz``."""
        if self._failing is None:
            return None
        data, error = self._failing
        text = "".join(traceback.format_exception(error))
        return store_failure(layout, self._target, data, _describe(error), text)

    def _one(self, data: bytes) -> None:
        now = time.monotonic()
        if now >= self._end:
            raise _EnoughError
        self.examples += 1
        if self.examples % 50 == 0:
            self._update(now - self._began, self._end - self._began, f"{self.examples} examples")
        try:
            _checked(self._target, self._layout, data)
        except HarnessError:
            self.refused += 1
        except Exception as error:
            place = _describe(error)
            if self._failing is None:
                self._kind, self._end = place, now + SHRINK_S
            if place.partition(": ")[0] != self._kind.partition(": ")[0]:
                return  # another failure than the one that is being minimised
            if self._failing is None or len(data) <= len(self._failing[0]):
                self._failing = data, error
            raise


def store_failure(layout: Layout, target: Target, data: bytes, problem: str, text: str = "") -> Failure:
    """Store an example below ``build/fuzz``, and ``text`` (a traceback) next to it. Raises StorageError."""
    path = layout.build / "fuzz" / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    write_bytes(path, data)
    write_bytes(path.with_suffix(".txt"), (text or problem).encode("utf-8", "replace"))
    return Failure(target=target.name, problem=problem, path=path)


def _checked(target: Target, layout: Layout, data: bytes) -> None:
    with _limited():
        target.check(layout, data)


def _describe(error: Exception) -> str:
    """Describe an exception: ``KeyError in table.py line 7: 'x'``."""
    ours = ("/harness/", "/tests/fuzz/")
    frames = [one for one in traceback.extract_tb(error.__traceback__) if any(map(one.filename.count, ours))]
    place = f" in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {' '.join(str(error).split())[:120]}"


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raise HangError in the block after CPU_LIMIT_S of CPU time."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise HangError(f"more than {CPU_LIMIT_S:.0f} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def layout_in(folder: Path) -> Layout:
    """Return the layout of scratch_layout in ``folder``."""
    return Layout(
        root=folder / "root", build=folder / "build", trees=folder / "trees", cache=folder / "cache"
    )


@contextlib.contextmanager
def scratch_layout(layout: Layout) -> Iterator[Layout]:
    """Create a temporary layout with the project's options and patches; remove it afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="qemu-harness-fuzz-"))
    except OSError as error:
        raise StorageError(f"cannot create a temporary folder: {error}", "set TMPDIR") from error
    try:
        root = folder / "root"
        (root / "qemu-src").mkdir(parents=True)
        for name in ("meson.build", "meson_options.txt", "qemu-src/pins.toml"):
            shutil.copyfile(layout.root / name, root / name)
        shutil.copytree(layout.patches, root / "patches")
        for path in layout.root.glob(".ci/*.toml"):
            (root / ".ci").mkdir(exist_ok=True)
            shutil.copyfile(path, root / ".ci" / path.name)
        yield layout_in(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
