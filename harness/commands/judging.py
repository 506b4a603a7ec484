"""Commands that judge a series: validate, the list of its rules, and the CI configuration that runs it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from harness.commands.request import Argument, Output, Request, argument, say
from harness.errors import FindingsError, OptionError
from harness.options import check_choice

if TYPE_CHECKING:
    from harness.bench import Bench
    from harness.check import Finding, TestProof
    from harness.series import Input
    from harness.teardown.results import GateResult

SUITES = ("properties", "teardown")
"""Suites that series.toml can name."""

CHECK: tuple[Argument, ...] = (argument("--list", action="store_true", help="list every rule (the default)"),)
CI: tuple[Argument, ...] = (
    argument("forge", choices=("gitlab", "github"), help="forge to render the configuration for"),
    argument(
        "--commits",
        action="store_true",
        help="print GitLab's child pipeline, with a job for each commit of -Dseries=",
    ),
    argument(
        "--into", type=Path, metavar="CLONE", help="write GitLab's file for a fork of QEMU into this clone"
    ),
    argument(
        "--harness",
        metavar="REQUIREMENT",
        help="with --into: what pip installs the harness from, such as git+URL",
    ),
)
CHECK_PATCH: tuple[Argument, ...] = (
    argument(
        "--json",
        action="store_true",
        help="print what b4's review-perpatch-check-cmd reads, instead of lines",
    ),
)


def check(request: Request) -> int:
    """List the rules of validate: severity, problem and remedy of each."""
    from harness.check import FAMILIES, choose_rules

    active = choose_rules(request.options().rules_off)
    table = Table("rule", "severity", "problem", "remedy", box=None, pad_edge=False)
    for family in FAMILIES:
        table.add_section()
        for rule in family.rules:
            off = "" if rule.id in active else " (off)"
            table.add_row(rule.id, rule.severity + off, rule.summary, rule.remedy)
    Output().print(table)
    return 0


def check_patch(request: Request) -> int:
    """Check the mail of a patch on standard input by the rules that need no build; for b4."""
    from harness.check import choose_rules
    from harness.check.model import levels_of
    from harness.check.single import check_mail, check_results, judge_mail, terse_line
    from harness.series import read_input
    from harness.source.clone import commit_of

    options = request.options()
    active = choose_rules(options.rules_off)
    series = read_input(request.layout, "-")
    clone = commit_of(options.source)
    with tempfile.TemporaryDirectory() as scratch:
        findings = check_mail(judge_mail(series, clone, Path(scratch)), active)
    # Standard error stays empty: b4 takes each line there for a failure.
    if request.arguments.json:
        say(check_results(findings))
    for finding in () if request.arguments.json else findings:
        say(terse_line(finding))
    levels = levels_of(options.fail_on)
    return FindingsError.code if any(finding.severity in levels for finding in findings) else 0


def ci(request: Request) -> int:
    """Print the CI configuration that runs validate for each pin and host: qemu-harness ci gitlab."""
    from harness.ci.base import parse_runners
    from harness.ci.fork import write_fork
    from harness.ci.render import CommitJob, jobs_of, render, render_commits
    from harness.series import read_input
    from harness.source.pin import load_pins

    arguments, runners = request.arguments, parse_runners(request.options().ci_runners)
    if arguments.forge != "gitlab" and (arguments.commits or arguments.into or runners):
        raise OptionError(
            "--commits, --into and -Dci-runners= are for GitLab only", "run: qemu-harness ci gitlab"
        )
    if arguments.harness and not arguments.into:
        raise OptionError("--harness is for --into", "add --into CLONE, or omit it")
    if arguments.into and arguments.commits:
        raise OptionError("--commits excludes --into", "omit one of them")
    if arguments.into:
        if not arguments.harness:
            raise OptionError(
                "--into needs --harness: the jobs install the harness with pip",
                "name what pip can install there: --harness git+https://HOST/PROJECT.git@COMMIT",
            )
        say(write_fork(arguments.into, arguments.harness, runners))
        return 0
    if arguments.commits:
        options = request.options()
        patches = read_input(request.layout, options.series).patches
        commits = [CommitJob(number=at, title=one.subject.title) for at, one in enumerate(patches, start=1)]
        say(render_commits(commits, options.series, options.pin).rstrip("\n"))
        return 0
    jobs = jobs_of(load_pins(request.layout).values())
    say(render(arguments.forge, jobs, runners).rstrip("\n"))
    return 0


def validate(request: Request) -> int:
    """Judge any series as a maintainer's CI would: does it apply, follow the rules, build and pass?"""
    from harness.series import read_input

    options, layout, reporter = request.options(), request.layout, request.reporter
    if options.devices == "guests":
        raise OptionError("-Ddevices=guests: validate compiles what a series touches", "omit -Ddevices=")
    series = read_input(layout, options.series, clone=options.source, reporter=reporter)

    # The stages take longer to import than a wrong -Dseries= to report.
    from harness.pipeline import pin_of, refuse_folder
    from harness.sandbox import open_sandbox
    from harness.validate.outputs import ci_marks, write_outputs
    from harness.validate.run import record_validate, validate_file
    from harness.validate.table import render_validate
    from harness.validate.verdict import check_validate

    if options.bisect != "none":
        refuse_folder(layout)
    pin = pin_of(layout, options)
    behaviour = _behaviour(request, series)
    with request.checkout(), open_sandbox(layout, options.isolation, reporter) as sandbox:
        results = record_validate(
            layout,
            options,
            series,
            pin,
            reporter,
            command=request.command,
            sandbox=sandbox,
            behaviour=behaviour,
        )
    written = write_outputs(layout, results)
    Output().print(render_validate(results))
    say(f"\nresults: {validate_file(layout)}")
    for path in written:
        say(f"         {path}")
    for line in ci_marks(results):
        say(line)
    check_validate(layout, results)
    return 0


