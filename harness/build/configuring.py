"""Configure a checkout, unless that has been done with the same inputs."""

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from harness.build.blobs import add_missing_blobs
from harness.build.devices import ALL, GUESTS, add_device_sets
from harness.build.plan import BuildPlan, BuildRequest, Tools
from harness.build.reading import configure_errors, missing_words, read_summary
from harness.build.result import SCHEMA
from harness.errors import ConfigureError, HarnessError
from harness.jsonfile import storing, write_json
from harness.layout import Layout
from harness.process import Finished, run
from harness.progress import Reporter
from harness.sandbox import NO_SANDBOX, Sandbox

CONFIGURE_LIMIT_S = 1800.0
CONFIGURED = "configured.json"
NO_CRATES = r"Subproject \S+-rs is buildable: NO"
"""An error of meson: the sources lack a crate, and it downloads none."""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """Record of a successful configure; a folder without it is configured again."""

    schema: int = SCHEMA
    fingerprint: str
    targets: tuple[str, ...]
    summary: dict[str, dict[str, str]]
    configure_s: Annotated[float, Meta(ge=0)]
    tools: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
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


def still_configured(job: Job, known: Configured) -> bool:
    """Return whether ``known`` describes the folder of ``job`` and its plan."""
    return (
        known.fingerprint == job.plan.fingerprint
        and known.targets == job.plan.targets
        and (job.plan.folder / "build.ninja").is_file()
        and all(Path(tool).exists() for tool in known.tools)
    )


def configure_job(job: Job) -> Configured:
    """Run configure in an emptied folder. Raises ConfigureError, StorageError, TimeoutExpiredError."""
    plan, log = job.plan, job.log("configure")
    rotate(log)
    with storing(f"empty {plan.folder}"):
        if plan.folder.exists():
            shutil.rmtree(plan.folder)
        plan.folder.mkdir(parents=True)

    def explain(ended: Finished) -> HarnessError:
        details = configure_errors(log.read_text(encoding="utf-8", errors="replace"))
        remedy = "correct the problem shown above; `nox -s doctor` lists the requirements"
        if any(re.search(NO_CRATES, line) for line in details):
            remedy = (
                "use -Dsource= with an official archive, which contains the crates, or a clone that has them"
            )
        return ConfigureError(
            f"configure of {job.title} failed with status {ended.returncode}",
            remedy,
            details=details,
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


def rotate(log: Path) -> None:
    """Rename ``log`` of the previous run to ``.1``. Raises StorageError."""
    with storing(f"write {log}"), contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".1"))
