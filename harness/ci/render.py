"""Jobs of CI, rendered as YAML for GitLab and GitHub.

Source: GitLab, "CI/CD YAML syntax reference"; GitHub, "Workflow syntax for GitHub Actions".
"""

import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.build.configure import is_too_old
from harness.ci.base import (
    CACHE,
    HARNESS,
    HOURS,
    IMAGE,
    IMAGE_VARIABLE,
    INSTALL,
    PREPARE,
    VALIDATE,
    gitlab_template,
    timing_jobs,
    to_yaml,
)
from harness.source.pin import Pin

HOSTS = ("native", "s390x")
FORGES = {"gitlab": ".gitlab-ci.yml", "github": ".github/workflows/validate.yml"}
SERIES = "async-teardown"
CHILD = "commits.yml"
RESULTS = "build/results"
GITHUB = Path(__file__).with_name("github.yml")


@dataclass(frozen=True, kw_only=True)
class CiJob:
    """One cell of the matrix. The series itself decides which targets the job builds."""

    pin: str
    host: str

    @property
    def name(self) -> str:
        return f"validate-{self.pin}-{self.host}"

    @property
    def options(self) -> str:
        """Options of validate. Only native builds have every feature, so the native job alone reports what no
        build compiles."""
        off = "" if self.host == "native" else " -Drules-off=build-not-compiled,lines-not-compiled"
        return f"-Dpin={self.pin} -Dhosts={self.host}{off}"

    @property
    def command(self) -> str:
        return f"{VALIDATE} {self.options}"


@dataclass(frozen=True, kw_only=True)
class CommitJob:
    """A patch of a series that gets its own job."""

    number: int
    title: str

    def name(self, total: int) -> str:
        """Name of the job. Forges sort by it; GitLab limits it to 255 characters."""
        return f"{self.number:0{len(str(total))}} of {total}: {self.title}"[:255]


def jobs_of(pins: Iterable[Pin], hosts: Sequence[str] = HOSTS) -> tuple[CiJob, ...]:
    """Return a job for each combination of a pin that can be built, and a host.

    A pin that is unverified has no job: it would fail for a reason that no patch can remove.
    """
    return tuple(
        CiJob(pin=pin.name, host=host)
        for pin in pins
        if not is_too_old(pin.name) and not pin.unverified
        for host in hosts
    )


def gitlab(
    jobs: Sequence[CiJob], series: str = SERIES, runners: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the pipeline. The rules run first, because they take seconds; this job alone tries the patches
    on further pins. Then base and tip are built for each cell, and in parallel a child pipeline with a job
    for each commit, an artifact of the job `commits`. ``runners`` (kind → tag) time the series.

    Source: GitLab, "Downstream pipelines", "Dynamic child pipelines", "Prevent global variables …".
    """
    pipeline = _gitlab_base(["read", "build"], series)
    pipeline["read"] = {
        "extends": ".validate",
        "stage": "read",
        "script": [f'{VALIDATE} -Dseries="$SERIES" -Dbisect=none'],
    }
    pipeline["commits"] = {
        "image": f"${IMAGE_VARIABLE}",
        "stage": "read",
        "before_script": [*PREPARE, INSTALL],
        "script": [f'{HARNESS} ci gitlab --commits -Dseries="$SERIES" > {CHILD}'],
        "artifacts": {"paths": [CHILD], "expire_in": "4 weeks"},
    }
    for job in jobs:
        pipeline[job.name] = {
            "extends": ".validate",
            "stage": "build",
            "needs": [],
            "script": [f'{job.command} -Dbisect=ends -Dmatrix=none -Dseries="$SERIES"'],
        }
    pipeline["each commit"] = {
        "stage": "build",
        "needs": ["commits"],
        # Inherited variables precede the child's own, such as SERIES of a pipeline for another series.
        "inherit": {"variables": False},
        "trigger": {"include": [{"artifact": CHILD, "job": "commits"}], "strategy": "depend"},
    }
    script = [f'{HARNESS} teardown -Dseries="$SERIES"']
    return {**pipeline, **timing_jobs(runners or {}, ".validate", script, "build")}


def gitlab_commits(commits: Sequence[CommitJob], series: str, pin: str) -> dict[str, Any]:
    """Return the child pipeline: one job for each commit of ``series``, on ``pin``, the default one.

    The jobs get the cache of the parent's job for that pin.
    """
    pipeline = _gitlab_base(["commits"], series)
    # A key of their own would be new in each pipeline. The slug is that of the job.
    key = CiJob(pin=pin, host="native").name.replace(".", "-")
    pipeline[".validate"]["cache"] |= {"key": key, "policy": "pull"}
    for commit in commits:
        pipeline[commit.name(len(commits))] = {
            "extends": ".validate",
            "stage": "commits",
            "script": [f'{VALIDATE} -Dpatches={commit.number} -Dmatrix=none -Dseries="$SERIES"'],
        }
    return pipeline


def _gitlab_base(stages: Sequence[str], series: str) -> dict[str, Any]:
    return {
        "stages": [*stages],
        "variables": {
            "SERIES": series,
            IMAGE_VARIABLE: IMAGE,
            "QEMU_HARNESS_CACHE": f"$CI_PROJECT_DIR/{CACHE}",
        },
        ".validate": gitlab_template("build"),
    }


class _Template(string.Template):
    delimiter = "%"


def github(jobs: Sequence[CiJob]) -> dict[str, Any]:
    """Return the workflow: one job with a matrix, and SARIF for code scanning."""
    rows = [{"pin": job.pin, "host": job.host, "options": job.options} for job in jobs]
    values = {
        "SERIES": SERIES,
        "IMAGE": IMAGE,
        "IMAGE_VARIABLE": IMAGE_VARIABLE,
        "CACHE": CACHE,
        "RESULTS": RESULTS,
        "MINUTES": 60 * HOURS,
        "JOBS": json.dumps(rows),
        "PREPARE": json.dumps("\n".join(PREPARE)),
        "VALIDATE": json.dumps(f'{INSTALL}\n{VALIDATE} ${{{{ matrix.options }}}} -Dseries="$SERIES"'),
    }
    made: dict[str, Any] = yaml.safe_load(_Template(GITHUB.read_text(encoding="utf-8")).substitute(values))
    return made


def render(forge: str, jobs: Sequence[CiJob], runners: Mapping[str, str] | None = None) -> str:
    """Render the configuration of ``forge`` as YAML. Only GitLab has ``runners``."""
    made = gitlab(jobs, runners=runners) if forge == "gitlab" else github(jobs)
    return to_yaml(
        f"# Generated by `qemu-harness ci {forge}` from the pins; a test compares. Edit harness/ci instead.",
        made,
    )


def render_commits(commits: Sequence[CommitJob], series: str, pin: str) -> str:
    """Render the child pipeline as YAML."""
    return to_yaml("# Generated by `qemu-harness ci gitlab --commits`.", gitlab_commits(commits, series, pin))
