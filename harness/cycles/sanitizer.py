"""Parse reports of AddressSanitizer and UndefinedBehaviorSanitizer, and find those about the series."""

import re
from pathlib import Path

from harness.cycles.model import Report
from harness.machine import text_of

OUR_FILES = ("async-teardown", "async_teardown", "os-posix.c")
"""Files and functions of the series. A report about the series contains one of these names."""

_HEAD = re.compile(r"==\d+==\s?(?:ERROR|WARNING): (?P<tool>\w+Sanitizer):? (?P<problem>.*)")
_DEADLY = re.compile(r"(?P<tool>\w+Sanitizer):DEADLYSIGNAL")
_UNDEFINED = re.compile(r"(?P<place>\S+:\d+:\d+): runtime error: (?P<problem>.*)")
_FRAME = re.compile(r"\s+#\d+ 0x")


def environment(folder: Path) -> dict[str, str]:
    """Return environment variables that make the sanitizers of QEMU write their reports to ``folder``.

    A QEMU without sanitizers ignores them. LeakSanitizer is off, because QEMU frees little at its exit and
    every run would have reports. Undefined behaviour does not end QEMU, so that later reports are not lost.
    With gcc, UBSan ignores ``log_path`` if ASan is enabled too, and writes to standard error, which a
    daemon does not have. (gcc and clang manuals, "sanitizer common flags".)
    """
    common = f"log_path={folder / 'report'}:exitcode=99"
    return {
        "ASAN_OPTIONS": f"{common}:detect_leaks=0:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": f"{common}:halt_on_error=0:print_stacktrace=1",
    }


def parse_reports(text: str) -> tuple[Report, ...]:
    """Parse the reports in ``text``. A report is ours if one of its lines names a file of the series."""
    parsed: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        head, undefined = _HEAD.search(line), _UNDEFINED.search(line)
        if head:
            parsed.append((head["tool"], head["problem"].strip(), [line]))
        elif undefined:
            problem = f"{undefined['place']}: {undefined['problem']}"
            parsed.append(("UndefinedBehaviorSanitizer", problem, [line]))
        elif parsed and (_FRAME.match(line) or parsed[-1][0] == "AddressSanitizer"):
            parsed[-1][2].append(line)
    if not parsed and (deadly := _DEADLY.search(text)):
        # QEMU ended before the sanitizer had written the report.
        parsed.append((deadly["tool"], "a deadly signal without a report", [text]))
    return tuple(
        Report(tool=tool, summary=problem.partition(" on address")[0][:200], ours=_is_ours(tool, lines))
        for tool, problem, lines in parsed
    )


def _is_ours(tool: str, lines: list[str]) -> bool:
    """Return whether a report is about the series. A report without a stack, cut off by a kill, is."""
    whole = tool == "UndefinedBehaviorSanitizer" or any(_FRAME.match(line) for line in lines)
    return not whole or any(name in line for line in lines for name in OUR_FILES)


def collect(folder: Path, log: Path) -> tuple[Report, ...]:
    """Parse the files in ``folder``, and QEMU's ``log`` for reports that could not be written there."""
    files = (*sorted(folder.iterdir()), log)
    return tuple(report for path in files for report in parse_reports(text_of(path)))
