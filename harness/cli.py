"""qemu-harness: parse the command line, call one command, report errors. It contains no other logic.

Progress and messages go to standard error, results to standard output.
"""

import argparse
import errno
import inspect
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from harness import commands
from harness.commands.request import Request
from harness.errors import HarnessError, InterruptedRunError, OptionError, StorageError, all_errors
from harness.guard import guarded
from harness.layout import SHIPPED, find_layout, shipped_files
from harness.process import shell_quote
from harness.progress import choose_reporter
from harness.trust import protect_cache

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits(3)

OPTIONS_HELP = "an option of meson_options.txt, such as -Dmemory=256M,1G; can be repeated"


class Parser(argparse.ArgumentParser):
    """A parser that reports errors as the harness does: a cause and a remedy."""

    def error(self, message: str) -> NoReturn:
        self.exit(_report(OptionError(message, f"run `{self.prog} --help`")))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    codes = "; ".join(f"{error.code} {error.summary}" for error in all_errors())
    top = Parser(
        prog="qemu-harness",
        description="Build and test harness for QEMU patch series.",
        epilog=f"exit codes: 0 success; {codes}",
        allow_abbrev=False,
    )
    top.add_argument(
        "--root",
        type=Path,
        help="the checkout of the harness to work in (default: the one around this folder)",
    )
    top.add_argument(
        "--die-with-parent", action="store_true", help="end the run when its parent process exits"
    )
    stages = top.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, function in commands.STAGES.items():
        summary = inspect.getdoc(function) or name
        stage = stages.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        stage.add_argument(
            "-D", action="append", default=[], dest="options", metavar="NAME=VALUE", help=OPTIONS_HELP
        )
        for words, settings in commands.ARGUMENTS[name]:
            stage.add_argument(*words, **settings)
        stage.set_defaults(function=function)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` and return the exit code (docs/errors.md)."""
    prepare_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(words)
    if arguments.stage in commands.UNGUARDED:
        return _report_errors(lambda: _call(arguments, words))
    return run_guarded(lambda: _call(arguments, words), die_with_parent=arguments.die_with_parent)


def run_guarded(call: Callable[[], int], *, die_with_parent: bool) -> int:
    """Run ``call`` below the guard and report its errors. Returns the exit code; docs/errors.md lists them.

    tests.faults and tests.fuzz are run by it too.
    """
    return guarded(lambda: _report_errors(call), die_with_parent=die_with_parent)


def prepare_streams() -> None:
    """Make the standard streams such that no message fails: closed ones are opened, encodings tolerant."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 must not turn a completed run into an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_standard_streams() -> None:
    """Open /dev/null for closed standard streams (``>&-``).

    Otherwise sys.stdout is None, and the next opened file gets the free descriptor: the output of child
    processes would go into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor: this one
            if opened != number:
                os.dup2(opened, number, inheritable=True)
                os.close(opened)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _call(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    prefix = os.environ.get("QEMU_HARNESS_COMMAND")
    after_stage = words[_stage_index(words) + 1 :]
    command = f"{prefix} {shell_quote(after_stage)}" if prefix else f"qemu-harness {shell_quote(words)}"
    layout = find_layout(arguments.root)
    if arguments.stage not in commands.READING:
        protect_cache(layout.cache)
    request = Request(
        layout=layout,
        words=tuple(f"-D{option}" for option in arguments.options),
        arguments=arguments,
        reporter=choose_reporter(),
        command=command.removesuffix(" --").rstrip(),
    )
    status: int = arguments.function(request)
    return status


def _stage_index(words: Sequence[str]) -> int:
    """Return the index of the stage's name: the first argument that is not an option or its value."""
    index = 0
    while words[index].startswith("-"):
        index += 2 if words[index] == "--root" else 1
    return index


def _report_errors(call: Callable[[], int]) -> int:
    try:
        status = call()
        sys.stdout.flush()
    except HarnessError as error:
        return _report(error)
    except KeyboardInterrupt:
        return _report(
            InterruptedRunError(
                "stopped by request", "run the same command again; what it has fetched and built is kept"
            )
        )
    except BrokenPipeError:
        # The reader of the output has exited (| head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:
        folders = "QEMU_HARNESS_BUILD, QEMU_HARNESS_TREES and QEMU_HARNESS_CACHE"
        remedies = {
            errno.ENOSPC: "free some disk space and run again",
            errno.EACCES: f"check the owner and mode of that file, or choose other folders with {folders}",
            errno.EROFS: f"choose writable folders with {folders}",
        }
        remedy = remedies.get(error.errno or 0, "check that the file can be read and written, then run again")
        return _report(StorageError(str(error), remedy))
    except Exception as error:  # noqa: BLE001 - an internal error still ends in one line and a log
        return _report_internal(error)
    return status


def _report(error: HarnessError) -> int:
    remedy = error.remedy
    if shipped_files().name == SHIPPED:  # there are no nox sessions
        remedy = re.sub(r"\bnox -s (\w+)( --)?", r"qemu-harness \1", remedy)
    lines = [f"error: {error.cause}", *(f"  {line}" for line in error.details), f"remedy: {remedy}"]
    if error.log is not None:
        lines.append(f"log: {error.log}")
    _print(lines)
    return error.code


def _report_internal(error: Exception) -> int:
    text = "".join(traceback.format_exception(error))
    lines = [f"error: internal error of the harness: {type(error).__name__}: {error}"]
    try:
        folder = find_layout().logs
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"fault-{os.getpid()}.txt"
        log.write_text(text, encoding="utf-8")
        lines += ["remedy: report it, with the file below", f"log: {log}"]
    except (HarnessError, OSError):
        lines += [
            *(f"  {line}" for line in text.splitlines()),
            "remedy: report it, with the lines above",
        ]
    _print(lines)
    return INTERNAL_ERROR


def _print(lines: Sequence[str]) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        pass
