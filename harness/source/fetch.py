"""Try the locations of a pin in order until one provides the pinned bytes."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import FetchError, HarnessError, MissingError, OptionError, StorageError, VerifyError
from harness.layout import Layout
from harness.lock import locked
from harness.machine import text_of
from harness.progress import Reporter
from harness.source import debian, git
from harness.source.archive import check_signature, download
from harness.source.clone import Clone, is_clone, open_clone, split_revision
from harness.source.files import cached, keep_bad, sha256_of, verify
from harness.source.pin import Archive, Location, Pin, load_pins


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source of a QEMU tree; verified unless ``kind`` is ``local`` or ``clone``.

    ``path`` is an archive, a folder, a git repository or the user's ``clone``. ``digest`` is the SHA-256 of
    an archive, the commit id in a git repository, or empty for a plain local folder, which has no id before
    it is imported. ``pin`` has no name if the source is none of qemu-src/pins.toml.
    """

    pin: Pin
    kind: Literal["debian", "url", "git", "local", "clone"]
    path: Path
    digest: str
    clone: Clone | None = None
    release: str = ""
    """What the file VERSION must contain; empty if the bytes are proven by their digest."""


NO_PIN = Pin(name="", locations=())
"""Stands for a source that is none of qemu-src/pins.toml: nothing is known of it in advance."""


def fetch(pin: Pin, layout: Layout, reporter: Reporter, *, local: str = "") -> Source:
    """Return the pin's source from the cache or its locations; if ``local`` is set, that source instead.

    ``local`` is a clone (``CLONE`` or ``CLONE@REVISION``), a folder, an archive, or ``URL@COMMIT``. An
    archive with the bytes of a pin is that pin's. Cached bytes are verified at each use, without the network.

    Raises OptionError (``local`` does not exist), TreeError (the clone cannot be used), FetchError (all
    locations failed; the details list the reasons), VerifyError (a location provided other bytes, none the
    pinned ones), BusyError, StorageError.
    """
    if local:
        return _local(pin, local, layout, reporter)
    layout.downloads.mkdir(parents=True, exist_ok=True)
    target = layout.downloads / (pin.archive or f"{pin.name}.git")
    with locked(target, f"the download of pin {pin.name}", reporter):
        return _from_cache(pin, layout, reporter) or _from_locations(pin, layout, reporter)


