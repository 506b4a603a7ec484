"""Read a series from a folder, a mailbox, a range of a git clone, an archive or standard input.

The result is a frozen Input: every mail, and the newest version of the series among them. Irregular mails are
not refused. Their faults, and the gaps of the version, are recorded.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.errors import OptionError
from harness.layout import Layout
from harness.progress import Reporter, Silent
from harness.series.archive import find_place, read_thread
from harness.series.attached import read_mbox
from harness.series.compressed import SUFFIXES, read_bytes, unpack
from harness.series.folder import NAMED, folder_thread, read_folder
from harness.series.mail import Mail
from harness.series.mbox import bare
from harness.series.metadata import UNNAMED, SeriesFile, read_series_file
from harness.series.patch import Patch
from harness.series.ranges import find_range, read_range
from harness.series.rewrite import mailbox_bytes
from harness.series.series import Series, find_folder, series_digest
from harness.series.thread import find_thread
from harness.series.version import Thread, Version, message_id_of
from harness.source.clone import range_commits, split_revision

Kind = Literal["folder", "mailbox", "range", "stdin", "archive"]


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
        own = self.version.message_ids
        stated = [
            name.strip()
            for mail in mails
            for name in re.findall(r"^Based-on:[ \t]*(\S.*)$", mail.text, re.MULTILINE)
            if message_id_of(name) not in own
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
        stated = [re.search(r"^base-commit: ([0-9a-f]{40})\s*$", mail.text, re.MULTILINE) for mail in mails]
        return next((found[1] for found in stated if found), "")

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


def read_input(layout: Layout, source: str, *, clone: str = "", reporter: Reporter | None = None) -> Input:
    """Read the series from ``source``.

    ``source`` is a name below ``patches/``; the path of a folder, a maildir, a mailbox (also compressed) or
    one patch; ``CLONE@A..B`` for commits of a local git clone; a thread in an archive (``find_place`` of
    harness.series.archive); or ``-`` for standard input. With ``clone``,
    the value of -Dsource=, ``A..B`` are commits of that clone, and ``B`` those since its merge base with the
    upstream branch. Raises OptionError if it does not exist, cannot be read or contains no patch; FetchError
    and MissingError if b4 cannot download it.
    """
    try:
        found = _read(layout, source, clone, reporter or Silent())
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a long name, a NUL, ~nobody
        raise OptionError(
            f"-Dseries: cannot read {source[:200]!r}: {error}", "name a file or folder that can be read"
        ) from error
    newest = found.thread.newest
    if newest is None or not (newest.patches or newest.cover):
        raise OptionError(
            f"-Dseries: {source} contains no patch",
            "name the output of git format-patch, or a mailbox from a mailing list's archive",
        )
    return found


def _read(layout: Layout, source: str, clone: str, reporter: Reporter) -> Input:
    path = Path(source).expanduser()
    found = find_range(layout, source, clone)
    if source == "-":
        return _box(source, "stdin", _standard_input(), "standard input")
    if found:
        folder, revisions = found
        mails = read_range(folder, revisions)
        range_base, commits = range_commits(folder, revisions)
        return Input(
            kind="range",
            source=source,
            name=_safe(folder.name),
            mails=mails,
            thread=folder_thread(mails),
            metadata=UNNAMED,
            range_base=range_base,
            commits=commits,
        )
    if path.is_file() or path.is_fifo():  # a shell's <(…) is a pipe
        return _box(source, "mailbox", read_bytes(path), path.name)
    if not path.exists() and (wanted := find_place(source)):
        around, _ = split_revision(clone)
        mails = read_thread(wanted, around if clone and around.is_dir() else layout.clone, reporter)
        return _mailbox(source, "archive", mails, wanted.message_id or "thread")
    folder = find_folder(layout, source)
    metadata, read = read_series_file(folder), read_folder(folder)
    return Input(
        kind="folder",
        source=source,
        name=_safe(folder.name),
        mails=read.mails,
        thread=read.thread,
        metadata=metadata,
        notes=read.notes,
        is_ours=layout.series(folder.name).resolve() == folder,
    )


def _box(source: str, kind: Kind, data: bytes, name: str) -> Input:
    return _mailbox(source, kind, read_mbox(data, name), "stdin" if kind == "stdin" else name)


def _mailbox(source: str, kind: Kind, mails: tuple[Mail, ...], name: str) -> Input:
    return Input(
        kind=kind, source=source, name=_safe(name), mails=mails, thread=find_thread(mails), metadata=UNNAMED
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
            data=_one_mail(mail, found),
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


def _one_mail(mail: Mail, found: Input) -> bytes:
    """Return ``mail`` for git-mailsplit(1). A commit of a range is one mail, whatever its message quotes."""
    data = mailbox_bytes(mail)
    return bare(data) if found.kind == "range" else data


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError(
            "-Dseries=-: standard input is closed or a terminal",
            "redirect a patch or mailbox to it: … < x.patch",
        )
    return unpack(sys.stdin.buffer.read(), "standard input")


def _file_name(mail: Mail, number: int) -> str:
    if NAMED.fullmatch(mail.origin):
        return mail.origin
    title = re.sub(r"[^A-Za-z0-9.]+", "-", mail.subject.title).strip("-.")[:52].rstrip("-.")
    return f"{number:04}-{title or 'patch'}.patch"


def _safe(name: str) -> str:
    for suffix in (*SUFFIXES, ".mbox", ".mbx", ".eml", ".patch", ".diff"):
        name = name.removesuffix(suffix)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:60].lstrip("._+-") or "series"
