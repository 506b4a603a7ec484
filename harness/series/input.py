"""Read a series from a folder, a mailbox, a range of a git clone or standard input.

The result is a frozen Input: every mail, and the newest version of the series among them. Irregular mails are
not refused. Their faults, and the gaps of the version, are recorded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.errors import OptionError
from harness.layout import Layout
from harness.series.mail import Mail, mailbox_bytes
from harness.series.mbox import read_bytes, read_mbox, unpack
from harness.series.metadata import UNNAMED, SeriesFile, read_series_file
from harness.series.patch import Patch
from harness.series.ranges import find_range, read_range
from harness.series.series import Series, find_folder, series_digest
from harness.series.thread import Thread, Version, find_thread
from harness.source.clone import range_commits

Kind = Literal["folder", "mailbox", "range", "stdin"]
_NAMED = re.compile(r"(?:v(\d+)-)?(\d{4})-.+\.patch")
_MAILS = (".patch", ".eml", ".mbox", ".mbx", ".mbox.gz", ".diff")


@dataclass(frozen=True, kw_only=True)
class Input:
    """A series and its source."""

    kind: Kind
    source: str
    """The user's argument."""
    name: str
    """Usable as the name of a folder."""
    mails: tuple[Mail, ...]
    thread: Thread
    metadata: SeriesFile
    """The content of ``series.toml``; its defaults without that file."""
    notes: tuple[str, ...] = ()
    """One line for each input that was skipped."""
    is_ours: bool = False
    """Whether the folder is below ``patches/``."""
    range_base: str = ""
    """The commit before the first one of a range."""
    commits: tuple[str, ...] = ()
    """The commits of a range, one for each patch."""

    @property
    def based_on(self) -> tuple[str, ...]:
        """The series that this one requires, as ``Based-on:`` and series.toml name them."""
        mails = [*([self.cover] if self.cover else []), *self.patches]
        texts = [
            f"{mail.message}\n{mail.notes}" if mail.coded else mail.data.decode("utf-8", "replace")
            for mail in mails
        ]
        stated = [
            name.strip() for text in texts for name in re.findall(r"^Based-on:[ \t]*(\S.*)$", text, re.M)
        ]
        return tuple(dict.fromkeys((*(f"<{name.strip('<>')}>" for name in self.metadata.based_on), *stated)))

    @property
    def base_commit(self) -> str:
        """The commit that the series states to be based on; empty if it states none.

        That is the commit before a range, ``base-commit`` of series.toml, or the line ``base-commit:`` that
        git-format-patch(1) writes to the cover letter or the first patch.
        """
        if self.range_base or self.metadata.base_commit:
            return self.range_base or self.metadata.base_commit
        mails = [*([self.cover] if self.cover else []), *self.patches]
        stated = [re.search(rb"^base-commit: ([0-9a-f]{40})\s*$", mail.data, re.MULTILINE) for mail in mails]
        return next((found[1].decode() for found in stated if found), "")

    @property
    def version(self) -> Version:
        """The newest version."""
        newest = self.thread.newest
        assert newest is not None, "read_input refuses input without a patch"
        return newest

    @property
    def cover(self) -> Mail | None:
        return self.version.cover

    @property
    def patches(self) -> tuple[Mail, ...]:
        return self.version.patches

    @property
    def sha256(self) -> str:
        """Digest of the cover letter and the patches of the version; see series_sha256."""
        return series_sha256(self.cover, self.patches)


def message_id_of(required: str) -> str:
    """Return the Message-Id in a value of ``Based-on:`` (``<id>``, ``id``, an archive's URL), else empty."""
    found = re.search(r"[^<>\s/]+@[^<>\s/]+", required)
    return found[0] if found else ""


def required_input(found: Input, message_id: str) -> Input | None:
    """Return the other series of the same mails that has the mail ``message_id``; None without one."""
    for version in found.thread.versions:
        if version is not found.version and message_id in version.message_ids:
            alone = Thread(versions=(version,))
            return replace(found, thread=alone, metadata=UNNAMED, range_base="", commits=())
    return None


