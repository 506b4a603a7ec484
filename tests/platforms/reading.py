"""Read the README's commands, and what a run prints."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
HEADING = "## Two commands"
STEP = re.compile(r"^(.+): done in ([\d.]+) s$", re.MULTILINE)
REMEDY = re.compile(r"^remedy: run: (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a run, with its wall-clock time."""

    title: str
    seconds: float


def readme_commands(text: str = "") -> tuple[str, ...]:
    """Return the command lines of the first block below HEADING, without their comments.

    Raises ValueError if there is no such block.
    """
    section = (text or README.read_text(encoding="utf-8")).partition(f"\n{HEADING}\n")[2]
    block = re.search(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    if block is None:
        raise ValueError(f"README.md has no block of commands below {HEADING!r}")
    lines = [shlex.join(shlex.split(line, comments=True)) for line in block[1].splitlines()]
    return tuple(line for line in lines if line)


def stages(output: str) -> tuple[Stage, ...]:
    """Return the completed steps of a run, in order; of a step with a progress, its last line alone."""
    return tuple(Stage(title=title, seconds=float(seconds)) for title, seconds in STEP.findall(output))


def remedies(output: str) -> tuple[str, ...]:
    """Return the command lines that a failed run asks the user to run."""
    return tuple(REMEDY.findall(output))
