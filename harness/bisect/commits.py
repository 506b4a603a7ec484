"""Build and test every commit of a series, and attribute each new problem to the commit that introduces it.

All commits share one folder and one compiler cache, so a commit compiles only the files that it affects. The
base is built first: its own problems, and those of the machine, are never attributed to the series.
"""

import contextlib
import dataclasses
import functools
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.bisect.choice import (
    builds_of,
    built_part,
    commits_of,
    patches_between,
    prefer_hosts,
    report_once,
    with_compiler,
)
from harness.bisect.choosing import NONE
from harness.bisect.compiled import Changed, Reasons
from harness.bisect.cost import cost_of, estimate, measure_rates, read_rates
from harness.bisect.coverage import findings_of, measure
from harness.bisect.diagnostics import FAILED, failure, read_diagnostics, read_failures, read_lines
from harness.bisect.excluded import added_lines, excluded_findings, only_excluded, preprocess
from harness.bisect.guards import guards_of
from harness.bisect.manual import compare_manuals, find_sphinx, make_manual, touches_manual
from harness.bisect.proof import OnBase, conclude, run_on_base
from harness.bisect.rust import OFF, check_rust, compare_rust, rust_files, unchecked
from harness.bisect.scope import choose_scope
from harness.bisect.testing import run_suites, with_tools
from harness.bisect.vmstate import SCRIPT, Streams
from harness.bisect.walk import Walk, commit_words
from harness.build import Build, build
from harness.build.configure import user_targets
from harness.build.features import features_of
from harness.build.plan import NO_EXTRA, binary_name
from harness.check import Bisect, CommitBuild, CompiledFiles, CoveredFile, Finding, Judged, TestProof, TestRow
from harness.check.building import CONFIGURE, FAILS, MANUAL_UNCHECKED
from harness.errors import (
    CompileError,
    ConfigureError,
    HarnessError,
    InfrastructureError,
    TimeoutExpiredError,
)
from harness.jsonfile import storing
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options
from harness.progress import Reporter
from harness.sandbox import Sandbox
from harness.tree import Checkout, Tree, checkout_commit


@dataclass(frozen=True, kw_only=True)
class BisectResult:
    """Builds, tests and findings of all commits, on each host."""

    rows: tuple[CommitBuild, ...]
    tests: tuple[TestRow, ...]
    findings: tuple[Finding, ...]
    cost: Bisect | None
    isolation: str
    compiled: CompiledFiles | None = None
    proofs: tuple[TestProof, ...] = ()
    coverage: tuple[CoveredFile, ...] = ()

    @property
    def tip_builds(self) -> bool:
        """Whether the last commit built on each host and with each compiler."""
        last = [row.outcome for row in self.rows if row.patch == self.rows[-1].patch]
        return bool(last) and set(last) == {"ok"}