def series_sha256(cover: Mail | None, patches: Sequence[Mail]) -> str:
    """Return the SHA-256 over number, length and bytes of each mail of a series, in order.

    The cover letter has number 0. The digest does not depend on file names, so a folder and a mailbox with
    the same bytes have the same digest.
    """
    mails = [*([(0, cover)] if cover else []), *enumerate(patches, start=1)]
    return series_digest((str(number), mail.data) for number, mail in mails)


def read_input(layout: Layout, source: str, *, clone: str = "") -> Input:
    """Read the series from ``source``.

    ``source`` is a name below ``patches/``; the path of a folder, a mailbox (also ``.gz``) or one patch;
    ``CLONE@A..B`` for commits of a local git clone; or ``-`` for standard input. With ``clone``, the value of
    -Dsource=, ``A..B`` are commits of that clone, and ``B`` those since its merge base with the upstream
    branch. Raises OptionError if it does not exist or contains no patch.
    """
    ours, metadata = False, UNNAMED
    notes: tuple[str, ...] = ()
    kind: Kind
    range_base, path = "", Path(source).expanduser()
    commits: tuple[str, ...] = ()
    found = find_range(layout, source, clone)
    if source == "-":
        kind, name, mails = "stdin", "stdin", read_mbox(_standard_input(), "standard input")
    elif found:
        folder, revisions = found
        kind, name = "range", folder.name
        mails = read_range(folder, revisions)
        range_base, commits = range_commits(folder, revisions)
    elif path.is_file():
        kind, name, mails = "mailbox", path.name, read_mbox(read_bytes(path), path.name)
    else:
        folder = find_folder(layout, source)
        kind, name, ours = "folder", folder.name, layout.series(folder.name).resolve() == folder
        metadata = read_series_file(folder)
        mails, notes = _folder(folder)
    thread = _folder_thread(mails) if kind in ("folder", "range") else find_thread(mails)
    if thread.newest is None or not (thread.newest.patches or thread.newest.cover):
        raise OptionError(
            f"-Dseries: {source} contains no patch",
            "name the output of git format-patch, or a mailbox from a mailing list's archive",
        )
    return Input(
        kind=kind,
        source=source,
        name=_safe(name),
        mails=mails,
        thread=thread,
        metadata=metadata,
        notes=notes,
        is_ours=ours,
        range_base=range_base,
        commits=commits,
    )


def range_series(layout: Layout, source: str, clone: str) -> Series | None:
    """Return the series of ``source`` if it is a range of a clone, as ``read_input`` reads it; else None.

    Raises OptionError.
    """
    if find_range(layout, source, clone) is None:
        return None
    series = series_of(read_input(layout, source, clone=clone))
    if series is None:
        raise OptionError(f"-Dseries: {source} changes no file", "name commits that do")
    return series


def series_of(found: Input) -> Series | None:
    """Return the sound patches of the version as a series for ``git am``, or None without any."""
    patches = tuple(
        Patch(
            file=_file_name(mail, number),
            number=number,
            subject=mail.subject.title,
            author=str(mail.author),
            date=mail.date,
            message=mail.message,
            changes=mail.changes,
            data=mailbox_bytes(mail),
        )
        for number, mail in enumerate(found.patches, start=1)
        if mail.is_sound
    )
    if not patches:
        return None
    return Series(
        name=found.name,
        folder=Path(found.source),
        title=found.metadata.title or (found.cover or found.patches[0]).subject.title,
        pins=found.metadata.pins,
        patches=patches,
        cover=found.cover.data.decode("utf-8", "replace") if found.cover else "",
        digest=series_digest((patch.file, patch.data) for patch in patches),
        range_base=found.range_base,
        commits=found.commits,
    )


