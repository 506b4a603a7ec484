"""Maintain a series as patch files and as commits of a branch that a developer edits with git.

Input is the folder of a series and a Tree. Output is a worktree with a branch, patch files written from its
commits, versions in ``history/``, and the review tags of replies. Only tags from a reply are ever added.
"""

from harness.authoring.branch import Workspace, base_of, find_workspace, unsaved, workspace_path
from harness.authoring.create import Created, import_series, new_series, refuse_existing
from harness.authoring.history import previous_version, reroll, versions
from harness.authoring.refresh import Refreshed, refresh
from harness.authoring.split import split
from harness.authoring.status import PatchStatus, Status, read_status
from harness.authoring.tags import ReviewTag, apply_tags, collect, stale_tags

__all__ = [
    "Created",
    "PatchStatus",
    "Refreshed",
    "ReviewTag",
    "Status",
    "Workspace",
    "apply_tags",
    "base_of",
    "collect",
    "find_workspace",
    "import_series",
    "new_series",
    "previous_version",
    "read_status",
    "refresh",
    "refuse_existing",
    "reroll",
    "split",
    "stale_tags",
    "unsaved",
    "versions",
    "workspace_path",
]
