"""A pipeline for a fork of QEMU on GitLab: each merge request and branch is validated against its merge base.

Source: GitLab, "CI/CD YAML syntax reference", "Predefined CI/CD variables", "Resource group".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.ci.base import CACHE, IMAGE, IMAGE_VARIABLE, PREPARE, gitlab_template, timing_jobs, to_yaml
from harness.errors import OptionError
from harness.jsonfile import write_bytes
from harness.source.clone import is_clone

FILE = ".gitlab-ci.d/qemu-harness.yml"
GATES = ".gitlab-ci.d/qemu-harness-gates.toml"
GATES_TEXT = Path(__file__).with_name("fork-gates.toml")
"""The built-in gates are requirements for a series that implements asynchronous teardown."""
BUILD = "build/qemu-harness"
"""Builds and results, in a folder that QEMU's .gitignore names."""
VENV = "$CI_PROJECT_DIR/build/qemu-harness-venv"
"""Each job installs the harness: on a machine that is used again, pip would keep another commit of the same
version, and other jobs may be running it."""
PROGRAM = f'"{VENV}/bin/qemu-harness"'
SERIES = "QEMU_HARNESS_SERIES"
BASE = "QEMU_HARNESS_BASE"
OPTIONS = "QEMU_HARNESS_OPTIONS"
"""Variables of a pipeline that `qemu-harness watch --dispatch gitlab` starts: the version of PACKAGE with the
series, the commit to apply it to, and options of validate."""
PACKAGE = "qemu-harness-watch"
MAILS = "series.mbox"
WATCH_JOB = "qemu-harness-watch"
RESULTS = f"{BUILD}/results/validate.json"
RULES = (
    {"if": f"${SERIES}", "when": "never"},
    {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'},
    {"if": "$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS", "when": "never"},
    {"if": "$CI_COMMIT_BRANCH && $CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH"},
)
"""One pipeline for a branch and its merge request, not two (GitLab, "Avoid duplicate pipelines")."""
_BASE = (
    # The runner's user is another one. A machine that is used again gets the entry once.
    'git config --global --fixed-value --replace-all safe.directory "$CI_PROJECT_DIR" "$CI_PROJECT_DIR"',
    'git fetch --quiet origin "$CI_DEFAULT_BRANCH"',
    'BASE="${CI_MERGE_REQUEST_DIFF_BASE_SHA:-$(git merge-base FETCH_HEAD HEAD)}"',
    'if [ "$BASE" = "$(git rev-parse HEAD)" ]; then echo "no commits to validate"; exit 0; fi',
)
_DOWNLOAD = (
    "python3 -c 'import os, urllib.request as u; e = os.environ;"
    f' url = "{{CI_API_V4_URL}}/projects/{{CI_PROJECT_ID}}/packages/generic/{PACKAGE}/{{{SERIES}}}/{MAILS}";'
    ' ask = u.Request(url.format(**e), headers={"JOB-TOKEN": e["CI_JOB_TOKEN"]});'
    f' open("{MAILS}", "wb").write(u.urlopen(ask).read())\''
)
_SERIES = '-Dsource="$CI_PROJECT_DIR" -Dseries="$BASE..HEAD"'


def gitlab_fork(requirement: str, runners: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration. ``requirement`` is what pip installs the harness from."""
    template = {
        **gitlab_template(BUILD),
        "rules": [dict(rule) for rule in RULES],
        "needs": [],
        "variables": {
            IMAGE_VARIABLE: IMAGE,
            "GIT_DEPTH": "0",  # the merge base has to be there
            "QEMU_HARNESS": requirement,
            "QEMU_HARNESS_BUILD": f"$CI_PROJECT_DIR/{BUILD}",
            "QEMU_HARNESS_TREES": f"$CI_PROJECT_DIR/{BUILD}/trees",
            "QEMU_HARNESS_CACHE": f"$CI_PROJECT_DIR/{CACHE}",
        },
        "before_script": [
            *PREPARE[:2],
            f'python3 -m venv --clear "{VENV}"',
            f'"{VENV}/bin/pip" install --quiet "$QEMU_HARNESS"',
            f"{PROGRAM} doctor",
        ],
    }
    return {
        ".qemu-harness": template,
        "qemu-harness-read": _job("validate", "-Dbisect=none"),
        "qemu-harness-build": _job(
            "validate", "-Dbisect=each -Dcoverage=true -Dtrust-base=true -Dmatrix=none"
        ),
        WATCH_JOB: {
            "extends": ".qemu-harness",
            "stage": "build",
            "rules": [{"if": f"${SERIES}"}],
            "script": [
                _BASE[0],
                _DOWNLOAD,
                f'{PROGRAM} validate -Dsource="$CI_PROJECT_DIR@${BASE}" -Dseries={MAILS}'
                f" -Disolation=bwrap ${OPTIONS}",
            ],
        },
        **timing_jobs(
            runners, ".qemu-harness", [*_BASE, f"{PROGRAM} teardown {_SERIES} -Dgate={GATES}"], BUILD
        ),
    }


def _job(stage: str, options: str) -> dict[str, Any]:
    script = [*_BASE, f"{PROGRAM} {stage} {_SERIES} {options}"]
    return {"extends": ".qemu-harness", "stage": "build", "script": script}


def write_fork(clone: Path, requirement: str, runners: Mapping[str, str]) -> Path:
    """Write the configuration into ``clone`` and return its path, with ``runners`` also their jobs' gates.

    Raises OptionError, StorageError.
    """
    if not is_clone(clone) or not (clone / "configure").is_file():
        raise OptionError(f"--into: {clone} is no clone of QEMU with files", "name the folder of your clone")
    head = (
        "# Generated by `qemu-harness ci gitlab --into`. Name this file in Settings > CI/CD > CI/CD\n"
        "# configuration file, or include it in .gitlab-ci.yml; the stage is `build`."
    )
    path = clone / FILE
    path.parent.mkdir(exist_ok=True)
    if runners:
        write_bytes(clone / GATES, GATES_TEXT.read_bytes())
    write_bytes(path, to_yaml(head, gitlab_fork(requirement, runners)).encode())
    return path
