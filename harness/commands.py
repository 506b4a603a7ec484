"""One function a sub-command: ask the stages, print what they give.

Stages are imported where they are used, so that ``which`` and ``doctor`` start fast.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from harness.errors import GuestError, MissingError, OptionError
from harness.layout import Layout, label_of
from harness.lock import hold
from harness.options import Options, check_choice, parse_options
from harness.progress import Reporter

if TYPE_CHECKING:
    from harness.build.doctor import Row

VARIANTS = ("pristine", "base", "patched")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for. ``command`` reproduces it."""

    layout: Layout
    words: tuple[str, ...]
    arguments: argparse.Namespace
    reporter: Reporter
    command: str

    def options(self) -> Options:
        """The options given."""
        return parse_options(self.layout, self.words)

    def checkout(self) -> contextlib.AbstractContextManager[None]:
        """The right to write into this checkout, for one run at a time."""
        return hold(self.layout.checkout_lock, "this checkout", self.reporter)


WIDTH = 120
"""Columns of a table that goes to a file or a pipe: wide enough that no figure is cut."""


class _Output(Console):
    """Standard output. A reader that has gone is an error as any other, not rich's silent exit."""

    def __init__(self, *, soft_wrap: bool = False) -> None:
        super().__init__(soft_wrap=soft_wrap, width=None if sys.stdout.isatty() else WIDTH)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def doctor(request: Request) -> int:
    """List needed programs and libraries; install missing Debian packages where that is allowed."""
    from harness.build.doctor import check, ensure, requirements

    options = request.options()
    try:
        ensure(request.layout, options, request.reporter)
    except MissingError:
        _print_needs(check(requirements(options), versions=True))
        raise
    _print_needs(check(requirements(options), versions=True))
    return 0


def _print_needs(rows: Iterable[Row]) -> None:
    table = Table("needed", "found", "version", "where from", "needed for", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, "yes" if row.found else "no", row.version, row.origin, row.needed_by)
    _Output().print(table)


def fetch(request: Request) -> int:
    """Get the pin's source archive and prove its digest; prints its path."""
    from harness.source import fetch as fetch_source
    from harness.source import find_pin

    options = request.options()
    source = fetch_source(
        find_pin(request.layout, options.pin), request.layout, request.reporter, local=options.source
    )
    _print(source.path)
    return 0


def tree(request: Request) -> int:
    """Import the source into git and check the variants out; prints their folders."""
    from harness.pipeline import check_request, prepare

    options = request.options()
    check_request(request.layout, options, needs_build=False)
    with request.checkout():
        prepared = prepare(request.layout, options, request.reporter)
    for checkout in prepared.checkouts:
        _print(checkout.path)
    return 0


def build(request: Request) -> int:
    """Build the variants for all targets; prints the binaries."""
    from harness.pipeline import build_all, check_request

    options = request.options()
    check_request(request.layout, options)
    with request.checkout():
        _, builds = build_all(request.layout, options, request.reporter, request.command)
    for built in builds:
        for binary in built.binaries:
            _print(binary.path)
    return 0


def which(request: Request) -> int:
    """Print the path of a built binary: qemu-harness which patched x86_64-softmmu [HOST]."""
    from harness.build import find_binary
    from harness.build.hosts import HOSTS
    from harness.pipeline import tree_name

    options = request.options()
    tree = tree_name(request.layout, options, request.reporter)
    label = label_of(request.arguments.variant, options.series)
    target, host = request.arguments.target, request.arguments.host
    check_choice("hosts", [host], HOSTS, where="the harness")
    _print(find_binary(request.layout, tree, label, target, host=host, profile=options.profile))
    return 0


def guest(request: Request) -> int:
    """Hold one guest with populated memory until Ctrl-C: qemu-harness guest patched x86_64-softmmu."""
    from harness.pipeline import tree_name
    from harness.teardown import hold_guest

    options, layout, reporter = request.options(), request.layout, request.reporter
    tree = tree_name(layout, options, reporter)
    variant, target = request.arguments.variant, request.arguments.target
    with hold_guest(layout, options, variant, target, reporter, tree=tree) as held:
        for line in held.describe():
            _print(line)
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
    from harness.pipeline import build_all, build_carriers, check_request
    from harness.report import check_results, record_teardown, render_table, teardown_file
    from harness.teardown import refuse_hosts, refuse_timing, subjects_of

    options, layout, reporter = request.options(), request.layout, request.reporter
    check_request(layout, options)
    refuse_timing(options)
    refuse_hosts(options)
    check_targets(options.targets)
    with request.checkout():
        prepared, builds = build_all(layout, options, reporter, request.command)
        carriers = build_carriers(prepared, layout, options, reporter)
        subjects = subjects_of(builds, prepared.pin.async_teardown)
        with hold(layout.measuring_lock, "the right to time guests on this machine", reporter):
            results = record_teardown(
                layout, options, subjects, reporter, command=request.command, carriers=carriers
            )
    _Output().print(render_table(results))
    _print(f"\nresults: {teardown_file(layout)}")
    check_results(layout, results)
    return 0


