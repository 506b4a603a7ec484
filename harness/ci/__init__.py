"""The matrix of pins, targets and hosts → what a forge's CI reads: ``.gitlab-ci.yml`` and a GitHub workflow.

Takes the pins that can be built; gives YAML. Every job runs the same ``nox -s validate`` that people run.
"""

from harness.ci.render import FORGES, Job, github, gitlab, jobs_of, render

__all__ = ["FORGES", "Job", "github", "gitlab", "jobs_of", "render"]
