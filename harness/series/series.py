"""Read a folder of patches as a frozen Series. docs/series.md describes the folder."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ApplyError, OptionError
from harness.layout import Layout, safe_name
from harness.series.metadata import UNNAMED, SeriesFile, read_series_file
from harness.series.patch import Patch, PatchFormatError, read_patch

_NUMBERED = re.compile(r"(\d{4})-.+\.patch")


@dataclass(frozen=True, kw_only=True)
class Series:
    """A patch series. ``digest`` covers names and bytes of the patches in order, not the cover letter."""

    name: str
    folder: Path
    title: str
    pins: tuple[str, ...]
    """Pins that the series applies to; empty for any."""
    patches: tuple[Patch, ...]
    cover: str
    """Text of ``0000-cover-letter.patch``; empty without that file."""
    digest: str
    metadata: SeriesFile = UNNAMED
    """The content of ``series.toml``."""
    range_base: str = ""
    """The commit before a range of a clone."""
    commits: tuple[str, ...] = ()
    """The commits of a range, oldest first; empty for patches that are none yet."""

    def fits(self, pin: str) -> bool:
        """Return whether ``series.toml`` lists ``pin``, or no pins."""
        return not self.pins or pin in self.pins


def load_series(layout: Layout, name: str) -> Series:
    """Read the series ``name``: a folder below ``patches/``, or the path of a folder.

    Raises OptionError (no such series, an invalid series.toml) and ApplyError (an invalid patch).
    """
    folder = find_folder(layout, name)
    return series_of_folder(folder, safe_name(folder.name))


def series_of_folder(folder: Path, name: str) -> Series:
    """Read the series in ``folder`` and call it ``name``. Raises the errors of load_series."""
    metadata = read_series_file(folder)
    patches, cover, digest = _read_patches(folder)
    return Series(
        name=name,
        folder=folder,
        title=metadata.title,
        pins=metadata.pins,
        patches=patches,
        cover=cover,
        digest=digest,
        metadata=metadata,
    )


def series_of_files(name: str, folder: Path, files: Sequence[tuple[str, bytes]]) -> Series:
    """Read a series from ``files`` (name and bytes, in order). Raises ApplyError."""
    patches = tuple(_read_one(name, file, number, data) for number, (file, data) in enumerate(files, start=1))
    return Series(
        name=name, folder=folder, title=name, pins=(), patches=patches, cover="", digest=series_digest(files)
    )


def find_folder(layout: Layout, name: str) -> Path:
    """Return the folder of the series ``name``, a name or a path. Raises OptionError with all names."""
    path = Path(name).expanduser()
    is_path = "/" in name or name in (".", "..")
    folder = path.absolute() if is_path else layout.series(name)
    if folder.is_dir():
        return folder.resolve()
    if is_path or path.suffix:
        near = difflib.get_close_matches(path.name, _names(path.parent), n=1)
        hint = (
            f"did you mean {path.parent / near[0]}?"
            if near[:1] not in ([], [path.name])
            else "check its spelling"
        )
        raise OptionError(f"-Dseries: no such file or folder: {name!r}", hint)
    places = {layout.patches, layout.files / "patches"}
    known = sorted({path.parent.name for place in places for path in place.glob("*/series.toml")})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise OptionError(
        f"-Dseries: there is no series {name!r}, and no such file", f"{hint}known series: {' '.join(known)}"
    )


def test_files(layout: Layout, name: str) -> list[Path]:
    """Return the behaviour tests that the series ``name`` has. Raises OptionError for an unknown series."""
    return sorted((find_folder(layout, name) / "tests").glob("*.py"))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def patch_files(folder: Path) -> list[Path]:
    """Return the files of ``folder`` that are named ``NNNN-*.patch``, in order."""
    return sorted(path for path in folder.glob("*.patch") if _NUMBERED.fullmatch(path.name))


def series_digest(files: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over the names, lengths and bytes of ``files``, in order."""
    digest = hashlib.sha256()
    for name, data in files:
        digest.update(
            name.encode("utf-8", "surrogateescape") + b"\0" + str(len(data)).encode() + b"\0" + data
        )
    return digest.hexdigest()


def _read_patches(folder: Path) -> tuple[tuple[Patch, ...], str, str]:
    files = patch_files(folder)
    cover = ""
    read: list[tuple[str, bytes]] = []
    patches: list[Patch] = []
    seen: dict[int, str] = {}
    for path in files:
        number = int(path.name[:4])
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error}", "make it readable") from error
        if number in seen:
            raise ApplyError(
                f"{folder.name}: {seen[number]} and {path.name} have the same number",
                "remove the stale one (git format-patch leaves older files in place)",
            )
        seen[number] = path.name
        if number == 0:
            cover = data.decode("utf-8", "replace")
            continue
        read.append((path.name, data))
        patches.append(_read_one(folder.name, path.name, number, data))
    if not patches:
        raise OptionError(
            f"-Dseries: {folder} contains no patches",
            "name a folder of NNNN-*.patch files, the output of git format-patch",
        )
    return tuple(patches), cover, series_digest(read)


def _read_one(series: str, file: str, number: int, data: bytes) -> Patch:
    try:
        return read_patch(file, number, data)
    except PatchFormatError as error:
        raise ApplyError(
            f"{series}: {file} is not a valid patch: {error}", "write it again with git format-patch"
        ) from error
