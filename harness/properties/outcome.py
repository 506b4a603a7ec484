"""How a check says what it found: by raising, or not."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator

import psutil

from harness.errors import HarnessError
from harness.properties.model import Part


class Miss(Exception):  # noqa: N818 - a finding, not an error
    """The binary lacks the property. The text is the reason, one line."""


class Cannot(Exception):  # noqa: N818 - a finding, not an error
    """The property cannot be tried here. The text is the reason, one line."""


def tool(name: str, package: str = "") -> str:
    """The path of a program that a check is made with. Raises Cannot."""
    found = shutil.which(name)
    if found is None:
        raise Cannot(f"{name}{f' (package {package})' if package else ''} is not installed")
    return found


@contextlib.contextmanager
def arranged() -> Iterator[None]:
    """Tell a surrounding that could not be made (Cannot) from a QEMU that failed in it."""
    try:
        yield
    except HarnessError as error:
        for line in (error.cause, *error.details):
            found = re.search(r"\b(?:prelude|unshare): (.*)", line)
            if found:
                raise Cannot(found[1]) from error
        raise


class Parts:
    """Collects the parts of a row."""

    def __init__(self) -> None:
        self.made: list[Part] = []

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[dict[str, float]]:
        """One check: it has passed when the block ends. The block puts what it measures into the dictionary.

        Errors of the harness (a QEMU that does not start, say) are failures of the check.
        """
        figures: dict[str, float] = {}
        outcome, reason = "pass", ""
        try:
            yield figures
        except Miss as miss:
            outcome, reason = "fail", str(miss)
        except Cannot as cannot:
            outcome, reason = "cancel", str(cannot)
        except HarnessError as error:
            outcome, reason = "fail", error.cause
        except PermissionError as error:
            outcome, reason = "cancel", f"may not be looked at: {error}"
        except (ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess) as error:
            outcome, reason = "fail", f"a process went while it was looked at: {error}"
        rounded = {key: round(value, 6) for key, value in figures.items()}
        self.made.append(Part(name=name, outcome=outcome, reason=" ".join(reason.split()), figures=rounded))
