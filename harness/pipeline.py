"""The stages from source to binaries, in their order.

Every stage is idempotent, so a command calls all of them. A stage whose results exist returns quickly.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.ahead import Job, ahead
from harness.build import Build, build, configure, write_build_results
from harness.build.configure import OLDEST, is_too_old
from harness.build.devices import ALL, GUESTS
from harness.build.doctor import ensure
from harness.build.hosts import HOSTS, Host
from harness.errors import CompileError, OptionError
from harness.layout import Layout, label_of
from harness.options import Options, check_choice
from harness.progress import Reporter
from harness.series import Series, load_series, range_series
from harness.source.clone import find_commit, is_clone, split_revision, warn_of_changes
from harness.source.fetch import NO_PIN, fetch
from harness.source.pin import Pin, find_pin
from harness.tree import Checkout, Tree, checkout, import_source


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A request that passed all checks. ``series`` is None if no variant has it.

    ``pin`` has no name if -Dsource= is given and -Dpin= is not.
    """

    pin: Pin
    series: Series | None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A tree with a checkout of each variant, in the order of ``options.variants``."""

    tree: Tree
    series: Series | None
    checkouts: tuple[Checkout, ...]


def pin_of(layout: Layout, options: Options) -> Pin:
    """Return the pin of ``options``; NO_PIN for -Dsource= without -Dpin=. Raises OptionError."""
    return NO_PIN if options.source and not options.has("pin") else find_pin(layout, options.pin)


def find_series(layout: Layout, options: Options) -> Series:
    """Return the series of ``options``: a folder, or a range of a clone. Raises OptionError, ApplyError."""
    return range_series(layout, options.series, options.source) or load_series(layout, options.series)


def label_of_variant(layout: Layout, options: Options, variant: str) -> str:
    """Return the name of a variant's folder, for ``patched`` with that of the series."""
    is_folder = variant != "patched" or not (options.source and options.has("series"))
    return label_of(variant, options.series if is_folder else find_series(layout, options).name)


def check_request(layout: Layout, options: Options, *, needs_build: bool = True) -> Checked:
    """Check the options before anything is fetched or built.

    Raises OptionError: unknown pin or series, a target that the tree lacks, a folder that configure refuses.
    """
    pin = pin_of(layout, options)
    if needs_build and is_too_old(pin.name):
        oldest = ".".join(map(str, OLDEST))
        raise OptionError(
            f"cannot build pin {pin.name}, only fetch and import it: releases before {oldest} differ",
            "choose another pin with -Dpin=",
        )
    if needs_build:
        refuse_folder(layout)
    series = find_series(layout, options) if "patched" in options.variants else None
    if series is not None and not series.fits(pin.name):
        where = pin.name or options.source
        raise OptionError(
            f"series {series.name} is for pin {', '.join(series.pins)}, not for {where}",
            "omit it with -Dvariants=pristine, or choose another series with -Dseries=",
        )
    return Checked(pin=pin, series=series)


def refuse_folder(layout: Layout) -> None:
    """Raise OptionError if the build folder has a name that QEMU's configure refuses or misreads."""
    if re.search(r"""[\s:\[\]*?{}()<>|&;$`'"\\#!]""", str(layout.build)):
        raise OptionError(
            f"cannot build QEMU in {layout.build}: its configure needs a path without spaces, colons and "
            "special characters of the shell",
            "set QEMU_HARNESS_BUILD to a folder without them",
        )


def with_variants(layout: Layout, options: Options) -> Options:
    """Return ``options`` with variants, chosen by the series unless they are given.

    A series is compared with the state that it is applied to. If no series fits the tree, the only variant
    is pristine: a release that has the feature is compared with itself. Raises OptionError for an invalid
    series.
    """
    if options.variants:
        return options
    series = find_series(layout, options)
    if series.fits(pin_of(layout, options).name) or options.has("series"):
        return dataclasses.replace(options, variants=(series.metadata.base or "pristine", "patched"))
    return dataclasses.replace(options, variants=("pristine",))


def with_all_variants(layout: Layout, options: Options) -> Options:
    """Return ``options`` with every variant of its tree, unless ``-Dvariants=`` is given.

    Raises OptionError if the host native, which all properties but the last need, is not included.
    """
    if "native" not in options.hosts:
        raise OptionError(
            f"-Dhosts={','.join(options.hosts)} lacks native, which most properties need",
            f"use -Dhosts={','.join(('native', *options.hosts))}",
        )
    chosen = with_variants(layout, options)
    if options.variants:
        return chosen
    return dataclasses.replace(chosen, variants=tuple(dict.fromkeys((*chosen.variants, "pristine"))))


def with_feature(layout: Layout, options: Options) -> Options:
    """Return ``options`` without base, which lacks the feature, unless ``-Dvariants=`` is given."""
    chosen = with_variants(layout, options)
    variants = tuple(variant for variant in chosen.variants if variant != "base" or options.variants)
    return dataclasses.replace(chosen, variants=variants)


def with_devices(options: Options, usual: str) -> Options:
    """Return ``options`` with the devices ``usual`` (GUESTS or ALL), unless ``-Ddevices=`` names others."""
    return options if options.devices != "auto" else dataclasses.replace(options, devices=usual)


