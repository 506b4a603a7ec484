"""What all pipelines have in common: preparation, artifacts, timing jobs, YAML.

Source: GitLab, "CI/CD YAML syntax reference", "Resource group".
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from harness.errors import OptionError

IMAGE = "debian:bookworm"
IMAGE_VARIABLE = "QEMU_HARNESS_IMAGE"
"""Variable of the forge: another image, such as one that is built from Containerfile, which has PREPARE."""
PACKAGES = "python3 python3-venv ca-certificates git perl bubblewrap python3-sphinx python3-sphinx-rtd-theme"
_UNLESS = "test -x /opt/nox/bin/nox ||"
PREPARE = (
    f"{_UNLESS} apt-get update -qq",
    f"{_UNLESS} apt-get install -qq -y --no-install-recommends {PACKAGES}",
    f"{_UNLESS} python3 -m venv /opt/nox",
    f"{_UNLESS} /opt/nox/bin/pip install --quiet nox",
)
INSTALL = "/opt/nox/bin/nox -s doctor"
HARNESS = ".nox/harness/bin/python -m harness"
VALIDATE = f"{HARNESS} validate"
"""Without nox, which always exits with 1: the forge needs the exit code."""
CACHE = ".cache/qemu-harness"
HOURS = 2
TIMED = {
    "large": "-Dpreset=full",
    "x86_64": "-Dtargets=x86_64-softmmu",
    "s390x": "-Dtargets=s390x-softmmu",
    "aarch64": "-Dtargets=aarch64-softmmu",
}
"""What a runner of ``-Dci-runners=`` times: large guests, or guests of its own architecture."""
RETRY = {"max": 1, "when": ["runner_system_failure"], "exit_codes": [4, 22]}
"""Network and disk are not the series' fault, so such jobs are retried."""


def gitlab_template(build: str) -> dict[str, Any]:
    """Return what all jobs of validate have in common. ``build`` is the folder of builds and results."""
    reports = {
        "junit": f"{build}/results/validate.junit.xml",
        "codequality": f"{build}/results/validate.codequality.json",
        # Missing unless validate measured coverage; GitLab then prints a warning only.
        "coverage_report": {
            "coverage_format": "cobertura",
            "path": f"{build}/results/validate.cobertura.xml",
        },
    }
    return {
        "image": f"${IMAGE_VARIABLE}",
        "before_script": [*PREPARE, INSTALL],
        "timeout": f"{HOURS}h",
        "interruptible": True,
        "cache": {"key": "$CI_JOB_NAME_SLUG", "paths": [CACHE]},
        "artifacts": artifacts(build, reports),
        "retry": RETRY,
    }


def artifacts(build: str, reports: dict[str, Any]) -> dict[str, Any]:
    """Return the files that a job keeps."""
    return {
        "when": "always",
        "expire_in": "4 weeks",
        "paths": [f"{build}/results", f"{build}/logs"],
        "reports": reports,
    }


def timing_jobs(
    runners: Mapping[str, str], template: str, script: list[str], build: str
) -> dict[str, dict[str, Any]]:
    """Return a job for each runner. Jobs with the same tag run one after the other: they measure time."""
    return {
        f"teardown-{kind}": {
            "extends": template,
            "stage": "build",
            "tags": [tag],
            "resource_group": f"timing-{tag}",
            "script": [*script[:-1], f"{script[-1]} {TIMED[kind]}"],
            "artifacts": artifacts(build, {"junit": f"{build}/results/teardown.xml"}),
        }
        for kind, tag in runners.items()
    }


def parse_runners(words: tuple[str, ...]) -> dict[str, str]:
    """Return kind → tag of ``-Dci-runners=``. Raises OptionError."""
    runners: dict[str, str] = {}
    for word in words:
        kind, mark, tag = word.partition(":")
        if not mark or not tag or kind not in TIMED:
            raise OptionError(
                f"-Dci-runners: {word!r} is no pair KIND:TAG", f"KIND is one of: {', '.join(TIMED)}"
            )
        runners[kind] = tag
    return runners


def to_yaml(head: str, made: dict[str, Any]) -> str:
    """Dump YAML below the comment ``head``, whose values have the same meaning in YAML 1.1 and 1.2."""
    plain = json.loads(json.dumps(made))  # removes shared lists, which would become anchors
    return f"{head}\n{yaml.safe_dump(plain, sort_keys=False, width=110, allow_unicode=True)}"
