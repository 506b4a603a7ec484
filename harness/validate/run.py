"""Run the stages of ``nox -s validate``, write validate.json and determine the verdict.

A failure that the series did not cause raises InfrastructureError. The findings until then are kept.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.bisect import BisectResult, nothing_compiled, run_bisect
from harness.build.configure import why_not_built
from harness.build.doctor import ensure
from harness.check import (
    RULES,
    Finding,
    Fit,
    GivenTrailer,
    Judged,
    StageRow,
    TestProof,
    ValidatedPatch,
    ValidatedSeries,
    ValidateResults,
    choose_rules,
    merge,
    order,
    run_checks,
)
from harness.check.model import Verdict, levels_of
from harness.check.place import Placed, base_of, place
from harness.check.required import Start, put_on_required
from harness.errors import (
    HarnessError,
    InfrastructureError,
    InterruptedRunError,
    OptionError,
)
from harness.jsonfile import utc_now, write_json
from harness.layout import Layout
from harness.machine import host_facts
from harness.options import Options, check_choice
from harness.progress import Reporter
from harness.results import read_results
from harness.sandbox import NO_SANDBOX, Sandbox
from harness.series import Input
from harness.source.fetch import fetch
from harness.source.pin import Pin
from harness.tree import checkout, checkout_commit, import_source, start_of
from harness.tree.git import Git

NAME = "validate.json"
Behaviour = Callable[[], Sequence[Finding | TestProof]]
UNSOUND = ("input-no-content", "input-damaged", "input-empty", "input-html", "apply-p0")
"""Rules whose findings mean that the series cannot be applied as it was sent."""

BLOCKING = (*UNSOUND, "input-missing", "apply-fails", "apply-fuzz", "apply-file", "apply-refused")
"""Rules whose findings say why a series does not apply."""


def validate_file(layout: Layout) -> Path:
    """Return the path of the results."""
    return layout.results / NAME


def read_validate(layout: Layout) -> ValidateResults:
    """Read the results of the last run. Raises StorageError if missing, damaged or of another schema."""
    return read_results(validate_file(layout), ValidateResults, 1, "nox -s validate")


@dataclass(kw_only=True)
class _Run:
    """State of a run."""

    layout: Layout
    options: Options
    found: Input
    pin: Pin
    command: str
    reporter: Reporter
    sandbox: Sandbox
    behaviour: Behaviour | None
    active: frozenset[str]
    started: str
    stages: list[StageRow] = field(default_factory=list)
    tree_name: str = ""
    placed: Placed | None = None
    findings: list[Finding] = field(default_factory=list)
    built: BisectResult | None = None
    proofs: tuple[TestProof, ...] = ()
    base: str = ""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the duration and outcome of a stage."""
        began, before = time.monotonic(), len(self.findings)
        try:
            yield
        except HarnessError as error:
            self._end(name, "infrastructure", began, error.cause)
            raise
        self._end(name, "findings" if len(self.findings) > before else "ok", began)

    def _end(self, name: str, outcome: Any, began: float, reason: str = "") -> None:
        seconds = round(time.monotonic() - began, 2)
        self.stages.append(StageRow(name=name, outcome=outcome, seconds=seconds, reason=reason))

    def skip(self, name: str, reason: str) -> None:
        self.stages.append(StageRow(name=name, outcome="not run", reason=reason))

    def add(self, findings: Sequence[Finding]) -> None:
        """Keep the findings of active rules; with ``-Dpatches=``, only those of the given patches, and the
        reasons why the series does not apply."""
        only = self.options.patch_numbers
        self.findings += [
            finding
            for finding in findings
            if finding.rule in self.active
            and (
                not only
                or finding.patch in only
                or (finding.rule in BLOCKING and finding.severity == "error")
            )
        ]

    def results(self, verdict: Verdict, *, complete: bool) -> ValidateResults:
        judged = self.placed.judged if self.placed else None
        built = self.built or BisectResult(
            rows=(),
            tests=(),
            findings=(),
            cost=None,
            isolation="",
            compiled=nothing_compiled(judged.patches) if judged else None,
        )
        return ValidateResults(
            command=self.command,
            started=self.started,
            finished=utc_now(),
            complete=complete,
            verdict=verdict,
            machine=host_facts().summary,
            options=self.options.values(),
            pin=self.tree_name or self.pin.name,
            base=self.base,
            base_commit=judged.base if judged else "",
            isolation=built.isolation,
            series=series_facts(self.found, judged),
            fits=self.placed.fits if self.placed else (),
            findings=order(merge(self.findings)),
            builds=built.rows,
            bisect=built.cost,
            compiled=built.compiled,
            tests=built.tests,
            coverage=built.coverage,
            proofs=(*built.proofs, *self.proofs),
            stages=tuple(self.stages),
            switched_off=tuple(rule for rule in RULES if rule not in self.active),
        )


