"""Commands that run QEMU: one guest, timed guests, random cycles, the properties of a series."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from harness.commands.request import Output, Request, say
from harness.commands.subjects import accels_by_target, built_subjects, named_subjects
from harness.errors import GuestError, HarnessError, OptionError
from harness.lock import locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.build.hosts import Host
    from harness.options import Options
    from harness.pipeline import Prepared
    from harness.remote import RemoteHost
    from harness.teardown import Subject


def guest(request: Request) -> int:
    """Hold one guest with populated memory until Ctrl-C: qemu-harness guest patched x86_64-softmmu."""
    from harness.pipeline import tree_name
    from harness.teardown import single_guest

    options, layout, reporter = request.options(), request.layout, request.reporter
    tree = tree_name(layout, options, reporter)
    variant, target = request.arguments.variant, request.arguments.target
    with single_guest(layout, options, variant, target, reporter, tree=tree) as held:
        for line in held.describe():
            say(line)
        try:
            while not held.machine.child.has_ended(timeout_s=3600):
                pass
        except KeyboardInterrupt:
            return 0
        raise GuestError(
            "QEMU ended by itself or was killed",
            "read its last lines and the log",
            details=held.machine.child.last_lines(),
            log=held.machine.child.log,
        )


def teardown(request: Request) -> int:
    """Main job: build, start large guests, time their teardown, print and store the comparison."""
    from harness.guest import check_targets
    from harness.pipeline import build_all, build_emulators, check_request
    from harness.remote import choose_hosts
    from harness.report import check_results, record_teardown, render_table, teardown_file
    from harness.report.gates import check_gates, read_gates
    from harness.report.ratios import save_ratios
    from harness.report.write import write_reports
    from harness.teardown import apply_preset, refuse_hosts, refuse_timing, subjects_of

    options, layout, reporter = apply_preset(request.options()), request.layout, request.reporter
    if request.arguments.compare:
        return _compare(request)
    hosts = choose_hosts(options, layout.cache)
    gates, others = read_gates(options.gate, layout.root), named_subjects(request, options)
    builds_too = not request.arguments.no_build
    if builds_too:
        check_request(layout, options)
        refuse_timing(options)
        if not hosts:
            refuse_hosts(options)
    targets = options.targets if builds_too else ()
    targets = tuple(dict.fromkeys((*targets, *(subject.target for subject in others))))
    check_targets(targets)
    timed = dataclasses.replace(options, targets=targets)
    with request.checkout():
        subjects: tuple[Subject, ...] = others
        emulators: tuple[tuple[Host, Path], ...] = ()
        if builds_too:
            prepared, builds = build_all(layout, options, reporter, request.command)
            if not hosts:
                emulators = build_emulators(prepared, layout, options, reporter)
            subjects = (*subjects_of(builds, prepared.pin.async_teardown), *others)
        if hosts:
            return _elsewhere(request, timed, subjects, hosts)
        with locked(layout.measuring_lock, "the right to time guests on this machine", reporter):
            results = record_teardown(
                layout, timed, subjects, reporter, command=request.command, gates=gates, emulators=emulators
            )
        with reporter.step("report"):
            files = write_reports(layout, results)
    Output().print(render_table(results))
    say(f"\nresults: {teardown_file(layout)}")
    say(f"report: {' '.join(map(str, files))}")
    if request.arguments.save_ratios:
        save_ratios(request.arguments.save_ratios, results)
    check_results(layout, results)
    check_gates(layout, results)
    return 0


def _elsewhere(
    request: Request, options: Options, subjects: Sequence[Subject], hosts: Sequence[RemoteHost]
) -> int:
    """The same on other machines: each has its own results; they are never compared with each other's."""
    import msgspec

    from harness.jsonfile import write_json
    from harness.remote import run_remote
    from harness.report import check_results, read_teardown, render_table, teardown_file
    from harness.report.gates import check_gates
    from harness.report.write import write_reports

    failed: list[HarnessError] = []
    for run in run_remote(request.layout, options, subjects, hosts, request.reporter):
        say(f"\n{run.host}:")
        if run.error is not None:
            failed.append(run.error)
            say(f"  {run.error.cause}")
            continue
        results = msgspec.structs.replace(read_teardown(teardown_file(run.layout)), command=request.command)
        write_json(teardown_file(run.layout), results)
        files = write_reports(run.layout, results)
        Output().print(render_table(results))
        say(f"\nresults: {teardown_file(run.layout)}")
        say(f"report: {' '.join(map(str, files))}")
        for check in (check_results, check_gates):
            try:
                check(run.layout, results)
            except HarnessError as error:
                failed.append(error)
                break
    if failed:
        raise failed[0]
    return 0


