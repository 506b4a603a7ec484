"""Run a plan: configure if an input of it has changed, then ninja; nothing if the build is up to date.

After a kill, the next run continues: an incomplete configure starts again in an empty folder, ninja runs the
missing steps, and build.json is renamed into place when the build is complete.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from harness.build.binary import describe, drop_damaged, is_from_the_future, sha256
from harness.build.blobs import add_missing_blobs
from harness.build.configure import read_configure, user_targets
from harness.build.devices import ALL, GUESTS, add_device_sets, devices_of
from harness.build.graph import unknown_goals
from harness.build.hosts import HOSTS
from harness.build.plan import NO_DEBUG, NO_EXTRA, BuildPlan, BuildRequest, Extra, Tools, make_plan
from harness.build.pyenv import MESON
from harness.build.reading import (
    NINJA_STATUS,
    NinjaReader,
    configure_errors,
    missing_words,
    read_cache_log,
    read_summary,
)
from harness.build.result import FILE_NAME, SCHEMA, Build, CacheUse, Compiler, load
from harness.build.sharing import sharing_variables
from harness.build.sysroot import ensure_sysroot
from harness.build.tools import configure_digest, find_tools, job_count
from harness.errors import CompileError, ConfigureError, HarnessError, StorageError
from harness.jsonfile import utc_now, write_json
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options, check_choice
from harness.process import Finished, run
from harness.progress import Reporter
from harness.sandbox import NO_SANDBOX, Sandbox

if TYPE_CHECKING:
    from harness.tree import Checkout

CONFIGURE_LIMIT_S = 1800.0
CONFIGURED = "configured.json"


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """Record of a successful configure; a folder without it is configured again."""

    schema: int = SCHEMA
    fingerprint: str
    targets: tuple[str, ...]
    summary: dict[str, dict[str, str]]
    configure_s: Annotated[float, Meta(ge=0)]
    tools: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Shared input of the steps of one build."""

    plan: BuildPlan
    tools: Tools
    request: BuildRequest
    layout: Layout
    reporter: Reporter
    keep_going: bool = False
    sandbox: Sandbox = NO_SANDBOX

    def log(self, step: str) -> Path:
        request = self.request
        return self.layout.logs / f"{request.tree}-{request.label}-{self.plan.folder.name}-{step}.log"

    @property
    def title(self) -> str:
        request = self.request
        special = "" if request.profile == "release" else f" ({request.profile})"
        where = "" if request.host == "native" else f" for {request.host}"
        where += "" if request.extra.compiler == "gcc" else f" with {request.extra.compiler}"
        where += "" if request.devices == ALL else ", devices of guests"
        return f"{request.tree} {request.label}{special}{where}"

    def env(self, **more: str) -> dict[str, str]:
        path = [*map(str, self.plan.path), os.environ.get("PATH", os.defpath)]
        return {**self.plan.env, "PATH": os.pathsep.join(path), **more}


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
        job = _Job(
            plan=replace(plan, env={**plan.env, **sharing_variables(options)}),
            tools=tools,
            request=request,
            layout=layout,
            reporter=reporter,
            keep_going=keep_going,
            sandbox=sandbox,
        )
        done = _up_to_date(job, known)
        if done is not None:
            reporter.note(f"{job.title}: up to date")
            return done
        return _make(job, known, checkout.variant, checkout.pin)


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


