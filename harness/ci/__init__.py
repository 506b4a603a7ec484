"""The matrix of pins, targets and hosts → what a forge's CI reads: ``.gitlab-ci.yml`` and a GitHub workflow.

Takes the pins that can be built; gives YAML. Every job runs the same ``validate`` that people run.
"""

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
    "jobs_of",
    "render",
    "render_commits",
]
