"""Run the scripts of each generated job, as a forge's runner would, in a checkout with the stand-in for QEMU.

Not run: the preparation, which installs packages, jobs for s390x hosts, which download a sysroot, and QEMU's
own tests, which the stand-in does not have.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.ci.render import PREPARE
from harness.errors import FindingsError
from tests.faults.standin import ROOT
from tests.faults.world import World
from tests.unit.programs import write_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("ci"))
    script = f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} "$@"'
    write_program(made.root / ".nox" / "harness" / "bin" / "python", script)
    yield made
    made.close()


def printed(world, *words):
    """The configuration that ``qemu-harness ci`` prints in the checkout."""
    ended = world.run("ci", *words)
    assert ended.code == 0, ended.error
    return dict(yaml.safe_load(ended.out))


def run_script(world, lines, variables):
    """Run the lines of a script by a shell that stops at the first failure, as runners do."""
    lines = [re.sub(r"(-m harness validate\b)", r"\1 -Dqemu-tests=none", line) for line in lines]
    values = {"CI_PROJECT_DIR": str(world.root), **variables, "QEMU_HARNESS_CACHE": str(world.cache)}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)],
        cwd=world.root,
        env={**world.environment(), **values},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def gitlab_job(pipeline, name):
    """A job with what it extends (GitLab, "CI/CD YAML syntax reference", ``extends``)."""
    job = pipeline[name]
    return {**pipeline.get(job.get("extends", ""), {}), **job}


def clear(world):
    for file in (world.root / "build" / "results").glob("*"):
        file.unlink()


def check_gitlab(world, pipeline, name, code):
    """Run a job, and check its exit code and that each file that it passes on exists."""
    clear(world)
    job = gitlab_job(pipeline, name)
    ended = run_script(world, job["script"], pipeline["variables"])
    assert ended.returncode == code, (name, ended.stdout, ended.stderr)
    reports = job["artifacts"].get("reports", {})
    passed = [
        path for path in reports.values() if isinstance(path, str)
    ]  # no job of this project has coverage
    paths = {*job["artifacts"]["paths"], *passed} - {"build/logs"}  # only a build writes logs
    for path in paths:
        assert (world.root / path).exists(), (name, path)
    for forge_words in (job["before_script"], job["artifacts"]):
        assert forge_words, name


def test_jobs_of_gitlab_run(world):
    pipeline = printed(world, "gitlab")
    names = [name for name, job in pipeline.items() if "script" in job and "s390x" not in name]
    assert names == ["read", "commits", "validate-7.2-native"]
    check_gitlab(world, pipeline, "read", FindingsError.code)
    check_gitlab(world, pipeline, "commits", 0)
    check_gitlab(world, pipeline, "validate-7.2-native", FindingsError.code)
    child = yaml.safe_load((world.root / "commits.yml").read_text())
    commits = [name for name, job in child.items() if "script" in job and not name.startswith(".")]
    assert commits == ["1 of 1: osdep: bring the feature"]
    # The next job has another checkout, and only the cache of this one.
    shutil.rmtree(world.root / "build")
    check_gitlab(world, child, commits[0], FindingsError.code)
    results = json.loads((world.root / "build" / "results" / "validate.json").read_bytes())
    base = results["builds"][0]
    assert (base["patch"], base["cache_misses"]) == (0, 0), "the job before it has compiled the base"
    assert base["cache_hits"] > 0


def test_steps_of_github_run(world):
    workflow = printed(world, "github")
    job = workflow["jobs"]["validate"]
    cell = next(cell for cell in job["strategy"]["matrix"]["include"] if cell["host"] == "native")
    values = {f"matrix.{name}": value for name, value in cell.items()}
    values |= {"inputs.series || 'async-teardown'": "async-teardown", "github.workspace": str(world.root)}

    def filled(text):
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values.get(found[1], found[0]), text)

    clear(world)
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    assert scripts[0].splitlines() == list(PREPARE)
    (script,) = scripts[1:]
    doctor, *lines = filled(script).splitlines()
    assert doctor.endswith("nox -s doctor")
    ended = run_script(world, lines, {name: filled(value) for name, value in job["env"].items()})
    assert ended.returncode == FindingsError.code, ended.stderr
    for step in job["steps"]:
        for name in ("sarif_file", "path"):
            for path in str(step.get("with", {}).get(name, "")).split():
                if not path.startswith(".cache"):
                    assert Path(world.root, path).exists(), path
