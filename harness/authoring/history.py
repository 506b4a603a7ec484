"""The versions of a series: ``history/vN/`` beside its patches, a copy of what was sent as version N.

Files, not git notes: notes are neither cloned nor pushed unless everyone configures it, a release archive has
none, and nobody sees them in review. A version is some kilobytes of text that git stores once.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.authoring.files import edit_series_file, write_file
from harness.errors import AuthoringError, StorageError
from harness.series import patch_files, read_series_file
from harness.series.form import tag_for, tag_of, with_tag
from harness.series.metadata import FILE, HIGHEST_VERSION

FOLDER = "history"
SENT = "sent.toml"
"""Message-Ids of the mails of that version, as ``nox -s submit`` made them."""


@dataclass(frozen=True, kw_only=True)
class Rerolled:
    """A version put away, and the next one begun."""

    kept: Path
    version: int


def versions(folder: Path) -> dict[int, Path]:
    """The versions that are kept, by number."""
    found = {
        int(match[1]): path
        for path in sorted((folder / FOLDER).glob("v*"))
        if path.is_dir() and (match := re.fullmatch(r"v([1-9][0-9]?)", path.name))
    }
    return dict(sorted(found.items()))


def previous_version(folder: Path) -> Path | None:
    """The folder of the newest version before the present one; None for a first version."""
    present = read_series_file(folder).version
    before = {number: path for number, path in versions(folder).items() if number < present}
    return before[max(before)] if before else None


def reroll(folder: Path, outgoing: Path) -> Rerolled:
    """Put the present version away as ``history/vN`` and raise ``version`` in series.toml.

    ``outgoing`` is where submit wrote it; its record of Message-Ids is kept with it when it is there. Raises
    AuthoringError when that version is in the history with other bytes, StorageError.
    """
    said = read_series_file(folder)
    if said.version >= HIGHEST_VERSION:
        raise AuthoringError(f"{folder.name} has {said.version} versions", "start a new series")
    kept, files = folder / FOLDER / f"v{said.version}", [*patch_files(folder), folder / FILE]
    if kept.exists():
        raise AuthoringError(
            f"{kept} is there already: version {said.version} was put away before",
            f"raise version in {folder / FILE}, or remove that folder if it was never sent",
        )
    aside = kept.with_name(f".{kept.name}.new")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for path in (*files, folder / "provenance.toml", folder / "tags.toml"):
            if path.is_file():
                shutil.copy2(path, aside / path.name)
        if (outgoing / SENT).is_file():
            shutil.copy2(outgoing / SENT, aside / SENT)
        aside.rename(kept)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise StorageError(f"cannot write {kept}: {error}", "make the folder writable") from error
    edit_series_file(folder, version=said.version + 1)
    _raise_tags(folder)
    return Rerolled(kept=kept, version=said.version + 1)


def _raise_tags(folder: Path) -> None:
    """Put the version of series.toml into the subjects; nothing else of the files changes."""
    said, files = read_series_file(folder), patch_files(folder)
    total = sum(not path.name.startswith("0000-") for path in files)
    for path in files:
        data, number = path.read_bytes(), int(path.name[:4])
        counted = "/" in tag_of(data)
        tag = tag_for(said.subject_prefix, said.version, number, total, numbered=counted)
        write_file(path, with_tag(data, tag))
