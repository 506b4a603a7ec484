"""The command that finds the commit that made QEMU slower, or worse by a measure of the user."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.request import Argument, Output, Request, argument, number, say
from harness.errors import BisectError, OptionError

if TYPE_CHECKING:
    from harness.behaviour.tests import BehaviourTestName
    from harness.bench import Bench
    from harness.options import Options
    from harness.regression.measure import Measure
    from harness.tree import Tree

METRICS = ("exit", "reclaim", "restart", "start", "shutdown")
MOST_PAIRS = 200
MEMORY_MIB = 1024

BISECT: tuple[Argument, ...] = (
    argument("--good", required=True, metavar="REV", help="a revision of -Dsource= that is good"),
    argument("--bad", required=True, metavar="REV", help="a later one that is worse"),
    argument(
        "--metric",
        metavar="NAME|TEST:METRIC",
        help="latency of a guest's teardown to compare: exit (default), reclaim, restart, start, "
        "shutdown; or a metric of a behaviour test: FILE.py:CLASS.METHOD:METRIC; without :METRIC, "
        "whether the test passes",
    ),
    argument("--guest", default="", metavar="ARGS", help="further arguments of QEMU in these guests"),
    argument("--run", metavar="COMMAND", help="judge by this command instead: its exit status, or a number"),
    argument(
        "--better", choices=("lower", "higher"), help="with --run: compare the last number that it prints"
    ),
    argument("--unit", default="", help="with --better: unit of that number"),
    argument(
        "--pairs", type=number, default=MOST_PAIRS, help=f"most pairs of samples of a commit ({MOST_PAIRS})"
    ),
)


def bisect(request: Request) -> int:
    """Find the commit that made QEMU slower: qemu-harness bisect -Dsource=CLONE --good REV --bad REV."""
    arguments = request.arguments
    options = request.options()
    if not options.source:
        raise OptionError("bisect needs a clone", "name it: -Dsource=CLONE")
    if arguments.run == "":
        raise OptionError("--run has no command", "name one, or omit --run")
    if arguments.run and (arguments.metric or arguments.guest):
        raise OptionError("--run excludes --metric and --guest", "omit them")
    if arguments.better and not arguments.run:
        raise OptionError("--better is for the number that --run prints", "add --run, or omit --better")
    if arguments.unit and not arguments.better:
        raise OptionError("--unit is that of the number of --better", "add --better, or omit --unit")

    test, metric = _metric(request, options, arguments.metric or METRICS[0])

    from harness.bench import open_bench, refuse_timing
    from harness.pipeline import refuse_folder, tree_of
    from harness.regression.places import Places
    from harness.regression.record import Bisection, bisect_file, open_bisection, record_bisect
    from harness.report.bisect import render_bisect

    layout, reporter = request.layout, request.reporter
    refuse_timing(options)
    refuse_folder(layout)
    options = dataclasses.replace(
        options,
        hosts=("native",),
        targets=options.targets[:1],
        memory_mib=options.memory_mib if options.has("memory") else (MEMORY_MIB,),
    )
    if not test and not arguments.run:
        _refuse_guests(options, metric)
    with request.checkout():
        tree = tree_of(layout, options, reporter)
        good, bad = (_commit(tree, name, getattr(arguments, name)) for name in ("good", "bad"))
        places = Places(layout=layout, options=options, tree=tree, reporter=reporter)
        what = arguments.run or f"{arguments.metric or 'exit'} {arguments.guest}".strip()
        with contextlib.ExitStack() as stack:
            search, folder = stack.enter_context(
                open_bisection(layout, tree, good, bad, request.command, reporter)
            )
            built = places.build("good", good)
            bench = stack.enter_context(
                open_bench(layout, options, [built.subject], reporter, payloads=options.payload)
            )
            results = record_bisect(
                Bisection(
                    layout=layout,
                    options=bench.options,
                    reporter=reporter,
                    tree=tree,
                    search=search,
                    folder=folder,
                    measure=_measure(request, bench, test, metric),
                    what=what,
                    good=built,
                    build=places.build,
                    most_pairs=arguments.pairs,
                    command=request.command,
                )
            )
    log = bisect_file(layout).with_suffix(".log")
    log.write_text(results.log, encoding="utf-8")
    Output().print(render_bisect(results))
    say(f"\nresults: {bisect_file(layout)}\n         {log} (for git bisect replay)")
    if len(results.first_bad) != 1:
        raise BisectError(
            f"skipped commits hide the first bad one: it is one of {len(results.first_bad)}",
            "correct what makes them fail, or judge them with --run",
        )
    return 0


def _commit(tree: Tree, option: str, revision: str) -> str:
    """Return the id of ``revision``, the value of ``option``, in the clone. Raises OptionError."""
    from harness.source.clone import find_commit

    if tree.clone is None:
        raise OptionError("-Dsource= is no git clone", "name one: -Dsource=CLONE")
    found = find_commit(tree.clone, revision)
    if found is None:
        raise OptionError(
            f"--{option}: {tree.clone} has no commit {revision!r}",
            "name a revision of it; the history of a shallow clone ends early (git fetch --unshallow)",
        )
    return found.commit


def _metric(request: Request, options: Options, text: str) -> tuple[BehaviourTestName | None, str]:
    """Return the behaviour test in ``--metric``, if it names one, and the metric. Raises OptionError."""
    from harness.behaviour.tests import find_tests
    from harness.series.series import test_files

    file, is_test, rest = text.partition(".py:")
    if not is_test:
        if text not in METRICS:
            raise OptionError(
                f"--metric: there is no metric {text!r}",
                f"use one of {', '.join(METRICS)}, or FILE.py:CLASS.METHOD:METRIC",
            )
        return None, text
    name, _, metric = rest.partition(":")
    path = Path(f"{file}.py")
    own = [] if path.exists() else test_files(request.layout, options.series)
    tests = find_tests([one for one in own if one.name == path.name] or [path])
    for test in tests:
        if f"{test.case}.{test.method}" == name:
            return test, metric
    known = ", ".join(f"{test.case}.{test.method}" for test in tests)
    raise OptionError(f"--metric: {path} has no test {name}", f"its tests are {known}")


def _refuse_guests(options: Options, metric: str) -> None:
    """Raise OptionError unless ``options`` describe one guest, whose end has ``metric``."""
    for name in ("memory_mib", "backends", "pages", "payload", "triggers"):
        if len(getattr(options, name)) > 1:
            option = name.removesuffix("_mib")
            raise OptionError(
                f"-D{option}= describes several guests; a bisection times one",
                "choose one size, backend, payload and trigger, such as -Dmemory=1G",
            )
    lacking = {
        "restart": "" if options.restart != "none" else "-Drestart=all",
        "shutdown": "" if "poweroff" in options.triggers else "-Dpayload=linux -Dtriggers=poweroff",
    }
    if lacking.get(metric):
        raise OptionError(f"--metric {metric} needs {lacking[metric]}", "add it, or choose another metric")


def _measure(request: Request, bench: Bench, test: BehaviourTestName | None, metric: str) -> Measure:
    from harness.regression.measure import Behaviour, Command, Guests

    arguments = request.arguments
    words = tuple(arguments.guest.split())
    if arguments.run:
        return Command(
            command=arguments.run,
            counts=bool(arguments.better),
            logs=request.layout.logs,
            lower_is_better=arguments.better != "higher",
            unit=arguments.unit,
        )
    if test:
        return Behaviour(bench=bench, test=test, metric=metric, arguments=words)
    return Guests(bench=bench, metric=metric, arguments=words)
