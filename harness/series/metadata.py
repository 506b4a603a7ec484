"""Read ``series.toml``, the metadata of a series. docs/series.md lists the keys.

All keys except the title have defaults. A folder without the file, such as the output of
``git format-patch``, is a valid series. Values are checked when the file is read, so that a bad address is
refused before a mail server sees it.
"""

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
    """A further recipient and the reason. With ``paths``, only for series that touch one of them."""

    address: str
    reason: str
    header: Literal["to", "cc"] = "cc"
    paths: tuple[str, ...] = ()
    """Shell patterns (fnmatch(3), ``*`` also matches ``/``); empty for every series."""


class Changes(_Struct, frozen=True, kw_only=True):
    """Change log of a version: lines about the whole series, and lines about single patches by subject."""

    series: tuple[str, ...] = ()
    patches: dict[str, tuple[str, ...]] = {}


class Origin(_Struct, frozen=True, kw_only=True):
    """Origin of the patches, as their maintainer records it. It does not replace a signed declaration."""

    written_by: str
    generated: bool = False
    """Whether an AI content generator produced any part."""
    derived_from: str = ""
    """Other works that the author saw or used; empty for none."""


class SeriesFile(_Struct, frozen=True, kw_only=True):
    """The content of ``series.toml``."""

    title: str
    pins: tuple[str, ...] = ()
    version: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST_VERSION)] = 1
    prefix: str = "PATCH"
    branch: str = "master"
    profile: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    without: dict[str, str] = {}
    """Addresses that receive no mail, each with the reason."""
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
        """The ``--subject-prefix`` for git-format-patch(1): ``RFC PATCH``, ``PATCH for-8.0``."""
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
        """Return the change log of ``version``, empty if there is none."""
        return self.changes.get(f"v{version}", Changes())


def read_series_file(folder: Path) -> SeriesFile:
    """Read the metadata of the series in ``folder``. Raises OptionError that names the key."""
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return SeriesFile(title=folder.name)  # a folder fresh from git format-patch
    except OSError as error:
        raise _bad(f"cannot read {path}: {error.strerror}") from error
    return parse_series_file(data, path)


def parse_series_file(data: bytes, path: Path) -> SeriesFile:
    """Parse ``data``; ``path`` is for messages. Raises OptionError."""
    try:
        metadata = msgspec.toml.decode(data, type=SeriesFile)
    except (ValueError, RecursionError) as error:
        raise _bad(f"cannot read {path}: {' '.join(str(error).split())}") from error
    for problem in _problems(metadata):
        raise _bad(f"{path}: {problem}")
    return metadata


def is_address(text: str) -> bool:
    """Return whether ``text`` has the syntax ``name@domain`` or ``Name <name@domain>`` (address in ASCII)."""
    if not text.rpartition("<")[2].isascii():
        return False
    return "<" not in text or text.endswith(">") if _ADDRESS.fullmatch(text.strip()) else False


def _problems(metadata: SeriesFile) -> Iterable[str]:
    """Yield a line for each invalid value."""
    if not metadata.title.strip() or not metadata.title.isprintable():
        yield "title: is not one line of text"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,40}", metadata.prefix):
        yield f"prefix: {metadata.prefix!r} is not a word such as RFC or for-8.0"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", metadata.branch):
        yield f"branch: {metadata.branch!r} is not the name of a branch"
    if metadata.base_commit and not _COMMIT.fullmatch(metadata.base_commit):
        yield "base-commit: is not a full commit id of 40 hexadecimal digits"
    for name in metadata.based_on:
        if not _MESSAGE_ID.fullmatch(name):
            yield f"based-on: {name!r} is not a Message-Id"
    addresses = [*metadata.to, *metadata.cc, *(rule.address for rule in metadata.recipients)]
    for address in (*addresses, *metadata.without):
        if not is_address(address) or not address.isprintable():
            yield f"{address!r} is not a mail address"
    for key in metadata.changes:
        number = re.fullmatch(r"v([1-9][0-9]?)", key)
        if number is None or not 2 <= int(number[1]) <= metadata.version:
            yield f"changes.{key}: is not a version from v2 to v{metadata.version}"


def _bad(problem: str) -> OptionError:
    return OptionError(problem, "correct it; docs/series.md lists the keys")


UNNAMED = SeriesFile(title="")