def _compare(request: Request) -> int:
    """Two stored runs side by side; nothing is run."""
    from harness.report import read_teardown, teardown_file
    from harness.report.comparing import compare_runs, render_changes
    from harness.report.store import made_from

    names = request.arguments.compare
    if len(names) > 2:
        raise OptionError("--compare takes one stored run, or two", "name the older one first")
    files = [*names, teardown_file(request.layout)][:2]
    old, new = (read_teardown(file) for file in files)
    with made_from(files[0]), made_from(files[1]):
        Output().print(render_changes(old, new, compare_runs(old, new)))
    return 0


def report(request: Request) -> int:
    """Make report.html, report.md and teardown.xml anew from a stored run: qemu-harness report [FILE]."""
    from harness.report import read_teardown, teardown_file
    from harness.report.store import made_from
    from harness.report.write import write_reports

    layout = request.layout
    stored = request.arguments.file or teardown_file(layout)
    results = read_teardown(stored)
    with made_from(stored):
        files = write_reports(layout, results)
    for file in files:
        say(file)
    return 0


def cycles(request: Request) -> int:
    """Start and end QEMU many times, at random moments; whatever stays behind or crashes is a failure."""
    from harness.binaries import parse_binaries
    from harness.cycles import plan_cycles, subjects_from
    from harness.guest import check_targets, fetch_firmware
    from harness.options import choose_seed
    from harness.pipeline import build_all, check_request, with_feature
    from harness.report.cycles import check_cycles, record_cycles, render_cycles
    from harness.teardown import probe_accels, subjects_of

    options, layout, reporter = with_feature(request.options()), request.layout, request.reporter
    named, only = parse_binaries(request.arguments.binary), request.arguments.only
    seed = choose_seed(options.seed)
    if not named:
        check_request(layout, options)
    check_targets(options.targets)
    with request.checkout():
        if named:
            subjects = subjects_from(named, options.targets)
        else:
            prepared, builds = build_all(layout, options, reporter, request.command)
            subjects = subjects_of(builds, prepared.pin.async_teardown)
        targets = tuple(dict.fromkeys(subject.target for subject in subjects))
        firmware = {target: fetch_firmware(layout, reporter, [target]) for target in targets}
        accels = probe_accels(
            layout, dataclasses.replace(options, targets=targets, payload=("paused",)), subjects, reporter
        )
        with_kvm = {accel.target for accel in accels.values() if accel.runs and accel.name == "kvm"}
        either = ("kvm", "tcg") if options.accel == "auto" else ("kvm",)
        planned = plan_cycles(
            seed,
            max(options.cycles, only or 0),
            accels=either if with_kvm else ("tcg",),
            root=os.geteuid() == 0,
        )
        reporter.note(f"seed {seed}")
        # They would be in the way of a run that times guests.
        with locked(layout.measuring_lock, "the right to use this machine for guests", reporter):
            results = record_cycles(
                layout,
                options,
                subjects,
                planned[only - 1 : only] if only else planned,
                firmware,
                reporter,
                seed=seed,
                command=request.command,
                only_tcg=set(targets) - with_kvm,
            )
    Output().print(render_cycles(results))
    say(f"\nresults: {layout.results / 'cycles.json'}")
    check_cycles(layout, results)
    return 0


def _cross_built(
    request: Request, options: Options, prepared: Prepared
) -> tuple[tuple[Host, Path, Subject], ...]:
    """Each emulated host among the options, the QEMU that emulates it, and the series built for it."""
    from harness.build.doctor import ensure
    from harness.pipeline import build_cross, build_emulators
    from harness.teardown import subjects_of

    layout, reporter = request.layout, request.reporter
    ensure(layout, options, reporter)
    emulators = dict(build_emulators(prepared, layout, options, reporter))
    return tuple(
        (host, emulators[host], subject)
        for host, built in build_cross(prepared, layout, options, reporter)
        for subject in subjects_of([built], prepared.pin.async_teardown)
    )