def run_bisect(  # noqa: PLR0917 - the results of earlier stages
    judged: Judged,
    tree: Tree,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    sandbox: Sandbox,
    *,
    trusts_base: bool,
) -> BisectResult:
    """Build and test the base and the commits of ``judged`` on each host.

    With ``trusts_base``, what is compiled of the base enters the shared compiler cache.

    Errors of the series become findings. Raises InfrastructureError if the base does not build, and any error
    that ends a build without being a fault of the code, such as StorageError.
    """
    walks = []
    on_base: OnBase | None = None
    proved: tuple[Finding, ...] = ()
    coverage: tuple[CoveredFile, ...] = ()
    label = f"validate-{judged.input.name}"
    part = built_part(judged, options)
    added = added_lines(part)
    changed = Changed(source=layout.build_root(tree.name, label) / "src")
    options = prefer_hosts(options)
    scope = choose_scope(judged, tree, options, layout, reporter, sandbox, label, guards_of(added))
    extra = with_tools(judged, options, scope.extra) if "native" in options.hosts else NO_EXTRA
    scope = dataclasses.replace(scope, extra=extra)
    changed.includers = scope.includers
    if scope.sources.users:
        again = [scope.again(numbers) for numbers in patches_between(judged, options)]
        reporter.note(estimate(scope.sources.needed, again, options.compilers, read_rates(layout)))
    for host, compiler in builds_of(options):
        native = host == "native"
        walk = Walk(
            judged=judged,
            tree=tree,
            options=dataclasses.replace(options, targets=scope.targets),
            usual=options.targets,
            extra=with_compiler(scope.extra, compiler) if native else NO_EXTRA,
            tested=native and compiler == options.compilers[0],
            layout=layout,
            reporter=reporter,
            sandbox=sandbox,
            host=host,
            changed=changed,
            added=added,
            last=part.tip,
            trusts_base=trusts_base,
        )
        walks.append(walk)
        if walk.tested and options.qemu_tests != (NONE,):
            walk.streams = Streams(checker=judged.read(judged.base, SCRIPT) or "")
        special = "" if walk.where == "native" else f" for {walk.where}"
        with reporter.step(f"building and testing each commit{special}") as step:
            commits = commits_of(judged, options)
            for at, (number, commit) in enumerate(commits):
                step.update(at, len(commits), f"patch {number}" if number else "base")
                _one(walk, number, commit)
                if number == 0 and walk.tested:
                    # Without the programs of the tests: each of them is built on its own there.
                    alone = dataclasses.replace(walk, extra=dataclasses.replace(walk.extra, goals=()))
                    on_base = run_on_base(walk, functools.partial(_build, alone))
        if walk.tested:
            walk.proofs, proved = conclude(walk, on_base)
            if options.coverage and walk.built:
                coverage = measure(walk, walk.built, part)
                proved += tuple(findings_of(coverage, part))
    rows = tuple(row for walk in walks for row in walk.rows)
    findings = report_once(walk.findings for walk in walks if walk.host == "native")
    findings += [finding for walk in walks if walk.host != "native" for finding in walk.findings]
    if options.bisect == "ends" and not options.patches and len(judged.patches) > 1:
        hint = " (introduced by this or an earlier patch: -Dbisect=each shows which)"
        findings = [msgspec.structs.replace(one, message=one.message + hint) for one in findings]
    findings += proved
    manual = [patch.number for patch in part.patches if touches_manual([patch])]
    if manual and (why := walks[0].manual_lacks):
        findings.append(MANUAL_UNCHECKED.finding(f"the manual was not checked: {why}", patch=manual[-1]))
    findings += unchecked(judged.patches, walks[0].unchecked if options.rust else (OFF,))
    changed.left_out = only_excluded(added)
    findings += excluded_findings(added)
    findings += changed.findings(
        lambda: Reasons(
            features=features_of(changed.source),
            elsewhere=scope.elsewhere,
            needs=scope.needs,
            targets=scope.targets,
            restricted=options.has("targets"),
            rust=options.rust,
            refused=scope.refused,
        )
    )
    return BisectResult(
        rows=rows,
        tests=tuple(row for walk in walks for row in walk.tests),
        findings=tuple(findings),
        cost=cost_of(walks[0].rows),
        isolation=sandbox.name,
        coverage=coverage,
        proofs=tuple(proof for walk in walks for proof in walk.proofs),
        compiled=changed.summary(scope.targets, scope.extra),
    )