def _local(pin: Pin, text: str, layout: Layout, reporter: Reporter) -> Source:
    if re.match(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:", text):
        return _from_git_url(pin, text, layout, reporter)
    path, revision = split_revision(text)
    if not path.exists():
        raise OptionError(
            f"-Dsource: {path} does not exist",
            "specify a QEMU clone (CLONE or CLONE@REVISION), folder, archive, or URL@COMMIT",
        )
    path = path.resolve()
    if path.is_dir() and is_clone(path):
        clone = open_clone(path, revision, reporter)
        return Source(pin=pin, kind="clone", path=path, digest=clone.commit, clone=clone)
    if revision:
        raise OptionError(
            f"-Dsource: {path} is not a git clone, so it has no revision {revision}", "leave it out"
        )
    digest = sha256_of(path) if path.is_file() else ""
    for known in load_pins(layout).values() if digest and not pin.prepare else ():
        digests = {archive.sha256 for archive in known.archives.values()}
        if digest in digests and pin.name in ("", known.name):
            reporter.note(f"{path.name} is the archive of pin {known.name}")
            return Source(pin=known, kind="url", path=path, digest=digest)
    reporter.note(f"using the local source {path}; it is not verified")
    return Source(pin=pin, kind="local", path=path, digest=digest)


def _from_git_url(pin: Pin, text: str, layout: Layout, reporter: Reporter) -> Source:
    url, _, commit = text.rpartition("@")
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        raise OptionError(f"-Dsource: {text} does not end with @ and a full commit id", "write URL@COMMIT")
    location = Location(kind="git", url=url, commit=commit)
    repository = _repository(location, layout)
    repository.parent.mkdir(parents=True, exist_ok=True)
    with locked(repository, f"the download of {url}", reporter):
        if not git.has_commit(repository, commit):
            git.fetch_commit(url, commit, repository, reporter)
    return Source(pin=pin, kind="git", path=repository, digest=commit)


def _from_cache(pin: Pin, layout: Layout, reporter: Reporter) -> Source | None:
    for archive in pin.archives.values():
        target = layout.downloads / archive.name
        if archive.sha256:
            if cached(target, archive.sha256, what=archive.name, reporter=reporter):
                return _source(pin, archive, target)
        elif target.is_file() and _is_still_signed(pin, archive, target, layout, reporter):
            return _source(pin, archive, target)
    for location in pin.locations:
        repository = _repository(location, layout)
        if location.kind == "git" and git.has_commit(repository, location.commit):
            return Source(pin=pin, kind="git", path=repository, digest=location.commit)
    return None


def _is_still_signed(pin: Pin, archive: Archive, target: Path, layout: Layout, reporter: Reporter) -> bool:
    """Verify a cached archive without a known digest. If the signature does not match, rename the file."""
    keyrings = {place.keyring for place in pin.locations if place.archive == archive.name}
    try:
        for keyring in keyrings:
            check_signature(target, _signature_of(target), layout.files / keyring)
    except VerifyError as error:
        bad = keep_bad(target, sha256_of(target))
        reporter.warn(f"cached {error.cause}: renamed to {bad.name}, fetching it again")
        return False
    return True


def _source(pin: Pin, archive: Archive, target: Path) -> Source:
    return Source(
        pin=pin,
        kind=_read_origin(target),
        path=target,
        digest=archive.sha256 or sha256_of(target),
        release=archive.release,
    )


def _from_locations(pin: Pin, layout: Layout, reporter: Reporter) -> Source:
    failures: list[tuple[Location, HarnessError]] = []
    for location in pin.locations:
        try:
            source = _get(location, pin, layout, reporter)
        except (FetchError, VerifyError, MissingError) as error:
            reporter.warn(f"pin {pin.name}: {location}: {_reason(location, error)}")
            failures.append((location, error))
        else:
            return source
    details = tuple(
        line
        for location, error in failures
        for line in (f"{location}: {_reason(location, error)}", *(f"  {one}" for one in error.details))
    )
    wrong = next((error for _, error in failures if isinstance(error, VerifyError)), None)
    if pin.unverified:
        details = (f"this pin is unverified: {pin.unverified}", *details)
    if wrong is not None:
        raise VerifyError(f"pin {pin.name}: {wrong.cause}", wrong.remedy, details=details) from wrong
    wanted = " or ".join(pin.archives) or "the commit"
    raise FetchError(
        f"pin {pin.name}: none of its {len(failures)} locations provided {wanted}",
        "check the network, add a location to qemu-src/pins.toml, or pass -Dsource=FOLDER-OR-ARCHIVE",
        details=details,
    )


def _reason(location: Location, error: HarnessError) -> str:
    """The cause of ``error``, without the URL that the message about ``location`` already has."""
    return error.cause.removeprefix(f"{location}: ")


def _get(location: Location, pin: Pin, layout: Layout, reporter: Reporter) -> Source:
    if location.kind == "git":
        repository = _repository(location, layout)
        repository.parent.mkdir(parents=True, exist_ok=True)
        git.fetch_commit(location.url, location.commit, repository, reporter)
        return Source(pin=pin, kind="git", path=repository, digest=location.commit)
    archive = pin.archive_at(location)
    target = layout.downloads / archive.name
    partial = target.with_name(f".{target.name}.part")
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        got = partial / archive.name
        if location.kind == "debian":
            wanted = debian.Wanted(
                suite=location.suite,
                package=location.package,
                version=location.version,
                archive=archive.name,
                sha256=archive.sha256,
            )
            debian.fetch_source(layout, reporter, wanted, partial)
        else:
            download(location.url, got, reporter, size=archive.size)
        if archive.sha256:
            verify(got, archive.sha256, name=target)
        if location.signature:
            _check_signature(location, got, target, layout, reporter)
        target.with_name(f"{target.name}.origin").write_text(location.kind, encoding="ascii")
        got.replace(target)
    except OSError as error:
        raise StorageError(f"cannot store {target}: {error}", "free some disk space") from error
    finally:
        _remove(partial)
    return _source(pin, archive, target)


def _check_signature(location: Location, got: Path, target: Path, layout: Layout, reporter: Reporter) -> None:
    """Fetch and check the signature of ``got``; keep it next to ``target``. Raises FetchError, VerifyError.

    A relative path of a keyring is below the checkout, so a pin can ship its keyring.
    """
    signature = _signature_of(got)
    download(location.signature, signature, reporter)
    try:
        check_signature(got, signature, layout.files / location.keyring)
    except VerifyError as error:
        bad = keep_bad(got, sha256_of(got), target)
        raise VerifyError(error.cause, f"{error.remedy}; inspect {bad}", details=error.details) from error
    signature.replace(_signature_of(target))


def _signature_of(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sig")


def _repository(location: Location, layout: Layout) -> Path:
    return layout.downloads / "git" / hashlib.sha256(location.url.encode()).hexdigest()[:16]


def _read_origin(target: Path) -> Literal["debian", "url"]:
    return "debian" if text_of(target.with_name(f"{target.name}.origin")) == "debian" else "url"


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