def _up_to_date(job: _Job, known: Configured | None) -> Build | None:
    """Return the build on disk if it is the requested one and its binaries have the recorded digests."""
    found = load(job.plan.folder / FILE_NAME, Build)
    if (
        found is None
        or known is None
        or not _still_configured(job, known)
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


def _still_configured(job: _Job, known: Configured) -> bool:
    return (
        known.fingerprint == job.plan.fingerprint
        and known.targets == job.plan.targets
        and (job.plan.folder / "build.ninja").is_file()
        and all(Path(tool).exists() for tool in known.tools)
    )


def _make(job: _Job, known: Configured | None, variant: str, pin: str) -> Build:
    plan, request = job.plan, job.request
    started = utc_now()
    if known is not None and is_from_the_future(plan.folder):
        job.reporter.warn(f"{job.title}: the clock was set back after the last build: building from scratch")
        known = None
    for name in drop_damaged(plan):
        job.reporter.warn(f"{job.title}: {name} differs from the last build: linking it again")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (plan.folder / FILE_NAME).unlink()  # it describes binaries that are about to be replaced
    fresh = known is None or not _still_configured(job, known)
    if known is None or fresh:
        known = _configure(job)
    try:
        reader, compile_s, cache = _compile(job)
    except CompileError as error:
        if fresh or not any(line.startswith("ninja: error: ") for line in error.details):
            raise
        # ninja did not start: build.ninja is damaged or does not match the sources.
        job.reporter.warn(f"{job.title}: {error.details[0]}: configuring again")
        known = _configure(job)
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


def _configure(job: _Job) -> Configured:
    plan, log = job.plan, job.log("configure")
    _rotate(log)
    try:
        if plan.folder.exists():
            shutil.rmtree(plan.folder)
        plan.folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"cannot empty {plan.folder}: {error}", "check the owner and mode of the folder"
        ) from error

    def explain(ended: Finished) -> HarnessError:
        return ConfigureError(
            f"configure of {job.title} failed with status {ended.returncode}",
            "correct the problem shown above; `nox -s doctor` lists the requirements",
            details=configure_errors(log.read_text(encoding="utf-8", errors="replace")),
            log=log,
        )

    if job.request.devices == GUESTS:
        add_device_sets(plan.source, plan.targets)
    if images := add_missing_blobs(plan.source):
        job.reporter.note(f"{job.title}: {len(images)} firmware images are missing: empty ones are used")
    started = time.monotonic()
    with job.reporter.step(f"configure {job.title}") as step:
        lines = 0

        def follow(line: str) -> None:
            nonlocal lines
            lines += 1
            step.update(lines, text=line.strip())

        run(
            job.sandbox.wrap(plan.configure, plan.folder),
            cwd=plan.folder,
            env=job.env(),
            log=log,
            timeout_s=CONFIGURE_LIMIT_S,
            on_line=follow,
            error=explain,
        )
    if not (plan.folder / "build.ninja").is_file():
        raise ConfigureError(
            f"configure of {job.title} did not create build.ninja", "report it with the log", log=log
        )
    if missing := missing_words(plan.folder / "build.ninja", plan.demanded):
        raise ConfigureError(
            f"configure of {job.title} did not enable {missing}",
            "inspect config.log for the test that failed",
            log=plan.folder / "config.log",
        )
    known = Configured(
        fingerprint=plan.fingerprint,
        targets=plan.targets,
        summary=read_summary(log.read_text(encoding="utf-8", errors="replace")),
        configure_s=round(time.monotonic() - started, 3),
        tools=tuple(map(str, plan.tools)),
    )
    write_json(plan.folder / CONFIGURED, known)
    return known


def _compile(job: _Job) -> tuple[NinjaReader, float, CacheUse | None]:
    """Run ninja; return its reader, its seconds, and the use of ccache. Raises CompileError."""
    plan, log = job.plan, job.log("compile")
    _rotate(log)
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


def _compile_error(job: _Job, reader: NinjaReader, status: int, log: Path) -> HarnessError:
    details = reader.details()
    text = "\n".join(details)
    remedy = "correct the sources (probably the series), then run the same command again"
    if "illed signal" in text:
        remedy = "run again with -Djobs=1: the machine probably ran out of memory"
    return CompileError(
        f"compiling {job.title} failed with status {status}", remedy, details=details, log=log
    )


def _rotate(log: Path) -> None:
    """Rename ``log`` of the previous run to ``.1``. Raises StorageError."""
    try:
        log.replace(log.with_name(log.name + ".1"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot write {log}: {error}", "check the owner and mode of the file") from error
