"""The command that measures real clients."""

import os

from harness.commands.guests import (
    BINARIES,
    NO_BUILD,
    choose_subjects,
    make_subjects,
    refuse_other_hosts,
    show_results,
)
from harness.commands.request import Argument, Request, argument

CLIENTS: tuple[Argument, ...] = (
    BINARIES,
    NO_BUILD,
    argument(
        "--clients",
        default="libvirt,libvirt-cgroup,qmp,cgroup,shell,timeout,bwrap",
        metavar="LIST",
        help="clients to measure, such as libvirt,cgroup (default: all but fence)",
    ),
)
PACKAGED = {"libvirt", "libvirt-cgroup", "bwrap"}
"""Clients that need packages of the distribution."""


def clients(request: Request) -> int:
    """Measure when clients such as libvirt, QMP and shells are notified of a guest's end."""
    from harness.bench import open_bench, refuse_timing
    from harness.build.devices import ALL
    from harness.build.doctor import ensure
    from harness.clients.model import parse_groups
    from harness.clients.plan import BACKENDS, ROUNDS, SIZES, check_backends, plan_round, with_and_without
    from harness.clients.record import check_clients, clients_file, record_clients
    from harness.report.clients import render_clients

    options, layout, reporter = request.options(), request.layout, request.reporter
    groups = parse_groups(request.arguments.clients)
    refuse_timing(options)
    refuse_other_hosts(options, "clients run")
    memory = options.memory_mib if options.has("memory") else SIZES
    backends = options.backends if options.has("backends") else BACKENDS
    check_backends(backends)
    chosen = choose_subjects(
        request, options, build=not request.arguments.no_build, first_target=True, devices=ALL
    )
    with request.checkout():
        # Without root there is no private libvirtd, so its packages are not needed.
        packaged = bool(PACKAGED.intersection(groups)) and os.geteuid() == 0
        ensure(layout, options, reporter, stages=("guest", "clients") if packaged else ("guest",))
        subjects, _ = make_subjects(request, chosen)
        subjects = with_and_without([one for one in subjects if one.target in chosen.targets])
        bench_options = chosen.bench_options(memory_mib=memory, backends=backends)
        with open_bench(layout, bench_options, subjects, reporter) as bench:
            rounds = [
                plan_round(
                    turn,
                    bench.subjects,
                    groups,
                    memory_mib=memory,
                    backends=backends,
                    accel_of=bench.running_accel,
                    seed=bench.seed,
                    timeout_s=float(options.timeout),
                )
                for turn in range(1, (options.rounds or ROUNDS) + 1)
            ]
            results = record_clients(bench, rounds, command=request.command)
    show_results(render_clients(results), clients_file(layout))
    check_clients(layout, results)
    return 0
