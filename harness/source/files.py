"""Files that are proven by their digest, and put in place whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import StorageError, VerifyError
from harness.progress import Reporter


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises StorageError."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error}", "check the disk and the permissions") from error


def keep_aside(path: Path, digest: str, name: Path | None = None) -> Path:
    """Rename bytes that are not what they should be to ``<name>.bad-<digest>``, for a look at them."""
    name = name or path
    bad = name.with_name(f"{name.name}.bad-{digest[:12]}")
    try:
        path.replace(bad)
    except OSError as error:
        raise StorageError(f"cannot rename {path}: {error}", "make its folder writable") from error
    return bad


def verify(path: Path, sha256: str, *, name: Path) -> None:
    """Raise VerifyError, with ``path`` kept beside ``name``, unless its digest is ``sha256``."""
    digest = sha256_of(path)
    if digest != sha256:
        bad = keep_aside(path, digest, name)
        raise VerifyError(
            f"{name.name} has sha256 {digest}, pinned is {sha256}",
            f"look at {bad}; if the pin is wrong mend it, else fetch from another location",
        )


def cached(path: Path, sha256: str, *, what: str, reporter: Reporter) -> bool:
    """Whether ``path`` is there with the right bytes. Wrong ones are kept aside and said."""
    if not path.is_file():
        return False
    digest = sha256_of(path)
    if digest == sha256:
        return True
    bad = keep_aside(path, digest)
    reporter.warn(
        f"cached {what} is damaged (sha256 {digest}, pinned {sha256}): kept as {bad.name}, fetching"
    )
    return False
