"""One function a sub-command: ask the stages, print what they give.

A stage is imported where it is used, so that ``which`` and ``doctor`` start fast. A new command is a function
in a module here, an entry of ``STAGES`` and, where it takes arguments beside options, one of ``ARGUMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.commands.auditing import AUDIT, audit
from harness.commands.calibrate import CALIBRATE, calibrate
from harness.commands.clients import CLIENTS, clients
from harness.commands.cycles import CYCLES, cycles
from harness.commands.guest import guest
from harness.commands.judging import check, ci, validate
from harness.commands.keeping import SERIES, SUBMIT, series, submit
from harness.commands.load import LOAD, load
from harness.commands.making import BINARY, build, clean, doctor, fetch, tree, which
from harness.commands.properties import PROPERTIES, properties
from harness.commands.request import Argument, Request
from harness.commands.teardown import REPORT, TEARDOWN, report, teardown

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

ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "which": (
        *BINARY,
        (("host",), {"nargs": "?", "default": "native", "help": "where it runs: native, or such as s390x"}),
    ),
    "guest": BINARY,
    "teardown": TEARDOWN,
    "calibrate": CALIBRATE,
    "report": REPORT,
    "cycles": CYCLES,
    "properties": PROPERTIES,
    "clients": CLIENTS,
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