def properties(request: Request) -> int:
    """Check each property of the series on real QEMU processes: --rows 1,3-5, --binary NAME=PATH[,ARG...]."""
    from harness.binaries import parse_binaries
    from harness.guest import check_targets
    from harness.pipeline import build_all, check_request, with_all_variants
    from harness.properties import HOSTS_ROW, built_binaries, named_binaries, parse_rows, try_elsewhere
    from harness.report import check_properties, properties_file, record_properties, render_properties
    from harness.teardown import refuse_hosts, refuse_timing

    layout, reporter = request.layout, request.reporter
    rows, named = parse_rows(request.arguments.rows), parse_binaries(request.arguments.binary)
    options = with_all_variants(request.options())
    # All targets are built, so that the builds are those of the other stages; the first says enough.
    targets = options.targets if options.has("targets") else options.targets[:1]
    refuse_timing(options)
    refuse_hosts(options)
    check_targets(targets)
    builds_too = not named or options.has("variants")
    others = named_binaries(named, options.variants if builds_too else ())
    check_targets(binary.target for binary in others)
    if builds_too:
        check_request(layout, options)
    with request.checkout():
        binaries = others
        cross_built: tuple[tuple[Host, Path, Subject], ...] = ()
        if builds_too:
            here = dataclasses.replace(options, hosts=("native",))
            prepared, builds = build_all(layout, here, reporter, request.command)
            binaries = (*built_binaries(builds, targets, prepared.pin.async_teardown), *others)
            if HOSTS_ROW in rows:
                cross_built = _cross_built(request, options, prepared)
        with locked(layout.measuring_lock, "the right to time guests on this machine", reporter):
            tried = [
                part
                for host, emulator, subject in cross_built
                for part in try_elsewhere(layout, options, host, subject, reporter, emulator=emulator)
            ]
            results = record_properties(
                layout,
                options,
                binaries,
                rows,
                reporter,
                command=request.command,
                elsewhere={"patched": tuple(tried)},
            )
    Output().print(render_properties(results))
    say(f"\nresults: {properties_file(layout)}")
    check_properties(layout, results)
    return 0


def clients(request: Request) -> int:
    """Serve real clients: libvirt, QMP, cgroups, shells, timeout, bubblewrap; what is each told, and when?"""
    from harness.build.doctor import ensure
    from harness.clients import ServedBinary, check_backends, parse_groups, plan_round, with_and_without
    from harness.clients.plan import BACKENDS, ROUNDS, SIZES
    from harness.guest import check_targets, fetch_firmware
    from harness.options import choose_seed
    from harness.pipeline import check_request
    from harness.report.clients import check_clients, clients_file, record_clients, render_clients
    from harness.teardown import refuse_timing

    options, layout, reporter = request.options(), request.layout, request.reporter
    groups, builds_too = parse_groups(request.arguments.clients), not request.arguments.no_build
    refuse_timing(options)
    if options.hosts != ("native",):
        raise OptionError(f"-Dhosts={','.join(options.hosts)}: clients run here", "leave -Dhosts= out")
    memory = options.memory_mib if options.has("memory") else SIZES
    backends = options.backends if options.has("backends") else BACKENDS
    check_backends(backends)
    others = named_subjects(request, options)
    # All targets are built, so that the builds are those of the other stages; the first says enough.
    targets = options.targets if options.has("targets") else options.targets[:1]
    check_targets(targets)
    if builds_too:
        check_request(layout, options)
    with request.checkout():
        # Without root there is no libvirtd of one's own: nobody need install one.
        needy = {"libvirt", "libvirt-cgroup", "bwrap"}.intersection(groups) and os.geteuid() == 0
        stages = ("guest", "clients") if needy else ("guest",)
        ensure(layout, options, reporter, stages=stages)
        subjects = (*built_subjects(request, options, targets), *others) if builds_too else others
        targets = tuple(dict.fromkeys(subject.target for subject in subjects))
        accels = accels_by_target(request, options, targets, subjects)
        seed = choose_seed(options.seed)
        binaries = with_and_without(
            [
                ServedBinary(variant=one.variant, target=one.target, path=one.path, words=one.options)
                for one in subjects
            ]
        )
        rounds = [
            plan_round(
                turn,
                binaries,
                groups,
                memory_mib=memory,
                backends=backends,
                accels=accels,
                seed=seed,
                timeout_s=float(options.timeout),
            )
            for turn in range(1, (options.rounds or ROUNDS) + 1)
        ]
        firmware = fetch_firmware(layout, reporter, targets)
        with locked(layout.measuring_lock, "the right to time guests on this machine", reporter):
            results = record_clients(
                layout,
                dataclasses.replace(options, memory_mib=memory, backends=backends),
                binaries,
                rounds,
                firmware,
                reporter,
                seed=seed,
                pages=options.pages[0],
                command=request.command,
            )
    Output().print(render_clients(results))
    say(f"\nresults: {clients_file(layout)}")
    check_clients(layout, results)
    return 0
