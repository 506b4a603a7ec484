"""The forms of the command line that end in help or in a list, found from the binary's own option table.

A form is tried without the feature. It is one if QEMU prints something and ends with status 0, although the
command line ends in an error that QEMU finds last, when everything else has been started.
"""

import concurrent.futures
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.process import clean_environment
from harness.properties.outcome import Cancelled

LIMIT_S = 20.0
LAST_ERROR = ("-incoming", "no-such-protocol:")
"""QEMU parses it when the machine is complete (QEMU manual, "-incoming"), and ends with status 1."""
BASE = ("-nodefaults", "-display", "none", "-monitor", "none")
NAMES_TRIED = 2
WORDS = ("help", "?")
_OPTION = re.compile(r"^-{1,2}([a-zA-Z][\w-]*)(?:(?: or |, )-{1,2}([a-zA-Z][\w-]*))?(.*)$")
_FIRST = re.compile(r"([a-z][\w-]*)\[")
_CHOICE = re.compile(r"\b([a-z][\w-]*)=(?:type|model)\b")
"""A key whose value is one of a list, as the help text calls it: ``-net nic[,macaddr=mac][,model=type]``."""
_KEY = re.compile(r"\[?\b([a-z][\w-]*)\b\]?=")
_NAME = re.compile(r'^(?:name "([\w.-]+)"|\s*([\w.-]+)\b)', re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """An option of the table: whether it takes a value, and the keys of the value, as its help lists them.

    ``choices`` are first words with a key whose value is one of a list: ``nic,model``.
    """

    name: str
    has_value: bool
    keys: tuple[str, ...]
    choices: tuple[str, ...] = ()


def read_table(text: str) -> tuple[Option, ...]:
    """Parse the text of -help, which QEMU generates from its option table (qemu-options.hx)."""
    blocks: list[tuple[str, ...]] = []
    bodies: list[list[str]] = []
    for line in text.splitlines():
        match = _OPTION.match(line)
        if match:
            blocks.append(tuple(name for name in match.groups()[:2] if name))
            # The explanation follows after two blanks.
            bodies.append([re.split(r"\s{2,}", match[3])[0]])
        elif bodies and line.startswith(" "):
            bodies[-1].append(line)
    options: dict[str, Option] = {}
    for names, body in zip(blocks, bodies, strict=True):
        text = "\n".join(body)
        keys = tuple(dict.fromkeys(_KEY.findall(text)))
        first = _FIRST.match(body[0].strip())
        choices = tuple(f"{first[1]},{key}" for key in _CHOICE.findall(text)) if first else ()
        for name in names:
            known = options.get(name, Option(name, False, ()))
            options[name] = Option(
                name,
                known.has_value or bool(body[0].strip()),
                tuple(dict.fromkeys((*known.keys, *keys))),
                (*known.choices, *choices),
            )
    return tuple(options.values())


def help_forms(binary: Path, before: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """Return the forms of ``binary`` that print and end with status 0. Raises Cancelled without a table.

    ``before``: arguments of all guests, such as -L for the firmware. For options that list names, the help
    of the first names is tried too.
    """
    table = read_table(_run(binary, ("-help",))[1])
    if not table:
        raise Cancelled("the help text of the binary has no options")
    alone = [("--help",), ("--version",), *((f"-{each.name}",) for each in table if not each.has_value)]
    valued = [each for each in table if each.has_value]
    found = _that_help(binary, before, [*alone, *((f"-{each.name}", WORDS[0]) for each in valued)])
    # Other spellings: ? for those with help, and keys of the value for those without.
    listed = {form[0]: text for form, text in found.items() if form[1:] == WORDS[:1]}
    others = [(option, WORDS[1]) for option in listed]
    others += [
        (f"-{each.name}", f"{key}={WORDS[0]}")
        for each in valued
        if f"-{each.name}" not in listed
        for key in each.keys
    ]
    others += [
        (f"-{each.name}", f"{choice}={word}") for each in valued for choice in each.choices for word in WORDS
    ]
    for option, text in listed.items():
        names = [name for pair in _NAME.findall(text) for name in pair if name]
        # The first word of a list is often that of its heading.
        others += [(option, f"{name},{WORDS[0]}") for name in list(dict.fromkeys(names))[1 : NAMES_TRIED + 1]]
    return (*found, *_that_help(binary, before, others))


def _that_help(
    binary: Path, before: tuple[str, ...], forms: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], str]:
    """Return those of ``forms`` that print and end with status 0, with what they print."""

    def attempt(form: tuple[str, ...]) -> tuple[int, str]:
        return _run(binary, (*BASE, *before, *form, *LAST_ERROR))

    forms = list(dict.fromkeys(forms))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(attempt, forms))
    return {
        form: text for form, (ended, text) in zip(forms, results, strict=True) if ended == 0 and text.strip()
    }


def _run(binary: Path, words: tuple[str, ...]) -> tuple[int, str]:
    """Return exit status and standard output of QEMU in an empty folder, where forms may write files."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ended = subprocess.run(
                [binary, *words],
                cwd=folder,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return -1, ""
    return ended.returncode, ended.stdout.decode("utf-8", "replace")
