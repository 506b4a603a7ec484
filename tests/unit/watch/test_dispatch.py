"""Pipelines of GitLab, against a stand-in of the few calls of its API that are used."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from harness.ci.fork import PACKAGE, RESULTS, SERIES, WATCH_JOB, gitlab_fork
from harness.errors import FetchError, MissingError, OptionError
from harness.layout import Layout
from harness.series import read_input
from harness.validate.run import series_facts
from harness.watch.dispatch import GitLab
from harness.watch.inbox import Batch, Cursor
from harness.watch.intake import take
from harness.watch.loop import Plan, next_version, watch
from harness.watch.sections import Choice
from harness.watch.store import Store
from harness.watch.work import Worker, prepare
from tests.unit.validate.test_outputs import results
from tests.unit.watch.children import make_worker
from tests.unit.watch.inboxes import make_clone, series, write_maildir

pytest.importorskip("gitlab")


class Server(http.server.ThreadingHTTPServer):
    """A project. ``status`` is that of all its pipelines; requests with ``broken`` in them fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.uploads: dict[str, bytes] = {}
        self.pipelines: list[dict[str, Any]] = []
        self.status = "running"
        self.results = b""
        self.broken = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, value: Any, code: int = 200) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/octet-stream" if value is data else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_all(self) -> None:
        server, path = self.server, unquote(urlsplit(self.path).path).removeprefix("/api/v4")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        words = path.split("/")
        if server.broken and server.broken in f"{self.command} {path}":
            self.answer({"message": "out of order"}, 403)
        elif self.headers.get("PRIVATE-TOKEN") != "secret":
            self.answer({"message": "401 Unauthorized"}, 401)
        elif path == "/projects/people/qemu":
            self.answer({"id": 7, "default_branch": "master"})
        elif words[3:5] == ["packages", "generic"]:
            server.uploads["/".join(words[5:])] = body
            self.answer({"message": "201 Created"}, 201)
        elif self.command == "POST" and words[3] == "pipeline":
            number = len(server.pipelines) + 1
            made = {
                **json.loads(body),
                "id": number,
                "web_url": f"{server.url}/people/qemu/-/pipelines/{number}",
            }
            server.pipelines.append(made)
            self.answer(self.shown(made), 201)
        elif words[3] == "pipelines" and len(words) == 4:
            assert parse_qs(urlsplit(self.path).query)["ref"] == ["master"]
            self.answer([self.shown(one) for one in server.pipelines])
        elif words[3] == "pipelines" and words[5:] == ["variables"]:
            self.answer(server.pipelines[int(words[4]) - 1]["variables"])
        elif words[3] == "pipelines" and words[5:] == ["jobs"]:
            self.answer([{"id": 1, "name": "other"}, {"id": 10 + int(words[4]), "name": WATCH_JOB}])
        elif words[3] == "pipelines":
            self.answer(self.shown(server.pipelines[int(words[4]) - 1]))
        elif words[3] == "jobs" and len(words) == 5:
            self.answer({"id": int(words[4])})
        elif words[3] == "jobs" and words[5] == "artifacts" and "/".join(words[6:]) == RESULTS:
            self.answer(server.results or {"message": "404"}, 200 if server.results else 404)
        else:
            self.answer({"message": f"404 {self.command} {path}"}, 404)

    def shown(self, pipeline: dict[str, Any]) -> dict[str, Any]:
        facts = {name: pipeline[name] for name in ("id", "web_url", "ref")}
        return {**facts, "status": self.server.status, "duration": 61}

    do_GET = do_POST = do_PUT = handle_all  # noqa: N815


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("GITLAB_URL", server.url)
    monkeypatch.setenv("GITLAB_PRIVATE_TOKEN", "secret")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def worker(layout: Layout, tmp_path: Path) -> Iterator[Worker]:
    clone = make_clone(tmp_path / "qemu")
    with Store(tmp_path / "watch" / "watch.sqlite") as store:
        worker = make_worker(store, layout, clone)
        take(store, "inbox", Batch(mails=tuple(series(1, 2)), cursor=Cursor()), Choice())
        yield dataclasses.replace(worker, words=("-Dbisect=ends", "-Dmatrix=7.2,10.0"))


def start(worker: Worker, gitlab: GitLab) -> Any:
    job = prepare(worker, next_version(worker.store) or 0)
    assert job is not None
    gitlab.start(job)
    return worker.store.rows("SELECT * FROM run")[-1]


def judged(worker: Worker, server: Server, layout: Layout, **changes: Any) -> None:
    """End the pipelines with the results of the uploaded series."""
    (name,) = server.uploads
    file = layout.root / "x.mbox"
    file.write_bytes(server.uploads[name])
    made = msgspec.structs.replace(
        results(), series=series_facts(read_input(layout, str(file)), None), **changes
    )
    server.results, server.status = msgspec.json.encode(made), "failed"