def record_validate(
    layout: Layout,
    options: Options,
    found: Input,
    pin: Pin,
    reporter: Reporter,
    *,
    command: str,
    sandbox: Sandbox = NO_SANDBOX,
    behaviour: Behaviour | None = None,
) -> ValidateResults:
    """Judge ``found`` on ``pin``. Write validate.json even if the run fails.

    ``behaviour`` runs the suites of series.toml, once the whole series builds.

    Raises InfrastructureError if the run fails for a reason other than the series, OptionError for an invalid
    option.
    """
    check_choice(
        "patches", options.patches, (str(at) for at in range(1, len(found.patches) + 1)), where=found.name
    )
    run = _Run(
        layout=layout,
        options=options,
        found=found,
        pin=pin,
        command=command,
        reporter=reporter,
        sandbox=sandbox,
        behaviour=behaviour,
        active=choose_rules(options.rules_off),
        started=utc_now(),
        base=base_of(found, options.base),
    )
    try:
        _judge(run)
    except (OptionError, InterruptedRunError):
        raise
    except KeyboardInterrupt:
        write_json(validate_file(layout), run.results("infrastructure", complete=False))
        raise
    except HarnessError as error:
        write_json(validate_file(layout), run.results("infrastructure", complete=False))
        raise InfrastructureError(
            f"the series could not be judged: {error.cause}",
            f"this is not the series' fault: {error.remedy}",
            details=error.details,
            log=error.log,
        ) from error
    results = run.results("clean", complete=True)
    results = msgspec.structs.replace(results, verdict=verdict_of(results, options.fail_on))
    write_json(validate_file(layout), results)
    return results


def _judge(run: _Run) -> None:
    layout, options, reporter = run.layout, run.options, run.reporter
    with run.stage("apply"):
        source = fetch(run.pin, layout, reporter, local=options.source)
        tree = import_source(source, layout, reporter)
        run.tree_name = tree.pin.name
        onto = start_of(tree, run.base, reporter)
        is_free = options.base == "auto" and run.base == "pristine"
        stated = run.found.base_commit if is_free else ""
        if stated and Git(repository=tree.path).find(f"{stated}^{{tree}}"):
            onto, run.base = stated, "series"
        start = put_on_required(run.found, tree, onto, layout, reporter) if is_free else Start(commit=onto)
        if start.commit != onto:
            onto, run.base = start.commit, "series"
        if run.base == "series":
            files = checkout_commit(tree, "validate-base", onto, layout, reporter)
        else:
            files = checkout(tree, run.base, None, layout, reporter)
        placed = place(
            run.found,
            tree,
            run.base,
            options.further_pins,
            layout,
            reporter,
            onto=onto,
            source=files.path,
            required=start.required,
        )
        run.placed = placed
    with run.stage("check"):
        run.add(run_checks(placed.judged, run.active, reporter))
    if placed.error is not None or not placed.judged.applies:
        is_present = placed.error is None and bool(placed.fits)
        why = "the base already contains the series" if is_present else "the series does not apply"
        for name in ("build", "behaviour"):
            run.skip(name, why)
        return
    unbuildable = why_not_built(files.path)
    if options.bisect == "none" or unbuildable:
        why = "-Dbisect=none" if options.bisect == "none" else unbuildable
        for name in ("build", "behaviour"):
            run.skip(name, why)
        return
    with run.stage("build"):
        ensure(layout, options, reporter)
        run.built = run_bisect(
            placed.judged, tree, options, layout, reporter, run.sandbox, trusts_base=_trusts_base(run, onto)
        )
        run.add(run.built.findings)
    _test_behaviour(run, tip_builds=run.built.tip_builds)


