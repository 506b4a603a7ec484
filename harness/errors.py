"""All errors of the harness: a one-line cause, a one-line remedy, and a stable exit code.

Exit codes are part of the interface (docs/errors.md lists them) and are never reused.
"""

from pathlib import Path
from typing import ClassVar, Literal


class HarnessError(Exception):
    """Base class of all errors that a user can see.

    ``cause`` and ``remedy`` are single lines. ``details`` are further lines that are printed between them
    (a compiler error, a rejected hunk). ``log`` is the file with the complete output.
    """

    code: ClassVar[int] = 1
    summary: ClassVar[str] = "an error without a specific class"

    def __init__(
        self, cause: str, remedy: str, *, details: tuple[str, ...] = (), log: Path | None = None
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.details = details
        self.log = log


class OptionError(HarnessError):
    """An unknown option, a bad value, or values that exclude each other."""

    code = 2
    summary = "unknown option, bad value, or impossible combination"


class MissingError(HarnessError):
    """A program or library that the requested stage needs is not installed."""

    code = 3
    summary = "a required program or library is missing"


class FetchError(HarnessError):
    """No location of a pin provided its source."""

    code = 4
    summary = "a source or package could not be fetched"


class VerifyError(HarnessError):
    """Downloaded bytes differ from the pinned ones."""

    code = 5
    summary = "downloaded bytes do not match the pinned digest or signature"


class TreeError(HarnessError):
    """A source could not be converted into a tree, or a tree is damaged."""

    code = 6
    summary = "a source tree could not be created or is damaged"


class ApplyError(HarnessError):
    """A patch of the series does not apply, or is refused.

    ``patch`` is its position in the series, from 1 (0: unknown). ``reason`` is the cause without the name of
    the patch. ``kind`` is ``context`` (hunks do not match: a rebase helps), ``file`` (the tree lacks a
    file, or has one that the patch adds) or ``refused``.
    """

    code = 7
    summary = "a patch does not apply, or is refused"
    patch: int = 0
    reason: str = ""
    kind: Literal["context", "file", "refused"] = "refused"


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
    """A teardown run ended without the requested samples."""

    code = 11
    summary = "a teardown run failed or produced no samples"


class BusyError(HarnessError):
    """Another run holds a lock for longer than the limit."""

    code = 12
    summary = "another run holds a lock that this run needs"


class TimeoutExpiredError(HarnessError):
    """A program that the harness started exceeded its time limit."""

    code = 13
    summary = "a step exceeded its time limit"


class StorageError(HarnessError):
    """The disk is full, or a file or folder cannot be read or written."""

    code = 14
    summary = "a file could not be read or written"


class NothingBuiltError(HarnessError):
    """No build has produced the requested binary yet."""

    code = 15
    summary = "the requested binary has not been built"


class CyclesError(HarnessError):
    """Start/stop cycles left something behind, crashed, or could not run."""

    code = 16
    summary = "start/stop cycles failed"


class PropertyError(HarnessError):
    """A property differs from its expectation, or the properties could not be checked."""

    code = 17
    summary = "a property differs from its expectation"


class GateError(HarnessError):
    """The figures of a run do not meet a gate."""

    code = 18
    summary = "the figures of a run do not meet a gate"


class CalibrationError(HarnessError):
    """The statistics report too many false differences, or miss a real one."""

    code = 19
    summary = "the statistics are not calibrated"


class FindingsError(HarnessError):
    """A series has findings of the severity of ``-Dfail-on=`` or above."""

    code = 20
    summary = "validate found something to fix in the series"


class SeriesBuildError(HarnessError):
    """A commit of the series does not build, although its base does."""

    code = 21
    summary = "a commit of the series does not build"


class InfrastructureError(HarnessError):
    """A series could not be judged, for reasons outside the series."""

    code = 22
    summary = "a series could not be judged, for reasons outside the series"


class SeriesTestError(HarnessError):
    """A test that passes on the base fails because of the series."""

    code = 23
    summary = "a test fails because of the series"


class AuthoringError(HarnessError):
    """Patch files and the branch of a series could not be synchronised."""

    code = 25
    summary = "patches and commits of a series could not be synchronised"


class SubmitError(HarnessError):
    """A series cannot be prepared for sending: it is not validated, or the mails would differ from it."""

    code = 26
    summary = "a series could not be prepared for sending"


class ProvenanceError(HarnessError):
    """A sign-off was requested without a declaration that allows it, or a declaration is incomplete."""

    code = 27
    summary = "a declaration of origin is missing, incomplete or does not allow a sign-off"


class NotReadyError(HarnessError):
    """The mails were written and marked as not ready to send."""

    code = 28
    summary = "prepared, but not ready to send: a person has to act"


class ClientsError(HarnessError):
    """A claim about the clients of QEMU does not hold."""

    code = 30
    summary = "a claim about clients such as libvirt does not hold"


class LibvirtError(HarnessError):
    """A private libvirtd could not be started, or refused a request."""

    code = 31
    summary = "a private libvirtd could not be started, or refused a request"


class FaultsError(HarnessError):
    """The harness did not survive an injected fault."""

    code = 32
    summary = "the harness did not survive an injected fault, or survived one without the defence against it"


class FuzzError(HarnessError):
    """A parser crashed, hung, or let a path out of its folder."""

    code = 33
    summary = "a parser crashed or hung on a fuzzed input, or could not be fuzzed"


class LoadError(HarnessError):
    """Under load something was left behind, a guest failed, or memory was insufficient."""

    code = 39
    summary = "under load something was left behind, or a guest did not restart"


class RemoteError(HarnessError):
    """A host for timing guests cannot be reached, lacks a requirement, or returned no results."""

    code = 37
    summary = "a host of -Dspawner_hosts= cannot be reached or returned no results"


class BisectError(HarnessError):
    """The commit that made QEMU worse was not found."""

    code = 40
    summary = "the ends of a bisection do not differ, or the commit between them was not found"


class BehaviourError(HarnessError):
    """A behaviour test fails on a variant, or a metric of it is worse."""

    code = 41
    summary = "a behaviour test fails, or a metric of it is worse than that of the reference"


class InterruptedRunError(HarnessError):
    """The user or a supervisor requested the end of the run."""

    code = 130
    summary = "stopped by SIGINT, SIGTERM or SIGHUP"


def all_errors() -> tuple[type[HarnessError], ...]:
    """All classes of errors, ordered by exit code."""
    return tuple(sorted(HarnessError.__subclasses__(), key=lambda error: error.code))
