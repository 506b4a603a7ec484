"""Every error of the harness: one line of cause, one of remedy, a stable exit code.

Exit codes are part of the interface (docs/errors.md lists them) and are never reused.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class HarnessError(Exception):
    """Base of all errors that a user can meet.

    ``cause`` and ``remedy`` are single lines; ``details`` are further lines shown between them
    (a compiler error, a rejected hunk); ``log`` is the file that holds everything.
    """

    code: ClassVar[int] = 1
    summary: ClassVar[str] = "an error without a class of its own"

    def __init__(
        self, cause: str, remedy: str, *, details: tuple[str, ...] = (), log: Path | None = None
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.details = details
        self.log = log


class OptionError(HarnessError):
    """An unknown option, a bad value, or values that cannot go together."""

    code = 2
    summary = "unknown option, bad value, or impossible combination"


class MissingError(HarnessError):
    """A program or library that the requested stage needs is not installed."""

    code = 3
    summary = "a needed program or library is missing"


class FetchError(HarnessError):
    """None of a pin's locations gave its source."""

    code = 4
    summary = "a source or package could not be fetched"


class VerifyError(HarnessError):
    """Bytes are not the ones that were pinned."""

    code = 5
    summary = "downloaded bytes do not match the pinned digest or signature"


class TreeError(HarnessError):
    """A source could not be turned into a tree, or a tree is not what it should be."""

    code = 6
    summary = "a source tree could not be made or is damaged"


class ApplyError(HarnessError):
    """A patch of the series does not apply, or must not be applied."""

    code = 7
    summary = "a patch does not apply, or is refused"


class ConfigureError(HarnessError):
    """QEMU's configure script failed."""

    code = 8
    summary = "configuring QEMU failed"


class CompileError(HarnessError):
    """QEMU did not compile or link."""

    code = 9
    summary = "compiling QEMU failed"


class GuestError(HarnessError):
    """QEMU did not start, or a guest did not become ready."""

    code = 10
    summary = "a guest did not start or did not become ready"


class TeardownError(HarnessError):
    """A teardown run ended without the samples it was asked for."""

    code = 11
    summary = "a teardown run failed or gave no samples"


class BusyError(HarnessError):
    """Another run holds a lock for longer than we wait."""

    code = 12
    summary = "another run holds what this one needs"


class TimeoutExpiredError(HarnessError):
    """A program that the harness started took longer than it may."""

    code = 13
    summary = "a step took longer than its limit"


class StorageError(HarnessError):
    """The disk is full, or a file or folder cannot be read or written."""

    code = 14
    summary = "a file could not be read or written"


class NothingBuiltError(HarnessError):
    """A binary was asked for that no build has made yet."""

    code = 15
    summary = "the binary asked for has not been built"


class CyclesError(HarnessError):
    """Start/stop cycles left something behind, crashed, or could not be run."""

    code = 16
    summary = "start/stop cycles failed"


class PropertyError(HarnessError):
    """A property came out otherwise than it is known to, or the properties could not be checked."""

    code = 17
    summary = "a property is not what it is expected to be"


class GateError(HarnessError):
    """The figures of a run do not meet what is demanded of them."""

    code = 18
    summary = "a gate was not passed"


class CalibrationError(HarnessError):
    """The statistics call too many differences where there are none, or overlook one that is there."""

    code = 19
    summary = "the statistics are not calibrated"


class FindingsError(HarnessError):
    """A series has findings as severe as ``-Dfail-on=`` says."""

    code = 20
    summary = "validate found something to mend in the series"


class SeriesBuildError(HarnessError):
    """A commit of the series does not build where its base does."""

    code = 21
    summary = "a commit of the series does not build"


class InfrastructureError(HarnessError):
    """A series could not be judged, through no fault of its own."""

    code = 22
    summary = "a series could not be judged, through no fault of its own"


class SeriesTestError(HarnessError):
    """A test that passes on the base fails because of the series."""

    code = 23
    summary = "a test fails because of the series"


class AuthoringError(HarnessError):
    """Patch files and the branch of a series could not be brought together."""

    code = 25
    summary = "patches and commits of a series could not be brought together"


class SubmitError(HarnessError):
    """A series cannot be prepared for sending: it is not validated, or what was made of it is not right."""

    code = 26
    summary = "a series could not be prepared for sending"


class ProvenanceError(HarnessError):
    """A sign-off was asked for that no declaration allows, or a declaration is not complete."""

    code = 27
    summary = "a declaration of origin is missing, incomplete or does not allow a sign-off"


class NotReadyError(HarnessError):
    """The mails were written, and marked as not ready to send."""

    code = 28
    summary = "prepared, but not ready to be sent: a person has to act"


class ClientsError(HarnessError):
    """A client of QEMU's was not served as it should be."""

    code = 30
    summary = "a client such as libvirt was not served as it should be"


class LibvirtError(HarnessError):
    """A private libvirtd could not be had, or did not do what it was asked for."""

    code = 31
    summary = "a private libvirtd could not be started, or refused"


class FaultsError(HarnessError):
    """A fault of the machine or of others was not survived by the harness."""

    code = 32
    summary = (
        "the harness did not survive a fault that was tried on it, or survived one that it should not have"
    )


class FuzzError(HarnessError):
    """A reader ended in a traceback, hung, or let a path out of the folder where it belongs."""

    code = 33
    summary = "a reader of files did not bear one of the examples of nox -s fuzz, or could not be given any"


class AuditError(HarnessError):
    """There are published advisories about pinned dependencies."""

    code = 34
    summary = "there are advisories about pinned dependencies"


class LoadError(HarnessError):
    """Under load something stayed behind, a guest failed, or there was no memory for any."""

    code = 39
    summary = "under load something stayed behind, or a guest did not start again"


class RemoteError(HarnessError):
    """A host that guests were to be timed on cannot be reached, lacks something, or gave no results."""

    code = 37
    summary = "a host of -Dspawner_hosts= cannot be reached or gave no results"


class InterruptedRunError(HarnessError):
    """The user or a supervisor asked the run to stop."""

    code = 130
    summary = "stopped by SIGINT, SIGTERM or SIGHUP"


def all_errors() -> tuple[type[HarnessError], ...]:
    """Every class of error, by exit code."""
    return tuple(sorted(HarnessError.__subclasses__(), key=lambda error: error.code))