def _folder(folder: Path) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """Read the mails of a folder, in the order of quilt's ``series`` file or else of their names."""
    notes: list[str] = []
    listed = folder / "series"
    if listed.is_file():
        names = [
            line.split("#")[0].split()[0]
            for line in listed.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.split("#")[0].strip()
        ]
        paths = [_listed(folder, name) for name in names]
    else:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(_MAILS))
        versions = {int(found[1] or 1) for path in paths if (found := _NAMED.fullmatch(path.name))}
        if len(versions) > 1:
            newest = max(versions)
            older = [
                path for path in paths if (at := _NAMED.fullmatch(path.name)) and int(at[1] or 1) != newest
            ]
            notes.append(f"skipped {len(older)} files of versions before v{newest}")
            paths = [path for path in paths if path not in older]
    mails: list[Mail] = []
    for path in paths:
        found_mails = read_mbox(read_bytes(path), path.name)
        if len(found_mails) > 1 and _NAMED.fullmatch(path.name):
            notes.append(f"{path.name} contains {len(found_mails)} mails")
        mails += found_mails
    return tuple(mails), tuple(notes)


def _listed(folder: Path, name: str) -> Path:
    """Return the file ``name`` of quilt's ``series`` file. Raises OptionError if missing or outside."""
    path = folder / name
    try:
        inside = folder.resolve() in path.resolve().parents
        exists = inside and path.is_file()
    except (OSError, ValueError, RuntimeError):  # name too long, NUL character, loop of links
        inside, exists = True, False
    if not inside:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]!r}, which is outside of the folder",
            "put all patches of a series into its folder",
        )
    if not exists:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]}, which does not exist",
            "add the file, or remove its line",
        )
    return path


def _folder_thread(mails: tuple[Mail, ...]) -> Thread:
    """Treat a folder as one version in the order of its files, whatever the subjects, as ``git am *.patch``
    does. Folders of mails (``*.eml``), and folders with replies, are read like a mailbox."""
    tags = {(mail.subject.version, mail.subject.total) for mail in mails if mail.subject.counted}
    named = all(_NAMED.fullmatch(mail.origin) for mail in mails)
    threaded = any(mail.subject.reply for mail in mails) or (len(tags) > 1 and not named)
    if threaded or any(mail.origin.endswith((".eml", ".mbox", ".gz")) for mail in mails):
        return find_thread(mails)
    patches = [mail for mail in mails if not mail.subject.is_cover and not _is_cover_file(mail)]
    covers = [mail for mail in mails if mail not in patches]
    numbers = [mail.subject.number for mail in patches if mail.subject.counted]
    whole = len(numbers) == len(patches)
    total = (max((mail.subject.total for mail in mails), default=0) if whole else 0) or len(patches)
    if not mails:
        return Thread(versions=())
    first = (patches or covers)[0]
    kept: dict[int, Mail] = {}
    duplicates = []
    for position, mail in enumerate(patches, start=1):
        number = mail.subject.number if whole else position
        if number in kept:
            duplicates.append(kept[number])
        kept[number] = mail
    version = Version(
        number=first.subject.version,
        kind=first.subject.kind or "PATCH",
        rfc=first.subject.rfc,
        total=total,
        cover=covers[-1] if covers else None,
        patches=tuple(kept[number] for number in sorted(kept)),
        missing=tuple(n for n in range(1, total + 1) if n not in numbers) if whole else (),
        duplicates=tuple(duplicates),
        out_of_order=numbers != sorted(numbers),
    )
    return Thread(versions=(version,))


def _is_cover_file(mail: Mail) -> bool:
    found = _NAMED.fullmatch(mail.origin)
    return found is not None and int(found[2]) == 0


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError(
            "-Dseries=-: standard input is closed or a terminal",
            "redirect a patch or mailbox to it: … < x.patch",
        )
    return unpack(sys.stdin.buffer.read(), "standard input")


def _file_name(mail: Mail, number: int) -> str:
    if _NAMED.fullmatch(mail.origin):
        return mail.origin
    title = re.sub(r"[^A-Za-z0-9.]+", "-", mail.subject.title).strip("-.")[:52].rstrip("-.")
    return f"{number:04}-{title or 'patch'}.patch"


def _safe(name: str) -> str:
    for suffix in (".gz", ".mbox", ".mbx", ".eml", ".patch", ".diff"):
        name = name.removesuffix(suffix)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:60].lstrip("._+-") or "series"
