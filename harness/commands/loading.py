"""The command that puts QEMU under load: many guests at random, one large guest restarted at once."""

from __future__ import annotations

from harness.commands.request import BINARIES, Argument, Output, Request, number, say
from harness.commands.subjects import accels_by_target, built_subjects, named_subjects
from harness.errors import OptionError

MEMORY_MIB = 256


def load(request: Request) -> int:
    """Put QEMU under load: 50 guests ended at random for minutes, a large one restarted; what stays?"""
    from harness.guest import available_mib, check_targets, fetch_firmware
    from harness.load import plan_load
    from harness.load.plan import with_backend
    from harness.lock import locked
    from harness.options import choose_seed, parse_size
    from harness.pipeline import check_request
    from harness.report.load import check_load, load_file, record_load, render_load
    from harness.teardown import refuse_timing

    options, layout, reporter, asked = request.options(), request.layout, request.reporter, request.arguments
    restart_mib = parse_size(asked.restart_memory)
    refuse_timing(options)
    if options.hosts != ("native",):
        raise OptionError(f"-Dhosts={','.join(options.hosts)}: load is put on here", "leave -Dhosts= out")
    subjects, builds_too = named_subjects(request, options), not asked.no_build
    # All targets are built, so that the builds are those of the other stages; the first says enough.
    targets = options.targets if options.has("targets") else options.targets[:1]
    check_targets(targets)
    if builds_too:
        check_request(layout, options)
    with request.checkout():
        if builds_too:
            subjects = (*built_subjects(request, options, targets), *subjects)
        if len({subject.target for subject in subjects}) > 1:
            raise OptionError("load takes guests of one target", "name it with -Dtargets=")
        target = subjects[0].target
        accels = accels_by_target(request, options, (target,), subjects)
        firmware = {target: fetch_firmware(layout, reporter, [target])}
        seed = choose_seed(options.seed)
        with locked(layout.measuring_lock, "the right to use this machine for guests", reporter):
            plans = plan_load(
                available_mib(),
                guests=asked.guests,
                memory_mib=options.memory_mib[0] if options.has("memory") else MEMORY_MIB,
                seconds=asked.minutes * 60,
                restarts=asked.restarts,
                restart_mib=restart_mib,
                wait=asked.wait_for_memory,
            )
            plans = with_backend(plans, options.backends[0])
            for plan in plans:
                if plan.reason:
                    reporter.warn(f"{plan.kind}: {plan.reason}")
            results = record_load(
                layout,
                options,
                subjects,
                plans,
                firmware,
                accels,
                reporter,
                seed=seed,
                command=request.command,
            )
    Output().print(render_load(results))
    say(f"\nresults: {load_file(layout)}")
    check_load(layout, results)
    return 0


def _minutes(text: str) -> float:
    """Minutes from 0 to a day, for argparse."""
    value = float(text)
    if not 0 <= value <= 24 * 60:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    """A whole number from 0 on, for argparse."""
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


LOAD: tuple[Argument, ...] = (
    BINARIES,
    (("--no-build",), {"action": "store_true", "help": "build nothing: use just those of --binary"}),
    (
        ("--minutes",),
        {"type": _minutes, "default": 10.0, "help": "minutes of random load with each binary; 0: none"},
    ),
    (
        ("--guests",),
        {"type": number, "default": 50, "help": "guests that live at a time (256 MiB, or -Dmemory=)"},
    ),
    (
        ("--restarts",),
        {"type": _count, "default": 50, "help": "how often one large guest is killed and restarted; 0: none"},
    ),
    (
        ("--restart-memory",),
        {"default": "16G", "metavar": "SIZE", "help": "that guest's size (default: 16G)"},
    ),
    (
        ("--wait-for-memory",),
        {"action": "store_true", "help": "start a guest when no process holds the memory of the one before"},
    ),
)
