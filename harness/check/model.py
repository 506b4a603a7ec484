"""Rules, findings and the results of ``nox -s validate``, with a description of each field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from harness.jsonfile import about

Severity = Literal["error", "warning", "note"]
Verdict = Literal["clean", "findings", "apply", "build", "tests", "infrastructure"]
FitKind = Literal["clean", "offsets", "moved", "fuzz", "3-way", "already", "not", "unknown"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def levels_of(fail_on: str) -> tuple[Severity, ...]:
    """Return the severities that a run with ``-Dfail-on=`` fails for."""
    return () if fail_on == "never" else SEVERITIES[: SEVERITIES.index(fail_on) + 1]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. ``id`` is stable, because scripts and ``-Drules-off`` name it."""

    id: Annotated[str, about("stable name, such as dco-missing")]
    severity: Annotated[Severity, about("default severity of its findings")]
    summary: Annotated[str, about("the problem that the rule detects, in one line")]
    remedy: Annotated[str, about("how to fix the problem, in one line")]
    source: Annotated[str, about("document or program that the rule comes from")] = ""

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
    message: Annotated[str, about("the problem, in one line")]
    remedy: Annotated[str, about("how to fix the problem, in one line")]
    patch: Annotated[
        int, about("position of the patch, from 1; 0 for the cover letter or the whole series")
    ] = 0
    file: Annotated[str, about("path in the tree; empty if the finding has no file")] = ""
    line: Annotated[int, about("line of that file after the patch; 0 if the finding has no line")] = 0
    snippet: Annotated[tuple[str, ...], about("lines that show the problem")] = ()
    count: Annotated[int, about("number of occurrences; file and line are those of the first")] = 1


