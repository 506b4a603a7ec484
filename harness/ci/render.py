"""Jobs, and the two forges' ways to write them.

Source: GitLab, "CI/CD YAML syntax reference"; GitHub, "Workflow syntax for GitHub Actions".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from harness.source import Pin

IMAGE = "debian:bookworm"
TARGETS = ("x86_64-softmmu", "s390x-softmmu")
HOSTS = ("native", "s390x")
FORGES = {"gitlab": ".gitlab-ci.yml", "github": ".github/workflows/validate.yml"}
PREPARE = (
    "apt-get update -qq",
    "apt-get install -qq -y --no-install-recommends python3 python3-venv ca-certificates git perl bubblewrap",
    "python3 -m venv /opt/nox",
    "/opt/nox/bin/pip install --quiet nox",
)
INSTALL = "/opt/nox/bin/nox -s doctor"
VALIDATE = ".nox/harness/bin/python -m harness validate"
"""Not by nox, which ends with 1 whatever the exit code was: the forge has to tell them apart."""
CACHE = ".cache/qemu-harness"
RESULTS = "build/results"
_CELL = "${{ matrix.pin }}-${{ matrix.target }}-${{ matrix.host }}"
HOURS = 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell of the matrix."""

    pin: str
    target: str
    host: str

    @property
    def name(self) -> str:
        return f"validate-{self.pin}-{self.target.removesuffix('-softmmu')}-{self.host}"

    @property
    def command(self) -> str:
        return f"{VALIDATE} -Dpin={self.pin} -Dtargets={self.target} -Dhosts={self.host}"


def jobs_of(
    pins: Iterable[Pin], targets: Sequence[str] = TARGETS, hosts: Sequence[str] = HOSTS
) -> tuple[Job, ...]:
    """A job for each pin that can be built, target that it has, and host."""
    return tuple(
        Job(pin=pin.name, target=target, host=host)
        for pin in pins
        if pin.native_build
        for target in targets
        if target in pin.targets
        for host in hosts
    )


def gitlab(jobs: Sequence[Job]) -> dict[str, Any]:
    """The pipeline: rules first and alone, since they take seconds; then a job for each cell."""
    pipeline: dict[str, Any] = {
        "stages": ["read", "build"],
        "variables": {"SERIES": "async-teardown", "QEMU_HARNESS_CACHE": f"$CI_PROJECT_DIR/{CACHE}"},
        ".validate": {
            "image": IMAGE,
            "before_script": [*PREPARE, INSTALL],
            "timeout": f"{HOURS}h",
            "interruptible": True,
            "cache": {"key": "$CI_JOB_NAME", "paths": [CACHE]},
            "artifacts": {
                "when": "always",
                "expire_in": "4 weeks",
                "paths": [RESULTS, "build/logs"],
                "reports": {
                    "junit": f"{RESULTS}/validate.junit.xml",
                    "codequality": f"{RESULTS}/validate.codequality.json",
                },
            },
            # Network and disk: what is not the series' fault may be tried again.
            "retry": {"max": 1, "when": ["runner_system_failure"], "exit_codes": [4, 22]},
        },
        "read": {
            "extends": ".validate",
            "stage": "read",
            "script": [f'{VALIDATE} -Dseries="$SERIES" -Dbisect=none'],
        },
    }
    for job in jobs:
        pipeline[job.name] = {
            "extends": ".validate",
            "stage": "build",
            "needs": [],
            "script": [f'{job.command} -Dseries="$SERIES"'],
        }
    return pipeline


def github(jobs: Sequence[Job]) -> dict[str, Any]:
    """The workflow: one job with a matrix; SARIF goes to code scanning."""
    return {
        "name": "validate",
        "on": {
            "push": {"paths": ["patches/**", "harness/**"]},
            "pull_request": {},
            "workflow_dispatch": {
                "inputs": {
                    "series": {
                        "description": "folder below patches/, or a path",
                        "required": False,
                        "default": "async-teardown",
                        "type": "string",
                    }
                }
            },
        },
        "permissions": {"contents": "read", "security-events": "write"},
        "jobs": {
            "validate": {
                "name": "${{ matrix.pin }} ${{ matrix.target }} on ${{ matrix.host }}",
                "runs-on": "ubuntu-latest",
                "container": {"image": IMAGE, "options": "--privileged"},
                "timeout-minutes": 60 * HOURS,
                "strategy": {
                    "fail-fast": False,
                    "matrix": {
                        "include": [{"pin": job.pin, "target": job.target, "host": job.host} for job in jobs]
                    },
                },
                "env": {
                    "QEMU_HARNESS_CACHE": "${{ github.workspace }}/" + CACHE,
                    "SERIES": "${{ inputs.series || 'async-teardown' }}",
                },
                "steps": [
                    {"run": "\n".join(PREPARE)},
                    {"uses": "actions/checkout@v4"},
                    {
                        "uses": "actions/cache@v4",
                        "with": {
                            "path": CACHE,
                            "key": f"{_CELL}-${{{{ github.run_id }}}}",
                            "restore-keys": f"{_CELL}-",
                        },
                    },
                    {
                        "run": f"{INSTALL}\n{VALIDATE} -Dpin=${{{{ matrix.pin }}}} "
                        '-Dtargets=${{ matrix.target }} -Dhosts=${{ matrix.host }} -Dseries="$SERIES"'
                    },
                    {
                        "uses": "github/codeql-action/upload-sarif@v3",
                        "if": "always()",
                        "with": {
                            "sarif_file": f"{RESULTS}/validate.sarif",
                            "category": _CELL,
                        },
                    },
                    {
                        "uses": "actions/upload-artifact@v4",
                        "if": "always()",
                        "with": {
                            "name": f"validate-{_CELL}",
                            "path": f"{RESULTS}\nbuild/logs",
                        },
                    },
                ],
            }
        },
    }


def render(forge: str, jobs: Sequence[Job]) -> str:
    """The YAML of ``forge``. Every value is one that both YAML 1.1 and 1.2 read alike."""
    made = {"gitlab": gitlab, "github": github}[forge](jobs)
    head = f"# Made by `qemu-harness ci {forge}` from the pins; a test compares. Change harness/ci instead.\n"
    plain = json.loads(json.dumps(made))  # no anchors for lists that are used twice
    return head + str(yaml.safe_dump(plain, sort_keys=False, width=110, allow_unicode=True))
