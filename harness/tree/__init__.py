"""Stage two: bytes → a git repository with the commits of each variant → files to build from.

Takes a Source, and a Series for ``patched``; gives a Tree and Checkouts. Nothing of a source or a patch is
ever run, and neither can write outside of its tree.
"""

from harness.tree.apply import Applied, apply_series
from harness.tree.checkout import Checkout, checkout, checkout_commit
from harness.tree.tree import Tree, import_source

__all__ = ["Applied", "Checkout", "Tree", "apply_series", "checkout", "checkout_commit", "import_source"]
