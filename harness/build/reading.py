"""Parse the output of configure, ninja, compilers and ccache."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.build.result import CacheUse
from harness.machine import text_of

NINJA_STATUS = "[%f/%t] "
STEP = re.compile(r"\[(\d+)/(\d+)\] (.*)")
ERROR = re.compile(
    r"^\S[^ ]*: (?:fatal )?error: |: ERROR: |undefined reference|ld: |[Kk]illed signal|No space left"
)
MAX_LINES = 14
UNCACHEABLE = ("unsupported_", "bad_", "compile_failed", "could_not", "internal_error", "preprocessor_error")
"""Beginnings of ccache's counters of calls that it cannot cache."""


class NinjaReader:
    """Parses ninja's output line by line: counts steps and stores the first failure."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.failed: list[str] = []
        self.failures = 0
        self._skip_command = False
        self._open = False

    def feed(self, line: str) -> tuple[int, int, str] | None:
        """Parse ``line``; if it reports progress, return (done, total, text)."""
        step = STEP.match(line)
        if step:
            self._open = False
            self.done, self.total = int(step[1]), int(step[2])
            return self.done, self.total, _short(step[3])
        if line.startswith("FAILED: "):
            self.failures += 1
            self._skip_command = self._open = self.failures == 1
        elif line.startswith(("ninja: ", "collect2: ")):
            self._open = False
            if line.startswith("ninja: error: ") and not self.failed:
                self.failed.append(line)  # ninja's own error: build.ninja is damaged, or the disk is full
        elif self._skip_command:
            self._skip_command = False  # the command, of thousands of characters, is in the log
        elif self._open:
            self.failed.append(line)
        elif not self.failures and ERROR.search(line):
            self.failed.append(line)  # error of meson while it regenerates build.ninja
        return None

    def details(self) -> tuple[str, ...]:
        """Return the first error with the compiler's context."""
        return first_error(self.failed)


def first_error(lines: list[str]) -> tuple[str, ...]:
    """Return the first error in a compiler's ``lines``, with its function and its source snippet."""
    at = next((number for number, line in enumerate(lines) if ERROR.search(line)), None)
    if at is None:
        return tuple(lines[:MAX_LINES])
    begin = at - 1 if at and re.search(r": (In|At) ", lines[at - 1]) else at
    end = at + 1
    while end < len(lines) and end - begin < MAX_LINES and not re.search(r": (error|warning): ", lines[end]):
        end += 1
    return tuple(lines[begin:end])


def configure_errors(output: str) -> tuple[str, ...]:
    """Return the error of configure or meson; the last lines of the output if none is recognised."""
    lines = [line for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if re.search(r"(^|: )ERROR: ", line):
            more = [text for text in lines[number + 1 : number + 6] if text.startswith(" ")]
            return (line, *more)
    return tuple(lines[-8:])


def read_summary(output: str) -> dict[str, dict[str, str]]:
    """Parse meson's final summary: sections (indented by two spaces) of ``name : value`` lines."""
    summary: dict[str, dict[str, str]] = {}
    section = ""
    heading = re.compile(r"^  (\S.*\S)$")
    entry = re.compile(r"^    (\S.*?)\s*: ?(.*)$")
    for line in output.splitlines():
        if found := entry.match(line):
            if section:
                summary.setdefault(section, {})[found[1]] = found[2].strip()
        elif found := heading.match(line):
            section = found[1]
        elif line.strip():
            section = ""
    return summary


def read_cache_log(path: Path) -> CacheUse:
    """Sum up ccache's CCACHE_STATSLOG: for each call a ``#`` line, then one counter on each line."""
    counts = Counter(line.strip() for line in text_of(path).splitlines() if not line.startswith("#"))
    return CacheUse(
        direct_hits=counts["direct_cache_hit"],
        preprocessed_hits=counts["preprocessed_cache_hit"],
        misses=counts["cache_miss"],
        uncacheable=sum(number for name, number in counts.items() if name.startswith(UNCACHEABLE)),
    )


def _short(text: str) -> str:
    """Shorten ``Compiling C object libcommon.fa.p/hw_pci.c.o`` to ``hw_pci.c``."""
    last = text.rsplit(" ", maxsplit=1)[-1].rpartition("/")[2]
    return last.removesuffix(".o") if text.startswith("Compiling") else text


def missing_words(path: Path, words: Iterable[str]) -> str:
    """Return the ``words`` that the file does not contain, separated by spaces."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return " ".join(word for word in words if word not in text)
