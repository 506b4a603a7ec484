"""Fuzzing that looks where examples lead: atheris makes new ones of those that reached something new.

It finds what hypothesis seldom does (both halves of a surrogate in one header, say), and takes longer. Each
target is explored by a process of its own (explorer.py), which a crash or a hang ends; the corpus is kept, so
that the next run goes on from there.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import FuzzError, MissingError, StorageError
from harness.fuzz import runner
from harness.fuzz.runner import CPU_LIMIT_S, Failure, FuzzResults, Row
from harness.fuzz.targets import Target
from harness.layout import Layout
from harness.options import choose_seed
from harness.process import run
from harness.progress import Reporter, Step

EXPLORER = Path(__file__).with_name("explorer.py")
START_S = 120.0
"""What an explorer may take beside its time: to change the modules, to make a corpus, to end."""
MOST_BYTES = 65536


def fuzz_guided(
    layout: Layout, reporter: Reporter, *, seconds: float, names: Sequence[str] = (), seed: int = 0
) -> FuzzResults:
    """As ``fuzz``, by atheris. Failing examples are stored as they were found, not made small.

    Raises MissingError (no atheris), OptionError, StorageError, FuzzError (an explorer that does not work).
    """
    if importlib.util.find_spec("atheris") is None:
        raise MissingError(
            "guided fuzzing needs atheris",
            "run it as nox -s fuzz -- --guided, with a Python that atheris has a wheel for",
        )
    targets, seed = runner.choose_targets(names), choose_seed(seed)
    parts = sum(target.share for target in targets)
    rows = []
    for number, target in enumerate(targets, start=1):
        with reporter.step(f"{number}/{len(targets)} {target.about}") as step:
            rows.append(_explore(target, layout, step, seconds * target.share / parts, seed))
    return FuzzResults(seed=seed, rows=tuple(rows))


def _explore(target: Target, layout: Layout, step: Step, seconds: float, seed: int) -> Row:
    corpus = layout.build / "fuzz" / "corpus" / target.name
    try:
        corpus.mkdir(parents=True, exist_ok=True)
        found = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=layout.build / "fuzz"))
    except OSError as error:
        raise StorageError(f"no corpus can be kept: {error}", "free the disk") from error
    summary, began = found / "summary", time.monotonic()

    def tell(_line: str) -> None:
        step.update(min(time.monotonic() - began, seconds), seconds, f"{_counts(summary)[0]} examples")

    ended = run(
        [
            *(sys.executable, "-P", EXPLORER, target.name, layout.root, corpus, summary),
            *(f"-max_total_time={max(1, round(seconds))}", f"-seed={seed % 2**31}", f"-max_len={MOST_BYTES}"),
            *(f"-timeout={CPU_LIMIT_S:.0f}", "-rss_limit_mb=4096", f"-artifact_prefix={found}/found-"),
        ],
        on_line=tell,
        check=False,
        timeout_s=seconds + START_S,
        log=layout.logs / f"fuzz-{target.name}.log",
    )
    examples, refused = _counts(summary)
    kept = sorted(found.glob("found-*"))
    if not kept and ended.returncode != 0:
        raise FuzzError(
            f"{target.name}: the explorer ended with status {ended.returncode}",
            "read the log",
            details=tuple(ended.output.splitlines()[-8:]),
            log=layout.logs / f"fuzz-{target.name}.log",
        )
    failure = _repeated(target, layout, kept[0]) if kept else None
    for file in (*kept, summary):
        file.unlink(missing_ok=True)
    found.rmdir()
    return Row(target=target, examples=examples, refused=refused, failure=failure)


def _counts(summary: Path) -> tuple[int, int]:
    try:
        examples, refused = summary.read_text(encoding="ascii").split()
        return int(examples), int(refused)
    except (OSError, ValueError):
        return 0, 0


def _repeated(target: Target, layout: Layout, path: Path) -> Failure:
    """The example that an explorer ended with, stored as those of ``fuzz`` are."""
    data = path.read_bytes()
    error: Exception
    try:
        runner.read_once(target, layout, data)
    except Exception as problem:  # noqa: BLE001 - it is what was looked for
        error = problem
    else:
        error = AssertionError("it ended the explorer, and is read well by itself (memory, or time)")
    return runner.store_failure(layout, target, data, error)
