"""One function a sub-command: ask the stages, print what they give.

Stages are imported where they are used, so that ``which`` and ``doctor`` start fast.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from harness.errors import MissingError
from harness.layout import Layout, label_of
from harness.options import Options, parse_options
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

    def options(self, *more: str) -> Options:
        """The options given, and those that the sub-command's own arguments mean."""
        return parse_options(self.layout, (*self.words, *more))


class _Output(Console):
    """Standard output. A reader that has gone is an error as any other, not rich's silent exit."""

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
    from harness.pipeline import prepare

    for checkout in prepare(request.layout, request.options(), request.reporter).checkouts:
        _print(checkout.path)
    return 0


def build(request: Request) -> int:
    """Build the variants for all targets; prints the binaries."""
    from harness.pipeline import build_all

    _, builds = build_all(request.layout, request.options(), request.reporter, request.command)
    for built in builds:
        for binary in built.binaries:
            _print(binary.path)
    return 0


def which(request: Request) -> int:
    """Print the path of a built binary: qemu-harness which patched x86_64-softmmu."""
    from harness.build import find_binary
    from harness.pipeline import tree_name

    options = request.options()
    tree = tree_name(request.layout, options, request.reporter)
    label = label_of(request.arguments.variant, options.series)
    _print(find_binary(request.layout, tree, label, request.arguments.target))
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
    return 0


def teardown(request: Request) -> int:
    """Main job: build, start large guests, time their teardown, print and store the comparison."""
    from harness.pipeline import build_all
    from harness.report import check_results, record_teardown, render_table, teardown_file
    from harness.teardown import subjects_of

    options = request.options()
    prepared, builds = build_all(request.layout, options, request.reporter, request.command)
    subjects = subjects_of(builds, prepared.pin.async_teardown)
    results = record_teardown(request.layout, options, subjects, request.reporter, command=request.command)
    _Output().print(render_table(results))
    _print(f"\nresults: {teardown_file(request.layout)}")
    check_results(request.layout, results)
    return 0


def clean(request: Request) -> int:
    """Remove builds, results and trees of this checkout; with --cache also downloads and compiler cache."""
    folders = [request.layout.build, request.layout.trees]
    if request.arguments.cache:
        folders.append(request.layout.cache)
    for folder in folders:
        if folder.is_dir():
            request.reporter.note(f"removing {folder}")
            shutil.rmtree(folder)
    return 0


def _print(text: object) -> None:
    _Output(soft_wrap=True).print(str(text), markup=False, highlight=False)


STAGES: dict[str, Callable[[Request], int]] = {
    function.__name__: function for function in (doctor, fetch, tree, build, which, guest, teardown, clean)
}
UNGUARDED = ("which",)
_BINARY: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("variant",), {"choices": VARIANTS, "help": "state of the tree"}),
    (("target",), {"help": "guest architecture, such as x86_64-softmmu"}),
)
ARGUMENTS: dict[str, tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = {
    "which": _BINARY,
    "guest": _BINARY,
    "clean": ((("--cache",), {"action": "store_true", "help": "also empty the cache outside the checkout"}),),
}
