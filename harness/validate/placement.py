"""Findings next to the lines of the diff that they are about, by patch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.check import Finding, ValidateResults
from harness.series.patch import FileChange, PatchFormatError, scan_changes
from harness.validate.gather import gathered

PATCHES = 100
"""Maximum number of patches with findings that a page shows."""
FINDINGS = 100
"""Maximum number of findings of a patch that a page shows."""
WHOLE = 300
"""Number of lines up to which a diff is shown completely; of a longer one, the lines around findings."""
AROUND = 10
LINES = 5000
"""Maximum number of lines of all diffs of a page."""
COLUMNS = 500


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a diff. ``sign`` is its first character, ``@`` for a hunk, ``…`` for lines left out."""

    sign: str
    text: str
    number: int = 0
    """Line of the file after the patch; 0 for a removed line."""
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ShownFile:
    """The diff of a file in pieces: lines, and the findings about the last of them."""

    name: str
    pieces: tuple[tuple[tuple[Line, ...], tuple[Finding, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class ShownPatch:
    """A patch with its findings. ``number`` is 0 for the whole series."""

    number: int
    title: str
    findings: tuple[Finding, ...]
    """Those that are not about a line of ``files``."""
    left_out: int = 0
    """Number of findings that are not shown."""
    files: tuple[ShownFile, ...] = ()
    is_cut: bool = False
    """Whether lines of the diff are not shown."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page shows of the findings."""

    patches: tuple[ShownPatch, ...]
    left_out: int
    """Number of patches with findings that are not shown."""


def place_findings(results: ValidateResults, diffs: Mapping[int, str]) -> Shown:
    """Return the findings of ``results`` by patch, in the diffs of ``diffs`` (by patch number)."""
    by_patch: dict[int, list[Finding]] = defaultdict(list)
    for finding in gathered(results):
        by_patch[finding.patch].append(finding)
    titles = {patch.number: patch.subject for patch in results.series.patches}
    budget = LINES
    shown = []
    numbers = sorted(by_patch)
    for number in numbers[:PATCHES]:
        mine = by_patch[number][:FINDINGS]
        files, rest, is_cut = _placed(mine, diffs.get(number, ""), budget)
        budget -= sum(len(lines) for file in files for lines, _ in file.pieces)
        shown.append(
            ShownPatch(
                number=number,
                title=titles.get(number, "") if number else "The series as a whole",
                findings=tuple(rest),
                left_out=len(by_patch[number]) - len(mine),
                files=files,
                is_cut=is_cut,
            )
        )
    return Shown(patches=tuple(shown), left_out=max(0, len(numbers) - PATCHES))


def _placed(
    findings: Sequence[Finding], diff: str, budget: int
) -> tuple[tuple[ShownFile, ...], list[Finding], bool]:
    """Return the files of ``diff`` with findings, the other findings, and whether lines are left out.

    Without a finding that is about one of its lines, the diff is not shown.
    """
    try:
        changes = scan_changes(diff) if any(one.line for one in findings) else ()
    except PatchFormatError:
        changes = ()
    files = [(change, tuple(_lines(change))) for change in changes]
    rest = [one for one in findings if not _place(one, files)]
    if len(rest) == len(findings):
        return (), rest, False
    is_cut = sum(len(lines) for _, lines in files) > min(WHOLE, budget)
    if is_cut:
        files = [(change, tuple(_around(lines))) for change, lines in files]
        if sum(len(lines) for _, lines in files) > budget:
            return (), list(findings), True
    shown = (ShownFile(name=_name(change), pieces=tuple(_pieces(lines))) for change, lines in files if lines)
    return tuple(shown), rest, is_cut


def _pieces(lines: Sequence[Line]) -> Iterator[tuple[tuple[Line, ...], tuple[Finding, ...]]]:
    start = 0
    for at, line in enumerate(lines, start=1):
        if line.findings or at == len(lines):
            yield tuple(lines[start:at]), tuple(line.findings)
            start = at


def _lines(change: FileChange) -> Iterator[Line]:
    for hunk in change.hunks:
        yield Line(sign="@", text=hunk.header[:COLUMNS])
        number = hunk.new_start
        for line in hunk.lines:
            is_new = line[0] != "-"
            yield Line(sign=line[0], text=_cut(line[1:]), number=number if is_new else 0)
            number += is_new


def _cut(text: str) -> str:
    return text if len(text) <= COLUMNS else f"{text[:COLUMNS]}…"


def _place(finding: Finding, files: Iterable[tuple[FileChange, Sequence[Line]]]) -> bool:
    """Add ``finding`` to its line; return False if the diff does not contain the line.

    An added line with the text of the snippet precedes that with the number, because a rule that reads the
    tree after the whole series counts its lines, not those after the patch.
    """
    if not finding.line:
        return False
    lines = [line for change, lines in files if finding.file == change.path for line in lines if line.number]
    text = finding.snippet[0].strip() if finding.snippet else ""
    same = [line for line in lines if text and line.sign == "+" and line.text.strip() == text]
    if place := min(same, key=lambda line: abs(line.number - finding.line), default=None):
        place.findings.append(finding)
        return True
    for line in lines:
        if line.number == finding.line:
            line.findings.append(finding)
            return True
    return False


def _around(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines around findings, and a line in place of each gap."""
    near = {
        at
        for place, line in enumerate(lines)
        if line.findings
        for at in range(max(0, place - AROUND), min(len(lines), place + AROUND + 1))
    }
    gap = 0
    for at, line in enumerate((*lines, None)):
        if at not in near and line:
            gap += 1
            continue
        if gap and near:
            yield Line(sign="…", text=f"{gap} lines")
        gap = 0
        if line:
            yield line


def _name(change: FileChange) -> str:
    return change.path if change.old in ("", change.new) else f"{change.old} → {change.path}"
