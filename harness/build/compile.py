"""Run a plan: configure if an input of it has changed, then ninja; nothing if the build is up to date.

After a kill, the next run continues: an incomplete configure starts again in an empty folder, ninja runs the
missing steps, and build.json is renamed into place when the build is complete.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.build.binary import describe, drop_damaged, is_from_the_future, sha256
from harness.build.configure import read_configure, user_targets
from harness.build.configuring import CONFIGURED, Configured, Job, configure_job, rotate, still_configured
from harness.build.devices import ALL, devices_of
from harness.build.graph import unknown_goals
from harness.build.hosts import HOSTS
from harness.build.plan import NO_DEBUG, NO_EXTRA, BuildRequest, Extra, Tools, make_plan
from harness.build.pyenv import MESON
from harness.build.reading import NINJA_STATUS, NinjaReader, read_cache_log
from harness.build.result import FILE_NAME, Build, CacheUse, Compiler
from harness.build.sharing import sharing_variables
from harness.build.sysroot import ensure_sysroot
from harness.build.tools import configure_digest, find_tools, job_count
from harness.errors import CompileError, ConfigureError, HarnessError
from harness.jsonfile import load, utc_now, write_json
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options, check_choice
from harness.process import Finished, run
from harness.progress import Reporter
from harness.sandbox import NO_SANDBOX, Sandbox
from harness.tree import Checkout


def build(
    checkout: Checkout,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    *,
    host: str = "native",
    keep_going: bool = False,
    sandbox: Sandbox = NO_SANDBOX,
    extra: Extra = NO_EXTRA,
) -> Build:
    """Build ``checkout`` for ``options.targets``, with ``extra``; do nothing if the build is up to date.

    Targets that were configured earlier in this folder stay configured. With ``keep_going``, ninja continues
    after an error. Programs that run code of the checkout are started in the sandbox ``sandbox``.
    Raises OptionError (unknown target), ConfigureError, CompileError (with the first error as details),
    MissingError, FetchError, BusyError, StorageError, TimeoutExpiredError.
    """
    opened = _opened(
        checkout, options, layout, reporter, host=host, keep_going=keep_going, sandbox=sandbox, extra=extra
    )
    with opened as (job, known):
        done = _up_to_date(job, known)
        if done is not None:
            reporter.note(f"{job.title}: up to date")
            return done
        return _make(job, known, checkout.variant, checkout.pin)


def configure(
    checkout: Checkout, options: Options, layout: Layout, reporter: Reporter, *, host: str = "native"
) -> None:
    """Configure ``checkout`` if ``build`` would. Raises the errors of ``build``, except CompileError."""
    with _opened(checkout, options, layout, reporter, host=host) as (job, known):
        if known is None or not still_configured(job, known):
            configure_job(job)


@contextlib.contextmanager
def _opened(
    checkout: Checkout,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    *,
    host: str,
    keep_going: bool = False,
    sandbox: Sandbox = NO_SANDBOX,
    extra: Extra = NO_EXTRA,
) -> Iterator[tuple[Job, Configured | None]]:
    """Yield the job of a build and how its folder was configured, and hold the lock on the folder."""
    request, tools = make_request(checkout, options, layout, reporter, host=host, extra=extra)
    plan = make_plan(request, tools, layout, os.environ)
    if checkout.path.resolve() != (plan.folder.parent / "src").resolve():
        raise ConfigureError(
            f"the sources are in {checkout.path}, not in {plan.folder.parent / 'src'}",
            "run `nox -s clean`, then build again",
        )
    with locked(plan.folder, f"the build of {request.tree} {request.label} for {host}", reporter):
        known = load(plan.folder / CONFIGURED, Configured)
        if known is not None and known.fingerprint == plan.fingerprint and not extra.exact:
            union = tuple(sorted({*known.targets, *request.targets}))
            request = replace(request, targets=union)
            plan = make_plan(request, tools, layout, os.environ)
        job = Job(
            plan=replace(plan, env={**plan.env, **sharing_variables(options)}),
            tools=tools,
            request=request,
            layout=layout,
            reporter=reporter,
            keep_going=keep_going,
            sandbox=sandbox,
        )
        yield job, known


def make_request(
    checkout: Checkout,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    *,
    host: str = "native",
    extra: Extra = NO_EXTRA,
) -> tuple[BuildRequest, Tools]:
    """Return the request for a build of ``checkout``, and its tools. Raises the errors of ``build``."""
    facts, configure = checkout.facts, read_configure(checkout.path)
    known = (*facts.targets, *user_targets(checkout.path))
    check_choice("targets", options.targets, known, where=f"QEMU {facts.version}")
    tools = find_tools(
        HOSTS[host],
        (configure.rust_packages if options.rust else configure.packages) or (MESON,),
        own_python=not configure.takes_meson,
        ccache=options.ccache,
        layout=layout,
        reporter=reporter,
        compiler=extra.compiler,
    )
    request = BuildRequest(
        tree=checkout.tree_name,
        label=checkout.label,
        commit=checkout.commit,
        version=facts.version,
        source=checkout.path,
        configure=configure,
        configure_digest=configure_digest(checkout.path),
        targets=tuple(sorted(options.targets)),
        host=host,
        profile=options.profile,
        rust=options.rust,
        devices=devices_of(options.devices, options.targets, configure) if extra == NO_EXTRA else ALL,
        debug=options.debug,
        sysroot=ensure_sysroot(HOSTS[host], layout, reporter) if HOSTS[host].is_cross else None,
        jobs=job_count(options.jobs),
        # A series may add a feature, which its base does not know.
        extra=replace(extra, switches=tuple(filter(configure.knows, extra.switches))),
    )
    return request, tools


def _up_to_date(job: Job, known: Configured | None) -> Build | None:
    """Return the build on disk if it is the requested one and its binaries have the recorded digests."""
    found = load(job.plan.folder / FILE_NAME, Build)
    if (
        found is None
        or known is None
        or not still_configured(job, known)
        or (found.fingerprint, found.commit) != (job.plan.fingerprint, job.request.commit)
        or {binary.target for binary in found.binaries} != set(job.plan.targets)
        or found.folder != str(job.plan.folder)
        or not set(job.request.extra.goals) <= set(found.commands[-1].argv)
    ):
        return None
    for binary in found.binaries:
        try:
            if binary.file.stat().st_size != binary.size or sha256(binary.file) != binary.sha256:
                return None
        except OSError:
            return None
    return msgspec.structs.replace(found, reused=True)


def _make(job: Job, known: Configured | None, variant: str, pin: str) -> Build:
    plan, request = job.plan, job.request
    started = utc_now()
    if known is not None and is_from_the_future(plan.folder):
        job.reporter.warn(f"{job.title}: the clock was set back after the last build: building from scratch")
        known = None
    for name in drop_damaged(plan):
        job.reporter.warn(f"{job.title}: {name} differs from the last build: linking it again")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (plan.folder / FILE_NAME).unlink()  # it describes binaries that are about to be replaced
    fresh = known is None or not still_configured(job, known)
    if known is None or fresh:
        known = configure_job(job)
    try:
        reader, compile_s, cache = _compile(job)
    except CompileError as error:
        if fresh or not any(line.startswith("ninja: error: ") for line in error.details):
            raise
        # ninja did not start: build.ninja is damaged or does not match the sources.
        job.reporter.warn(f"{job.title}: {error.details[0]}: configuring again")
        known = configure_job(job)
        reader, compile_s, cache = _compile(job)
    result = Build(
        tree=request.tree,
        pin=pin,
        version=request.version,
        variant=variant,
        label=request.label,
        commit=request.commit,
        host=request.host,
        profile=request.profile,
        devices=request.devices,
        debug=NO_DEBUG not in plan.configure,
        left_out=plan.left_out,
        targets=plan.targets,
        folder=str(plan.folder),
        source=str(plan.source),
        fingerprint=plan.fingerprint,
        commands=plan.commands(),
        summary=known.summary,
        compiler=Compiler(
            path=str(job.tools.compiler),
            version=job.tools.compiler_version,
            launcher=str(job.tools.ccache or ""),
        ),
        started=started,
        configure_s=known.configure_s,
        compile_s=round(compile_s, 3),
        steps=reader.done,
        cache=cache,
        binaries=tuple(describe(plan, target, job.sandbox) for target in plan.targets),
        logs=(str(job.log("configure")), str(job.log("compile"))),
    )
    write_json(plan.folder / FILE_NAME, result)
    return result


def _compile(job: Job) -> tuple[NinjaReader, float, CacheUse | None]:
    """Run ninja; return its reader, its seconds, and the use of ccache. Raises CompileError."""
    plan, log = job.plan, job.log("compile")
    rotate(log)
    cache_log = Path(plan.env.get("CCACHE_STATSLOG", os.devnull))
    if cache_log != Path(os.devnull):
        cache_log.unlink(missing_ok=True)
    reader = NinjaReader()
    started = time.monotonic()

    def explain(ended: Finished) -> HarnessError:
        return _compile_error(job, reader, ended.returncode, log)

    with job.reporter.step(f"compile {job.title}") as step:

        def follow(line: str) -> None:
            progress = reader.feed(line)
            if progress is not None:
                step.update(progress[0], progress[1], progress[2])

        def ninja(*words: str) -> None:
            run(
                job.sandbox.wrap(words, plan.folder),
                cwd=plan.folder,
                env=job.env(NINJA_STATUS=NINJA_STATUS),
                log=log,
                timeout_s=None if job.sandbox is NO_SANDBOX else 7200,  # untrusted rules may never end
                on_line=follow,
                error=explain,
            )

        lacking: tuple[str, ...] = ()
        if goals := job.request.extra.goals:
            ninja(plan.ninja[0], "build.ninja")
            lacking = unknown_goals(plan.folder, goals)  # a series adds programs, which its base lacks
        words = [word for word in plan.ninja if word not in lacking]
        ninja(*words, *(("-k0",) if job.keep_going else ()))
    took = time.monotonic() - started
    return reader, took, read_cache_log(cache_log) if job.tools.ccache else None


def _compile_error(job: Job, reader: NinjaReader, status: int, log: Path) -> HarnessError:
    details = reader.details()
    text = "\n".join(details)
    remedy = "correct the sources (probably the series), then run the same command again"
    if "illed signal" in text:
        remedy = "run again with -Djobs=1: the machine probably ran out of memory"
    return CompileError(
        f"compiling {job.title} failed with status {status}", remedy, details=details, log=log
    )
