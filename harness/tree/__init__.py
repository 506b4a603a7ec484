"""Convert a source into a git repository with a commit for each variant, and check variants out (stage two).

The input is a Source, and a Series for ``patched``; the output is a Tree and Checkouts. No code of a source
or a patch is run, and neither can write outside of its tree.
"""

from harness.tree.apply import Applied, apply_series
from harness.tree.checkout import Checkout, checkout, checkout_commit
from harness.tree.facts import Facts, teardown_arguments
from harness.tree.tree import Tree, import_source, start_of

__all__ = [
    "Applied",
    "Checkout",
    "Facts",
    "Tree",
    "apply_series",
    "checkout",
    "checkout_commit",
    "import_source",
    "start_of",
    "teardown_arguments",
]