def _one(walk: Walk, number: int, commit: str) -> None:
    began = time.monotonic()
    walk.built = None
    if not number and walk.tolerates_warnings:
        # What an earlier run has compiled would not show its warnings again, until a patch touches it.
        held = locked(walk.folder, f"the build of {walk.tree.name} {walk.label}", walk.reporter)
        with held, storing(f"empty {walk.folder}"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(walk.folder)
    # A folder that exists may contain what an earlier run of the series has written.
    trusted = walk.trusts_base and not number and not walk.folder.exists()
    earlier: list[str] = []
    confined = dataclasses.replace(walk, sandbox=walk.sandbox.trusting()) if trusted else walk
    try:
        try:
            built = _build(confined, commit)
        except CompileError as error:
            # The second attempt reports all errors, and succeeds if the first failed because of the machine.
            # It does not compile again what the first one has compiled, with or without warnings.
            earlier = read_lines(error.log) if error.log else []
            built = _build(walk, commit, keep_going=True)
            walk.reporter.warn(f"patch {number} failed to compile at the first attempt only")
    except (CompileError, ConfigureError, TimeoutExpiredError) as error:
        _failed(walk, number, commit, error, time.monotonic() - began)
        walk.warn(number, read_diagnostics(earlier))
        _cover(walk, number, (), [*earlier, *(read_lines(error.log) if error.log else ())])
        return
    walk.built = built
    measure_rates(walk.layout, built)
    if not built.reused:
        walk.warn(number, read_diagnostics([*earlier, *read_lines(Path(built.logs[-1]))]))
    cache = None if built.reused else built.cache
    walk.rows.append(
        CommitBuild(
            patch=number,
            commit=commit,
            host=walk.host,
            compiler=walk.extra.compiler,
            outcome="ok",
            seconds=round(time.monotonic() - began, 1),
            steps=0 if built.reused else built.steps,
            cache_hits=cache.hits if cache else 0,
            cache_misses=cache.misses if cache else 0,
            log=built.logs[-1],
        )
    )
    programs = run_suites(walk, number, built) if walk.tested else ()
    goals = _cover(walk, number, programs)
    if commit == walk.last:
        preprocess(walk.added, built, goals, walk.sandbox)
    if walk.streams is not None:
        walk.findings += walk.streams.compare(
            built, built.targets, number, walk.sandbox, walk.log(number, "vmstate")
        )
    ends = (walk.judged.base, walk.judged.tip)
    if walk.tested and commit in ends and touches_manual(walk.judged.patches):
        _manual(walk, number, built)
    if walk.tested and walk.options.rust and commit in (ends[0], walk.last):
        _rust(walk, number, built)


def _build(walk: Walk, commit: str, *, keep_going: bool = False) -> Build:
    checkout = checkout_commit(walk.tree, walk.label, commit, walk.layout, walk.reporter)
    return build(
        checkout,
        dataclasses.replace(walk.options, targets=_present(walk, checkout)),
        walk.layout,
        walk.reporter,
        host=walk.host,
        keep_going=keep_going,
        sandbox=walk.sandbox,
        extra=walk.extra,
    )


def _present(walk: Walk, checkout: Checkout) -> tuple[str, ...]:
    """Return those targets that a commit has: another one of the series may add or remove one."""
    known = (*checkout.facts.targets, *user_targets(checkout.path))
    wanted = (walk.options.targets, walk.usual, known[:1])
    return next(filter(None, (tuple(name for name in names if name in known) for names in wanted)), ())


def _cover(
    walk: Walk, number: int, programs: Iterable[str], log: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Record which files that this patch or an earlier one changes have been compiled. Returns the goals."""
    goals = (*map(binary_name, walk.options.targets), *walk.extra.goals, *programs)
    asked = walk.options.patch_numbers
    if number and (not asked or number in asked):
        patches = [
            patch
            for patch in walk.judged.patches
            if patch.number == number or (patch.number < number and not asked)
        ]
        walk.changed.add(patches, walk.folder, goals, log)
    return goals


def _manual(walk: Walk, number: int, built: Build) -> None:
    """Build the manual, if Sphinx is installed, and compare it with that of the base."""
    program = find_sphinx()
    if not program:
        walk.manual_lacks = "Sphinx is not installed"
        if not number:
            walk.reporter.warn(f"the series changes the manual, which is not built: {walk.manual_lacks}")
        return
    log = walk.log(number, "manual")
    with walk.reporter.step(f"manual of {commit_words(number)}"):
        made = make_manual(program, built, walk.sandbox, log)
    if not number:
        walk.manual = made
        if made.returncode != 0:
            walk.reporter.warn(f"Sphinx cannot build the base's manual, so the series' is not checked: {log}")
    elif walk.manual is not None:
        walk.manual_lacks = "Sphinx cannot build that of the base" if walk.manual.returncode else ""
        walk.findings += compare_manuals(walk.judged, walk.manual, made)


def _rust(walk: Walk, number: int, built: Build) -> None:
    """Run clippy and rustfmt, and compare what they say about the last commit with the base."""
    files = rust_files(walk.judged.patches)
    if not files:
        return
    with walk.reporter.step(f"clippy and rustfmt of {commit_words(number)}") as step:
        found = check_rust(built, files, walk.sandbox, walk.log(number, "rust"), step)
    if not number:
        walk.rust = found
    elif walk.rust is not None:
        walk.unchecked = found.missing
        walk.findings += compare_rust(walk.judged, walk.rust, found)


def _failed(walk: Walk, number: int, commit: str, error: HarnessError, seconds: float) -> None:
    if number == 0:
        raise InfrastructureError(
            f"the base does not build: {error.cause}", error.remedy, details=error.details, log=error.log
        ) from error
    if any("illed signal" in line for line in error.details):
        raise InfrastructureError(
            "the compiler was killed, probably because memory ran out",
            "run again with -Djobs=1",
            log=error.log,
        ) from error
    lines = read_lines(error.log) if error.log else []
    diagnostics = (*read_diagnostics(lines), *read_failures(lines))
    diagnostics = diagnostics or tuple(map(failure, error.details[:1]))
    fresh = [one for one in diagnostics if one.key not in walk.seen]
    previous = walk.rows[-1]
    inherited = previous.outcome == "failed" and bool(diagnostics) and not fresh
    reason = f"same errors as patch {previous.patch}" if inherited else next(iter(error.details), error.cause)
    walk.rows.append(
        CommitBuild(
            patch=number,
            commit=commit,
            host=walk.host,
            compiler=walk.extra.compiler,
            outcome="failed",
            seconds=round(seconds, 1),
            reason=reason,
            log=str(error.log or ""),
        )
    )
    if inherited:
        return
    walk.warn(number, diagnostics)
    hard = [one for one in fresh if not one.is_warning]
    if hard or not fresh:
        again = any((step := FAILED.match(line)) and step[1] == "build.ninja" for line in lines)
        rule = CONFIGURE if again or isinstance(error, ConfigureError) else FAILS
        text, file, line = (hard[0].text, hard[0].file, hard[0].line) if hard else (error.cause, "", 0)
        walk.findings.append(
            rule.finding(
                f"{text} ({walk.where})", patch=number, file=file, line=line, snippet=error.details[:8]
            )
        )
    walk.seen |= {one.key for one in diagnostics}
