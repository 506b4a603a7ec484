"""Progress of stages. Stages report to a Reporter and never print.

Three reporters: ``Silent`` (tests, library use), ``Terminal`` (a bar, by rich) and ``Plain`` (one line a
step, folded in GitHub's and GitLab's logs).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.text import Text

from harness.console import LiteralConsole
from harness.figures import format_duration


class Step(Protocol):
    """A running step."""

    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        """Report that ``done`` of ``total`` units are done; ``text`` names the current one."""

    def show(self, table: RenderableType) -> None:
        """Show ``table`` below the progress bar of a terminal while the step runs."""


class Reporter(Protocol):
    """Receiver of steps, notes and warnings."""

    def step(self, title: str) -> contextlib.AbstractContextManager[Step]:
        """Begin a step. The end of the block ends it; an exception marks it as failed."""

    def note(self, text: str) -> None:
        """Report one line."""

    def warn(self, text: str) -> None:
        """Report one line as a warning."""


class _QuietStep:
    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        pass

    def show(self, table: RenderableType) -> None:
        pass


class Silent:
    """Prints nothing; stores titles, notes and warnings, for tests."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self.lines.append(title)
        yield _QuietStep()

    def note(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def times(spent_s: float, done: float, total: float | None) -> str:
    """Describe the time of a step: spent, and left if the rest takes as long as what is done."""
    spent = f"{format_duration(spent_s)} spent"
    if not total or not 0 < done <= total:
        return spent
    return (
        f"{spent}, about {format_duration(spent_s * (total - done) / done)} left" if done < total else spent
    )


class _PlainStep:
    """Reports each tenth of the work, at most every five seconds, and otherwise once a minute."""

    def __init__(self, reporter: Plain, title: str) -> None:
        self._reporter = reporter
        self._title = title
        self._tenth = 0
        self._began = self._last = time.monotonic()

    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        tenth, now = int(10 * done / total) if total else 0, time.monotonic()
        if (tenth > self._tenth and now - self._last >= 5) or now - self._last >= 60:
            self._tenth, self._last = tenth, now
            share = f"{100 * done / total:.0f} %, " if total else ""
            what = f": {text}" if text else ""
            self._reporter.note(f"  {self._title}: {share}{times(now - self._began, done, total)}{what}")

    def show(self, table: RenderableType) -> None:
        pass  # a log cannot update a table in place


class Plain:
    """Prints one line at the start of a step, and one with its duration at the end."""

    def __init__(self, stream: TextIO | None = None, environ: dict[str, str] | None = None) -> None:
        self._stream = stream or sys.stderr
        environment = os.environ if environ is None else environ
        self._fold = (
            "github"
            if environment.get("GITHUB_ACTIONS") == "true"
            else "gitlab"
            if environment.get("GITLAB_CI") == "true"
            else ""
        )

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not end a long build
            self._stream.write(text + "\n")
            self._stream.flush()

    def warn(self, text: str) -> None:
        self.note(f"warning: {text}")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        section = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
        started = time.monotonic()
        if self._fold == "github":
            self.note(f"::group::{title}")
        elif self._fold == "gitlab":
            self.note(f"\x1b[0Ksection_start:{int(time.time())}:{section}[collapsed=true]\r\x1b[0K{title}")
        else:
            self.note(f"{title} …")
        verdict = "failed"
        try:
            yield _PlainStep(self, title)
            verdict = "done"
        finally:
            if self._fold == "github":
                self.note("::endgroup::")
            elif self._fold == "gitlab":
                self.note(f"\x1b[0Ksection_end:{int(time.time())}:{section}\r\x1b[0K")
            self.note(f"{title}: {verdict} in {time.monotonic() - started:.1f} s")


class _Times(ProgressColumn):
    """The time of a step, spent and left."""

    def render(self, task: Task) -> Text:
        return Text(times(task.elapsed or 0.0, task.completed, task.total))


class _BarStep:
    def __init__(self, progress: Progress, title: str, live: Live) -> None:
        self._progress = progress
        self._live = live
        self._task = progress.add_task(title, total=None, detail="")

    def update(self, done: float, total: float | None = None, text: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, detail=text[:40])

    def show(self, table: RenderableType) -> None:
        self._live.update(Group(self._progress, table))


class Terminal:
    """Shows a progress bar for the running step, and a line for each completed one."""

    def __init__(self, console: LiteralConsole | None = None) -> None:
        self._console = console or LiteralConsole(stderr=True)

    def note(self, text: str) -> None:
        self._console.print(text)

    def warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", style="yellow")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        started = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Times(),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        verdict, style = "✗", "red"
        try:
            progress = Progress(*columns, console=self._console)
            with Live(progress, console=self._console, transient=True, refresh_per_second=8) as live:
                yield _BarStep(progress, title, live)
            verdict, style = "✓", "green"
        finally:
            took = time.monotonic() - started
            self._console.print(Text.assemble((verdict, style), f" {title} ({took:.1f} s)"))


def choose_reporter() -> Reporter:
    """Return a reporter: a progress bar on a terminal, plain lines in CI or a pipe."""
    if sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb":
        return Terminal()
    return Plain()
