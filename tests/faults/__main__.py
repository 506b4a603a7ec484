"""Inject faults into the harness and report which ones it survives: ``python -m tests.faults --cases kill``.

Run by ``nox -s faults``. Each case runs the whole harness as users start it, in a small environment
(world.py); docs/faults.md describes the cases. Needs no network.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.build.doctor import ensure
from harness.cli import prepare_streams, run_guarded
from harness.commands.request import Output, say
from harness.errors import OptionError
from harness.jsonfile import utc_now, write_json
from harness.layout import Layout, find_layout
from harness.machine import host_facts
from harness.options import choose_seed, parse_options
from harness.progress import choose_reporter
from harness.results import with_words
from tests.faults import clocks, inputs, kills, qemus, real, sharing, storage, surroundings, weak
from tests.faults.bench import CASES, Bench, Case
from tests.faults.report import FaultRow, FaultsResults, Outcome, check_faults, faults_file, render_faults

KILLS = 30
PRIVATE = "QEMU_HARNESS_FAULTS_PRIVATE"
MODULES = (kills, sharing, storage, qemus, clocks, inputs, surroundings, real)
"""Imported for the cases that they register."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments of nox -s faults."""
    top = argparse.ArgumentParser(prog="nox -s faults --", description=__doc__, allow_abbrev=False)
    usual = ",".join(case.name for case in CASES.values() if not case.asked)
    top.add_argument(
        "--cases", default=usual, metavar="LIST", help="cases to run (default: all except kill-qemu)"
    )
    top.add_argument("--kills", type=int, default=KILLS, metavar="N", help="instants of kill -9 (30)")
    top.add_argument("--seed", type=int, default=0, help="seed of the instants; 0: a new one")
    top.add_argument("--quick", action="store_true", help="only the first trials of each case, for CI")
    top.add_argument(
        "--weakened",
        action="store_true",
        help="remove one defence of the harness at a time: do the cases notice?",
    )
    top.add_argument("--at-once", type=int, default=2, metavar="N", help="cases at a time (2)")
    top.add_argument("--list", action="store_true", help="list the cases and run none")
    return top


def main(words: Sequence[str]) -> int:
    """Return the exit code: 0, 32 if a fault was not survived, or another of docs/errors.md."""
    prepare_streams()
    arguments = parser().parse_args(words)
    if arguments.list:
        for case in CASES.values():
            say(f"{case.name}: {case.does}")
            for each in weak.WEAKNESSES.values():
                if each.case == case.name:
                    say(f"  without a defence, {each.name}: {each.does}")
        return 0
    if PRIVATE not in os.environ:
        _become_private(words)
    return run_guarded(lambda: try_all(arguments, words), die_with_parent=True)


def _become_private(words: Sequence[str]) -> None:
    """Restart in a private mount namespace, if permitted, so that mounts are invisible to other processes."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", "--mount", "--propagation", "private", *root]
    works = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    argv = [sys.executable, "-m", "tests.faults", *words]
    os.environ[PRIVATE] = "yes" if works else "no"
    os.execvp(unshare[0] if works else argv[0], [*unshare, *argv] if works else argv)


def try_all(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Run the cases of ``arguments``. Returns 0. Raises OptionError, FaultsError."""
    names = [name for name in arguments.cases.split(",") if name]
    unknown = [name for name in names if name not in CASES]
    if unknown or not names or arguments.kills < 1 or arguments.at_once < 1:
        raise OptionError(
            f"--cases: there is no case {' '.join(unknown) or '(empty)'}", f"choose from: {' '.join(CASES)}"
        )
    weaknesses = [each for each in weak.WEAKNESSES.values() if each.case in names]
    if arguments.weakened and (arguments.quick or arguments.kills != KILLS or not weaknesses):
        raise OptionError(
            "--weakened excludes --quick, --kills, and kill-qemu alone",
            "omit them, because any trial of a case may be the one that notices a weakness",
        )
    layout, reporter = find_layout(Path(__file__).resolve().parents[2]), choose_reporter()
    ensure(layout, parse_options(layout, ["-Dtargets=x86_64-softmmu"]), reporter)
    seed = choose_seed(arguments.seed)
    command = os.environ.get("QEMU_HARNESS_COMMAND") or "nox -s faults --"
    run = _Run(layout, with_words(" ".join([command, *words]).removesuffix(" --"), "--seed", str(seed)), seed)
    folder = Path(tempfile.mkdtemp(prefix="qemu-harness-faults-"))
    bench = Bench(folder=folder, seed=seed, kills=arguments.kills, quick=arguments.quick)
    count = f"{len(weaknesses)} weaknesses" if arguments.weakened else f"{len(names)} faults"
    try:
        with reporter.step(f"running {count}, seed {seed}") as step:
            pool = concurrent.futures.ThreadPoolExecutor(arguments.at_once)
            try:
                if arguments.weakened:
                    done = [pool.submit(run.try_weakness, each, bench) for each in weaknesses]
                else:
                    done = [pool.submit(run.try_case, CASES[name], bench) for name in names]
                while not all(each.done() for each in done) or not run.new.empty():
                    with contextlib.suppress(queue.Empty):
                        row = run.new.get(timeout=0.2)
                        result = f"{row.outcome} ({row.duration_s:.1f} s) {row.reason}"
                        reporter.note(f"  {row.case}: {row.name}: {result}")
                        step.update(sum(each.done() for each in done), len(done), row.case)
                for each in done:
                    each.result()
            finally:
                run.stopped.set()
                bench.stop()
                pool.shutdown(cancel_futures=True)
        results = run.keep(complete=True)
    except BaseException:
        run.keep(complete=False)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Output().print(render_faults(results))
    say(f"\nresults: {faults_file(layout)}")
    check_faults(layout, results)
    return 0


