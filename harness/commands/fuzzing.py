"""The command that looks for weak places in what reads foreign files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from harness.commands.request import Argument, Output, Request, number, say
from harness.errors import MissingError

FUZZ: tuple[Argument, ...] = (
    (
        ("--seconds",),
        {"type": number, "default": 180, "metavar": "N", "help": "for all readers (default: 180)"},
    ),
    (("--only",), {"default": "", "metavar": "LIST", "help": "readers, such as patch,mbox (default: all)"}),
    (
        ("--guided",),
        {"action": "store_true", "help": "choose examples by the code that they reach (atheris)"},
    ),
    (
        ("--repeat",),
        {"type": Path, "metavar": "FILE", "help": "read one stored example again, and nothing else"},
    ),
)


def fuzz(request: Request) -> int:
    """Read spoilt patches, mailboxes, TOML and results until the time is over; nothing may crash or hang."""
    if importlib.util.find_spec("hypothesis") is None:
        raise MissingError("fuzzing needs hypothesis", "run it as nox -s fuzz, or install the extra: .[test]")
    from harness import fuzz as fuzzing

    arguments = request.arguments
    if arguments.repeat:
        say(fuzzing.repeat(request.layout, arguments.repeat))
        return 0
    names = [name for name in arguments.only.split(",") if name]
    seed = request.options().seed
    choose = fuzzing.fuzz_guided if arguments.guided else fuzzing.fuzz
    results = choose(request.layout, request.reporter, seconds=arguments.seconds, names=names, seed=seed)
    Output().print(fuzzing.render_fuzz(results))
    say(f"seed {results.seed}")
    fuzzing.check_fuzz(results)
    return 0
