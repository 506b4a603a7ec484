"""One function for each sub-command: call the stages and print their results.

A stage is imported where it is used, so that ``which`` and ``doctor`` start fast. A new command is a function
in a module of this package and an entry of the table below, with its arguments.
"""

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

_COMMANDS: tuple[tuple[Callable[[Request], int], tuple[Argument, ...]], ...] = (
    (making.doctor, ()),
    (making.fetch, ()),
    (making.tree, ()),
    (making.build, ()),
    (making.which, making.WHICH),
    (guest.guest, making.BINARY),
    (teardown.teardown, teardown.TEARDOWN),
    (teardown.report, teardown.REPORT),
    (calibrate.calibrate, calibrate.CALIBRATE),
    (cycles.cycles, cycles.CYCLES),
    (properties.properties, properties.PROPERTIES),
    (clients.clients, clients.CLIENTS),
    (load.load, load.LOAD),
    (judging.check, judging.CHECK),
    (judging.check_patch, judging.CHECK_PATCH),
    (judging.ci, judging.CI),
    (judging.validate, ()),
    (bisect.bisect, bisect.BISECT),
    (behaviour.behaviour, behaviour.BEHAVIOUR),
    (keeping.series, keeping.SERIES),
    (keeping.submit, keeping.SUBMIT),
    (watch.watch, watch.WATCH),
    (making.clean, making.CLEAN),
)
STAGES = {function.__name__.replace("_", "-"): function for function, _ in _COMMANDS}
ARGUMENTS = dict(zip(STAGES, (arguments for _, arguments in _COMMANDS), strict=True))
UNGUARDED = ("which",)
READING = ("which", "report", "check", "check-patch", "clean")
"""Commands that run nothing from the cache, so the harness does not check its permissions for them."""
