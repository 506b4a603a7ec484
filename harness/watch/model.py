"""What the store keeps of a mailing list: series, versions, patches, replies, runs of validate."""

from dataclasses import dataclass
from typing import Literal

from harness.check import ValidateResults

State = Literal[
    "waiting", "queued", "running", "done", "failed", "replaced", "left out", "elsewhere", "refused"
]
"""State of a version.

waiting: patches are missing. failed: the harness failed, not the series. replaced: a newer version came
before this one was judged. left out: ``--only`` names other subsystems. elsewhere: it is for another project.
refused: it exceeds a limit.
"""


@dataclass(frozen=True, kw_only=True)
class WatchedPatch:
    """A patch as text."""

    number: int
    """Position, from 1."""
    label: str
    """Number and count as in the subject, such as 03/12; empty without."""
    title: str
    author: str
    message_id: str
    message: str
    """The commit message."""
    diff: str
    """In git's format; empty if it is damaged."""
    files: tuple[str, ...]
    """Paths that it changes, in both trees."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A trailer of a reply, or a line of it that objects to the patch."""

    patch: int
    """Position of the patch; 0 for all patches."""
    text: str
    """``Reviewed-by: Name <mail@example.org>``, or ``NACK``."""
    sender: str
    message_id: str = ""
    """That of the reply."""
    is_own: bool = True
    """Whether the sender of the reply is the person in the trailer."""
    objects: bool = False


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The mails of a version as text. ``sha256`` is harness.series.series_sha256."""

    sha256: str
    cover: str
    """The text of the cover letter; empty without one."""
    patches: tuple[WatchedPatch, ...]
    missing: tuple[int, ...] = ()
    given: tuple[Given, ...] = ()
    replies: int = 0
    """Number of replies."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of validate on a version. Times are ISO 8601, UTC."""

    id: int
    sha256: str
    """Digest of the series that was judged; it differs from that of the version if mails came later."""
    state: Literal["running", "done", "failed"]
    started: str
    finished: str = ""
    seconds: float = 0.0
    base: str = ""
    """The commit of the clone that the series was applied to, and how it was chosen."""
    reason: str = ""
    """Why the harness failed."""
    verdict: str = ""
    """harness.check.model.Verdict; empty unless the run is done."""
    errors: int = 0
    warnings: int = 0
    notes: int = 0
    place: str = ""
    """URL of the pipeline; empty for a run on this machine."""
    results: ValidateResults | None = None
    """The content of validate.json: fits, findings, builds, tests, proofs, coverage, timing."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a series. ``runs`` are newest first."""

    id: int
    number: int
    rfc: bool
    message_id: str
    """Of the cover letter, or of the first patch."""
    title: str
    sent: str
    """Date of that mail, as ISO 8601 in UTC; empty if it is not valid."""
    arrived: str
    """When the watch read it: ISO 8601, UTC."""
    state: State
    reason: str
    """Why it is in that state; may be empty."""
    total: int
    """Number of patches that the subjects announce."""
    contents: Contents
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series with all its versions, newest first."""

    id: int
    title: str
    author: str
    """Name and address."""
    sections: tuple[str, ...]
    """Sections of MAINTAINERS that its newest version touches."""
    arrived: str
    changed: int
    """Counter of the last change (Store.counter)."""
    versions: tuple[Version, ...]


@dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """A series in a list: facts of the newest version and of its newest run."""

    id: int
    title: str
    changed: int
    versions: int
    """Number of versions that are known."""
    number: int
    message_id: str
    state: State
    reason: str
    given: int
    """Number of trailers from replies."""
    verdict: str = ""
    seconds: float = 0.0
