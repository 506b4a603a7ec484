"""Maintain a series as patch files and as commits of a branch that a developer edits with git.

Input is the folder of a series and a Tree. Output is a worktree with a branch, patch files written from its
commits, versions in ``history/``, and the review tags of replies. Only tags from a reply are ever added.
"""

from harness.authoring.branch import Workspace, base_of, find_workspace, unsaved
from harness.authoring.create import import_series, new_series, refuse_existing
from harness.authoring.history import reroll
from harness.authoring.refresh import refresh
from harness.authoring.split import split
from harness.authoring.status import Status, read_status
from harness.authoring.tags import apply_tags, collect

__all__ = [
    "Status",
    "Workspace",
    "apply_tags",
    "base_of",
    "collect",
    "find_workspace",
    "import_series",
    "new_series",
    "read_status",
    "refresh",
    "refuse_existing",
    "reroll",
    "split",
    "unsaved",
]
