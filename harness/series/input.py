"""Where a series comes from: a folder, a mailbox, a range of a git clone, one patch on standard input.

Takes what the user names, gives a frozen Input with every mail that was found and the newest version of the
series in them. Nothing is refused for being odd: the mails' faults and the version's gaps tell what is.
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
from harness.process import Finished, run
from harness.series.mail import Mail, mailbox_bytes, read_mail
from harness.series.mbox import read_bytes, read_mbox, unpack
from harness.series.metadata import SeriesFile, read_series_file
from harness.series.patch import Patch
from harness.series.series import Series, find_folder, series_digest
from harness.series.thread import Thread, Version, find_thread

Kind = Literal["folder", "mailbox", "range", "stdin"]
_NAMED = re.compile(r"(?:v(\d+)-)?(\d{4})-.+\.patch")
_MAILS = (".patch", ".eml", ".mbox", ".mbx", ".mbox.gz", ".diff")
_RANGE = re.compile(r"(.+)@([^@]+\.\.[^@]+)")


@dataclass(frozen=True, kw_only=True)
class Input:
    """What was found where the user pointed to."""

    kind: Kind
    source: str
    """As the user named it."""
    name: str
    """Fit for a folder's name."""
    mails: tuple[Mail, ...]
    thread: Thread
    said: SeriesFile
    """What ``series.toml`` says; its defaults without one."""
    notes: tuple[str, ...] = ()
    """What was left out while reading, a line each."""
    is_ours: bool = False
    """Whether it lies below ``patches/``."""

    @property
    def version(self) -> Version:
        """The version that is meant."""
        newest = self.thread.newest
        assert newest is not None, "read_input refuses what holds no patch"
        return newest

    @property
    def cover(self) -> Mail | None:
        return self.version.cover

    @property
    def patches(self) -> tuple[Mail, ...]:
        return self.version.patches

    @property
    def sha256(self) -> str:
        """Digest of the cover letter and all patches of the version: their exact bytes, see series_sha256."""
        return series_sha256(self.cover, self.patches)


def series_sha256(cover: Mail | None, patches: Sequence[Mail]) -> str:
    """Digest of exactly the bytes of a series: of each file, in order, its number, length and bytes.

    The cover letter has number 0. File names and the order of reading do not count, so a folder and the
    mailbox with the same bytes give the same digest.
    """
    mails = [*([(0, cover)] if cover else []), *enumerate(patches, start=1)]
    return series_digest((str(number), mail.data) for number, mail in mails)


def read_input(layout: Layout, source: str) -> Input:
    """The series that ``source`` names.

    A name below ``patches/``; the path of a folder, of a mailbox (``.gz`` too) or of one patch;
    ``CLONE@A..B`` for commits of a local git clone; ``-`` for standard input. Raises OptionError when there
    is no such thing, or it holds no patch.
    """
    ours, said = False, SeriesFile(title="")
    notes: tuple[str, ...] = ()
    kind: Kind
    found = _RANGE.fullmatch(source)
    path = Path(source).expanduser()
    if source == "-":
        kind, name, mails = "stdin", "stdin", read_mbox(_standard_input(), "standard input")
    elif found and Path(found[1]).expanduser().is_dir():
        clone = Path(found[1]).expanduser().resolve()
        kind, name = "range", clone.name
        mails, notes = _range(clone, found[2])
    elif path.is_file():
        kind, name, mails = "mailbox", path.name, read_mbox(read_bytes(path), path.name)
    else:
        folder = find_folder(layout, source)
        kind, name, ours = "folder", folder.name, layout.patches.resolve() in folder.parents
        said = read_series_file(folder)
        mails, notes = _folder(folder)
    thread = _folder_thread(mails) if kind in ("folder", "range") else find_thread(mails)
    if thread.newest is None or not (thread.newest.patches or thread.newest.cover):
        raise OptionError(
            f"-Dseries: {source} holds no patch",
            "name what git format-patch or a mailing list's archive gave",
        )
    return Input(
        kind=kind,
        source=source,
        name=_safe(name),
        mails=mails,
        thread=thread,
        said=said,
        notes=notes,
        is_ours=ours,
    )