def prepare(layout: Layout, checked: Checked, options: Options, reporter: Reporter) -> Prepared:
    """Fetch the source, import the tree, check out each variant.

    With a range of the clone -Dsource=, the release is the commit before the range, unless -Dsource= names a
    revision. Raises OptionError for a target that the tree lacks.
    """
    source = fetch(checked.pin, layout, reporter, local=_origin(options, checked.series, reporter))
    tree = import_source(source, layout, reporter)
    check_choice("targets", options.targets, tree.facts.targets, where=f"QEMU {tree.facts.version}")
    checkouts = tuple(
        checkout(tree, variant, checked.series if variant == "patched" else None, layout, reporter)
        for variant in options.variants
    )
    return Prepared(tree=tree, series=checked.series, checkouts=checkouts)


def _origin(options: Options, series: Series | None, reporter: Reporter) -> str:
    """Return -Dsource=; for a clone without a revision, at the commit before its range ``series``."""
    folder, revision = split_revision(options.source)
    if series is None or not series.range_base or revision or not (folder.is_dir() and is_clone(folder)):
        return options.source
    base = find_commit(folder, series.range_base)
    if base is None:
        return options.source
    warn_of_changes(base, reporter)
    return f"{folder}@{base.commit}"


def tree_of(layout: Layout, options: Options, reporter: Reporter) -> Tree:
    """Return the tree of the pin or of ``-Dsource=``. Fetch and import it if it is missing."""
    source = fetch(pin_of(layout, options), layout, reporter, local=options.source)
    return import_source(source, layout, reporter)


def tree_name(layout: Layout, options: Options, reporter: Reporter) -> str:
    """Return the name of the tree in ``build/``: the pin, or for ``-Dsource=`` a name from its content."""
    return tree_of(layout, options, reporter).name if options.source else find_pin(layout, options.pin).name


def for_host(options: Options, host: Host) -> Options:
    """Return ``options`` with the targets to build for ``host``.

    A cross-build has only the target of its host, unless ``-Dtargets=`` is given: each target takes minutes
    to build, and the emulated host times no other guests.
    """
    if not host.is_cross or options.has("targets"):
        return options
    return dataclasses.replace(options, targets=(host.target,))


def build_all(
    layout: Layout,
    checked: Checked,
    options: Options,
    reporter: Reporter,
    command: str,
    *,
    meanwhile: Sequence[Job] = (),
) -> tuple[Prepared, tuple[Build, ...]]:
    """Build each variant for each host, with the stages before. Write ``build/results/build.json``.

    While the first one is built, the others are configured and ``meanwhile`` is done. If a tree without the
    series does not compile with the devices of timed guests alone, all devices are built, unless
    -Ddevices= is given: QEMU's own tests hardly cover builds without its default devices.
    """
    ensure(layout, options, reporter, meanwhile=(lambda quiet: prepare(layout, checked, options, quiet),))
    prepared = prepare(layout, checked, options, reporter)
    try:
        builds = _build_each(prepared, layout, options, reporter, meanwhile)
    except CompileError as error:
        if options.devices != GUESTS or options.has("devices") or options.variants[0] == "patched":
            raise
        reporter.warn(f"{error.cause}; all devices of QEMU are built instead (-Ddevices=all)")
        every = dataclasses.replace(options, devices=ALL)
        builds = _build_each(prepared, layout, every, reporter, meanwhile)
    write_build_results(layout, builds, command)
    return prepared, builds


def _build_each(
    prepared: Prepared, layout: Layout, options: Options, reporter: Reporter, meanwhile: Sequence[Job]
) -> tuple[Build, ...]:
    """Build each variant for each host. While the first one is built, configure the others."""
    wanted = [
        (checkout_, for_host(options, HOSTS[host]), host)
        for host in options.hosts
        for checkout_ in prepared.checkouts
    ]

    def configured(checkout_: Checkout, chosen: Options, host: str) -> Job:
        return lambda quiet: configure(checkout_, chosen, layout, quiet, host=host)

    builds = []
    with ahead([*(configured(*one) for one in wanted[1:]), *meanwhile], reporter):
        for checkout_, chosen, host in wanted[:1]:
            builds.append(build(checkout_, chosen, layout, reporter, host=host))
    for checkout_, chosen, host in wanted[1:]:
        builds.append(build(checkout_, chosen, layout, reporter, host=host))
    return tuple(builds)


def build_emulators(
    prepared: Prepared, layout: Layout, options: Options, reporter: Reporter
) -> tuple[tuple[Host, Path], ...]:
    """Return each emulated host among ``options.hosts``, with the QEMU that emulates it.

    That QEMU is the native build of the first variant. It is built if it is missing.
    """
    emulators = []
    for name in options.hosts:
        host = HOSTS[name]
        if host.is_cross:
            native = dataclasses.replace(options, targets=(host.target,), hosts=("native",))
            built = build(prepared.checkouts[0], native, layout, reporter)
            emulators.append((host, built.binary(host.target).file))
    return tuple(emulators)


def build_cross(
    prepared: Prepared, layout: Layout, options: Options, reporter: Reporter
) -> tuple[Build, ...]:
    """Build the variant ``patched``, if requested, for each emulated host among ``options.hosts``."""
    return tuple(
        build(
            checkout_,
            dataclasses.replace(options, targets=(HOSTS[name].target,)),
            layout,
            reporter,
            host=name,
        )
        for name in options.hosts
        if HOSTS[name].is_cross
        for checkout_ in prepared.checkouts
        if checkout_.variant == "patched"
    )
