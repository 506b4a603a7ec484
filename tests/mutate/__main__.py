"""Mutation testing: do the tests notice a change of the code? ``python -m tests.mutate series options.py``.

Run by ``nox -s mutate``; docs/testing.md describes it. Without modules, those of targets.py are run. Verdicts
remain in build/mutate, so an interrupted run continues. Writes score.json, score.txt, survivors.txt there.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from harness.cli import prepare_streams, run_guarded
from harness.commands.request import number, say
from harness.errors import HarnessError
from harness.jsonfile import utc_now, write_bytes, write_json
from harness.layout import Layout, find_layout
from harness.lock import locked
from harness.progress import Reporter, Step, choose_reporter
from tests.mutate.folder import prepare
from tests.mutate.score import WORDS, Mutant, render_rows, render_survivors, rows_of, total_of, verdict_of
from tests.mutate.targets import ROOT, Target, choose_targets

RESULTS = "results.json"
_SPINNER = re.compile(r"[⠀-⣿] ")
_PROGRESS = re.compile(r"(\d+)/(\d+) .* 🙁 (\d+)")


def parser() -> argparse.ArgumentParser:
    """The words of nox -s mutate."""
    top = argparse.ArgumentParser(prog="nox -s mutate --", description=__doc__, allow_abbrev=False)
    top.add_argument("modules", nargs="*", help="modules or folders below harness, such as series/mail.py")
    top.add_argument(
        "--fresh", action="store_true", help="forget the results of these modules' targets first"
    )
    top.add_argument(
        "--jobs", type=number, default=0, metavar="N", help="mutants at a time (default: one per CPU)"
    )
    top.add_argument(
        "--sample", type=number, default=1, metavar="N", help="run each N-th mutant: an estimate of the score"
    )
    return top


def main(words: Sequence[str]) -> int:
    """Exit code: 0, 1 where tests fail without a mutation, or another of docs/errors.md."""
    prepare_streams()
    arguments = parser().parse_args(words)
    return run_guarded(lambda: _mutate(arguments), die_with_parent=True)


def _mutate(arguments: argparse.Namespace) -> int:
    targets = choose_targets(arguments.modules)
    layout, reporter = find_layout(ROOT), choose_reporter()
    jobs = arguments.jobs or len(os.sched_getaffinity(0))
    for target in targets:
        place = layout.build / "mutate" / target.name
        with locked(place, f"build/mutate/{target.name}", reporter):
            if arguments.fresh:
                shutil.rmtree(place, ignore_errors=True)
            try:
                _run(layout, target, jobs, arguments.sample, reporter)
            finally:
                _keep(layout)
    modules = {f"harness/{module}" for target in targets for module in target.modules}
    say(render_rows([row for row in rows_of(_known(layout)) if row.module in modules]).rstrip())
    say(f"survivors: {layout.build / 'mutate' / 'survivors.txt'}")
    return 0


def _run(layout: Layout, target: Target, jobs: int, sample: int, reporter: Reporter) -> None:
    """Run the mutants of one target that have no verdict yet."""
    with (
        tempfile.TemporaryDirectory(prefix="mutate-") as scratch,
        reporter.step(
            f"mutating {' '.join(target.modules)}" if len(target.modules) < 4 else f"mutating {target.path}"
        ) as step,
    ):
        folder = prepare(layout.build, target)
        log = folder / "log"
        # A mutant may write or remove what it should not: keep it away from the user's cache and from /tmp.
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "mutants"),
            "TMPDIR": scratch,
            "XDG_CACHE_HOME": f"{scratch}/cache",
        }
        worker = str(Path(__file__).with_name("worker.py"))
        words = [sys.executable, "-P", worker, RESULTS, WORDS, str(jobs), str(sample)]
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [*words, *(f"harness/{module}" for module in target.modules)],
                cwd=folder,
                env=environment,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            _follow(process, stream, step)
        if process.wait() != 0:
            last = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()][-8:]
            raise HarnessError(
                f"mutmut cannot run the tests of {target.path}",
                f"fix what fails without a mutation: pytest {' '.join(target.tests)}",
                details=tuple(last),
                log=log,
            )


def _follow(process: subprocess.Popen[str], log: TextIO, step: Step) -> None:
    """Copy mutmut's output to ``log``, except its counter, which becomes our progress."""
    assert process.stdout is not None
    for line in process.stdout:  # text mode ends a line at each carriage return too
        found = _PROGRESS.search(line)
        if found:
            step.update(int(found[1]), int(found[2]), f"{found[3]} survived")
        elif line.strip() and not _SPINNER.match(line):
            log.write(line)


def _known(layout: Layout) -> list[Mutant]:
    """Every mutant that any run has left a result of."""
    return [
        Mutant(verdict=verdict_of(entry.pop("exit_code")), **entry)
        for path in sorted((layout.build / "mutate").glob(f"*/{RESULTS}"))
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]


def _keep(layout: Layout) -> None:
    """Write the score and the survivors of all runs."""
    mutants, place = _known(layout), layout.build / "mutate"
    rows = rows_of(mutants)
    version = importlib.metadata.version("mutmut")
    write_json(
        place / "score.json",
        {
            "mutmut": version,
            "finished": utc_now(),
            "modules": {
                row.module: {**msgspec.structs.asdict(row), "score": row.score}
                for row in (*rows, total_of(rows))
            },
        },
    )
    write_bytes(place / "score.txt", render_rows(rows).encode())
    write_bytes(place / "survivors.txt", render_survivors(mutants).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
