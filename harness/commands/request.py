"""The arguments of a command, and its output."""

import argparse
import contextlib
import re
import sys
from dataclasses import dataclass
from typing import Any

from harness.console import LiteralConsole
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options, parse_options
from harness.progress import Reporter

Argument = tuple[tuple[str, ...], dict[str, Any]]
"""The names and settings of one ``add_argument`` of argparse."""


def argument(*names: str, **settings: Any) -> Argument:
    """Return one argument of a command."""
    return names, settings


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request of the user. ``command`` reproduces it."""

    layout: Layout
    words: tuple[str, ...]
    arguments: argparse.Namespace
    reporter: Reporter
    command: str

    def options(self) -> Options:
        """Parse the given options. Raises OptionError."""
        return parse_options(self.layout, self.words)

    def checkout(self) -> contextlib.AbstractContextManager[None]:
        """Lock this checkout for writing."""
        return locked(self.layout.checkout_lock, "this checkout", self.reporter)


WIDTH = 120
"""Width of a table in a file or pipe, in columns: wide enough for all figures."""
NARROWEST = 72
"""Least width of a table, that of report.md. A narrower terminal wraps its lines; rich would drop figures."""


class Output(LiteralConsole):
    """Standard output. A closed pipe raises an error, instead of rich's silent exit."""

    def __init__(self, *, soft_wrap: bool = False) -> None:
        super().__init__(soft_wrap=soft_wrap, width=None if sys.stdout.isatty() else WIDTH)
        self.width = max(self.width, NARROWEST)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def say(text: object) -> None:
    """Print a line to standard output as it is."""
    Output(soft_wrap=True).print(str(text))


MOST = 999_999_999


def number(text: str, *, least: int = 1) -> int:
    """Parse an integer from ``least`` to MOST, for argparse."""
    if not (re.fullmatch("[0-9]{1,9}", text) and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {MOST}")
    return int(text)
