"""The command that runs the behaviour tests of a series, or of a file, on each variant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.guests import (
    BINARIES,
    NO_BUILD,
    choose_subjects,
    make_subjects,
    refuse_other_hosts,
    show_results,
)
from harness.commands.request import Argument, Request, argument
from harness.errors import OptionError

if TYPE_CHECKING:
    from harness.options import Options
    from harness.teardown.gates import Gates

BEHAVIOUR: tuple[Argument, ...] = (
    argument("file", nargs="*", type=Path, help="files with tests (default: those of -Dseries=)"),
    BINARIES,
    NO_BUILD,
)


def behaviour(request: Request) -> int:
    """Run the behaviour tests of a series on each variant, and compare what they measure."""
    from harness.behaviour.record import behaviour_file, check_behaviour, record_behaviour
    from harness.behaviour.tests import find_tests
    from harness.bench import open_bench, refuse_timing
    from harness.report.behaviour import render_behaviour
    from harness.series.series import test_files
    from harness.teardown.gates import check_gates

    options, layout, reporter = request.options(), request.layout, request.reporter
    refuse_timing(options)
    refuse_other_hosts(options, "behaviour tests run")
    files = request.arguments.file or test_files(layout, options.series)
    if not files:
        raise OptionError(
            f"series {options.series} has no behaviour tests", "add tests/*.py to its folder, or name a file"
        )
    tests, gates = find_tests(files), gates_of(request, options, files)
    chosen = choose_subjects(request, options, build=not request.arguments.no_build, first_target=True)
    with request.checkout():
        subjects, _ = make_subjects(request, chosen)
        with open_bench(
            layout, chosen.bench_options(), subjects, reporter, payloads=options.payload
        ) as bench:
            results = record_behaviour(bench, tests, command=request.command, gates=gates)
    show_results(render_behaviour(results), behaviour_file(layout))
    check_behaviour(layout, results)
    check_gates(layout, results, behaviour_file(layout).name)
    return 0


def gates_of(request: Request, options: Options, files: Sequence[Path]) -> Gates:
    """Read the gates of -Dgate=, or the file gates.toml next to the first of ``files`` if there is one."""
    from harness.teardown.gates import NO_GATES, read_gates

    own = files[0].absolute().with_name("gates.toml")
    name = options.gate or (str(own) if own.is_file() else "")
    return read_gates(name, request.layout.start) if name else NO_GATES
