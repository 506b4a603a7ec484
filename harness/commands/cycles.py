"""The command that starts and ends QEMU at random moments."""

import os

from harness.commands.guests import (
    BINARIES,
    choose_subjects,
    make_subjects,
    refuse_other_hosts,
    show_results,
)
from harness.commands.request import Argument, Request, argument, number

CYCLES: tuple[Argument, ...] = (
    BINARIES,
    argument("--only", type=number, metavar="NUMBER", help="run only this cycle of the plan"),
)


def cycles(request: Request) -> int:
    """Start and end QEMU many times at random moments. A leftover or a crash is a failure."""
    from harness.bench import open_bench
    from harness.cycles.plan import plan_cycles
    from harness.cycles.record import check_cycles, cycles_file, record_cycles
    from harness.pipeline import with_feature
    from harness.report.cycles import render_cycles

    layout, only = request.layout, request.arguments.only
    options = request.options()
    refuse_other_hosts(options, "cycles run")
    options = with_feature(layout, options)
    chosen = choose_subjects(request, options, build=not request.arguments.binary, ask=False)
    with request.checkout():
        subjects, _ = make_subjects(request, chosen)
        with open_bench(layout, chosen.bench_options(), subjects, request.reporter) as bench:
            with_kvm = any(bench.has_kvm(target) for target in bench.targets)
            either = ("kvm", "tcg") if options.accel == "auto" else ("kvm",)
            planned = plan_cycles(
                bench.seed,
                max(options.cycles, only or 0),
                accels=either if with_kvm else ("tcg",),
                root=os.geteuid() == 0,
            )
            request.reporter.note(f"seed {bench.seed}")
            chosen_cycles = planned[only - 1 : only] if only else planned
            results = record_cycles(bench, chosen_cycles, command=request.command)
    show_results(render_cycles(results), cycles_file(layout))
    check_cycles(layout, results)
    return 0
