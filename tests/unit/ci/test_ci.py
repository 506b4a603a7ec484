"""The CI files, compared with the pins and with the forges' schemas."""

import json
import re

import jsonschema
import msgspec
import pytest
import yaml

from harness.ci.base import IMAGE, PACKAGES, PREPARE, gitlab_template
from harness.ci.render import FORGES, CommitJob, github, gitlab, jobs_of, render, render_commits
from harness.layout import find_layout
from harness.options import declared_options, parse_options
from harness.source.pin import load_pins
from tests.unit.defaults import ROOT
from tests.unit.schemas import validate

SCHEMAS = {"gitlab": "https://gitlab.com/.gitlab-ci.yml", "github": "workflow-syntax-for-github-actions"}
JOBS = jobs_of(load_pins(find_layout(ROOT)).values())


@pytest.mark.parametrize("forge", FORGES)
def test_configuration_files_match_the_pins(forge):
    text = (ROOT / FORGES[forge]).read_text(encoding="utf-8")
    assert text == render(forge, JOBS), f"run: qemu-harness ci {forge} > {FORGES[forge]}"


@pytest.mark.parametrize("forge", FORGES)
def test_configuration_files_match_the_schemas(forge):
    document = yaml.safe_load(render(forge, JOBS))
    validate(document, SCHEMAS[forge])
    document["jobs" if forge == "github" else "read"] = {"script": 7}
    with pytest.raises(jsonschema.ValidationError):
        validate(document, SCHEMAS[forge])


def test_child_pipeline_has_a_job_for_each_commit():
    commits = [CommitJob(number=n, title=f"util/x: do {n}: this / that") for n in range(1, 12)]
    document = yaml.safe_load(render_commits(commits, "other/series.mbox", "7.2"))
    validate(document, SCHEMAS["gitlab"])
    assert document["variables"]["SERIES"] == "other/series.mbox"
    jobs = {name: job for name, job in document.items() if "extends" in job}
    assert next(iter(jobs)) == "01 of 11: util/x: do 1: this / that"
    for number, job in enumerate(jobs.values(), start=1):
        words = [word for word in job["script"][0].split() if word.startswith("-Dpatches")]
        assert words == [f"-Dpatches={number}"]
        parse_options(find_layout(ROOT), words)
    parent = gitlab(JOBS)
    cache = document[".validate"]["cache"]
    assert cache["key"] in {re.sub("[^0-9a-z]", "-", name) for name in parent}, "slugs of the parent's jobs"
    assert cache["policy"] == "pull"
    assert cache["paths"] == parent[".validate"]["cache"]["paths"]
    assert parent["each commit"]["inherit"] == {"variables": False}, "SERIES is that of the child"
    trigger = parent["each commit"]["trigger"]["include"][0]
    assert trigger["artifact"] in parent[trigger["job"]]["artifacts"]["paths"]
    assert parent[trigger["job"]]["script"][0].endswith(f"> {trigger['artifact']}")


def test_series_decides_what_a_job_builds():
    for job in JOBS:
        assert "-Dtargets" not in job.command
        for rule in ("build-not-compiled", "lines-not-compiled"):
            assert (rule in job.command) == (job.host != "native"), "the native job reports it"
    validate = github(JOBS)["jobs"]["validate"]
    assert "-Dtargets" not in str(validate)
    cells = validate["strategy"]["matrix"]["include"]
    assert [cell["options"] for cell in cells] == [job.options for job in JOBS]


def test_matrix_has_a_job_for_each_pin_and_host():
    pins = load_pins(find_layout(ROOT))
    assert {job.pin for job in JOBS} == {"7.2", "10.0", "10.2"}
    verified = [msgspec.structs.replace(pin, unverified="") for pin in pins.values()]
    assert {job.pin for job in jobs_of(verified)} == set(pins) - {"5.2"}
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert job.name in gitlab(JOBS)
    assert len(github(JOBS)["jobs"]["validate"]["strategy"]["matrix"]["include"]) == len(JOBS)


def test_jobs_use_existing_options():
    layout = find_layout(ROOT)
    declared = declared_options(layout)
    for job in JOBS:
        words = [word for word in job.command.split() if word.startswith("-D")]
        assert {word[2:].partition("=")[0] for word in words} <= set(declared)
        parse_options(layout, words)


def test_container_has_what_the_pipelines_prepare():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installed = re.search(r"--no-install-recommends (.*?) &&", text)
    assert installed[1].split() == PACKAGES.split()
    assert f"ARG BASE={IMAGE}\n" in text
    for line in PREPARE[2:]:
        assert line.partition("|| ")[2] in text
    commands = re.findall(r"qemu-harness(?: -s (\w+))?$", text, re.MULTILINE)
    assert commands[-2:] == ["", "tests"]
    assert json.loads(text.rpartition("CMD ")[2]) == ["-s", "teardown"]


def test_pipelines_take_another_image_and_skip_what_it_has():
    assert gitlab_template("build")["image"] == "$QEMU_HARNESS_IMAGE"
    assert all(line.startswith("test -x /opt/nox/bin/nox || ") for line in PREPARE)
