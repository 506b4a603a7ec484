"""Fetch the archive of a Debian source package; an isolated apt verifies the index and the file."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Sources
from debian.debian_support import Version

from harness.errors import FetchError, VerifyError
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Reporter
from harness.source.apt import SOURCE, AptState, open_state
from harness.source.machine_apt import debian_entry


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A required file of a source package. ``version`` is a glob; empty matches any version."""

    suite: str
    package: str
    version: str
    archive: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A version of a source package in the index, and its files."""

    version: str
    files: dict[str, str]
    """SHA-256 by file name."""


def fetch_source(layout: Layout, reporter: Reporter, wanted: Wanted, folder: Path) -> None:
    """Download ``wanted.archive`` into ``folder``.

    The suite's index is fetched only if it is absent or does not list the archive. Raises FetchError (not in
    the suite, not in the pool, no network) and VerifyError (the index has another digest).
    """
    state = open_state(layout, debian_entry(), wanted.suite, SOURCE)
    with locked(state.folder, f"the apt state of {wanted.suite}", reporter):
        for fresh in (False, True):
            if fresh:
                state.update(reporter)  # the index may be out of date
            found = candidates(state, wanted.package)
            chosen = choose(found, wanted)
            if chosen is None:
                continue
            try:
                return _download(state, chosen, wanted, folder, reporter)
            except FetchError as error:
                if fresh or not _is_gone(error):
                    raise _explain(error, chosen, wanted) from error
        raise _absent(wanted, found)


def candidates(state: AptState, package: str) -> list[Candidate]:
    """Return the versions of ``package`` in the index; empty if there is no index."""
    if not state.has_index:
        return []
    shown = state.run(["apt-cache", "showsrc", "--only-source", package], check=False).output
    return parse_showsrc(shown, package)


def parse_showsrc(text: str, package: str) -> list[Candidate]:
    """Parse the output of ``apt-cache showsrc``: paragraphs as in Debian's Sources files."""
    found = []
    for paragraph in Sources.iter_paragraphs(text.splitlines(keepends=True), use_apt_pkg=False):
        if paragraph.get("Package") == package and "Version" in paragraph:
            files = {item["name"]: item["sha256"] for item in paragraph.get("Checksums-Sha256", [])}
            found.append(Candidate(version=paragraph["Version"], files=files))
    return found


def choose(found: list[Candidate], wanted: Wanted) -> Candidate | None:
    """Return the newest matching version that contains the archive.

    Raises VerifyError if its digest is not the pinned one.
    """
    matching = [
        candidate
        for candidate in found
        if wanted.archive in candidate.files and fnmatch.fnmatchcase(candidate.version, wanted.version or "*")
    ]
    if not matching:
        return None
    newest = max(matching, key=lambda candidate: Version(candidate.version))
    digest = newest.files[wanted.archive]
    if digest != wanted.sha256:
        raise VerifyError(
            f"the index of {wanted.suite} lists {wanted.archive} with sha256 {digest}, "
            f"the pin specifies {wanted.sha256}",
            "if the pin is wrong, correct it; otherwise fetch from another location",
        )
    return newest


def _download(state: AptState, chosen: Candidate, wanted: Wanted, folder: Path, reporter: Reporter) -> None:
    with reporter.step(f"fetching {wanted.archive} ({wanted.package} {chosen.version})") as step:
        state.run(
            [
                *("apt-get", "source", "--only-source", "--download-only", "--tar-only"),
                f"{wanted.package}={chosen.version}",
            ],
            cwd=folder,
            step=step,
        )
    if not (folder / wanted.archive).is_file():
        raise FetchError(f"apt-get source did not download {wanted.archive}", "try another location")


def _is_gone(error: FetchError) -> bool:
    return any("404" in line for line in (error.cause, *error.details))


def _explain(error: FetchError, chosen: Candidate, wanted: Wanted) -> FetchError:
    if not _is_gone(error):
        return error
    return FetchError(
        f"the index of {wanted.suite} lists {wanted.package} {chosen.version}, but the mirror's pool "
        f"does not contain {wanted.archive} (404)",
        "add another location to the pin",
        details=error.details,
    )


def _absent(wanted: Wanted, found: list[Candidate]) -> FetchError:
    versions = ", ".join(candidate.version for candidate in found)
    matching = f" matching {wanted.version}" if wanted.version else ""
    return FetchError(
        f"{wanted.suite} has no source package {wanted.package}{matching} with {wanted.archive}",
        f"add another location to the pin; versions in {wanted.suite}: {versions or 'none'}",
    )
