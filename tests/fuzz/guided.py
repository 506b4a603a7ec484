"""Coverage-guided fuzzing: atheris derives new examples from those that reached new code.

It finds problems that hypothesis seldom finds (such as a header with bytes of another encoding), and takes
longer. Each target runs in a separate process (explorer.py), which a crash or a hang ends. The corpus is
kept, so the next run continues from there.
"""

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.errors import MissingError, StorageError
from harness.layout import Layout
from harness.options import choose_seed
from harness.process import run
from harness.progress import Reporter, Step
from tests.fuzz import runner
from tests.fuzz.runner import CPU_LIMIT_S, Failure, FuzzResults, Row
from tests.fuzz.targets import Target

ROOT = Path(__file__).resolve().parents[2]
"""Folder that contains this package, which is not installed."""
SPARE_S = 180.0
"""Additional time of an explorer for instrumentation, creating a corpus, and its end."""
WALL_FACTOR = 6
"""Wall-clock limit of an example as a multiple of its CPU limit: the machine is shared, and git runs."""
MOST_BYTES = 65536
MEMORY_MIB = 4096
FOUND = "found-"


def fuzz_guided(
    layout: Layout, reporter: Reporter, *, seconds: float, names: Sequence[str] = (), seed: int = 0
) -> FuzzResults:
    """Fuzz with atheris, otherwise like ``fuzz``. Failing examples are stored without minimising them.

    ``seed`` repeats the examples only with the same corpus and time. An explorer that does not work is a
    failure whose path is its log. Raises MissingError (no atheris), OptionError,
    StorageError.
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
    log = layout.logs / f"fuzz-{target.name}.log"
    try:
        corpus.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=layout.build / "fuzz"))
    except OSError as error:
        raise StorageError(f"cannot store the corpus: {error}", "free some disk space") from error
    summary, began = folder / "summary", time.monotonic()

    def report(_line: str) -> None:
        step.update(min(time.monotonic() - began, seconds), seconds, f"{_counts(summary)[0]} examples")

    try:
        with runner.scratch_layout(layout) as scratch:
            words = (target.name, scratch.root.parent, corpus, summary, str(seed), str(seconds))
            limits = (
                f"-max_total_time={max(1, round(seconds))}",
                f"-max_len={MOST_BYTES}",
                f"-timeout={WALL_FACTOR * CPU_LIMIT_S:.0f}",
                "-report_slow_units=0",
                f"-rss_limit_mb={MEMORY_MIB}",
                f"-artifact_prefix={folder}/{FOUND}",
            )
            ended = run(
                [sys.executable, "-m", "tests.fuzz.explorer", *words, *limits],
                cwd=ROOT,
                on_line=report,
                check=False,
                timeout_s=seconds + SPARE_S,
                log=log,
            )
        failure = None
        if ended.returncode != 0:
            example = next(iter(folder.glob(f"{FOUND}*")), None)
            problem = f"the explorer ended with status {ended.returncode}"
            failure = (
                _judged(target, layout, example, problem)
                if example is not None
                else Failure(target=target.name, problem=problem, path=log)
            )
        examples, refused = _counts(summary)
        return Row(target=target, examples=examples, refused=refused, failure=failure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _counts(summary: Path) -> tuple[int, int]:
    try:
        examples, refused = summary.read_text(encoding="ascii").split()
        return int(examples), int(refused)
    except (OSError, ValueError):
        return 0, 0


def _judged(target: Target, layout: Layout, example: Path, problem: str) -> Failure | None:
    """Read the example that ended an explorer again, in a separate process, because it may end that too.

    Returns None for a slow example that is read without problems: the machine was busy.
    """
    failure = runner.store_failure(layout, target, example.read_bytes(), problem)
    again = run(
        [sys.executable, "-m", "tests.fuzz", "--repeat", failure.path],
        cwd=ROOT,
        check=False,
        timeout_s=SPARE_S,
    )
    if again.returncode == 0 and example.name.startswith(f"{FOUND}timeout-"):
        for path in (failure.path, failure.path.with_suffix(".txt")):
            path.unlink(missing_ok=True)
        return None
    line = next((line for line in again.output.splitlines() if line.startswith("error: ")), "")
    if again.returncode != 0:
        problem = line.partition(f"{target.name}: ")[2] or f"reading it ends with status {again.returncode}"
    return runner.store_failure(layout, target, failure.path.read_bytes(), problem, again.output)
