"""CI stage: pins and hosts → ``.gitlab-ci.yml`` and a GitHub workflow.

Input is the pins that can be built, output is YAML. Every job runs the same ``validate`` as a user does.
"""

from harness.ci.base import parse_runners
from harness.ci.fork import gitlab_fork, write_fork
from harness.ci.render import (
    FORGES,
    CiJob,
    CommitJob,
    github,
    gitlab,
    gitlab_commits,
    jobs_of,
    render,
    render_commits,
)

__all__ = [
    "FORGES",
    "CiJob",
    "CommitJob",
    "github",
    "gitlab",
    "gitlab_commits",
    "gitlab_fork",
    "jobs_of",
    "parse_runners",
    "render",
    "render_commits",
    "write_fork",
]
