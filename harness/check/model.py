"""Rules and findings, and what a run of ``nox -s validate`` is made of. The fields are documented here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from harness.jsonfile import about

Severity = Literal["error", "warning", "note"]
Verdict = Literal["clean", "findings", "apply", "build", "tests", "infrastructure"]
FitKind = Literal["clean", "offsets", "fuzz", "3-way", "already", "not", "unknown"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is checked. ``id`` is stable: scripts and suppressions name it."""

    id: Annotated[str, about("stable name, such as dco-missing")]
    severity: Annotated[Severity, about("of its findings, unless one says otherwise")]
    summary: Annotated[str, about("what it finds, in one line")]
    remedy: Annotated[str, about("what to do about it, in one line")]
    source: Annotated[str, about("where the rule comes from")] = ""

    def finding(
        self,
        message: str,
        *,
        patch: int = 0,
        file: str = "",
        line: int = 0,
        snippet: tuple[str, ...] = (),
        severity: Severity | None = None,
        remedy: str = "",
    ) -> Finding:
        """Create a finding of this rule."""
        return Finding(
            rule=self.id,
            severity=severity or self.severity,
            message=message,
            remedy=remedy or self.remedy,
            patch=patch,
            file=file,
            line=line,
            snippet=snippet,
        )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One result of a check."""

    rule: Annotated[str, about("id of the rule")]
    severity: Annotated[Severity, about("error, warning or note")]
    message: Annotated[str, about("what was found, in one line")]
    remedy: Annotated[str, about("what to do about it, in one line")]
    patch: Annotated[int, about("position of the patch, from 1 on; 0 for the cover letter or the whole")] = 0
    file: Annotated[str, about("path in the tree; empty when no file is meant")] = ""
    line: Annotated[int, about("line of that file after the patch; 0 when none is meant")] = 0
    snippet: Annotated[tuple[str, ...], about("lines that show it")] = ()
    count: Annotated[int, about("how often it was found; the first place is given")] = 1


class ValidatedPatch(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of the series."""

    number: Annotated[int, about("position, from 1 on")]
    origin: Annotated[str, about("file name, or which mail of a mailbox")]
    subject: Annotated[str, about("without the tag in brackets")]
    author: Annotated[str, about("name and address")]
    sha256: Annotated[str, about("digest of exactly its bytes: of the file, or of the mail")]
    message_id: Annotated[str, about("empty when it has none")] = ""
    commit: Annotated[str, about("commit that it became; empty when it does not apply")] = ""


class GivenTrailer(msgspec.Struct, frozen=True, kw_only=True):
    """A trailer that a reply gave."""

    patch: Annotated[int, about("position of the patch; 0 for all of them")]
    text: Annotated[str, about("such as Reviewed-by: Name <mail@example.org>")]
    message_id: Annotated[str, about("the reply")]
    is_own: Annotated[bool, about("whether the person named sent it")]


class ValidatedSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What was validated. ``sha256`` tells whether a series is still the one that was."""

    name: Annotated[str, about("folder or file name")]
    source: Annotated[str, about("as it was named to -Dseries=")]
    kind: Annotated[str, about("folder, mailbox, range or stdin")]
    title: Annotated[str, about("of series.toml, the cover letter, or the first patch")]
    version: Annotated[int, about("of the subjects' tags")]
    rfc: Annotated[bool, about("whether it is tagged RFC")]
    total: Annotated[int, about("patches that the subjects count")]
    sha256: Annotated[
        str, about("digest of exactly the bytes of cover letter and patches: harness.series.series_sha256")
    ]
    cover_sha256: Annotated[str, about("digest of the cover letter's bytes; empty without one")]
    patches: Annotated[tuple[ValidatedPatch, ...], about("its patches, in order")]
    versions: Annotated[tuple[int, ...], about("versions that the thread holds, oldest first")] = (1,)
    trailers: Annotated[tuple[GivenTrailer, ...], about("what replies gave")] = ()


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How one patch fits one pin, after the patches before it."""

    pin: Annotated[str, about("name of the pin")]
    patch: Annotated[int, about("position of the patch")]
    kind: Annotated[
        FitKind,
        about(
            "clean; offsets (at other lines); fuzz (with less context); 3-way (merged, by the blobs that it "
            "was made from); already (the tree has it); not; unknown (the pin could not be had)"
        ),
    ]
    exact: Annotated[bool, about("whether every file is the very one that the patch was made from")] = False
    details: Annotated[tuple[str, ...], about("which hunks moved or failed, a line each")] = ()


