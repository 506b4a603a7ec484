"""Judge series by pipelines of a GitLab project, which has the configuration of `ci gitlab --into`.

The mails of a version are uploaded as a generic package, whose version is their digest; the pipeline gets
that digest and the base as variables. The results are an artifact of its job.
"""

import contextlib
import datetime
import os
import re
from collections.abc import Iterator
from typing import Any

from harness.ci.fork import BASE, MAILS, OPTIONS, PACKAGE, RESULTS, SERIES, WATCH_JOB
from harness.errors import FetchError, MissingError, OptionError
from harness.watch.work import Job, Outcome, Worker, drop, resume

AT_ONCE = 20
"""Pipelines that are started before one of them ends. A version that is replaced meanwhile costs one."""
_ASKED = "gitlab"
"""Place of a run whose pipeline is about to be started."""
_ENDED = ("success", "failed", "canceled", "skipped")


class GitLab:
    """Pipelines of ``project`` on its branch ``ref``; the default branch if that is empty."""

    def __init__(self, worker: Worker, project: str, ref: str = "") -> None:
        """Connect. Raises MissingError, OptionError, FetchError."""
        try:
            import gitlab  # noqa: PLC0415 - not a dependency: few need it
            import requests  # noqa: PLC0415
        except ImportError as error:
            raise MissingError(
                "--dispatch gitlab needs python-gitlab", "run: pip install python-gitlab"
            ) from error
        if not project:
            raise OptionError("--dispatch gitlab needs a project", "name it: --project GROUP/PROJECT")
        if any(set(word) & set(" \t*?[\\") for word in worker.words):
            raise OptionError(
                f"--dispatch gitlab: {' '.join(worker.words)!r} cannot be passed to a shell of a pipeline",
                "write lists as a,b, without blanks",
            )
        self._failures = (gitlab.GitlabError, requests.RequestException)
        self._worker, self._store = worker, worker.store
        url = os.environ.get("GITLAB_URL") or os.environ.get("CI_SERVER_URL") or "https://gitlab.com"
        server = gitlab.Gitlab(url, private_token=os.environ.get("GITLAB_PRIVATE_TOKEN"), timeout=60)
        with self._errors():
            self._project = server.projects.get(project)
        self._ref = ref or self._project.default_branch

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            cause = " ".join(str(error).split())[:300]
            raise FetchError(
                f"GitLab refuses a request: {cause}",
                "check GITLAB_URL, GITLAB_PRIVATE_TOKEN (scope api) and --project, and run again",
            ) from error

    @property
    def room(self) -> bool:
        """Whether another pipeline may be started."""
        running = self._store.one("SELECT count(*) FROM run WHERE state = 'running'")
        return bool(running < AT_ONCE)

    def start(self, job: Job) -> None:
        """Start a pipeline for ``job``. Raises FetchError; ``collect`` then finds out whether it runs."""
        run = self._store.start_run(job.version, job.sha256, f"{job.commit} ({job.why})", _ASKED)
        with self._errors():
            self._project.generic_packages.upload(
                package_name=PACKAGE, package_version=job.sha256, file_name=MAILS, path=str(job.file)
            )
            values = {SERIES: job.sha256, BASE: job.commit, OPTIONS: " ".join(self._worker.words)}
            variables = [{"key": key, "value": value} for key, value in values.items() if value]
            made = self._project.pipelines.create({"ref": self._ref, "variables": variables})
        self._store.update("run", run, place=made.web_url)

    def collect(self) -> None:
        """Take the results of the pipelines that have ended. Raises FetchError."""
        for row in self._store.rows("SELECT * FROM run WHERE state = 'running' AND place != '' ORDER BY id"):
            with self._errors():
                pipeline = self._pipeline(row)
                if pipeline is None:  # killed before it was started
                    drop(self._store, row)
                    continue
                outcome = self._outcome(pipeline) if pipeline.status in _ENDED else None
            if outcome is not None:
                resume(self._worker, row, outcome)

    def _pipeline(self, row: Any) -> Any:
        """Return the pipeline of a run; None if none was started."""
        if row["place"] != _ASKED:
            return self._project.pipelines.get(int(re.findall(r"\d+", row["place"])[-1]))
        began = datetime.datetime.fromisoformat(row["started"]) - datetime.timedelta(minutes=5)
        asked = {"ref": self._ref, "updated_after": began.isoformat()}
        for one in self._project.pipelines.list(query_parameters=asked, iterator=True):
            values = {each.key: each.value for each in one.variables.list(get_all=True)}
            if values.get(SERIES) == row["sha256"]:
                self._store.update("run", row["id"], place=one.web_url)
                return one
        return None

    def _outcome(self, pipeline: Any) -> Outcome:
        seconds = float(pipeline.duration or 0)
        for job in pipeline.jobs.list(iterator=True):
            if job.name == WATCH_JOB:
                with contextlib.suppress(*self._failures):
                    data = self._project.jobs.get(job.id).artifact(RESULTS)
                    return Outcome(results=bytes(data), seconds=seconds)
        return Outcome(reason=f"the pipeline ended as {pipeline.status}, without results", seconds=seconds)
