"""What a command is given, and how it speaks to the user."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from harness.layout import Layout
from harness.lock import locked
from harness.options import Options, parse_options
from harness.progress import Reporter

Argument = tuple[tuple[str, ...], dict[str, Any]]
"""The words and settings of one ``add_argument`` of argparse."""


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
        return locked(self.layout.checkout_lock, "this checkout", self.reporter)


WIDTH = 120
"""Columns of a table that goes to a file or a pipe: wide enough that no figure is cut."""


class Output(Console):
    """Standard output. A reader that has gone is an error as any other, not rich's silent exit."""

    def __init__(self, *, soft_wrap: bool = False) -> None:
        super().__init__(soft_wrap=soft_wrap, width=None if sys.stdout.isatty() else WIDTH)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def say(text: object) -> None:
    """One line for standard output, as it is."""
    Output(soft_wrap=True).print(str(text), markup=False, highlight=False)


def number(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