def series_of(found: Input) -> Series | None:
    """The series that ``git am`` can be given: the sound patches of the version; None without any."""
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
        title=found.said.title or (found.cover or found.patches[0]).subject.title,
        pins=found.said.pins,
        patches=patches,
        cover=found.cover.data.decode("utf-8", "replace") if found.cover else "",
        digest=series_digest((patch.file, patch.data) for patch in patches),
    )


def _folder(folder: Path) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """The mails of a folder: quilt's ``series`` file gives their order, else their names do."""
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
            notes.append(f"{len(older)} files of older versions than v{newest} are left out")
            paths = [path for path in paths if path not in older]
    mails: list[Mail] = []
    for path in paths:
        found_mails = read_mbox(read_bytes(path), path.name)
        if len(found_mails) > 1 and _NAMED.fullmatch(path.name):
            notes.append(f"{path.name} holds {len(found_mails)} mails")
        mails += found_mails
    return tuple(mails), tuple(notes)


def _listed(folder: Path, name: str) -> Path:
    """The file that quilt's ``series`` calls ``name``. Raises OptionError: not there, or outside."""
    path = folder / name
    try:
        inside = folder.resolve() in path.resolve().parents
        there = inside and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a circle of links
        inside, there = True, False
    if not inside:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]!r}, which is outside of the folder",
            "put all patches of a series into its folder",
        )
    if not there:
        raise OptionError(
            f"-Dseries: {folder / 'series'} names {name[:100]}, which is not there",
            "put it there, or take it out",
        )
    return path


def _folder_thread(mails: tuple[Mail, ...]) -> Thread:
    """A folder is one version, in the order of its files, whatever its subjects say: ``git am *.patch`` takes
    it so. Folders of mails (``*.eml``) with several versions or replies are read as a mailbox is."""
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
    """The commits of ``revisions`` as mails. The clone's own configuration has no say in their form."""
    git = ["git", "-C", str(clone), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    isolated = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def failed(ended: Finished) -> HarnessError:
        lines = [line for line in ended.output.splitlines() if line.strip()]
        return OptionError(
            f"-Dseries: git cannot read {revisions!r} in {clone}: {lines[-1] if lines else 'no reason'}",
            "name commits of that clone, such as master..topic",
        )

    if revisions.startswith("-"):
        raise OptionError(f"-Dseries: {revisions!r} is no range of commits", "write CLONE@master..topic")
    merges = run(
        [*git, "rev-list", "--merges", "--count", "--end-of-options", revisions], env=isolated, error=failed
    ).output.strip()
    # -c of the command line wins over the clone's own configuration.
    plain = [
        *("-c", "format.signOff=false", "-c", "format.subjectPrefix=PATCH"),
        *("-c", "format.outputDirectory=", "-c", "format.coverLetter=false", "-c", "diff.noprefix=false"),
        *("-c", "diff.mnemonicPrefix=false", "-c", "format.notes=false", "-c", "format.useAutoBase=false"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        run(
            [
                *(*git, *plain, "format-patch", f"--output-directory={folder}", "--numbered", "--always"),
                *("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-attach"),
                *("--find-renames", "--no-thread", "--end-of-options", revisions),
            ],
            env=isolated,
            error=failed,
        )
        mails = tuple(read_mail(path.read_bytes(), path.name) for path in sorted(Path(folder).iterdir()))
    notes = (f"{merges} merge commits of the range are left out",) if merges != "0" else ()
    return mails, notes


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError(
            "-Dseries=-: nothing is given on standard input", "pipe a patch or mailbox in: … < x.patch"
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
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:60].lstrip("._+") or "series"
