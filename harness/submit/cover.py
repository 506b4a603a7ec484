"""Compose the cover letter: a person's text, test plan, figures, changes, required series, diffstat."""

import re
import textwrap
from dataclasses import dataclass

import msgspec

from harness.authoring.cover import WIDTH, make_tail, parts
from harness.errors import HarnessError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.report.markdown import report_text
from harness.report.store import made_from
from harness.series import Series
from harness.teardown.results import read_teardown, teardown_file
from harness.tree import Tree
from harness.tree.git import Git

RANGE_DIFF_LINES = 150
"""Maximum length of a range-diff in the cover letter. A longer one is only written to its own file."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Measurements of exactly this series. Without any, ``text`` is empty and ``why`` is the reason."""

    text: str = ""
    why: str = ""


class _Binary(msgspec.Struct, frozen=True):
    sha256: str


class _Build(msgspec.Struct, frozen=True):
    variant: str
    commit: str
    binaries: tuple[_Binary, ...]


class _Builds(msgspec.Struct, frozen=True):
    """The part of build.json that records the commit of each binary."""

    builds: tuple[_Build, ...]


def blurb_of(series: Series) -> str:
    """Return the text of a person in the cover letter; empty without one."""
    return parts(series.cover.encode())[1].strip("\n") if series.cover else ""


def find_figures(layout: Layout, commit: str) -> Figures:
    """Return the report of the last ``nox -s teardown`` if its patched binaries come from ``commit``."""
    path = teardown_file(layout)
    if not path.is_file():
        return Figures(why="there is no measurement; run `nox -s teardown`")
    try:
        results = read_teardown(path)
        builds = msgspec.json.decode((layout.results / "build.json").read_bytes(), type=_Builds).builds
    except (HarnessError, OSError, *UNREADABLE) as error:
        return Figures(why=f"cannot read the last measurement: {error}")
    if not results.complete:
        return Figures(why="the last measurement did not complete; run `nox -s teardown`")
    made = {
        binary.sha256
        for one in builds
        if one.variant == "patched" and one.commit == commit
        for binary in one.binaries
    }
    used = {one.sha256 for one in results.binaries if one.variant == "patched"}
    if not used or not used <= made:
        return Figures(why="the last measurement used other patches; run `nox -s teardown`")
    try:
        with made_from(path):
            return Figures(text=_without_title(report_text(results)))
    except HarnessError as error:
        return Figures(why=f"cannot format the last measurement: {error}")


def written_part(series: Series, figures: Figures) -> str:
    """Return the prose of the cover letter: text, test plan, figures, changes and required series."""
    metadata = series.metadata
    sections = [blurb_of(series) or "*** BLURB HERE ***"]
    if metadata.test_plan.strip():
        sections.append(_titled("How to test", metadata.test_plan.strip("\n")))
    if figures.text:
        sections.append(_titled("Measured with qemu-harness", figures.text))
    sections += [change_log(series, version) for version in metadata.versions_with_changes]
    if metadata.based_on:
        sections.append("\n".join(f"Based-on: <{name.strip('<>')}>" for name in metadata.based_on))
    return "\n\n".join(sections)


def compose(
    series: Series, tree: Tree, git: Git, *, base: str, tip: str, figures: Figures, range_diff: str
) -> str:
    """Return the body of the cover letter."""
    previous, sections = series.metadata.version - 1, [written_part(series, figures)]
    sections.append(make_tail(git, base, tip).rstrip("\n"))
    if range_diff:
        if range_diff.count("\n") <= RANGE_DIFF_LINES:
            sections.append(f"Range-diff against v{previous}:\n{range_diff.rstrip()}")
        else:
            sections.append(f"(The range-diff against v{previous} is too long for a mail.)")
    commit = base_commit(series, tree, base)
    note = f"base-commit: {commit}" if commit else textwrap.fill(based_on_release(series, tree), WIDTH)
    return "\n\n".join([*sections, note]) + "\n"


def change_log(series: Series, version: int) -> str:
    """Return the changes of ``version`` as text for the cover letter."""
    changes = series.metadata.changes_of(version)
    lines = [line for text in changes.series for line in _item(text)]
    for subject, texts in changes.patches.items():
        number = next((one.number for one in series.patches if one.subject == subject), 0)
        lines.append(f"- patch {number}, {subject}:" if number else f"- {subject}:")
        lines += [f"  {line}" for text in texts for line in _item(text)]
    return "\n".join([f"Changes in v{version}:", *lines])


def patch_log(series: Series, subject: str) -> str:
    """Return the changes of the patch ``subject``, newest version first, as text below its ``---``."""
    lines = []
    for version in series.metadata.versions_with_changes:
        texts = series.metadata.changes_of(version).patches.get(subject, ())
        if texts:
            lines += [f"v{version}:", *(line for text in texts for line in _item(text))]
    return "\n".join(lines)


def base_commit(series: Series, tree: Tree, base: str) -> str:
    """Return upstream's commit that the series is based on, from series.toml or a clone; empty if unknown.

    ``base`` is the commit that it was applied to. On top of required series, that is not upstream's.
    """
    metadata = series.metadata
    if metadata.base_commit:
        return metadata.base_commit
    is_upstream = len(tree.digest) == 40 and tree.pristine == tree.digest
    if not is_upstream or metadata.base == "base":
        return ""
    return tree.digest if metadata.based_on else base


def based_on_release(series: Series, tree: Tree) -> str:
    """Describe the base of the series by its release, for a base without an upstream commit."""
    text = f"The patches apply to QEMU {tree.facts.version}"
    if series.metadata.base == "base":
        text += ", with upstream's implementation of the same feature removed"
    return f"{text}."


def _without_title(text: str) -> str:
    """Remove the underlined first line of a report, which is a section of the mail."""
    return re.sub(r"\A[^\n]*\n=+\n", "", text).strip("\n")


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, initial_indent="- ", subsequent_indent="  ", break_long_words=False)


def _titled(title: str, text: str) -> str:
    return f"{title}:\n\n{text}"
