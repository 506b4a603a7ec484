"""The stages from source to binaries, in their order.

Every stage is idempotent, so a command simply asks for all of them; what is there already costs little.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from harness.bench import WITHOUT_FEATURE
from harness.build import Build, build, write_build_results
from harness.build.doctor import ensure
from harness.build.hosts import HOSTS, Host
from harness.errors import OptionError
from harness.layout import Layout
from harness.options import Options, check_choice
from harness.progress import Reporter
from harness.series import Series, load_series
from harness.source import Pin, fetch, find_pin
from harness.tree import Checkout, Tree, checkout, import_source


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is built, known before any work. ``series`` is None if no variant has it."""

    pin: Pin
    series: Series | None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A tree with its variants checked out, in the order asked for."""

    pin: Pin
    tree: Tree
    series: Series | None
    checkouts: tuple[Checkout, ...]


def check_request(layout: Layout, options: Options, *, needs_build: bool = True) -> Checked:
    """Refuse at once what can be known to fail: before any fetch, before any build.

    Raises OptionError: unknown pin or series, a target this QEMU lacks, a pin that is not built.
    """
    pin = find_pin(layout, options.pin)
    check_choice("targets", options.targets, pin.targets, where=f"QEMU {pin.version}")
    if needs_build and not pin.native_build:
        raise OptionError(
            f"pin {pin.name} can be fetched and imported, not built: {pin.native_build_reason}",
            "choose another pin with -Dpin=",
        )
    if needs_build and re.search(r"[\s:]", str(layout.build)):
        raise OptionError(
            f"QEMU cannot be built in {layout.build}: its configure refuses spaces and colons",
            "name a build folder without them by QEMU_HARNESS_BUILD",
        )
    series = load_series(layout, options.series) if "patched" in options.variants else None
    if series is not None and not series.fits(pin.name):
        raise OptionError(
            f"series {series.name} is for pin {', '.join(series.pins)}, not for {pin.name}",
            "leave it out with -Dvariants=pristine,base, or name another one with -Dseries=",
        )
    return Checked(pin=pin, series=series)


def with_all_variants(options: Options) -> Options:
    """``options`` with every variant, unless variants were named.

    Raises OptionError without the host native, on which all rows but the last are checked.
    """
    if "native" not in options.hosts:
        raise OptionError(
            f"-Dhosts={','.join(options.hosts)}: most properties are checked on this machine",
            f"write -Dhosts={','.join(('native', *options.hosts))}",
        )
    if options.has("variants"):
        return options
    return dataclasses.replace(options, variants=("base", "patched", "pristine"))


def with_feature(options: Options) -> Options:
    """``options`` with the variants that have the feature, unless variants were named.

    Raises OptionError for another host than native: what only runs under emulation cannot be cycled.
    """
    if options.hosts != ("native",):
        raise OptionError(
            f"-Dhosts={','.join(options.hosts)}: cycles are run on this machine", "leave -Dhosts= out"
        )
    if options.has("variants"):
        return options
    variants = tuple(variant for variant in options.variants if variant not in WITHOUT_FEATURE)
    return dataclasses.replace(options, variants=variants)


def prepare(layout: Layout, checked: Checked, options: Options, reporter: Reporter) -> Prepared:
    """Source, tree and one checkout for each variant."""
    pin, series = checked.pin, checked.series
    tree = import_source(fetch(pin, layout, reporter, local=options.source), layout, reporter)
    checkouts = tuple(
        checkout(tree, variant, series if variant == "patched" else None, layout, reporter)
        for variant in options.variants
    )
    return Prepared(pin=pin, tree=tree, series=series, checkouts=checkouts)


def tree_of(layout: Layout, options: Options, reporter: Reporter) -> Tree:
    """The tree of the pin, or of ``-Dsource=``, fetched and imported where it is not there yet."""
    source = fetch(find_pin(layout, options.pin), layout, reporter, local=options.source)
    return import_source(source, layout, reporter)


def tree_name(layout: Layout, options: Options, reporter: Reporter) -> str:
    """What the tree is called in ``build/``: the pin, or for ``-Dsource=`` what its content says."""
    pin = find_pin(layout, options.pin)
    if not options.source:
        return pin.name
    return tree_of(layout, options, reporter).name


def for_host(options: Options, host: Host) -> Options:
    """``options`` with the targets that are built for ``host``.

    For another machine than this one only guests of its own are, unless targets were named: a target costs
    minutes there, and no other guests are timed.
    """
    if not host.is_cross or options.has("targets"):
        return options
    return dataclasses.replace(options, targets=(host.target,))


def build_all(
    layout: Layout, checked: Checked, options: Options, reporter: Reporter, command: str
) -> tuple[Prepared, tuple[Build, ...]]:
    """Everything up to the binaries of each variant; writes ``build/results/build.json``."""
    ensure(layout, options, reporter)
    prepared = prepare(layout, checked, options, reporter)
    builds = tuple(
        build(checkout_, prepared.pin, for_host(options, HOSTS[host]), layout, reporter, host=host)
        for host in options.hosts
        for checkout_ in prepared.checkouts
    )
    write_build_results(layout, builds, command)
    return prepared, builds


def build_emulators(
    prepared: Prepared, layout: Layout, options: Options, reporter: Reporter
) -> tuple[tuple[Host, Path], ...]:
    """Each host among ``options.hosts`` that is emulated, with the QEMU that emulates it.

    That QEMU is the native build of the first variant, made if it is not there.
    """
    found = []
    for name in options.hosts:
        host = HOSTS[name]
        if host.is_cross:
            native = dataclasses.replace(options, targets=(host.target,), hosts=("native",))
            built = build(prepared.checkouts[0], prepared.pin, native, layout, reporter)
            found.append((host, built.binary(host.target).file))
    return tuple(found)


def build_cross(
    prepared: Prepared, layout: Layout, options: Options, reporter: Reporter
) -> tuple[Build, ...]:
    """The series, if it is among the variants, built for each emulated host among ``options.hosts``."""
    return tuple(
        build(
            checkout_,
            prepared.pin,
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
