"""Outcomes of checks: a check passes, or raises Failed or Cancelled."""

import contextlib
import re
import shutil
from collections.abc import Iterator

import psutil

from harness.errors import HarnessError
from harness.properties.model import Part


class Failed(Exception):  # noqa: N818 - a finding, not an error
    """The binary lacks the property. The text is the reason, one line."""


NAMED = re.compile(r"async\w*[ _-]?teardown|cleanup/\d", re.IGNORECASE)
"""How an error names the helper."""


class Cancelled(Exception):  # noqa: N818 - a finding, not an error
    """The property cannot be checked on this machine. The text is the reason, one line."""


def tool(name: str, package: str = "") -> str:
    """Return the path of a program that a check needs. Raises Cancelled."""
    path = shutil.which(name)
    if path is None:
        raise Cancelled(f"{name}{f' (package {package})' if package else ''} is not installed")
    return path


@contextlib.contextmanager
def arranged() -> Iterator[None]:
    """Raise Cancelled if the error is a failed setup of the environment, not a failure of QEMU in it."""
    try:
        yield
    except HarnessError as error:
        for line in (error.cause, *error.details):
            setup = re.search(r"\b(?:prelude|unshare): (.*)", line)
            if setup:
                raise Cancelled(setup[1]) from error
        raise


class Parts:
    """Collects the parts of a row."""

    def __init__(self) -> None:
        self.made: list[Part] = []

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[dict[str, float]]:
        """Run one check, the block. It passes if the block ends normally. The dictionary is for figures.

        A HarnessError, for example of a QEMU that does not start, makes the check fail.
        """
        figures: dict[str, float] = {}
        outcome, reason = "pass", ""
        try:
            yield figures
        except Failed as failed:
            outcome, reason = "fail", str(failed)
        except Cancelled as cancelled:
            outcome, reason = "cancel", str(cancelled)
        except HarnessError as error:
            outcome, reason = "fail", error.cause
        except PermissionError as error:
            outcome, reason = "cancel", f"no permission to inspect the process: {error}"
        except (ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess) as error:
            outcome, reason = "fail", f"a process ended while it was inspected: {error}"
        rounded = {key: round(value, 6) for key, value in figures.items()}
        self.made.append(Part(name=name, outcome=outcome, reason=" ".join(reason.split()), figures=rounded))
