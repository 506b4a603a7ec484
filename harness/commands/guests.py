"""Shared parts of the commands that run guests: the choice of binaries, and building them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.build.devices import GUESTS
from harness.commands.request import Argument, Output, Request, argument, say
from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from harness.bench import Subject
    from harness.build.hosts import Host
    from harness.options import Options
    from harness.pipeline import Checked
    from harness.progress import Reporter

BINARIES: Argument = argument(
    "--binary",
    action="append",
    default=[],
    metavar="NAME=PATH[,ARG...]",
    help="use this QEMU, started with ARG..., instead of building; may be given many times",
)
NO_BUILD: Argument = argument(
    "--no-build", action="store_true", help="build nothing: use only the binaries of --binary"
)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The binaries that a command runs, checked before any work.

    ``options`` determine the builds (``checked``, None for none); guests have the architectures ``targets``.
    """

    options: Options
    targets: tuple[str, ...]
    named: tuple[Subject, ...]
    checked: Checked | None

    def bench_options(self, **changes: object) -> Options:
        """Return the options of the bench, with ``changes``."""
        return dataclasses.replace(self.options, targets=self.targets, **changes)  # type: ignore[arg-type]


def choose_subjects(
    request: Request,
    options: Options,
    *,
    build: bool,
    first_target: bool = False,
    ask: bool = True,
    devices: str = GUESTS,
) -> Chosen:
    """Choose the binaries of --binary, and with ``build`` those of the variants.

    All targets are built, so that other commands can share the builds. With ``first_target``, guests have
    only the first architecture, unless targets were given. ``ask`` is passed to named_subjects. Builds have
    ``devices``, unless -Ddevices= names others.

    Raises OptionError like check_request, named_subjects and check_targets.
    """
    from harness.bench.named import named_subjects
    from harness.bench.subject import PRISTINE_WITH_OPTION
    from harness.guest.model import check_targets
    from harness.pipeline import check_request, with_devices, with_variants

    options = with_devices(with_variants(request.layout, options), devices)
    built = (*options.variants, PRISTINE_WITH_OPTION) if build else ()
    named = named_subjects(request.arguments.binary, options.targets, built=built, ask=ask)
    if not build and not named:
        raise OptionError("--no-build needs a binary to run", "add --binary NAME=PATH")
    targets = options.targets[:1] if first_target and not options.has("targets") else options.targets
    targets = tuple(dict.fromkeys((*(targets if build else ()), *(one.target for one in named))))
    check_targets(targets)
    checked = check_request(request.layout, options) if build else None
    return Chosen(options=options, targets=targets, named=named, checked=checked)


def choose_installed(request: Request, options: Options) -> Chosen:
    """Choose the distribution's own QEMU, off and on, and the binaries of --binary; install it if missing.

    Raises OptionError like installed_subjects, MissingError if it cannot be installed.
    """
    from harness.bench.installed import installed_subjects, installed_targets
    from harness.bench.named import named_subjects
    from harness.build.doctor import ensure
    from harness.guest.model import check_targets

    if options.spawner != "process":
        raise OptionError("-Dpreset=installed times the QEMU of this machine", "omit -Dspawner=")
    targets = installed_targets(options.targets, asked=options.has("targets"))
    check_targets(targets)
    options = dataclasses.replace(options, targets=targets, hosts=("native",))
    ensure(request.layout, options, request.reporter, stages=("guest", "installed"))
    subjects = installed_subjects(targets)
    named = named_subjects(request.arguments.binary, targets, built=[one.variant for one in subjects])
    return Chosen(options=options, targets=targets, named=(*subjects, *named), checked=None)


def make_subjects(
    request: Request, chosen: Chosen, *, emulate: bool = False
) -> tuple[tuple[Subject, ...], tuple[tuple[Host, Path], ...]]:
    """Build the subjects, and with ``emulate`` the QEMUs that emulate other hosts."""
    from harness.bench import subjects_of
    from harness.guest.firmware import fetch_firmware
    from harness.pipeline import build_all, build_emulators

    if chosen.checked is None:
        return chosen.named, ()
    layout, options, reporter = request.layout, chosen.options, request.reporter

    def firmware(quiet: Reporter) -> None:
        fetch_firmware(layout, quiet, chosen.targets)

    prepared, builds = build_all(
        layout, chosen.checked, options, reporter, request.command, meanwhile=[firmware]
    )
    emulators = build_emulators(prepared, layout, options, reporter) if emulate else ()
    return (*subjects_of(builds), *chosen.named), emulators


def refuse_other_hosts(options: Options, clause: str) -> None:
    """Raise OptionError if guests would run on another host. ``clause``: subject and verb of the cause."""
    if options.hosts != ("native",):
        raise OptionError(f"-Dhosts={','.join(options.hosts)}: {clause} on host native only", "omit -Dhosts=")


def show_results(table: RenderableType, results: Path, reports: Sequence[Path] = ()) -> None:
    """Print a table, then the paths of its results files."""
    Output().print(table)
    say(f"\nresults: {results}")
    if reports:
        say(f"report: {' '.join(map(str, reports))}")