class _Run:
    """Yield rows as they become available."""

    def __init__(self, layout: Layout, command: str, seed: int) -> None:
        self.layout, self.command, self.seed = layout, command, seed
        self.rows: list[FaultRow] = []
        self.new: queue.Queue[FaultRow] = queue.Queue()
        self.stopped = threading.Event()
        self._started, self._host = utc_now(), host_facts()

    def try_case(self, case: Case, bench: Bench) -> None:
        """Record a row for each trial of ``case``."""
        if self._has_no_namespace(case, "all"):
            return
        trials = case.run(bench)
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                tried = next(trials, None)
            except Exception as error:  # noqa: BLE001 - a case with an error is a row
                frame = traceback.extract_tb(error.__traceback__)[-1]
                reason = f"{error!r} at {frame.name}:{frame.lineno}"
                self._add(case, "error of the case itself", "failed", reason, began)
                break
            if tried is None:
                break
            outcome: Outcome = "cancelled" if tried.cancelled else "failed" if tried.reason else "survived"
            self._add(case, tried.name, outcome, tried.reason, began)
        trials.close()

    def try_weakness(self, weakness: weak.Weakness, bench: Bench) -> None:
        """Record a row for ``weakness``: the first trial of its case that fails as expected, if any."""
        case = CASES[weakness.case]
        began = time.monotonic()
        name = f"without {weakness.name}"
        if self._has_no_namespace(case, name):
            return
        other = ""
        with contextlib.closing(case.run(dataclasses.replace(bench, weakness=weakness.name))) as trials:
            try:
                for tried in trials:
                    if self.stopped.is_set():
                        return
                    result = f"{tried.name}: {tried.reason}"
                    if tried.reason and re.search(weakness.sign, result):
                        self._add(case, name, "noticed", result, began)
                        return
                    other = other or (result if tried.reason and not tried.cancelled else "")
            except Exception as error:  # noqa: BLE001 - a case with an error is a row
                other = other or repr(error)
        if not self.stopped.is_set():
            more = f"; another failure: {other}" if other else ""
            self._add(case, name, "missed", f"no trial noticed that {weakness.does}{more}", began)

    def _has_no_namespace(self, case: Case, name: str) -> bool:
        """Return whether ``case`` needs a mount namespace that is not available; record a row if so."""
        missing = case.private and os.environ.get(PRIVATE) != "yes"
        if missing:
            reason = "a private mount namespace is not available"
            self._add(case, name, "cancelled", reason, time.monotonic())
        return missing

    def _add(self, case: Case, name: str, outcome: Outcome, reason: str, began: float) -> None:
        took = round(time.monotonic() - began, 3)
        row = FaultRow(case=case.name, name=name, outcome=outcome, reason=reason, duration_s=took)
        self.rows.append(row)
        self.new.put(row)

    def keep(self, *, complete: bool) -> FaultsResults:
        """Write faults.json."""
        order = list(CASES)
        rows = sorted(self.rows, key=lambda row: order.index(row.case))
        results = FaultsResults(
            command=self.command,
            started=self._started,
            finished=utc_now(),
            complete=complete,
            seed=self.seed,
            host=self._host,
            rows=tuple(rows),
        )
        write_json(faults_file(self.layout), results)
        return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
