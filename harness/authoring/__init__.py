"""Keep a series: patch files ↔ commits of a branch that a developer edits with git.

Takes a series' folder and a Tree; gives a worktree with a branch, patch files written back from it, versions
in ``history/``, and review tags out of replies. Nothing of it adds a tag that nobody gave.
"""

from harness.authoring.branch import Workspace, find_workspace, start_of, unsaved, workspace_path
from harness.authoring.create import Made, import_series, new_series, refuse_existing
from harness.authoring.history import previous_version, reroll, versions
from harness.authoring.refresh import Refreshed, refresh
from harness.authoring.split import split
from harness.authoring.status import PatchStatus, Status, look
from harness.authoring.tags import Found, apply_tags, collect, stale_tags

__all__ = [
    "Found",
    "Made",
    "PatchStatus",
    "Refreshed",
    "Status",
    "Workspace",
    "apply_tags",
    "collect",
    "find_workspace",
    "import_series",
    "look",
    "new_series",
    "previous_version",
    "refresh",
    "refuse_existing",
    "reroll",
    "split",
    "stale_tags",
    "start_of",
    "unsaved",
    "versions",
    "workspace_path",
]
