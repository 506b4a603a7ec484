"""One function for each sub-command: call the stages and print their results.

A stage is imported where it is used, so that ``which`` and ``doctor`` start fast. A new command is a function
in a module of this package, an entry of ``STAGES`` and, if it has arguments, an entry of ``ARGUMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.commands import (
    behaviour,
    bisect,
    calibrate,
    clients,
    cycles,
    guest,
    judging,
    keeping,
    load,
    making,
    properties,
    teardown,
    watch,
)
from harness.commands.request import Argument, Request

STAGES: dict[str, Callable[[Request], int]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        making.doctor,
        making.fetch,
        making.tree,
        making.build,
        making.which,
        guest.guest,
        teardown.teardown,
        teardown.report,
        calibrate.calibrate,
        cycles.cycles,
        properties.properties,
        clients.clients,
        load.load,
        judging.check,
        judging.check_patch,
        judging.ci,
        judging.validate,
        bisect.bisect,
        behaviour.behaviour,
        keeping.series,
        keeping.submit,
        watch.watch,
        making.clean,
    )
}
UNGUARDED = ("which",)
READING = ("which", "report", "check", "check-patch", "clean")
"""Commands that run nothing from the cache, so the harness does not check its permissions for them."""

ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "which": making.WHICH,
    "guest": making.BINARY,
    "teardown": teardown.TEARDOWN,
    "behaviour": behaviour.BEHAVIOUR,
    "bisect": bisect.BISECT,
    "calibrate": calibrate.CALIBRATE,
    "report": teardown.REPORT,
    "cycles": cycles.CYCLES,
    "properties": properties.PROPERTIES,
    "clients": clients.CLIENTS,
    "load": load.LOAD,
    "ci": judging.CI,
    "check": judging.CHECK,
    "check-patch": judging.CHECK_PATCH,
    "series": keeping.SERIES,
    "submit": keeping.SUBMIT,
    "watch": watch.WATCH,
    "clean": making.CLEAN,
}
