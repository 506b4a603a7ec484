"""``series.toml``: what a series says of itself and how it is to be sent. docs/series.md lists the keys.

Everything but the title has a default, so a folder fresh from ``git format-patch`` is a series too. What is
there is checked at once: a bad address is better found now than by a mail server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from harness.errors import OptionError

FILE = "series.toml"
HIGHEST_VERSION = 99

_ADDRESS = re.compile(r"(?:[^<>@\r\n]*<)?[^<>@\s\"(),:;]+@[^<>@\s\"(),:;]+>?")
_MESSAGE_ID = re.compile(r"<?[^<>@\s]+@[^<>@\s]+>?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Keys are written with dashes; a misspelt one is an error."""


class RecipientEntry(_Struct, frozen=True, kw_only=True):
    """A rule: who else gets the series, and why. With ``paths``, only if a patch touches one of them."""

    address: str
    reason: str
    header: Literal["to", "cc"] = "cc"
    paths: tuple[str, ...] = ()
    """Shell patterns (fnmatch(3), ``*`` also matches ``/``); empty for always."""


class Changes(_Struct, frozen=True, kw_only=True):
    """What is new in a version: lines about the whole series, and lines about single patches by subject."""

    series: tuple[str, ...] = ()
    patches: dict[str, tuple[str, ...]] = {}


class Origin(_Struct, frozen=True, kw_only=True):
    """Where the patches come from, as their keeper says it. It is no declaration: that one a person signs."""

    written_by: str
    generated: bool = False
    """Whether an AI content generator made any of it."""
    derived_from: str = ""
    """Other works that were seen or used; empty for none."""


class SeriesFile(_Struct, frozen=True, kw_only=True):
    """The whole file."""

    title: str
    pins: tuple[str, ...] = ()
    version: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST_VERSION)] = 1
    prefix: str = "PATCH"
    branch: str = "master"
    profile: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    without: dict[str, str] = {}
    """Addresses that get nothing, each with the reason."""
    base_commit: str = ""
    based_on: tuple[str, ...] = ()
    test_plan: str = ""
    base: Literal["", "base", "pristine"] = ""
    suites: tuple[str, ...] = ()
    recipients: tuple[RecipientEntry, ...] = ()
    changes: dict[str, Changes] = {}
    origin: Origin | None = None

    @property
    def subject_prefix(self) -> str:
        """What git-format-patch(1) takes as ``--subject-prefix``: ``RFC PATCH``, ``PATCH for-8.0``."""
        words = self.prefix.split()
        if "PATCH" in words:
            return " ".join(words)
        before = [word for word in words if word.upper() in ("RFC", "RESEND")]
        return " ".join([*before, "PATCH", *(word for word in words if word not in before)])

    @property
    def versions_with_changes(self) -> tuple[int, ...]:
        """The versions that have a change log, newest first."""
        return tuple(sorted((int(key[1:]) for key in self.changes), reverse=True))

    def changes_of(self, version: int) -> Changes:
        """The change log of ``version``; an empty one if there is none."""
        return self.changes.get(f"v{version}", Changes())


def read_series_file(folder: Path) -> SeriesFile:
    """The metadata of the series in ``folder``. Raises OptionError that names key and remedy."""
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return SeriesFile(title=folder.name)  # a folder fresh from git format-patch
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from error
    return parse_series_file(data, path)


def parse_series_file(data: bytes, path: Path) -> SeriesFile:
    """``data`` as metadata; ``path`` is for messages. Raises OptionError."""
    try:
        metadata = msgspec.toml.decode(data, type=SeriesFile)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"cannot be read: {' '.join(str(error).split())}") from error
    for problem in _problems(metadata):
        raise _bad(path, problem)
    return metadata


def is_address(text: str) -> bool:
    """Whether ``text`` is ``name@domain`` or ``Name <name@domain>``: the form only. An address is ASCII."""
    if not text.rpartition("<")[2].isascii():
        return False
    return "<" not in text or text.endswith(">") if _ADDRESS.fullmatch(text.strip()) else False


def _problems(metadata: SeriesFile) -> Iterable[str]:
    """What is wrong with values that have the right type."""
    if not metadata.title.strip() or not metadata.title.isprintable():
        yield "title: is not one line of text"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,40}", metadata.prefix):
        yield f"prefix: {metadata.prefix!r} is no word such as RFC or for-8.0"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", metadata.branch):
        yield f"branch: {metadata.branch!r} is no name of a branch"
    if metadata.base_commit and not _COMMIT.fullmatch(metadata.base_commit):
        yield "base-commit: is no full commit id of 40 hexadecimal digits"
    for name in metadata.based_on:
        if not _MESSAGE_ID.fullmatch(name):
            yield f"based-on: {name!r} is no Message-Id"
    addresses = [*metadata.to, *metadata.cc, *(rule.address for rule in metadata.recipients)]
    for address in (*addresses, *metadata.without):
        if not is_address(address) or not address.isprintable():
            yield f"{address!r} is no mail address"
    for key in metadata.changes:
        number = re.fullmatch(r"v([1-9][0-9]?)", key)
        if number is None or not 2 <= int(number[1]) <= metadata.version:
            yield f"changes.{key}: is no version from v2 to v{metadata.version}"


def _bad(path: Path, problem: str) -> OptionError:
    return OptionError(f"{path}: {problem}", "mend it as docs/series.md says")


UNNAMED = SeriesFile(title="")
