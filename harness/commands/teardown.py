"""The main job: build, start large guests, time their teardown; and reports of stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.guests import (
    BINARIES,
    NO_BUILD,
    choose_installed,
    choose_subjects,
    make_subjects,
    show_results,
)
from harness.commands.request import Argument, Output, Request, argument, say
from harness.errors import HarnessError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.bench import Subject
    from harness.options import Options
    from harness.remote.hosts import RemoteHost

TEARDOWN: tuple[Argument, ...] = (
    BINARIES,
    NO_BUILD,
    argument(
        "--compare",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="run nothing: compare the stored run in FILE with the last one, or a second FILE",
    ),
    argument(
        "--save-ratios",
        type=Path,
        metavar="FILE",
        help="store the ratios in FILE, for gates of kind recorded",
    ),
)
REPORT: tuple[Argument, ...] = (
    argument("file", nargs="?", type=Path, help="a stored run (default: the last one)"),
)


def teardown(request: Request) -> int:
    """Main job: build, start large guests, time their teardown, print and store the comparison."""
    from harness.bench import open_bench, refuse_timing
    from harness.remote.hosts import choose_hosts
    from harness.report.live import live_hooks
    from harness.report.table import render_table
    from harness.report.write import write_reports
    from harness.teardown.gates import check_gates, read_gates
    from harness.teardown.image import refuse_hosts
    from harness.teardown.presets import apply_preset
    from harness.teardown.quiet import wait_for_quiet
    from harness.teardown.ratios import check_destination, save_ratios
    from harness.teardown.record import check_results, record_teardown
    from harness.teardown.results import teardown_file

    if request.arguments.compare:
        return compare(request)
    if request.arguments.save_ratios:
        check_destination(request.arguments.save_ratios)
    options, layout, reporter = apply_preset(request.options()), request.layout, request.reporter
    hosts, gates = choose_hosts(options, layout.cache), read_gates(options.gate, layout.start)
    installed = options.preset == "installed"
    build = not (request.arguments.no_build or installed)
    if build:
        refuse_timing(options)
    if build and not hosts:
        refuse_hosts(options)
    chosen = (
        choose_installed(request, options) if installed else choose_subjects(request, options, build=build)
    )
    with request.checkout():
        subjects, emulators = make_subjects(request, chosen, emulate=not hosts)
        if hosts:
            return teardown_remotely(request, chosen.bench_options(), subjects, hosts)
        with open_bench(
            layout,
            chosen.bench_options(),
            subjects,
            reporter,
            payloads=options.payload,
            emulators=emulators,
        ) as bench:
            if bench.native and not options.rounds:
                wait_for_quiet(reporter)
            results = record_teardown(bench, command=request.command, gates=gates, hooks=live_hooks(reporter))
        with reporter.step("report"):
            reports = write_reports(layout, results)
    show_results(render_table(results), teardown_file(layout), reports)
    if request.arguments.save_ratios:
        save_ratios(request.arguments.save_ratios, results)
    check_results(layout, results)
    check_gates(layout, results)
    return 0


def teardown_remotely(
    request: Request, options: Options, subjects: Sequence[Subject], hosts: Sequence[RemoteHost]
) -> int:
    """Time ``subjects`` on other machines. Each has separate results; hosts are not compared."""
    import msgspec

    from harness.jsonfile import write_json
    from harness.remote.run import run_remote
    from harness.report.table import render_table
    from harness.report.write import write_reports
    from harness.teardown.gates import check_gates
    from harness.teardown.record import check_results
    from harness.teardown.results import read_teardown, teardown_file

    failed: list[HarnessError] = []
    for run in run_remote(request.layout, options, subjects, hosts, request.reporter):
        say(f"\n{run.host}:")
        if run.error is not None:
            failed.append(run.error)
            say(f"  {run.error.cause}")
            continue
        file = teardown_file(run.layout)
        results = msgspec.structs.replace(read_teardown(file), command=request.command)
        write_json(file, results)
        show_results(render_table(results), file, write_reports(run.layout, results))
        for check in (check_results, check_gates):
            try:
                check(run.layout, results)
            except HarnessError as error:
                failed.append(error)
                break
    if failed:
        raise failed[0]
    return 0


def compare(request: Request) -> int:
    """Compare two stored runs; run nothing."""
    from harness.report.comparing import compare_runs, render_changes
    from harness.report.store import made_from
    from harness.teardown.results import read_teardown, teardown_file

    names = request.arguments.compare
    if len(names) > 2:
        raise OptionError("--compare accepts one or two stored runs", "give the older one first")
    files = [*names, teardown_file(request.layout)][:2]
    old, new = (read_teardown(file) for file in files)
    with made_from(files[0]), made_from(files[1]):
        Output().print(render_changes(old, new, compare_runs(old, new)))
    return 0


def report(request: Request) -> int:
    """Regenerate report.html, report.md and teardown.xml from a stored run: qemu-harness report [FILE]."""
    from harness.report.store import made_from
    from harness.report.write import write_reports
    from harness.teardown.results import read_teardown, teardown_file

    stored = request.arguments.file or teardown_file(request.layout)
    results = read_teardown(stored)
    with made_from(stored):
        files = write_reports(request.layout, results)
    for file in files:
        say(file)
    return 0
