"""The versions of a series: ``history/vN/`` next to its patches is a copy of version N as it was sent.

These are files and not git notes. Notes are neither cloned nor pushed without extra configuration, no release
archive contains them, and they are invisible in review. A version is some kilobytes, which git stores once.
"""

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
"""Message-Ids that ``nox -s submit`` generated for the mails of that version."""


@dataclass(frozen=True, kw_only=True)
class Rerolled:
    """The folder of the archived version, and the number of the next version."""

    kept: Path
    version: int


def versions(folder: Path) -> dict[int, Path]:
    """Return the folders of the archived versions, by number."""
    found = {
        int(match[1]): path
        for path in sorted((folder / FOLDER).glob("v*"))
        if path.is_dir() and (match := re.fullmatch(r"v([1-9][0-9]?)", path.name))
    }
    return dict(sorted(found.items()))


def previous_version(folder: Path) -> Path | None:
    """Return the folder of the newest version before the current one; None for a first version."""
    current = read_series_file(folder).version
    before = {number: path for number, path in versions(folder).items() if number < current}
    return before[max(before)] if before else None


def reroll(folder: Path, outgoing: Path) -> Rerolled:
    """Archive the current version as ``history/vN`` and increment ``version`` in series.toml.

    If ``outgoing``, the output folder of submit, contains a record of Message-Ids, archive it too. Raises
    AuthoringError if the version is already archived or is the highest, StorageError.
    """
    metadata = read_series_file(folder)
    if metadata.version >= HIGHEST_VERSION:
        raise AuthoringError(f"{folder.name} has {metadata.version} versions", "start a new series")
    if not patch_files(folder):
        raise AuthoringError(
            f"{folder} contains no patches to archive",
            f"run: qemu-harness series refresh {folder.name}",
        )
    kept, files = folder / FOLDER / f"v{metadata.version}", [*patch_files(folder), folder / FILE]
    if kept.exists():
        raise AuthoringError(
            f"{kept} already exists: version {metadata.version} is archived",
            f"increment version in {folder / FILE}, or remove that folder if it was never sent",
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
    edit_series_file(folder, version=metadata.version + 1)
    _update_tags(folder)
    return Rerolled(kept=kept, version=metadata.version + 1)


def _update_tags(folder: Path) -> None:
    """Write the version of series.toml into the subjects of the patches."""
    metadata, files = read_series_file(folder), patch_files(folder)
    total = sum(not path.name.startswith("0000-") for path in files)
    for path in files:
        data, number = path.read_bytes(), int(path.name[:4])
        counted = "/" in tag_of(data)
        tag = tag_for(metadata.subject_prefix, metadata.version, number, total, numbered=counted)
        write_file(path, with_tag(data, tag))