def _test_behaviour(run: _Run, *, tip_builds: bool) -> None:
    if not tip_builds:
        run.skip("behaviour", "the series does not build")
    elif run.behaviour is None:
        run.skip("behaviour", "series.toml names no suites")
    elif run.options.patches:
        run.skip("behaviour", "-Dpatches= asks for single patches")
    elif "native" not in run.options.hosts:
        run.skip("behaviour", "it runs on this machine, which -Dhosts= does not name")
    else:
        with run.stage("behaviour"):
            shown = run.behaviour()
            run.add([one for one in shown if isinstance(one, Finding)])
            run.proofs = tuple(one for one in shown if isinstance(one, TestProof))


def _trusts_base(run: _Run, base: str) -> bool:
    """Whether the commit ``base`` may write to the shared compiler cache: that of a verified release, or with
    ``-Dtrust-base=true``. Never one that a mail names, or with another series on it.
    """
    if run.base == "series" and base != run.found.range_base:
        return False
    return run.options.trust_base or not (run.options.source or run.base == "series")


def series_facts(found: Input, judged: Judged | None) -> ValidatedSeries:
    """Return the description of the series for the results."""
    commits = {patch.number: patch.commit for patch in judged.patches} if judged else {}
    version = found.version
    return ValidatedSeries(
        name=found.name,
        source=found.source,
        kind=found.kind,
        title=found.metadata.title or (found.cover or found.patches[0]).subject.title,
        version=version.number,
        rfc=version.rfc,
        total=version.total,
        sha256=found.sha256,
        cover_sha256=found.cover.sha256 if found.cover else "",
        cover_message_id=found.cover.message_id if found.cover else "",
        patches=tuple(
            ValidatedPatch(
                number=at,
                origin=mail.origin,
                subject=mail.subject.title,
                author=str(mail.author),
                sha256=mail.sha256,
                message_id=mail.message_id,
                commit=commits.get(at, ""),
                label=mail.subject.label,
            )
            for at, mail in enumerate(found.patches, start=1)
        ),
        versions=tuple(one.number for one in found.thread.versions),
        trailers=tuple(
            GivenTrailer(patch=position, text=str(trailer), message_id=trailer.source, is_own=trailer.is_own)
            for position, trailer in version.trailers
        ),
    )


def verdict_of(results: ValidateResults, fail_on: str) -> Verdict:
    """Return the most severe verdict, in the order in which problems have to be fixed."""
    rules = {finding.rule for finding in results.findings}
    errors = {finding.rule for finding in results.findings if finding.severity == "error"}
    if any(stage.outcome == "infrastructure" for stage in results.stages) or not results.complete:
        return "infrastructure"
    if "infrastructure" in {
        *(row.outcome for row in results.builds),
        *(row.outcome for row in results.tests),
    }:
        return "infrastructure"
    if _does_not_apply(results.fits, results.pin, results.series) or rules & set(UNSOUND):
        return "apply"
    only = {int(number) for number in results.options.get("patches", ())}
    if any(
        row.outcome == "failed" for row in results.builds if row.patch in only or (row.patch and not only)
    ):
        return "build"
    if errors & {"build-fails", "build-configure"}:  # the program of a test
        return "build"
    if errors & {"test-fails", "behaviour-fails"}:
        return "tests"
    levels = levels_of(fail_on)
    return "findings" if any(finding.severity in levels for finding in results.findings) else "clean"


def _does_not_apply(fits: Sequence[Fit], pin: str, series: ValidatedSeries) -> bool:
    """Return whether one of the patches does not apply. Those that are missing say nothing of the others."""
    here = {fit.patch: fit.kind for fit in fits if fit.pin == pin}
    return not series.patches or any(
        not patch.commit and here.get(patch.number) != "already" for patch in series.patches
    )