def _behaviour(request: Request, series: Input) -> Callable[[], Sequence[Finding | TestProof]] | None:
    """Return a function that runs the suites of ``series`` on base and patched; None if it has none.

    Raises OptionError for an unknown suite.
    """
    from harness.series.series import test_files

    suites = series.metadata.suites
    check_choice("series", suites, SUITES, where="series.toml")
    # Tests of a series from elsewhere are foreign code, which no sandbox surrounds here.
    own = test_files(request.layout, series.source) if series.is_ours else []
    if not (suites or own) or series.kind != "folder":
        return None

    def run() -> Sequence[Finding | TestProof]:
        from harness.bench import open_bench, subjects_of
        from harness.build.devices import GUESTS
        from harness.check import RULES
        from harness.pipeline import build_all, check_request

        layout, reporter = request.layout, request.reporter
        variants = (series.metadata.base or "pristine", "patched")
        options = dataclasses.replace(request.options(), variants=variants, hosts=("native",), devices=GUESTS)
        checked = check_request(layout, options)
        _, builds = build_all(layout, checked, options, reporter, request.command)
        subjects = subjects_of(builds)
        with open_bench(layout, options, subjects, reporter, payloads=options.payload) as bench:
            failures = {
                "properties": _unexpected_properties,
                "teardown": _failed_teardowns,
            }
            lines = [line for suite in SUITES if suite in suites for line in failures[suite](request, bench)]
            findings = [RULES["behaviour-fails"].finding(line) for line in dict.fromkeys(lines)]
            return [*findings, *_run_own_tests(request, bench, own)] if own else findings

    return run


def _unexpected_properties(request: Request, bench: Bench) -> Iterator[str]:
    """Check the properties of the first target. Yield a line for each unexpected outcome."""
    from harness.properties.model import ROWS
    from harness.properties.record import record_properties

    first = [subject for subject in bench.subjects if subject.target == bench.options.targets[0]]
    smaller = bench.with_changes(options=bench.options, subjects=first)
    for row in record_properties(smaller, tuple(ROWS), command=request.command).rows:
        if row.is_surprise:
            yield f"property {row.row} of {row.variant}: {row.outcome}, not {row.expected}: {row.reason}"


def _failed_teardowns(request: Request, bench: Bench) -> Iterator[str]:
    """Time the teardown of guests. Yield a line for each failed gate and each failed sample."""
    from harness.teardown.gates import read_gates
    from harness.teardown.record import record_teardown

    gates = read_gates(bench.options.gate, request.layout.start)
    results = record_teardown(bench, command=request.command, gates=gates)
    yield from _failed_gates(results.gates)
    for row in results.rows:
        if row.outcome == "failed":
            yield f"teardown of {row.variant} {row.target}: {row.reason}"


def _failed_gates(gates: Sequence[GateResult]) -> Iterator[str]:
    for gate in gates:
        if gate.outcome == "fail":
            yield f"gate {gate.gate} at {gate.place}: {gate.reason or gate.outcome}"


def _run_own_tests(request: Request, bench: Bench, files: Sequence[Path]) -> Iterator[Finding | TestProof]:
    """Run the behaviour tests in ``files``. Yield the failures, and what the tests show of the series."""
    from harness.behaviour.judge import problems_of, proofs_of
    from harness.behaviour.record import record_behaviour
    from harness.behaviour.tests import find_tests
    from harness.check import RULES, TestProof
    from harness.commands.behaviour import gates_of

    gates = gates_of(request, bench.options, files)
    results = record_behaviour(bench, find_tests(files), command=request.command, gates=gates)
    for line in (*problems_of(results), *_failed_gates(results.gates)):
        yield RULES["behaviour-fails"].finding(line)
    for test, outcome, reason in proofs_of(results):
        yield TestProof(test=test, suite="behaviour", patch=0, outcome=outcome, reason=reason)  # type: ignore[arg-type]
        if outcome == "passes on the base":
            line = f"{test} passes on the base, and none of its metrics is worse there"
            yield RULES["test-proves-nothing"].finding(line)
