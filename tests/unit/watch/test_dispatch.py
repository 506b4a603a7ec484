"""Pipelines of GitLab, against a stand-in of the few calls of its API that are used."""

import dataclasses
import json
import os
import subprocess
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from harness.ci.fork import PACKAGE, RESULTS, SERIES, WATCH_JOB, gitlab_fork
from harness.errors import FetchError, MissingError, OptionError
from harness.series import read_input
from harness.validate.run import series_facts
from harness.watch.dispatch import GitLab
from harness.watch.inbox import Batch, Cursor
from harness.watch.intake import take
from harness.watch.loop import Plan, next_version, watch
from harness.watch.sections import Choice
from harness.watch.store import Store
from harness.watch.work import prepare
from tests.unit.validate.test_outputs import results
from tests.unit.watch.children import make_worker
from tests.unit.watch.inboxes import make_clone, series, write_maildir
from tests.unit.web import serving

pytest.importorskip("gitlab")


class Project:
    """A project. ``status`` is that of all its pipelines; requests with ``broken`` in them fail."""

    def __init__(self):
        self.uploads = {}
        self.pipelines = []
        self.status = "running"
        self.results = b""
        self.broken = ""

    def answer(self, request, body):
        path = unquote(urlsplit(request.path).path).removeprefix("/api/v4")
        words = path.split("/")
        if self.broken and self.broken in f"{request.command} {path}":
            return 403, {"message": "out of order"}
        if request.headers.get("PRIVATE-TOKEN") != "secret":
            return 401, {"message": "401 Unauthorized"}
        if path == "/projects/people/qemu":
            return 200, {"id": 7, "default_branch": "master"}
        if words[3:5] == ["packages", "generic"]:
            self.uploads["/".join(words[5:])] = body
            return 201, {"message": "201 Created"}
        if request.command == "POST" and words[3] == "pipeline":
            number = len(self.pipelines) + 1
            made = {
                **json.loads(body),
                "id": number,
                "web_url": f"{self.url}/people/qemu/-/pipelines/{number}",
            }
            self.pipelines.append(made)
            return 201, self.shown(made)
        if words[3] == "pipelines" and len(words) == 4:
            assert parse_qs(urlsplit(request.path).query)["ref"] == ["master"]
            return 200, [self.shown(one) for one in self.pipelines]
        if words[3] == "pipelines" and words[5:] == ["variables"]:
            return 200, self.pipelines[int(words[4]) - 1]["variables"]
        if words[3] == "pipelines" and words[5:] == ["jobs"]:
            return 200, [{"id": 1, "name": "other"}, {"id": 10 + int(words[4]), "name": WATCH_JOB}]
        if words[3] == "pipelines":
            return 200, self.shown(self.pipelines[int(words[4]) - 1])
        if words[3] == "jobs" and len(words) == 5:
            return 200, {"id": int(words[4])}
        if words[3] == "jobs" and "/".join(words[5:]) == f"artifacts/{RESULTS}" and self.results:
            return 200, self.results
        return 404, {"message": f"404 {request.command} {path}"}

    def shown(self, pipeline):
        facts = {name: pipeline[name] for name in ("id", "web_url", "ref")}
        return {**facts, "status": self.status, "duration": 61}


@pytest.fixture
def server(monkeypatch):
    project = Project()
    with serving(project.answer, "HTTP/1.1") as project.url:
        monkeypatch.setenv("GITLAB_URL", project.url)
        monkeypatch.setenv("GITLAB_PRIVATE_TOKEN", "secret")
        yield project


@pytest.fixture
def worker(layout, tmp_path):
    clone = make_clone(tmp_path / "qemu")
    with Store(tmp_path / "watch" / "watch.sqlite") as store:
        worker = make_worker(store, layout, clone)
        take(store, "inbox", Batch(mails=tuple(series(1, 2)), cursor=Cursor()), Choice())
        yield dataclasses.replace(worker, words=("-Dbisect=ends", "-Dmatrix=7.2,10.0"))


def start(worker, gitlab):
    job = prepare(worker, next_version(worker.store) or 0)
    assert job is not None
    gitlab.start(job)
    return worker.store.rows("SELECT * FROM run")[-1]


def judged(worker, server, layout, **changes):
    """End the pipelines with the results of the uploaded series."""
    (name,) = server.uploads
    file = layout.root / "x.mbox"
    file.write_bytes(server.uploads[name])
    made = msgspec.structs.replace(
        results(), series=series_facts(read_input(layout, str(file)), None), **changes
    )
    server.results, server.status = msgspec.json.encode(made), "failed"


def state(worker):
    (row,) = worker.store.all_series()
    return row.state, row.reason


