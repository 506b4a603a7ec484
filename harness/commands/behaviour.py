"""The command that runs the behaviour tests of a series, or of a file, on each variant."""

from __future__ import annotations

from pathlib import Path

from harness.commands.guests import (
    BINARIES,
    NO_BUILD,
    choose_subjects,
    make_subjects,
    refuse_other_hosts,
    show_results,
)
from harness.commands.request import Argument, Request
from harness.errors import OptionError

BEHAVIOUR: tuple[Argument, ...] = (
    (("file",), {"nargs": "*", "type": Path, "help": "files with tests (default: those of -Dseries=)"}),
    BINARIES,
    NO_BUILD,
)


def behaviour(request: Request) -> int:
    """Run the behaviour tests of a series on each variant, and compare what they measure."""
    from harness.behaviour import behaviour_file, check_behaviour, find_tests, record_behaviour
    from harness.bench import open_bench, refuse_timing
    from harness.report.behaviour import render_behaviour
    from harness.series.series import test_files

    options, layout, reporter = request.options(), request.layout, request.reporter
    refuse_timing(options)
    refuse_other_hosts(options, "behaviour tests run")
    files = request.arguments.file or test_files(layout, options.series)
    if not files:
        raise OptionError(
            f"series {options.series} has no behaviour tests", "add tests/*.py to its folder, or name a file"
        )
    tests = find_tests(files)
    chosen = choose_subjects(request, options, build=not request.arguments.no_build, first_target=True)
    with request.checkout():
        subjects, _ = make_subjects(request, chosen)
        with open_bench(
            layout, chosen.bench_options(), subjects, reporter, payloads=options.payload
        ) as bench:
            results = record_behaviour(bench, tests, command=request.command)
    show_results(render_behaviour(results), behaviour_file(layout))
    check_behaviour(layout, results)
    return 0