class ValidatedPatch(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of the series."""

    number: Annotated[int, about("position, from 1")]
    origin: Annotated[str, about("file name, or position of the mail in its mailbox")]
    subject: Annotated[str, about("subject without the tag in brackets")]
    author: Annotated[str, about("name and address")]
    sha256: Annotated[str, about("SHA-256 of the bytes of the file or mail")]
    message_id: Annotated[str, about("Message-Id; empty if the patch has none")] = ""
    commit: Annotated[str, about("id of the commit; empty if the patch does not apply")] = ""
    label: Annotated[str, about("number and count as in the subject, such as 03/12; empty without")] = ""


class GivenTrailer(msgspec.Struct, frozen=True, kw_only=True):
    """A trailer from a reply."""

    patch: Annotated[int, about("position of the patch; 0 for all patches")]
    text: Annotated[str, about("the trailer, such as Reviewed-by: Name <mail@example.org>")]
    message_id: Annotated[str, about("Message-Id of the reply")]
    is_own: Annotated[bool, about("whether the sender of the reply is the person in the trailer")]


class ValidatedSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The validated series. Compare ``sha256`` to find out whether a series has changed since."""

    name: Annotated[str, about("name of the folder or file")]
    source: Annotated[str, about("value of -Dseries=")]
    kind: Annotated[str, about("folder, mailbox, range, archive or stdin")]
    title: Annotated[str, about("title from series.toml, the cover letter or the first patch")]
    version: Annotated[int, about("version in the tags of the subjects")]
    rfc: Annotated[bool, about("whether the series is tagged RFC")]
    total: Annotated[int, about("number of patches that the subjects announce")]
    sha256: Annotated[
        str, about("SHA-256 over the bytes of cover letter and patches (harness.series.series_sha256)")
    ]
    cover_sha256: Annotated[str, about("SHA-256 of the cover letter; empty without a cover letter")]
    cover_message_id: Annotated[str, about("Message-Id of the cover letter; empty without")] = ""
    patches: Annotated[tuple[ValidatedPatch, ...], about("the patches, in order")]
    versions: Annotated[tuple[int, ...], about("versions in the thread, oldest first")] = (1,)
    trailers: Annotated[tuple[GivenTrailer, ...], about("trailers from replies")] = ()


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How one patch fits one pin, after the patches before it."""

    pin: Annotated[str, about("name of the pin")]
    patch: Annotated[int, about("position of the patch")]
    kind: Annotated[
        FitKind,
        about(
            "clean; offsets (applies at other lines); moved (applies to files that this release has in "
            "another folder or under another name); fuzz (applies with less context); 3-way (applies by a "
            "merge with the blobs of its index lines); already (the tree contains the change); not (does not "
            "apply); unknown (the pin's tree is not available)"
        ),
    ]
    exact: Annotated[bool, about("whether the blobs of its index lines are those of the pin")] = False
    details: Annotated[tuple[str, ...], about("hunks that moved or failed, one a line")] = ()


class CommitBuild(msgspec.Struct, frozen=True, kw_only=True):
    """The build of one commit."""

    patch: Annotated[int, about("position of the patch; 0 for the base")]
    commit: Annotated[str, about("commit id")]
    host: Annotated[str, about("host of the binaries")]
    compiler: Annotated[str, about("gcc or clang")] = "gcc"
    outcome: Annotated[Literal["ok", "failed", "infrastructure"], about("result of the build")]
    seconds: Annotated[float, about("seconds of configure and compile")]
    steps: Annotated[int, about("number of ninja steps")] = 0
    cache_hits: Annotated[int, about("compiler calls that ccache answered")] = 0
    cache_misses: Annotated[int, about("compiler calls that ccache did not answer")] = 0
    reason: Annotated[str, about("reason of the failure; empty after a success")] = ""
    log: Annotated[str, about("path of the compiler's log")] = ""

    @property
    def where(self) -> str:
        """Host, and the compiler if it is not gcc."""
        return self.host if self.compiler == "gcc" else f"{self.host} with {self.compiler}"


class TestRow(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one of QEMU's own tests on one commit."""

    __test__ = False  # pytest would collect the class because of its name
    patch: Annotated[int, about("position of the patch; 0 for the base")]
    suite: Annotated[str, about("meson suite")]
    name: Annotated[str, about("meson's name of the test")]
    outcome: Annotated[
        Literal["ok", "failed", "timeout", "skipped", "infrastructure"], about("result of the test")
    ]
    seconds: Annotated[float, about("duration in seconds")]
    reason: Annotated[
        str,
        about(
            "last lines of the output of a failed test; that a test passed only at the second attempt; "
            "what was skipped of a test and why"
        ),
    ] = ""
    failed_parts: Annotated[
        tuple[str, ...], about("parts that failed of a failed test, if its output in TAP has any")
    ] = ()


class TestProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a test that the series adds or changes shows: it was run on the base with only the test files."""

    __test__ = False
    test: Annotated[str, about("meson's name of the test; of a behaviour test file, class and method")]
    suite: Annotated[str, about("meson suite, or behaviour")]
    patch: Annotated[int, about("position of the last patch that changes the test; 0 for a behaviour test")]
    outcome: Annotated[
        Literal[
            "proves",
            "passes on the base",
            "not built on the base",
            "fails on the base already",
            "fails with the series",
            "skipped",
        ],
        about("proves: it fails on the base with only the test files, and passes with the whole series"),
    ]
    reason: Annotated[
        str, about("how it fails on the base, why it cannot be built there, or was skipped")
    ] = ""


class CoveredFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the chosen tests ran of the lines that one patch adds to one file."""

    patch: Annotated[int, about("position of the patch")]
    file: Annotated[str, about("path in the tree")]
    executable: Annotated[int, about("number of added lines with code")]
    missing: Annotated[tuple[int, ...], about("those that no test ran, numbered as after the whole series")]
    ran: Annotated[tuple[int, ...], about("those that a test ran")] = ()


class Bisect(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of building every commit, compared with one cold build of the same targets."""

    cold_s: Annotated[float, about("seconds of the base, compiled without cache hits; 0 if there were hits")]
    all_s: Annotated[float, about("seconds of the base and every commit after it")]
    ratio: Annotated[float, about("all_s divided by cold_s; 0 if cold_s is 0")]


class HeaderUse(msgspec.Struct, frozen=True, kw_only=True):
    """A changed header of which only some users were compiled. It counts as compiled if half of them were."""

    file: Annotated[str, about("path in the tree")]
    compiled: Annotated[int, about("sources that were compiled with it")]
    sources: Annotated[int, about("sources that include it and that some target can compile")]


class CompiledFiles(msgspec.Struct, frozen=True, kw_only=True):
    """How many changed source files were compiled; findings of ``build-not-compiled`` name the others."""

    compiled: Annotated[int, about("changed source files that some build of a commit compiled")]
    changed: Annotated[int, about("changed source files that exist after the series; headers included")]
    targets: Annotated[tuple[str, ...], about("targets that were built")] = ()
    programs: Annotated[tuple[str, ...], about("other programs that were built, such as qemu-img")] = ()
    switches: Annotated[tuple[str, ...], about("features that were switched on, such as --enable-curl")] = ()
    headers: Annotated[tuple[HeaderUse, ...], about("changed headers that not every user compiled")] = ()


class StageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the run."""

    name: Annotated[str, about("apply, check, build (with tests) or behaviour")]
    outcome: Annotated[Literal["ok", "findings", "infrastructure", "not run"], about("result of the stage")]
    seconds: Annotated[float, about("duration in seconds")] = 0.0
    reason: Annotated[str, about("reason why the stage was not run or did not finish")] = ""


class ValidateResults(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one ``nox -s validate``."""

    schema: Annotated[int, about("version of this format")] = 1
    command: Annotated[str, about("command that repeats this run")]
    started: Annotated[str, about("start of the run: ISO 8601, UTC")]
    finished: Annotated[str, about("end of the run: ISO 8601, UTC")]
    complete: Annotated[bool, about("false if the run was stopped before its end")]
    verdict: Annotated[Verdict, about("verdict that the exit code stands for")]
    machine: Annotated[str, about("distribution, kernel, processors, memory")]
    options: Annotated[dict[str, Any], about("every option with its effective value")]
    pin: Annotated[str, about("name of the pin that the series was applied to")]
    base: Annotated[
        str, about("state of that tree: base, pristine, or series (the commit that the series states)")
    ]
    base_commit: Annotated[str, about("commit that the series was applied to")]
    isolation: Annotated[
        str, about("isolation of the series' code: bwrap or none; empty if no code of the series ran")
    ]
    series: Annotated[ValidatedSeries, about("the validated series")]
    fits: Annotated[tuple[Fit, ...], about("result of applying each patch to each pin")]
    findings: Annotated[tuple[Finding, ...], about("findings, sorted by patch")]
    builds: Annotated[tuple[CommitBuild, ...], about("build of each commit")] = ()
    bisect: Annotated[Bisect | None, about("cost of building all commits; null if nothing was built")] = None
    compiled: Annotated[
        CompiledFiles | None, about("changed source files that were compiled; null if the run ended before")
    ] = None
    tests: Annotated[tuple[TestRow, ...], about("results of QEMU's own tests")] = ()
    proofs: Annotated[
        tuple[TestProof, ...], about("what the tests that the series adds or changes show")
    ] = ()
    coverage: Annotated[
        tuple[CoveredFile, ...], about("added lines that tests ran; empty without -Dcoverage=true")
    ] = ()
    stages: Annotated[tuple[StageRow, ...], about("stages of the run")] = ()
    switched_off: Annotated[tuple[str, ...], about("ids of the rules that -Drules-off disabled")] = ()
