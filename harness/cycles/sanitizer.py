"""Read what AddressSanitizer and UndefinedBehaviorSanitizer write; tell reports on our files from others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from harness.cycles.model import Report
from harness.machine import text_of

OUR_FILES = ("async-teardown", "async_teardown", "raw-syscall", "raw_syscall", "os-posix.c")
"""What a report that concerns the series has in one of its lines: files and functions of the series."""

_HEAD = re.compile(r"==\d+==\s?(?:ERROR|WARNING): (?P<tool>\w+Sanitizer):? (?P<what>.*)")
_DEADLY = re.compile(r"(?P<tool>\w+Sanitizer):DEADLYSIGNAL")
_UNDEFINED = re.compile(r"(?P<where>\S+:\d+:\d+): runtime error: (?P<what>.*)")
_FRAME = re.compile(r"\s+#\d+ 0x")


def environment(folder: Path) -> dict[str, str]:
    """Variables for a sanitized QEMU (a plain one does not look at them) whose reports go to ``folder``.

    LeakSanitizer is off: QEMU frees little at its end, so it would report every run. A first undefined
    operation does not end QEMU, so that one of QEMU's own does not hide what comes after it. gcc's runtime of
    UBSan has no ``log_path`` beside that of ASan: it writes to standard error, which a daemon does not have.
    (gcc and clang manuals, "sanitizer common flags".)
    """
    common = f"log_path={folder / 'report'}:exitcode=99"
    return {
        "ASAN_OPTIONS": f"{common}:detect_leaks=0:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": f"{common}:halt_on_error=0:print_stacktrace=1",
    }


def parse_reports(text: str) -> tuple[Report, ...]:
    """The reports in ``text``, in their order. A report is ours when any of its lines names our files."""
    found: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        head, undefined = _HEAD.search(line), _UNDEFINED.search(line)
        if head:
            found.append((head["tool"], head["what"].strip(), [line]))
        elif undefined:
            what = f"{undefined['where']}: {undefined['what']}"
            found.append(("UndefinedBehaviorSanitizer", what, [line]))
        elif found and (_FRAME.match(line) or found[-1][0] == "AddressSanitizer"):
            found[-1][2].append(line)
    if not found and (deadly := _DEADLY.search(text)):
        # The signal came while it was about to say more: no head, no frames.
        found.append((deadly["tool"], "a deadly signal, and no report of it", [text]))
    return tuple(
        Report(tool=tool, summary=what.partition(" on address")[0][:200], ours=_is_ours(tool, lines))
        for tool, what, lines in found
    )


def _is_ours(tool: str, lines: list[str]) -> bool:
    """Also when the stack is missing: QEMU was killed while it wrote, and nobody knows whose report it is."""
    whole = tool == "UndefinedBehaviorSanitizer" or any(_FRAME.match(line) for line in lines)
    return not whole or any(name in line for line in lines for name in OUR_FILES)


def collect(folder: Path, log: Path) -> tuple[Report, ...]:
    """Reports in the files below ``folder``, and in QEMU's ``log``: there, if it could not write those."""
    return tuple(report for path in (*_files(folder), log) for report in parse_reports(text_of(path)))


def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.iterdir())
