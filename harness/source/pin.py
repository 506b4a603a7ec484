"""Read qemu-src/pins.toml into frozen Pins. docs/pins.md describes the file."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from harness.errors import OptionError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout, safe_name

LocationKind = Literal["debian", "url", "git"]
EditKind = Literal["remove", "remove-block", "replace"]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file with a release. Without ``sha256``, a signature proves the bytes, and ``release`` is stated."""

    name: str
    sha256: str
    size: int
    release: str = ""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that rejects unknown keys, so a misspelt key is an error."""


class Location(_Table, frozen=True, kw_only=True):
    """One location of a pin's bytes. ``kind`` determines which fields are set."""

    kind: LocationKind
    suite: str = ""
    package: str = ""
    version: str = ""
    """Glob that the Debian version must match; empty for the newest that contains the pin's archive."""
    url: str = ""
    signature: str = ""
    keyring: str = ""
    archive: str = ""
    """Another archive with the same release, with its own ``sha256`` and ``size``; empty for the pin's."""
    sha256: str = ""
    size: int = 0
    release: str = ""
    """What the file VERSION must contain: a signature does not cover the name of the file."""
    commit: str = ""

    def __str__(self) -> str:
        if self.kind == "debian":
            return f"Debian source package {self.package} of {self.suite}"
        return f"git {self.url} at {self.commit[:12]}" if self.kind == "git" else self.url


class Edit(_Table, frozen=True, kw_only=True):
    """One declared edit of a released tree. Each text must occur exactly once in ``file``.

    ``remove`` deletes ``file``; ``remove-block`` deletes the lines from ``first`` to the next ``last``, both
    included (each may be several lines); ``replace`` replaces ``old`` by ``new``. A tree that has a file
    matching ``unless`` (a path whose last component is a glob) does not need the edit; for ``prepare`` only.
    """

    kind: EditKind
    file: str
    first: str = ""
    last: str = ""
    old: str = ""
    new: str = ""
    unless: str = ""

    def __str__(self) -> str:
        text = self.first or self.old
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return f"{self.kind} {line!r}" if line else self.kind


class Traces(_Table, frozen=True, kw_only=True):
    """Patterns that ``base`` must not contain: case-insensitive extended regular expressions (git-grep(1)).

    Files of ``except_paths`` may contain them.
    """

    patterns: tuple[str, ...]
    except_paths: tuple[str, ...] = ()


NO_TRACES = Traces(patterns=())


class _Pin(_Table, frozen=True, kw_only=True):
    """The table of a pin. Its name is the key."""

    locations: tuple[Location, ...]
    archive: str = ""
    sha256: str = ""
    size: int = 0
    """Bytes of the archive, for the progress bar; 0 if unknown."""
    unverified: str = ""
    """Why nobody has built this pin yet; it is then not part of the CI configuration."""
    prepare: tuple[Edit, ...] = ()
    unmerge: tuple[Edit, ...] = ()
    """Edits that remove a feature, for the variant ``base``; empty if there is no such variant."""
    traces: Traces = NO_TRACES


class Pin(_Pin, frozen=True, kw_only=True):
    """A named, checksummed QEMU release: how to get it and how to prove it. The tree states the rest."""

    name: str

    def archive_at(self, location: Location) -> Archive:
        """Return the file that ``location`` provides; for ``git``, the name is empty or that of the pin."""
        if location.archive:
            return Archive(
                name=location.archive, sha256=location.sha256, size=location.size, release=location.release
            )
        return Archive(name=self.archive, sha256=self.sha256, size=self.size)

    @property
    def archives(self) -> dict[str, Archive]:
        """The archives of all locations by name, in the order of the locations."""
        found = [self.archive_at(location) for location in self.locations if location.kind != "git"]
        return {archive.name: archive for archive in found}


def load_pins(layout: Layout) -> dict[str, Pin]:
    """Return the pins of ``layout.pins_file`` by name, in the order of the file. Raises OptionError."""
    path = layout.pins_file
    try:
        raw = msgspec.toml.decode(path.read_bytes(), type=dict[str, _Pin])
    except (OSError, *UNREADABLE) as error:
        raise OptionError(f"cannot read {path.name}: {error}", "correct the file (docs/pins.md)") from error
    return {name: _pin(name, table, path.name) for name, table in raw.items()}


