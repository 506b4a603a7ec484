"""Fuzz the parsers of foreign files: ``python -m tests.fuzz --seconds 180``.

Run by ``nox -s fuzz``; docs/security.md describes it. Needs no network.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OPTIONS_HELP, prepare_streams, run_guarded
from harness.commands.request import Output, number, say
from harness.errors import MissingError
from harness.layout import find_layout
from harness.options import parse_options
from harness.progress import choose_reporter
from harness.trust import protect_cache


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments of nox -s fuzz."""
    top = argparse.ArgumentParser(prog="nox -s fuzz --", description=__doc__, allow_abbrev=False)
    top.add_argument(
        "-D", action="append", default=[], dest="options", metavar="NAME=VALUE", help=OPTIONS_HELP
    )
    top.add_argument(
        "--seconds",
        type=number,
        default=180,
        metavar="N",
        help="time for all parsers together (default: 180)",
    )
    top.add_argument(
        "--only", default="", metavar="LIST", help="parsers to fuzz, such as patch,mbox (default: all)"
    )
    top.add_argument("--guided", action="store_true", help="choose examples by code coverage (atheris)")
    top.add_argument("--repeat", type=Path, metavar="FILE", help="only read one stored example again")
    return top


def main(words: Sequence[str]) -> int:
    """Return the exit code: 0, 33 if a parser crashed or hung, or another of docs/errors.md."""
    prepare_streams()
    arguments = parser().parse_args(words)
    return run_guarded(lambda: _fuzz(arguments), die_with_parent=True)


def _fuzz(arguments: argparse.Namespace) -> int:
    if importlib.util.find_spec("hypothesis") is None:
        raise MissingError("fuzzing needs hypothesis", "run it as nox -s fuzz, or install the extra: .[test]")
    from tests.fuzz import guided, runner

    layout = find_layout(Path(__file__).resolve().parents[2])
    protect_cache(layout.cache)
    if arguments.repeat:
        say(runner.repeat(layout, arguments.repeat))
        return 0
    names = [name for name in arguments.only.split(",") if name]
    seed = parse_options(layout, [f"-D{option}" for option in arguments.options]).seed
    choose = guided.fuzz_guided if arguments.guided else runner.fuzz
    results = choose(layout, choose_reporter(), seconds=arguments.seconds, names=names, seed=seed)
    Output().print(runner.render_fuzz(results))
    say(f"seed {results.seed}")
    runner.check_fuzz(results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
