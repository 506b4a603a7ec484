"""The command that puts QEMU under load: many guests ended at random, one large guest restarted."""

import argparse
import contextlib

from harness.commands.guests import (
    BINARIES,
    NO_BUILD,
    choose_subjects,
    make_subjects,
    refuse_other_hosts,
    show_results,
)
from harness.commands.request import Argument, Request, argument, number
from harness.errors import OptionError

MEMORY_MIB = 256


def load(request: Request) -> int:
    """Put QEMU under load and check for leftovers: end 50 guests at random, restart a large one."""
    from harness.bench import open_bench, refuse_timing
    from harness.guest.memory import available_mib
    from harness.load.plan import plan_load, with_backend
    from harness.load.record import check_load, load_file, record_load
    from harness.options import parse_size
    from harness.report.load import render_load

    options, layout, reporter = request.options(), request.layout, request.reporter
    arguments = request.arguments
    restart_mib = parse_size(arguments.restart_memory, name="--restart-memory")
    refuse_timing(options)
    refuse_other_hosts(options, "load runs")
    chosen = choose_subjects(request, options, build=not arguments.no_build, first_target=True)
    if len(chosen.targets) > 1:
        raise OptionError("load runs guests of a single target", "choose one with -Dtargets=")
    with request.checkout():
        subjects, _ = make_subjects(request, chosen)
        with open_bench(layout, chosen.bench_options(), subjects, reporter) as bench:
            plans = plan_load(
                available_mib(),
                guests=arguments.guests,
                memory_mib=options.memory_mib[0] if options.has("memory") else MEMORY_MIB,
                seconds=arguments.minutes * 60,
                restarts=arguments.restarts,
                restart_mib=restart_mib,
                wait=arguments.wait_for_memory,
            )
            plans = with_backend(plans, options.backends[0])
            for plan in plans:
                if plan.reason:
                    reporter.warn(f"{plan.kind}: {plan.reason}")
            results = record_load(bench, plans, command=request.command)
    show_results(render_load(results), load_file(layout))
    check_load(layout, results)
    return 0


def _minutes(text: str) -> float:
    """Parse minutes from 0 to a day, for argparse."""
    most = 24 * 60
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= most:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {most}")


def _count(text: str) -> int:
    """Parse a non-negative integer, for argparse."""
    return number(text, least=0)


LOAD: tuple[Argument, ...] = (
    BINARIES,
    NO_BUILD,
    argument(
        "--minutes", type=_minutes, default=10.0, help="minutes of random load with each binary; 0: none"
    ),
    argument("--guests", type=number, default=50, help="guests that run at a time (256 MiB, or -Dmemory=)"),
    argument(
        "--restarts",
        type=_count,
        default=50,
        help="number of times that one large guest is killed and restarted; 0: none",
    ),
    argument(
        "--restart-memory", default="16G", metavar="SIZE", help="size of the large guest (default: 16G)"
    ),
    argument(
        "--wait-for-memory",
        action="store_true",
        help="restart only after no process holds the memory of the previous guest",
    ),
)