def cycles(request: Request) -> int:
    """Start and end QEMU many times, at random moments; whatever stays behind or crashes is a failure."""
    from harness.binaries import parse_binaries
    from harness.cycles import choose_seed, plan_cycles, subjects_from
    from harness.guest import check_targets, fetch_firmware
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
        usable = {accel.name for accel in accels.values() if accel.runs}
        chosen = ("kvm", "tcg") if usable == {"kvm"} and options.accel == "auto" else tuple(usable)
        planned = plan_cycles(
            seed, max(options.cycles, only or 0), accels=chosen or ("tcg",), root=os.geteuid() == 0
        )
        reporter.note(f"seed {seed}")
        # They would be in the way of a run that times guests.
        with hold(layout.measuring_lock, "the right to use this machine for guests", reporter):
            results = record_cycles(
                layout,
                options,
                subjects,
                planned[only - 1 : only] if only else planned,
                firmware,
                reporter,
                seed=seed,
                command=request.command,
            )
    _Output().print(render_cycles(results))
    _print(f"\nresults: {layout.results / 'cycles.json'}")
    check_cycles(layout, results)
    return 0


def properties(request: Request) -> int:
    """Check each property of the series on real QEMU processes: --rows 1,3-5, --binary NAME=PATH[,ARG...]."""
    from harness.binaries import parse_binaries
    from harness.guest import check_targets
    from harness.pipeline import build_all, check_request, with_all_variants
    from harness.properties import built_binaries, named_binaries, parse_rows
    from harness.report import check_properties, properties_file, record_properties, render_properties
    from harness.teardown import refuse_timing

    layout, reporter = request.layout, request.reporter
    rows, named = parse_rows(request.arguments.rows), parse_binaries(request.arguments.binary)
    options = with_all_variants(request.options())
    # All targets are built, so that the builds are those of the other stages; the first says enough.
    targets = options.targets if options.has("targets") else options.targets[:1]
    refuse_timing(options)
    check_targets(targets)
    builds_too = not named or options.has("variants")
    others = named_binaries(named, options.variants if builds_too else ())
    check_targets(binary.target for binary in others)
    if builds_too:
        check_request(layout, options)
    with request.checkout():
        binaries = others
        if builds_too:
            prepared, builds = build_all(layout, options, reporter, request.command)
            binaries = (*built_binaries(builds, targets, prepared.pin.async_teardown), *others)
        with hold(layout.measuring_lock, "the right to time guests on this machine", reporter):
            results = record_properties(layout, options, binaries, rows, reporter, command=request.command)
    _Output().print(render_properties(results))
    _print(f"\nresults: {properties_file(layout)}")
    check_properties(layout, results)
    return 0


def clean(request: Request) -> int:
    """Remove builds, results and trees of this checkout; with --cache also downloads and compiler cache."""
    layout = request.layout
    for folder in (layout.build, layout.trees):
        if folder.is_dir() and layout.root not in folder.parents:
            raise OptionError(
                f"{folder} is outside the checkout, and may hold more than what the harness made",
                "remove it yourself, or run without QEMU_HARNESS_BUILD and QEMU_HARNESS_TREES",
            )
    folders = [layout.build, layout.trees]
    if request.arguments.cache:
        # Only what is ours, by name; the locks stay, or two runs could hold the same one.
        names = ("apt", "ccache", "downloads", "firmware", "kernels", "options", "pyenvs", "sysroots")
        folders += [layout.cache / name for name in names]
    with request.checkout():
        for folder in folders:
            if folder.is_dir():
                request.reporter.note(f"removing {folder}")
                shutil.rmtree(folder)
    return 0


def _print(text: object) -> None:
    _Output(soft_wrap=True).print(str(text), markup=False, highlight=False)


STAGES: dict[str, Callable[[Request], int]] = {
    function.__name__: function
    for function in (doctor, fetch, tree, build, which, guest, teardown, cycles, properties, clean)
}
UNGUARDED = ("which",)
_BINARY: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("variant",), {"choices": VARIANTS, "help": "state of the tree"}),
    (("target",), {"help": "guest architecture, such as x86_64-softmmu"}),
)
_BINARIES: tuple[tuple[str, ...], dict[str, Any]] = (
    ("--binary",),
    {
        "action": "append",
        "default": [],
        "metavar": "NAME=PATH[,ARG...]",
        "help": "use this QEMU, started with ARG..., instead of building; may be given many times",
    },
)


def _number(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


ARGUMENTS: dict[str, tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = {
    "which": (
        *_BINARY,
        (("host",), {"nargs": "?", "default": "native", "help": "where it runs: native, or such as s390x"}),
    ),
    "guest": _BINARY,
    "cycles": (
        _BINARIES,
        (("--only",), {"type": _number, "metavar": "NUMBER", "help": "run just this cycle of the plan"}),
    ),
    "properties": (
        (
            ("--rows",),
            {"default": "1-15", "metavar": "LIST", "help": "numbers of the rows to check, such as 1,3-5"},
        ),
        _BINARIES,
    ),
    "clean": ((("--cache",), {"action": "store_true", "help": "also empty the cache outside the checkout"}),),
}
