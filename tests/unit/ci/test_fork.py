"""The pipeline for a fork of QEMU: schema, runners, and which commits its scripts validate."""

import functools
import os
import shlex
import subprocess

import pytest
import yaml

from harness.ci.base import parse_runners
from harness.ci.fork import gitlab_fork, write_fork
from harness.ci.render import gitlab, jobs_of
from harness.errors import OptionError
from harness.layout import find_layout
from harness.options import parse_options
from harness.source.pin import load_pins
from harness.teardown.gates import read_gates
from tests.unit.programs import write_program
from tests.unit.repositories import git, make_repository
from tests.unit.schemas import validate

SCHEMA = "https://gitlab.com/.gitlab-ci.yml"
RUNNERS = {"s390x": "lpar", "large": "bigbox"}


def test_configuration_matches_the_schema():
    validate(gitlab_fork("git+https://example.org/x.git@1", RUNNERS), SCHEMA)


@pytest.mark.parametrize("template", ["fork", "project"])
def test_timing_runs_alone_on_a_tagged_runner(template):
    layout = find_layout()
    made = (
        gitlab_fork("x", RUNNERS)
        if template == "fork"
        else gitlab(jobs_of(load_pins(layout).values()), runners=RUNNERS)
    )
    validate(made, SCHEMA)
    for kind, tag in RUNNERS.items():
        job = made[f"teardown-{kind}"]
        assert (job["tags"], job["resource_group"]) == ([tag], f"timing-{tag}")
        words = shlex.split(job["script"][-1])
        assert "teardown" in words
        parse_options(layout, [word for word in words if word.startswith("-D") and "$" not in word])
    assert made["teardown-large"]["script"][-1].endswith("-Dpreset=full")
    assert made["teardown-s390x"]["script"][-1].endswith("-Dtargets=s390x-softmmu")


def test_runners_are_pairs():
    assert parse_runners(("s390x:lpar", "large:big:box")) == {"s390x": "lpar", "large": "big:box"}
    assert parse_runners(()) == {}
    for word in ("s390x", "s390x:", "vax:x"):
        with pytest.raises(OptionError, match="is no pair KIND:TAG"):
            parse_runners((word,))


@pytest.fixture
def fork(tmp_path):
    """A fork whose branch has two commits. Returns a function: git with arguments in it, stripped output."""
    upstream, folder = tmp_path / "upstream", tmp_path / "fork"
    make_repository(upstream, {"configure": ""}, "one")
    git(upstream, "commit", "--quiet", "--allow-empty", "--message=two")
    git(tmp_path, "clone", "--quiet", str(upstream), str(folder))
    git(folder, "checkout", "--quiet", "-b", "topic")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=three")
    git(upstream, "commit", "--quiet", "--allow-empty", "--message=later")
    return functools.partial(git, folder)


def run_script(made, job, folder, **variables):
    """Run the script of a job with a harness that prints its words. Return them."""
    write_program(folder / "build" / "qemu-harness-venv" / "bin" / "qemu-harness", 'printf "%s\\n" "$@"')
    script = "\n".join(made[job]["script"])
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "HOME": str(folder.parent),
            "CI_PROJECT_DIR": str(folder),
            "CI_DEFAULT_BRANCH": "master",
            **variables,
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout.splitlines()


def test_commits_since_the_merge_base_are_validated(fork, tmp_path):
    made, folder = gitlab_fork("x", RUNNERS), tmp_path / "fork"
    base = fork("rev-parse", "HEAD~1")
    for job, options in (
        ("qemu-harness-read", ["validate", "-Dbisect=none"]),
        (
            "qemu-harness-build",
            ["validate", "-Dbisect=each", "-Dcoverage=true", "-Dtrust-base=true", "-Dmatrix=none"],
        ),
        ("teardown-large", ["teardown", "-Dgate=.gitlab-ci.d/qemu-harness-gates.toml", "-Dpreset=full"]),
    ):
        stage, *rest = options
        series = [f"-Dsource={folder}", f"-Dseries={base}..HEAD"]
        assert run_script(made, job, folder) == [stage, *series, *rest]
    asked = run_script(made, "qemu-harness-read", folder, CI_MERGE_REQUEST_DIFF_BASE_SHA="abc")
    assert "-Dseries=abc..HEAD" in asked
    entries = (tmp_path / ".gitconfig").read_text().count("directory = ")
    assert entries == 1, "a runner that is used again gets no further ones"
    fork("reset", "--quiet", "--hard", base)
    assert run_script(made, "qemu-harness-read", folder) == ["no commits to validate"]


def test_file_is_written_into_a_clone_only(fork, tmp_path):
    path = write_fork(tmp_path / "fork", "wheel.whl", {"large": "box"})
    assert path == tmp_path / "fork" / ".gitlab-ci.d" / "qemu-harness.yml"
    assert yaml.safe_load(path.read_text()) == gitlab_fork("wheel.whl", {"large": "box"})
    gates = read_gates(".gitlab-ci.d/qemu-harness-gates.toml", tmp_path / "fork").gate
    assert [(one.latency, one.reference, one.verdicts) for one in gates] == [
        (latency, "pristine+option", ("better", "same")) for latency in ("exit", "reclaim")
    ]
    with pytest.raises(OptionError, match="is no clone of QEMU"):
        write_fork(tmp_path, "x", {})
