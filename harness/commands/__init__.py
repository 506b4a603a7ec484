"""One function a sub-command: ask the stages, print what they give.

A stage is imported where it is used, so that ``which`` and ``doctor`` start fast. A new command is a function
in a module here, an entry of ``STAGES`` and, where it takes arguments beside options, one of ``ARGUMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.commands.auditing import AUDIT, audit
from harness.commands.calibrating import calibrate
from harness.commands.judging import check, ci, validate
from harness.commands.keeping import SERIES, SUBMIT, series, submit
from harness.commands.loading import LOAD, load
from harness.commands.making import BINARY, build, clean, doctor, fetch, tree, which
from harness.commands.request import BINARIES, Argument, Request, number
from harness.commands.running import clients, cycles, guest, properties, report, teardown

STAGES: dict[str, Callable[[Request], int]] = {
    function.__name__: function
    for function in (
        doctor,
        fetch,
        tree,
        build,
        which,
        guest,
        teardown,
        report,
        calibrate,
        cycles,
        properties,
        clients,
        load,
        check,
        ci,
        validate,
        series,
        submit,
        audit,
        clean,
    )
}
UNGUARDED = ("which",)
READING = ("which", "report", "check", "clean")
"""Commands that run nothing of what the cache holds, and so do not mind who else could have written there."""

NO_BUILD: Argument = (
    ("--no-build",),
    {"action": "store_true", "help": "build nothing: time just those of --binary"},
)

ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "which": (
        *BINARY,
        (("host",), {"nargs": "?", "default": "native", "help": "where it runs: native, or such as s390x"}),
    ),
    "guest": BINARY,
    "teardown": (
        BINARIES,
        NO_BUILD,
        (
            ("--compare",),
            {
                "nargs": "+",
                "type": Path,
                "metavar": "FILE",
                "help": "run nothing: compare the stored run in FILE with the last one, or a second FILE",
            },
        ),
        (
            ("--save-ratios",),
            {"type": Path, "metavar": "FILE", "help": "keep the ratios, for gates of kind recorded"},
        ),
    ),
    "calibrate": (BINARIES,),
    "report": ((("file",), {"nargs": "?", "type": Path, "help": "a stored run (default: the last one)"}),),
    "cycles": (
        BINARIES,
        (("--only",), {"type": number, "metavar": "NUMBER", "help": "run just this cycle of the plan"}),
    ),
    "properties": (
        (
            ("--rows",),
            {"default": "1-15", "metavar": "LIST", "help": "numbers of the rows to check, such as 1,3-5"},
        ),
        BINARIES,
    ),
    "clients": (
        BINARIES,
        NO_BUILD,
        (
            ("--clients",),
            {
                "default": "libvirt,libvirt-cgroup,qmp,cgroup,shell,timeout,bwrap",
                "metavar": "LIST",
                "help": "clients to try, such as libvirt,cgroup (default: all)",
            },
        ),
    ),
    "load": LOAD,
    "ci": (
        (("forge",), {"choices": ("gitlab", "github"), "help": "whose form"}),
        (
            ("--commits",),
            {"action": "store_true", "help": "GitLab's child pipeline: a job for each commit of -Dseries="},
        ),
    ),
    "check": ((("--list",), {"action": "store_true", "help": "list every rule (what it does anyway)"}),),
    "series": SERIES,
    "submit": SUBMIT,
    "audit": AUDIT,
    "clean": ((("--cache",), {"action": "store_true", "help": "also empty the cache outside the checkout"}),),
}
