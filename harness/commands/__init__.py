"""One function for each sub-command: call the stages and print their results.

A stage is imported where it is used, so that ``which`` and ``doctor`` start fast. A new command is a function
in a module here, an entry of ``STAGES`` and, if it takes further arguments, one of ``ARGUMENTS``.
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
"""Commands that run nothing from the cache, so its permissions do not matter to them."""

ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "which": (
        *BINARY,
        (
            ("host",),
            {
                "nargs": "?",
                "default": "native",
                "help": "host of the binary: native (default), or another one such as s390x",
            },
        ),
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
        (("forge",), {"choices": ("gitlab", "github"), "help": "forge to render the configuration for"}),
        (
            ("--commits",),
            {
                "action": "store_true",
                "help": "print GitLab's child pipeline, with a job for each commit of -Dseries=",
            },
        ),
    ),
    "check": ((("--list",), {"action": "store_true", "help": "list every rule (the default)"}),),
    "series": SERIES,
    "submit": SUBMIT,
    "audit": AUDIT,
    "clean": ((("--cache",), {"action": "store_true", "help": "also empty the cache outside the checkout"}),),
}
