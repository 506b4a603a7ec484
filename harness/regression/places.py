"""Check commits out and build them, for a bisection."""

from dataclasses import dataclass
from pathlib import Path

from harness.bench import Subject
from harness.build import build
from harness.build.doctor import ensure
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.regression.measure import Place
from harness.tree import Tree, checkout_commit


@dataclass(kw_only=True)
class Places:
    """Builds of commits of ``tree``, in a folder for each name: good, bad and candidate.

    A folder keeps its objects from commit to commit, and all share the compiler cache.
    """

    layout: Layout
    options: Options
    tree: Tree
    reporter: Reporter
    ready: bool = False

    def build(self, name: str, commit: str) -> Place:
        """Build ``commit``. Raises the errors of checkout_commit, ensure and build."""
        layout, options, reporter = self.layout, self.options, self.reporter
        if not self.ready:
            ensure(layout, options, reporter)
            self.ready = True
        label = f"bisect-{'good' if name == 'good' else 'candidate'}"
        checkout = checkout_commit(self.tree, label, commit, layout, reporter, variant=name)
        built = build(checkout, options, layout, reporter)
        binary = built.binary(options.targets[0])
        subject = Subject(
            variant=name, target=options.targets[0], path=str(binary.file), sha256=binary.sha256
        )
        return Place(name=name, source=checkout.path, build=Path(binary.file).parent, subject=subject)