def test_pipeline_judges_a_series(worker, server, layout):
    gitlab = GitLab(worker, "people/qemu")
    run = start(worker, gitlab)
    assert run["place"].endswith("/pipelines/1")
    (made,) = server.pipelines
    variables = {one["key"]: one["value"] for one in made["variables"]}
    assert variables == {
        "QEMU_HARNESS_SERIES": run["sha256"],
        "QEMU_HARNESS_BASE": run["base"][:40],
        "QEMU_HARNESS_OPTIONS": "-Dbisect=ends -Dmatrix=7.2,10.0",
    }
    assert list(server.uploads) == [f"{PACKAGE}/{run['sha256']}/series.mbox"]
    gitlab.collect()
    assert state(worker) == ("running", "")
    judged(worker, server, layout)
    gitlab.collect()
    assert state(worker) == ("done", "")
    (row,) = worker.store.all_series()
    assert (row.verdict, row.seconds) == ("findings", 61)
    gitlab.collect()
    assert next_version(worker.store) is None


def test_pipeline_without_results_is_a_failure_of_the_harness(worker, server):
    gitlab = GitLab(worker, "people/qemu")
    start(worker, gitlab)
    server.status = "canceled"
    gitlab.collect()
    assert state(worker) == ("failed", "the pipeline ended as canceled, without results")


@pytest.mark.parametrize("broken", ["POST /projects/7/pipeline", "PUT /projects/7/packages"])
def test_pipeline_that_was_not_started_is_started_again(worker, server, broken):
    gitlab = GitLab(worker, "people/qemu")
    server.broken = broken
    with pytest.raises(FetchError, match="GitLab refuses a request: 403"):
        start(worker, gitlab)
    server.broken = ""
    gitlab.collect()
    assert state(worker) == ("queued", "")
    assert worker.store.rows("SELECT * FROM run") == []


def test_pipeline_that_a_killed_watch_started_is_found(worker, server):
    gitlab = GitLab(worker, "people/qemu")
    run = start(worker, gitlab)
    worker.store.update("run", run["id"], place="gitlab")
    gitlab.collect()
    assert state(worker) == ("running", "")
    assert worker.store.one("SELECT place FROM run").endswith("/pipelines/1")
    assert len(server.pipelines) == 1


def test_series_that_changed_meanwhile_is_judged_again(worker, server, layout):
    gitlab = GitLab(worker, "people/qemu")
    start(worker, gitlab)
    judged(worker, server, layout)
    late = series(1, 2)[2].replace(b"number 2", b"number two")
    take(worker.store, "inbox", Batch(mails=(late,), cursor=Cursor()), Choice())
    if worker.store.one("SELECT sha256 FROM version") == worker.store.one("SELECT sha256 FROM run"):
        worker.store.rows("UPDATE version SET sha256 = 'other'")
    gitlab.collect()
    assert state(worker)[0] in ("queued", "refused")


def test_watch_starts_pipelines_and_takes_results_the_next_time(worker, server, layout, tmp_path):
    plan = Plan(inboxes=(write_maildir(tmp_path / "inbox", series(1, 2)),), choice=Choice(), once=True)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert (state(worker)[0], len(server.pipelines)) == ("running", 1)
    judged(worker, server, layout)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert (state(worker)[0], len(server.pipelines)) == ("done", 1)


def test_no_more_pipelines_than_the_limit(worker, server, monkeypatch, tmp_path):
    monkeypatch.setattr("harness.watch.dispatch.AT_ONCE", 2)
    mails = [mail for at in range(2, 6) for mail in series(at, 1)]
    plan = Plan(inboxes=(write_maildir(tmp_path / "inbox", mails),), choice=Choice(), once=True)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert len(server.pipelines) == 2


def test_wrong_token_and_project_are_errors(worker, server, monkeypatch):
    with pytest.raises(OptionError, match="needs a project"):
        GitLab(worker, "")
    with pytest.raises(OptionError, match="cannot be passed to a shell"):
        GitLab(dataclasses.replace(worker, words=("-Dmatrix=['a', 'b']",)), "people/qemu")
    with pytest.raises(FetchError, match="404"):
        GitLab(worker, "no/such")
    monkeypatch.setenv("GITLAB_PRIVATE_TOKEN", "wrong")
    with pytest.raises(FetchError, match="401"):
        GitLab(worker, "people/qemu")
    monkeypatch.setitem(__import__("sys").modules, "gitlab", None)
    with pytest.raises(MissingError, match="needs python-gitlab"):
        GitLab(worker, "people/qemu")


def test_job_of_the_fork_downloads_what_the_watch_uploaded(server, tmp_path):
    """Its command is run, against a stand-in that serves any path."""
    made = gitlab_fork("x", {})
    assert made[WATCH_JOB]["rules"] == [{"if": f"${SERIES}"}]
    assert made[".qemu-harness"]["rules"][0] == {"if": f"${SERIES}", "when": "never"}
    asked = []

    def answer(request, _):
        asked.append((request.path, request.headers.get("JOB-TOKEN")))
        return 200, b"From mails"

    with serving(answer) as address:
        variables = {"CI_API_V4_URL": address, "CI_PROJECT_ID": "7", "CI_JOB_TOKEN": "job", SERIES: "0" * 64}
        command = made[WATCH_JOB]["script"][1]
        subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**os.environ, **variables}, check=True)
    assert (tmp_path / "series.mbox").read_bytes() == b"From mails"
    assert asked == [(f"/projects/7/packages/generic/{PACKAGE}/{'0' * 64}/series.mbox", "job")]
