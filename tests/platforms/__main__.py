"""Run the README's commands in fresh roots: ``python -m tests.platforms --releases 12,13 --cases root,user``.

Run by ``nox -s platforms``, as root. Each case takes 3 to 30 minutes, in a root of its own, which is removed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import prepare_streams, run_guarded
from harness.commands.request import say
from harness.errors import HarnessError, OptionError
from harness.progress import choose_reporter
from tests.platforms.cases import CASES, ONLY, lines_of
from tests.platforms.root import SUITES, make_root

ROOT = Path(__file__).resolve().parents[2]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments of nox -s platforms."""
    top = argparse.ArgumentParser(prog="nox -s platforms --", description=__doc__, allow_abbrev=False)
    top.add_argument(
        "--releases", default=",".join(SUITES), metavar="LIST", help="Debian releases (default: all)"
    )
    top.add_argument("--cases", default=",".join(CASES), metavar="LIST", help="cases (default: all)")
    top.add_argument(
        "--folder", type=Path, default=Path("/var/tmp/qemu-harness-roots"), help="where roots are"
    )
    top.add_argument("--keep", action="store_true", help="do not remove the roots")
    return top


def chosen(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the names in the list ``text``. Raises OptionError for one that is not ``known``."""
    names = tuple(filter(None, text.split(",")))
    for name in names:
        if name not in known:
            raise OptionError(f"--{what}: {name!r} is unknown", f"choose from: {','.join(known)}")
    return names


def main(words: Sequence[str]) -> int:
    """Return the exit code: 0, 1 if a case failed, or another of docs/errors.md."""
    prepare_streams()
    arguments = parser().parse_args(words)
    return run_guarded(lambda: _run(arguments), die_with_parent=True)


def _run(arguments: argparse.Namespace) -> int:
    releases = chosen(arguments.releases, tuple(SUITES), "releases")
    cases = chosen(arguments.cases, tuple(CASES), "cases")
    reporter, failed = choose_reporter(), 0
    for release in releases:
        for name in cases:
            if release not in ONLY.get(name, SUITES):
                continue
            log = arguments.folder / f"{release}-{name}.log"
            log.unlink(missing_ok=True)
            root = make_root(release, arguments.folder, ROOT, reporter)
            say(f"Debian {release}, {name}: {(CASES[name].__doc__ or '').strip()} Log: {log}")
            try:
                for outcome in CASES[name](root, log):
                    failed += bool(outcome.reason)
                    for line in lines_of(outcome):
                        say(f"  {line}")
            finally:
                if not arguments.keep:
                    root.remove()
    return HarnessError.code if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
