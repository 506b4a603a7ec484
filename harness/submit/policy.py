"""QEMU's policy on the origin of contributions: the text of a tree, or a quotation of upstream's text.

Releases before 10.1 have no such text, but the current project has one. The text comes from the tree that the
series is based on, else from another tree of this checkout, else from the quotation.
"""

import hashlib
import re
from dataclasses import dataclass

from harness.check.provenance import policy_quote
from harness.check.subject import POLICY
from harness.layout import Layout
from harness.tree import Tree
from harness.tree.git import Git

UPSTREAM = 'QEMU\'s docs/devel/code-provenance.rst of 2025, "Use of AI-generated content", quoted'
QUOTED = (
    "Current QEMU project policy is to DECLINE any contributions which are believed to include or derive\n"
    "from AI generated content. This includes ChatGPT, Claude, Copilot, Llama and similar tools.\n"
    "\n"
    "This policy does not apply to other uses of AI, such as researching APIs or algorithms, static\n"
    "analysis, or debugging, provided their output is not included in contributions.\n"
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The policy. ``sha256`` is the digest of the whole ``text``."""

    text: str
    source: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def quote(self) -> tuple[str, ...]:
        """The sentences that decline generated code."""
        return policy_quote(self.text)


def find_policy(tree: Tree, layout: Layout) -> Policy:
    """Return the policy of ``tree``, else of the newest other tree of this checkout with one, else QUOTED."""
    places = [(tree.name, Git(repository=tree.path), tree.pristine)]
    if layout.trees.is_dir():
        others = [path for path in layout.trees.iterdir() if path.is_dir() and path != tree.path]
        others.sort(key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)], reverse=True)
        places += [(path.name, Git(repository=path), "refs/tags/pristine") for path in others]
    for name, git, commit in places:
        if text := git.blob(f"{commit}:{POLICY}"):
            return Policy(text=text, source=f"{POLICY} of the tree {name}")
    return Policy(text=QUOTED, source=UPSTREAM)