def state(worker: Worker) -> tuple[str, str]:
    (row,) = worker.store.all_series()
    return row.state, row.reason


def test_pipeline_judges_a_series(worker: Worker, server: Server, layout: Layout) -> None:
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


def test_pipeline_without_results_is_a_failure_of_the_harness(worker: Worker, server: Server) -> None:
    gitlab = GitLab(worker, "people/qemu")
    start(worker, gitlab)
    server.status = "canceled"
    gitlab.collect()
    assert state(worker) == ("failed", "the pipeline ended as canceled, without results")


@pytest.mark.parametrize("broken", ["POST /projects/7/pipeline", "PUT /projects/7/packages"])
def test_pipeline_that_was_not_started_is_started_again(worker: Worker, server: Server, broken: str) -> None:
    gitlab = GitLab(worker, "people/qemu")
    server.broken = broken
    with pytest.raises(FetchError, match="GitLab refuses a request: 403"):
        start(worker, gitlab)
    server.broken = ""
    gitlab.collect()
    assert state(worker) == ("queued", "")
    assert worker.store.rows("SELECT * FROM run") == []


def test_pipeline_that_a_killed_watch_started_is_found(worker: Worker, server: Server) -> None:
    gitlab = GitLab(worker, "people/qemu")
    run = start(worker, gitlab)
    worker.store.update("run", run["id"], place="gitlab")
    gitlab.collect()
    assert state(worker) == ("running", "")
    assert worker.store.one("SELECT place FROM run").endswith("/pipelines/1")
    assert len(server.pipelines) == 1


def test_series_that_changed_meanwhile_is_judged_again(
    worker: Worker, server: Server, layout: Layout
) -> None:
    gitlab = GitLab(worker, "people/qemu")
    start(worker, gitlab)
    judged(worker, server, layout)
    late = series(1, 2)[2].replace(b"number 2", b"number two")
    take(worker.store, "inbox", Batch(mails=(late,), cursor=Cursor()), Choice())
    if worker.store.one("SELECT sha256 FROM version") == worker.store.one("SELECT sha256 FROM run"):
        worker.store.rows("UPDATE version SET sha256 = 'other'")
    gitlab.collect()
    assert state(worker)[0] in ("queued", "refused")


def test_watch_starts_pipelines_and_takes_results_the_next_time(
    worker: Worker, server: Server, layout: Layout, tmp_path: Path
) -> None:
    plan = Plan(inboxes=(write_maildir(tmp_path / "inbox", series(1, 2)),), choice=Choice(), once=True)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert (state(worker)[0], len(server.pipelines)) == ("running", 1)
    judged(worker, server, layout)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert (state(worker)[0], len(server.pipelines)) == ("done", 1)


def test_no_more_pipelines_than_the_limit(
    worker: Worker, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("harness.watch.dispatch.AT_ONCE", 2)
    mails = [mail for at in range(2, 6) for mail in series(at, 1)]
    plan = Plan(inboxes=(write_maildir(tmp_path / "inbox", mails),), choice=Choice(), once=True)
    watch(worker, plan, lambda: None, GitLab(worker, "people/qemu"))
    assert len(server.pipelines) == 2


def test_wrong_token_and_project_are_errors(
    worker: Worker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_job_of_the_fork_downloads_what_the_watch_uploaded(server: Server, tmp_path: Path) -> None:
    """Its command is run, against a stand-in that serves any path."""
    import os
    import subprocess

    made = gitlab_fork("x", {})
    assert made[WATCH_JOB]["rules"] == [{"if": f"${SERIES}"}]
    assert made[".qemu-harness"]["rules"][0] == {"if": f"${SERIES}", "when": "never"}
    asked: list[tuple[str, str | None]] = []

    class Package(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("JOB-TOKEN")))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"From mails")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Package) as packages:
        thread = threading.Thread(target=packages.handle_request)
        thread.start()
        variables = {
            "CI_API_V4_URL": f"http://127.0.0.1:{packages.server_address[1]}",
            "CI_PROJECT_ID": "7",
            "CI_JOB_TOKEN": "job",
            SERIES: "0" * 64,
        }
        command = made[WATCH_JOB]["script"][1]
        subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**os.environ, **variables}, check=True)
        thread.join()
    assert (tmp_path / "series.mbox").read_bytes() == b"From mails"
    assert asked == [(f"/projects/7/packages/generic/{PACKAGE}/{'0' * 64}/series.mbox", "job")]
