"""Commands that create, list or remove sources, trees and binaries."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from harness.commands.request import Argument, Output, Request, argument, say
from harness.errors import AuthoringError, MissingError, OptionError
from harness.jsonfile import storing
from harness.options import check_choice

if TYPE_CHECKING:
    from harness.build.doctor import RequirementStatus

VARIANTS = ("pristine", "base", "patched")

BINARY: tuple[Argument, ...] = (
    argument("variant", choices=VARIANTS, help="state of the tree"),
    argument("target", help="guest architecture, such as x86_64-softmmu"),
)

WHICH: tuple[Argument, ...] = (
    *BINARY,
    argument(
        "host",
        nargs="?",
        default="native",
        help="host of the binary: native (default), or another one such as s390x",
    ),
)
CLEAN: tuple[Argument, ...] = (
    argument("--cache", action="store_true", help="also empty the cache outside the checkout"),
)


def doctor(request: Request) -> int:
    """List the required programs and libraries; install missing packages if permitted."""
    from harness.build.doctor import check, ensure, requirements

    options = request.options()
    try:
        ensure(request.layout, options, request.reporter)
    except MissingError:
        _print_needs(check(requirements(options), versions=True))
        raise
    _print_needs(check(requirements(options), versions=True))
    return 0


def _print_needs(rows: Iterable[RequirementStatus]) -> None:
    table = Table("requirement", "found", "version", "origin", "needed for", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, "yes" if row.found else "no", row.version, row.origin, row.needed_by)
    Output().print(table)


def fetch(request: Request) -> int:
    """Fetch the pin's source archive, verify its digest, and print its path."""
    from harness.pipeline import pin_of
    from harness.source.fetch import fetch as fetch_source

    options = request.options()
    source = fetch_source(
        pin_of(request.layout, options), request.layout, request.reporter, local=options.source
    )
    say(source.path)
    return 0


def tree(request: Request) -> int:
    """Import the source into git, check out the variants, and print their folders."""
    from harness.pipeline import check_request, prepare, with_variants

    options = with_variants(request.layout, request.options())
    checked = check_request(request.layout, options, needs_build=False)
    with request.checkout():
        prepared = prepare(request.layout, checked, options, request.reporter)
    for checkout in prepared.checkouts:
        say(checkout.path)
    return 0


def build(request: Request) -> int:
    """Build the variants for all targets, and print the paths of the binaries."""
    from harness.pipeline import build_all, check_request, with_variants

    options = with_variants(request.layout, request.options())
    checked = check_request(request.layout, options)
    with request.checkout():
        _, builds = build_all(request.layout, checked, options, request.reporter, request.command)
    for built in builds:
        for binary in built.binaries:
            say(binary.path)
    return 0


def which(request: Request) -> int:
    """Print the path of a built binary: qemu-harness which patched x86_64-softmmu [HOST]."""
    from harness.build import find_binary
    from harness.build.hosts import HOSTS
    from harness.pipeline import label_of_variant, tree_name

    options = request.options()
    tree = tree_name(request.layout, options, request.reporter)
    label = label_of_variant(request.layout, options, request.arguments.variant)
    target, host = request.arguments.target, request.arguments.host
    check_choice("hosts", [host], HOSTS, where="the harness")
    where = {"host": host, "profile": options.profile, "devices": options.devices}
    say(find_binary(request.layout, tree, label, target, **where, given=options.given))
    return 0


def clean(request: Request) -> int:
    """Remove builds, results and trees of this checkout; with --cache also downloads and compiler cache."""
    layout = request.layout
    for folder in (layout.build, layout.trees):
        if folder.is_dir() and layout.root not in folder.parents:
            raise OptionError(
                f"{folder} is outside the checkout, and may contain files that the harness did not create",
                "remove it yourself, or run without QEMU_HARNESS_BUILD and QEMU_HARNESS_TREES",
            )
    from harness.authoring.unsaved import unsaved

    if lost := unsaved(layout):
        raise AuthoringError(
            f"work would be lost: {lost[0]}",
            "commit it and run `qemu-harness series refresh NAME`, or remove it there yourself",
            details=lost[1:],
        )
    folders = [layout.build, layout.trees]
    if request.arguments.cache:
        # Only the harness's own folders. The locks stay; otherwise two runs could hold the same one.
        names = (
            *("apt", "ccache", "downloads", "firmware", "graphs"),
            *("kernels", "options", "pyenvs", "rates", "sysroots"),
        )
        folders += [layout.cache / name for name in names]
    with request.checkout():
        for folder in folders:
            if folder.is_dir():
                request.reporter.note(f"removing {folder}")
                with storing(f"remove {folder}"):
                    shutil.rmtree(folder)
    return 0
