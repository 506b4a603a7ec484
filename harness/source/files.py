"""Verify files by their SHA-256 digest."""

import hashlib
from pathlib import Path

from harness.errors import StorageError, VerifyError
from harness.jsonfile import storing
from harness.progress import Reporter


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises StorageError."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}", "check the disk and the permissions") from error


def keep_bad(path: Path, digest: str, name: Path | None = None) -> Path:
    """Rename a file with wrong bytes to ``<name>.bad-<digest>``, for inspection. Raises StorageError."""
    name = name or path
    bad = name.with_name(f"{name.name}.bad-{digest[:12]}")
    with storing(f"rename {path}"):
        path.replace(bad)
    return bad


def verify(path: Path, sha256: str, *, name: Path) -> None:
    """Raise VerifyError if the digest of ``path`` is not ``sha256``; the file is kept next to ``name``."""
    digest = sha256_of(path)
    if digest != sha256:
        bad = keep_bad(path, digest, name)
        raise VerifyError(
            f"{name.name} has sha256 {digest}, expected {sha256}",
            f"inspect {bad}; if the pin is wrong, correct it; otherwise fetch from another location",
        )


def cached(path: Path, sha256: str, *, what: str, reporter: Reporter) -> bool:
    """Return whether ``path`` exists with the right bytes. Wrong ones are renamed and reported."""
    if not path.is_file():
        return False
    digest = sha256_of(path)
    if digest == sha256:
        return True
    bad = keep_bad(path, digest)
    reporter.warn(
        f"cached {what} is damaged (sha256 {digest}, expected {sha256}): "
        f"renamed to {bad.name}, fetching it again"
    )
    return False