class CommitBuild(msgspec.Struct, frozen=True, kw_only=True):
    """One commit, built."""

    patch: Annotated[int, about("position of the patch; 0 for the base")]
    commit: Annotated[str, about("commit id")]
    host: Annotated[str, about("where the binaries run")]
    outcome: Annotated[Literal["ok", "failed", "infrastructure"], about("whether it built")]
    seconds: Annotated[float, about("of configure and compile")]
    steps: Annotated[int, about("ninja steps")] = 0
    cache_hits: Annotated[int, about("files that ccache had")] = 0
    cache_misses: Annotated[int, about("files that had to be compiled")] = 0
    reason: Annotated[str, about("why it failed; empty when it did not")] = ""
    log: Annotated[str, about("the compiler's log")] = ""


class TestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of QEMU's own tests on one commit."""

    __test__ = False  # not a test of ours, for all its name
    patch: Annotated[int, about("position of the patch; 0 for the base")]
    suite: Annotated[str, about("meson suite")]
    name: Annotated[str, about("meson's name of the test")]
    outcome: Annotated[
        Literal["ok", "failed", "timeout", "skipped", "infrastructure"], about("what came of it")
    ]
    seconds: Annotated[float, about("that it took")]
    reason: Annotated[str, about("last lines of what it said when it failed")] = ""


class Bisect(msgspec.Struct, frozen=True, kw_only=True):
    """What building every commit cost, against one cold build of the same targets."""

    cold_s: Annotated[float, about("seconds of the base, compiled from nothing; 0 when it was not")]
    all_s: Annotated[float, about("seconds of the base from nothing and every commit after it")]
    ratio: Annotated[float, about("all_s over cold_s; 0 when the base was not compiled from nothing")]


class StageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the run."""

    name: Annotated[str, about("apply, check, build (with tests) or behaviour")]
    outcome: Annotated[Literal["ok", "findings", "infrastructure", "not run"], about("what came of it")]
    seconds: Annotated[float, about("that it took")] = 0.0
    reason: Annotated[str, about("why it was not run or could not go on")] = ""


class ValidateResults(msgspec.Struct, frozen=True, kw_only=True):
    """A series, judged."""

    schema: Annotated[int, about("version of this format")] = 1
    command: Annotated[str, about("the command that makes this run again")]
    started: Annotated[str, about("ISO 8601, UTC")]
    finished: Annotated[str, about("ISO 8601, UTC")]
    complete: Annotated[bool, about("false when the run was stopped before its end")]
    verdict: Annotated[Verdict, about("what the exit code says")]
    machine: Annotated[str, about("distribution, kernel, processors, memory")]
    options: Annotated[dict[str, Any], about("every option with the value that was used")]
    pin: Annotated[str, about("name of the pin that it was put on")]
    base: Annotated[str, about("state of that tree: base or pristine")]
    base_commit: Annotated[str, about("commit that it was put on")]
    isolation: Annotated[
        str, about("how the series' code was kept apart: bwrap or none; empty: none was run")
    ]
    series: Annotated[ValidatedSeries, about("what was judged")]
    fits: Annotated[tuple[Fit, ...], about("each patch on each pin")]
    findings: Annotated[tuple[Finding, ...], about("what was found, by patch")]
    builds: Annotated[tuple[CommitBuild, ...], about("each commit's build")] = ()
    bisect: Annotated[Bisect | None, about("what building all commits cost; null when nothing was built")] = (
        None
    )
    tests: Annotated[tuple[TestRow, ...], about("QEMU's own tests")] = ()
    stages: Annotated[tuple[StageRow, ...], about("the parts of the run")] = ()
    switched_off: Annotated[tuple[str, ...], about("rules that were not to be checked")] = ()
