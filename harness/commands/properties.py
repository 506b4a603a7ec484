"""The command that checks the properties of the series."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.commands.guests import BINARIES, Chosen, choose_subjects, show_results
from harness.commands.request import Argument, Request, argument

if TYPE_CHECKING:
    from pathlib import Path

    from harness.bench import Subject
    from harness.build.hosts import Host

PROPERTIES: tuple[Argument, ...] = (
    argument("--rows", default="1-18", metavar="LIST", help="numbers of the rows to check, such as 1,3-5"),
    BINARIES,
)


def properties(request: Request) -> int:
    """Check each property of the series on real QEMU processes: --rows 1,3-5, --binary NAME=PATH[,ARG...]."""
    from harness.bench import open_bench, refuse_timing
    from harness.pipeline import with_all_variants
    from harness.properties.model import parse_rows
    from harness.properties.record import check_properties, properties_file, record_properties
    from harness.report.properties import render_properties
    from harness.teardown.image import refuse_hosts

    layout, rows = request.layout, parse_rows(request.arguments.rows)
    options = with_all_variants(layout, request.options())
    refuse_timing(options)
    refuse_hosts(options)
    build = not request.arguments.binary or options.has("variants")
    chosen = choose_subjects(request, options, build=build, first_target=True)
    with request.checkout():
        subjects, emulators = _make_subjects(request, chosen, rows)
        with open_bench(
            layout, chosen.bench_options(), subjects, request.reporter, emulators=emulators
        ) as bench:
            results = record_properties(bench, rows, command=request.command)
    show_results(render_properties(results), properties_file(layout))
    check_properties(layout, results)
    return 0


def _make_subjects(
    request: Request, chosen: Chosen, rows: tuple[int, ...]
) -> tuple[tuple[Subject, ...], tuple[tuple[Host, Path], ...]]:
    """Build the variants for this machine, and for row 15 the series alone for each emulated host."""
    from harness.bench import subjects_of
    from harness.build.doctor import ensure, ensure_libraries
    from harness.build.libraries import optional_libraries
    from harness.pipeline import build_all, build_cross, build_emulators
    from harness.properties.model import AIO_ROW, HOSTS_ROW

    if chosen.checked is None:
        return chosen.named, ()
    layout, options, reporter = request.layout, chosen.options, request.reporter
    if AIO_ROW in rows:
        wanted = optional_libraries(f"row {AIO_ROW}: aio=native")
        ensure_libraries([*wanted.values()], layout, reporter)
    here = dataclasses.replace(options, hosts=("native",))
    prepared, builds = build_all(layout, chosen.checked, here, reporter, request.command)
    emulators: tuple[tuple[Host, Path], ...] = ()
    if HOSTS_ROW in rows and options.hosts != here.hosts:
        ensure(layout, options, reporter)
        emulators = build_emulators(prepared, layout, options, reporter)
        builds += build_cross(prepared, layout, options, reporter)
    return (*subjects_of(builds), *chosen.named), emulators
