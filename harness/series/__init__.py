"""Read a patch series: a folder of ``NNNN-*.patch`` with a ``series.toml``.

Takes a folder's name or path; gives a Series with its patches in order. Knows nothing of trees.
"""

from harness.series.patch import FileChange, Hunk, Patch, PatchFormatError, scan_changes
from harness.series.series import Series, load_series

__all__ = ["FileChange", "Hunk", "Patch", "PatchFormatError", "Series", "load_series", "scan_changes"]