def find_pin(layout: Layout, name: str) -> Pin:
    """Return the pin called ``name``. Raises OptionError, which lists the known pins."""
    pins = load_pins(layout)
    if name not in pins:
        near = difflib.get_close_matches(name, pins, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OptionError(f"-Dpin: unknown pin {name!r}", f"{hint}known pins: {' '.join(pins)}")
    return pins[name]


def _pin(name: str, raw: _Pin, file: str) -> Pin:
    def refuse(problem: str) -> OptionError:
        return OptionError(f"{file}: pin {name}: {problem}", "correct the pin (docs/pins.md)")

    safe_name(name)
    if not raw.locations:
        raise refuse("it has no location")
    if any(location.kind != "git" and not location.archive for location in raw.locations):
        safe_name(raw.archive)
        _check_sha256(raw.sha256, refuse)
    known = {raw.archive: raw.sha256} if raw.archive else {}
    for location in raw.locations:
        _check_location(location, refuse)
        if location.archive and known.setdefault(location.archive, location.sha256) != location.sha256:
            raise refuse(f"{location.archive} has two values of sha256")
    for edit in (*raw.prepare, *raw.unmerge):
        _check_edit(edit, refuse)
    if any(edit.unless for edit in raw.unmerge):
        raise refuse("an unmerge edit does not accept unless")
    return Pin(name=name, **msgspec.structs.asdict(raw))


def _check_location(location: Location, refuse: Callable[[str], OptionError]) -> None:
    needs = {"debian": ("suite", "package"), "url": ("url",), "git": ("url", "commit")}[location.kind]
    own = ("archive", "sha256", "size", "release")
    allowed = {"debian": ("version",), "url": ("signature", "keyring", *own), "git": ()}[location.kind]
    fields = ("suite", "package", "version", "url", "signature", "keyring", *own, "commit")
    _check_fields(location, fields, needs, allowed, lambda text: refuse(f"a {location.kind} location {text}"))
    if bool(location.signature) != bool(location.keyring):
        raise refuse("signature and keyring must be given together")
    if location.archive:
        safe_name(location.archive)
        if location.sha256:
            _check_sha256(location.sha256, refuse)
        elif not (location.signature and location.release):
            raise refuse(f"{location.archive} needs sha256, or signature, keyring and release")
    elif location.sha256 or location.size or location.release:
        raise refuse("sha256, size and release of a location need archive")
    if location.kind == "git" and not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", location.commit):
        raise refuse("commit must be a full commit id")
    if location.url.startswith("-"):
        raise refuse(f"{location.url!r} is not a URL")


def _check_sha256(sha256: str, refuse: Callable[[str], OptionError]) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise refuse("sha256 must be 64 lower-case hexadecimal digits")


def _check_edit(edit: Edit, refuse: Callable[[str], OptionError]) -> None:
    path = PurePosixPath(edit.file)
    odd = path.is_absolute() or ".." in path.parts or str(path) != edit.file or not edit.file.isprintable()
    if odd or ".git" in map(str.lower, path.parts):
        raise refuse(f"{edit.file!r} is not a file of the tree")
    needs = {"remove": (), "remove-block": ("first", "last"), "replace": ("old",)}[edit.kind]
    allowed = {"remove": (), "remove-block": (), "replace": ("new",)}[edit.kind]
    fields = ("first", "last", "old", "new")
    _check_fields(edit, fields, needs, allowed, lambda text: refuse(f"{edit.kind} of {edit.file} {text}"))


def _check_fields(
    table: _Table,
    fields: Sequence[str],
    needs: Sequence[str],
    allowed: Sequence[str],
    refuse: Callable[[str], OptionError],
) -> None:
    """Raise the error of ``refuse`` if ``table`` lacks a field, or has one that its kind does not accept."""
    for field in fields:
        if field in needs and not getattr(table, field):
            raise refuse(f"needs {field}")
        if getattr(table, field) and field not in (*needs, *allowed):
            raise refuse(f"does not accept {field}")
