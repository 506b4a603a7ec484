"""Read a series from a folder, a mailbox, a range of a git clone or standard input.

The result is a frozen Input: every mail, and the newest version of the series among them. Irregular mails are
not refused. Their faults, and the gaps of the version, are recorded.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import HarnessError, OptionError
from harness.layout import Layout
from harness.process import Finished
from harness.series.mail import Mail, mailbox_bytes, read_mail
from harness.series.mbox import read_bytes, read_mbox, unpack
from harness.series.metadata import UNNAMED, SeriesFile, read_series_file
from harness.series.patch import Patch
from harness.series.series import Series, find_folder, series_digest
from harness.series.thread import Thread, Version, find_thread
from harness.source.clone import (
    find_commit,
    first_parent,
    is_clone,
    merge_base,
    run_git,
    split_revision,
    upstream_branch,
)

Kind = Literal["folder", "mailbox", "range", "stdin"]
_NAMED = re.compile(r"(?:v(\d+)-)?(\d{4})-.+\.patch")
_MAILS = (".patch", ".eml", ".mbox", ".mbx", ".mbox.gz", ".diff")
_RANGE = re.compile(r"(.+)@([^@]+\.\.[^@]+)")


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
    text, range_base, path = source, "", Path(source).expanduser()
    if clone and "@" not in source and not path.exists() and not (layout.patches / source).is_dir():
        text = _within(clone, source) or source
    found = _RANGE.fullmatch(text)
    if source == "-":
        kind, name, mails = "stdin", "stdin", read_mbox(_standard_input(), "standard input")
    elif found and Path(found[1]).expanduser().is_dir():
        folder = Path(found[1]).expanduser().resolve()
        kind, name = "range", folder.name
        mails, notes = _range(folder, found[2])
        range_base = first_parent(folder, found[2])
    elif path.is_file():
        kind, name, mails = "mailbox", path.name, read_mbox(read_bytes(path), path.name)
    else:
        folder = find_folder(layout, source)
        kind, name, ours = "folder", folder.name, layout.patches.resolve() in folder.parents
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
    )


def _within(clone: str, text: str) -> str:
    """Return ``text`` as a range ``CLONE@A..B`` of the clone that -Dsource= names; empty if it is none."""
    folder, _ = split_revision(clone)
    if not (folder.is_dir() and is_clone(folder)):
        return ""
    if ".." in text:
        return f"{folder}@{text}"
    opened = find_commit(folder, text)
    if opened is None:
        return ""
    base = merge_base(opened, upstream_branch(opened), opened.commit)
    if not base or base == opened.commit:
        raise OptionError(
            f"-Dseries: {text} has no commits of its own in {folder}", f"write a range: -Dseries=BASE..{text}"
        )
    return f"{folder}@{base}..{text}"


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


def _range(clone: Path, revisions: str) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """Format the commits of ``revisions`` as mails. The clone's configuration has no effect on the format."""
    isolated = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def failed(ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        reason = next(
            (line for line in lines if line.startswith("fatal:")), lines[-1] if lines else "no output"
        )
        return OptionError(
            f"-Dseries: git cannot read {revisions!r} in {clone}: {reason}",
            "name commits of that clone, such as master..topic",
        )

    if revisions.startswith("-"):
        raise OptionError(f"-Dseries: {revisions!r} is not a range of commits", "write CLONE@master..topic")
    count = ("rev-list", "--merges", "--count", "--end-of-options", revisions)
    merges = run_git(clone, *count, env=isolated, error=failed).output.strip()
    # -c on the command line overrides the clone's configuration.
    plain = [
        *("-c", "format.signOff=false", "-c", "format.subjectPrefix=PATCH"),
        *("-c", "format.outputDirectory=", "-c", "format.coverLetter=false", "-c", "diff.noprefix=false"),
        *("-c", "diff.mnemonicPrefix=false", "-c", "format.notes=false", "-c", "format.useAutoBase=false"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        run_git(
            clone,
            *(*plain, "format-patch", f"--output-directory={folder}", "--numbered", "--always", "--binary"),
            *("--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-attach"),
            *("--unified=3", "--find-renames", "--no-thread", "--end-of-options", revisions),
            env=isolated,
            error=failed,
        )
        mails = tuple(read_mail(path.read_bytes(), path.name) for path in sorted(Path(folder).iterdir()))
    notes = (f"skipped {merges} merge commits of the range",) if merges != "0" else ()
    return mails, notes


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
