"""All errors of the harness: a one-line cause, a one-line remedy, and a stable exit code.

Exit codes are part of the interface (docs/errors.md lists them) and are never reused.
"""

from pathlib import Path
from typing import ClassVar, Literal


class HarnessError(Exception):
    """Base class of all errors that a user can see.

    ``cause`` and ``remedy`` are single lines. ``details`` are further lines that are printed between them
    (a compiler error, a rejected hunk). ``log`` is the file with the complete output. A class states its
    exit code and a summary for the list of them.
    """

    code: ClassVar[int] = 1
    summary: ClassVar[str] = "an error without a specific class"

    def __init_subclass__(cls, *, code: int, summary: str) -> None:
        cls.code, cls.summary = code, summary

    def __init__(
        self, cause: str, remedy: str, *, details: tuple[str, ...] = (), log: Path | None = None
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.details = details
        self.log = log


class OptionError(HarnessError, code=2, summary="unknown option, bad value, or impossible combination"):
    """An unknown option, a bad value, or values that exclude each other."""


class MissingError(HarnessError, code=3, summary="a required program or library is missing"):
    """A program or library that the requested stage needs is not installed."""


class FetchError(HarnessError, code=4, summary="a source or package could not be fetched"):
    """No location of a pin provided its source."""


class VerifyError(
    HarnessError, code=5, summary="downloaded bytes do not match the pinned digest or signature"
):
    """Downloaded bytes differ from the pinned ones."""


class TreeError(HarnessError, code=6, summary="a source tree could not be created or is damaged"):
    """A source could not be converted into a tree, or a tree is damaged."""


class ApplyError(HarnessError, code=7, summary="a patch does not apply, or is refused"):
    """A patch of the series does not apply, or is refused.

    ``patch`` is its position in the series, from 1 (0: unknown). ``reason`` is the cause without the name of
    the patch. ``kind`` is ``context`` (hunks do not match: a rebase helps), ``file`` (the tree lacks a
    file, or has one that the patch adds) or ``refused``.
    """

    patch: int = 0
    reason: str = ""
    kind: Literal["context", "file", "refused"] = "refused"


class ConfigureError(HarnessError, code=8, summary="configuring QEMU failed"):
    """QEMU's configure script failed."""


class CompileError(HarnessError, code=9, summary="compiling QEMU failed"):
    """QEMU did not compile or link."""


class GuestError(HarnessError, code=10, summary="a guest did not start or did not become ready"):
    """QEMU did not start, or a guest did not become ready."""


class TeardownError(HarnessError, code=11, summary="a teardown run failed or produced no samples"):
    """A teardown run ended without the requested samples."""


class BusyError(HarnessError, code=12, summary="another run holds a lock that this run needs"):
    """Another run holds a lock for longer than the limit."""


class TimeoutExpiredError(HarnessError, code=13, summary="a step exceeded its time limit"):
    """A program that the harness started exceeded its time limit."""


class StorageError(HarnessError, code=14, summary="a file could not be read or written"):
    """The disk is full, or a file or folder cannot be read or written."""


class NothingBuiltError(HarnessError, code=15, summary="the requested binary has not been built"):
    """No build has produced the requested binary yet."""


class CyclesError(HarnessError, code=16, summary="start/stop cycles failed"):
    """Start/stop cycles left something behind, crashed, or could not run."""


class PropertyError(HarnessError, code=17, summary="a property differs from its expectation"):
    """A property differs from its expectation, or the properties could not be checked."""


class GateError(HarnessError, code=18, summary="the figures of a run do not meet a gate"):
    """The figures of a run do not meet a gate."""


class CalibrationError(HarnessError, code=19, summary="the statistics are not calibrated"):
    """The statistics report too many false differences, or miss a real one."""


class FindingsError(HarnessError, code=20, summary="validate found something to fix in the series"):
    """A series has findings of the severity of ``-Dfail-on=`` or above."""


class SeriesBuildError(HarnessError, code=21, summary="a commit of the series does not build"):
    """A commit of the series does not build, although its base does."""


class InfrastructureError(
    HarnessError, code=22, summary="a series could not be judged, for reasons outside the series"
):
    """A series could not be judged, for reasons outside the series."""


class SeriesTestError(HarnessError, code=23, summary="a test fails because of the series"):
    """A test that passes on the base fails because of the series."""


class AuthoringError(
    HarnessError, code=25, summary="patches and commits of a series could not be synchronised"
):
    """Patch files and the branch of a series could not be synchronised."""


class SubmitError(HarnessError, code=26, summary="a series could not be prepared for sending"):
    """A series cannot be prepared for sending: it is not validated, or the mails would differ from it."""


class ProvenanceError(
    HarnessError,
    code=27,
    summary="a declaration of origin is missing, incomplete or does not allow a sign-off",
):
    """A sign-off was requested without a declaration that allows it, or a declaration is incomplete."""


class NotReadyError(HarnessError, code=28, summary="prepared, but not ready to send: a person has to act"):
    """The mails were written and marked as not ready to send."""


class ClientsError(HarnessError, code=30, summary="a claim about clients such as libvirt does not hold"):
    """A claim about the clients of QEMU does not hold."""


class LibvirtError(
    HarnessError, code=31, summary="a private libvirtd could not be started, or refused a request"
):
    """A private libvirtd could not be started, or refused a request."""


class FaultsError(
    HarnessError,
    code=32,
    summary="the harness did not survive an injected fault, or survived one without the defence against it",
):
    """The harness did not survive an injected fault."""


class FuzzError(
    HarnessError, code=33, summary="a parser crashed or hung on a fuzzed input, or could not be fuzzed"
):
    """A parser crashed, hung, or let a path out of its folder."""


class LoadError(
    HarnessError, code=39, summary="under load something was left behind, or a guest did not restart"
):
    """Under load something was left behind, a guest failed, or memory was insufficient."""


class RemoteError(
    HarnessError, code=37, summary="a host of -Dspawner_hosts= cannot be reached or returned no results"
):
    """A host for timing guests cannot be reached, lacks a requirement, or returned no results."""


class BisectError(
    HarnessError,
    code=40,
    summary="the ends of a bisection do not differ, or the commit between them was not found",
):
    """The commit that made QEMU worse was not found."""


class BehaviourError(
    HarnessError,
    code=41,
    summary="a behaviour test fails, or a metric of it is worse than that of the reference",
):
    """A behaviour test fails on a variant, or a metric of it is worse."""


class InterruptedRunError(HarnessError, code=130, summary="stopped by SIGINT, SIGTERM or SIGHUP"):
    """The user or a supervisor requested the end of the run."""


def all_errors() -> tuple[type[HarnessError], ...]:
    """All classes of errors, ordered by exit code."""
    return tuple(sorted(HarnessError.__subclasses__(), key=lambda error: error.code))
