"""State of the walk over the commits of a series, shared by what builds, tests and measures them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.bisect.compiled import Changed
from harness.bisect.conditions import Added
from harness.bisect.diagnostics import Diagnostic
from harness.bisect.manual import Manual
from harness.bisect.qtests import Failure
from harness.bisect.rust import NOT_BUILT, RustCheck
from harness.bisect.suites import QemuTest
from harness.bisect.vmstate import Streams
from harness.build import Build
from harness.build.plan import Extra, folder_name
from harness.check import CommitBuild, Finding, Judged, TestProof, TestRow
from harness.check.building import WARNING
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.sandbox import Sandbox
from harness.tree import Tree


def commit_words(number: int) -> str:
    """Return the name of a commit for messages; 0 is the base."""
    return f"patch {number}" if number else "the base"


@dataclass(kw_only=True)
class Walk:
    """State of the walk over the commits for one host and one compiler."""

    judged: Judged
    tree: Tree
    options: Options
    layout: Layout
    reporter: Reporter
    sandbox: Sandbox
    host: str
    extra: Extra
    last: str = ""
    """The last commit that is built."""
    usual: tuple[str, ...] = ()
    """What a commit is built for that has none of the chosen targets."""
    tested: bool
    """Whether the tests are run."""
    changed: Changed
    trusts_base: bool = False
    rows: list[CommitBuild] = field(default_factory=list)
    tests: list[TestRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    manual: Manual | None = None
    """Manual of the base."""
    manual_lacks: str = "the last commit was not built on this machine"
    """Why the manual was not compared; empty if it was."""
    rust: RustCheck | None = None
    """What clippy and rustfmt say about the base."""
    streams: Streams | None = None
    """What is compared of the migration stream; None if it is not."""
    unchecked: tuple[str, ...] = (NOT_BUILT,)
    """Why Rust code was not checked."""
    listed: tuple[QemuTest, ...] = ()
    """Every test of the commit that was tested last."""
    added: dict[str, Added] = field(default_factory=dict)
    """Added lines below conditions; every walk shares it."""
    built: Build | None = None
    """Build of the last commit; None if it failed."""
    proofs: tuple[TestProof, ...] = ()
    unsteady: set[str] = field(default_factory=set)
    """Tests that have failed once on the base, and then passed."""
    broken: dict[Failure, int] = field(default_factory=dict)
    """What fails of the tests, and the patch that each is attributed to."""

    @property
    def label(self) -> str:
        return f"validate-{self.judged.input.name}"

    @property
    def folder(self) -> Path:
        """The build folder."""
        root = self.layout.build_root(self.tree.name, self.label)
        return root / folder_name(self.host, self.options.profile, self.extra.compiler)

    @property
    def tolerates_warnings(self) -> bool:
        """Whether the base may build with warnings, which therefore have to be known."""
        lenient = "--disable-werror" in self.extra.switches or self.options.profile == "sanitize"
        return lenient or self.options.rust

    @property
    def where(self) -> str:
        """Host, and the compiler if it is another one than usual, for messages."""
        return self.host if self.extra.compiler == "gcc" else f"{self.host}, {self.extra.compiler}"

    def log(self, patch: int, what: str) -> Path:
        return self.layout.logs / f"{self.tree.name}-{self.label}-{self.host}-{patch:02}-{what}.log"

    def warn(self, number: int, diagnostics: Iterable[Diagnostic]) -> None:
        """Record each warning; one that no earlier commit had becomes a finding, except on the base."""
        for one in diagnostics:
            if one.is_warning and one.key not in self.seen and number:
                switch = f" [-W{one.switch}]" if one.switch else ""
                self.findings.append(
                    WARNING.finding(
                        f"{one.text}{switch} ({self.where})", patch=number, file=one.file, line=one.line
                    )
                )
            if one.is_warning:
                self.seen.add(one.key)
