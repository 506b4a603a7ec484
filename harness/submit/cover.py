"""The cover letter as it is sent: what a person wrote, how it was tested, what is new, what it needs."""

from __future__ import annotations

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
"""A range-diff that is longer goes into its own file alone: nobody reads it in a mail."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Measurements of just this series. ``text`` is empty when there are none, and ``why`` says why."""

    text: str = ""
    why: str = ""


class _Binary(msgspec.Struct, frozen=True):
    sha256: str


class _Build(msgspec.Struct, frozen=True):
    variant: str
    commit: str
    binaries: tuple[_Binary, ...]


class _Builds(msgspec.Struct, frozen=True):
    """What of build.json tells which commit a binary was built from."""

    builds: tuple[_Build, ...]


def blurb_of(series: Series) -> str:
    """What a person wrote of the cover letter; empty without one."""
    return parts(series.cover.encode())[1].strip("\n") if series.cover else ""


def find_figures(layout: Layout, commit: str) -> Figures:
    """The report of the last ``nox -s teardown``, if its patched binaries were built from ``commit``."""
    path = teardown_file(layout)
    if not path.is_file():
        return Figures(why="nothing was measured: nox -s teardown")
    try:
        results = read_teardown(path)
        builds = msgspec.json.decode((layout.results / "build.json").read_bytes(), type=_Builds).builds
    except (HarnessError, OSError, *UNREADABLE) as error:
        return Figures(why=f"the last measurement cannot be read: {error}")
    if not results.complete:
        return Figures(why="the last measurement was stopped before its end: nox -s teardown")
    made = {
        binary.sha256
        for one in builds
        if one.variant == "patched" and one.commit == commit
        for binary in one.binaries
    }
    used = {one.sha256 for one in results.binaries if one.variant == "patched"}
    if not used or not used <= made:
        return Figures(why="the last measurement was made with other patches: nox -s teardown")
    try:
        with made_from(path):
            return Figures(text=_without_title(report_text(results)))
    except HarnessError as error:
        return Figures(why=f"the last measurement cannot be shown: {error}")


def written_part(series: Series, figures: Figures) -> str:
    """What is told in words: the author's text, how to test, figures, what is new, what it needs first."""
    said = series.metadata
    sections = [blurb_of(series) or "*** BLURB HERE ***"]
    if said.test_plan.strip():
        sections.append(_titled("How to test", said.test_plan.strip("\n")))
    if figures.text:
        sections.append(_titled("Measured with qemu-harness", figures.text))
    sections += [change_log(series, version) for version in said.versions_with_changes]
    if said.based_on:
        sections.append("\n".join(f"Based-on: <{name.strip('<>')}>" for name in said.based_on))
    return "\n\n".join(sections)


def compose(
    series: Series, tree: Tree, git: Git, *, base: str, tip: str, figures: Figures, range_diff: str
) -> str:
    """The body of the cover letter."""
    said, sections = series.metadata, [written_part(series, figures)]
    sections.append(make_tail(git, base, tip).rstrip("\n"))
    if range_diff:
        if range_diff.count("\n") <= RANGE_DIFF_LINES:
            sections.append(f"Range-diff against v{said.version - 1}:\n{range_diff.rstrip()}")
        else:
            sections.append(f"(The range-diff against v{said.version - 1} is too long for a mail.)")
    commit = base_commit(series, tree)
    note = f"base-commit: {commit}" if commit else textwrap.fill(based_on_release(tree), WIDTH)
    return "\n\n".join([*sections, note]) + "\n"


def change_log(series: Series, version: int) -> str:
    """What is new in ``version``: as text for the cover letter."""
    changes = series.metadata.changes_of(version)
    lines = [line for text in changes.series for line in _item(text)]
    for subject, texts in changes.patches.items():
        number = next((one.number for one in series.patches if one.subject == subject), 0)
        lines.append(f"- patch {number}, {subject}:" if number else f"- {subject}:")
        lines += [f"  {line}" for text in texts for line in _item(text)]
    return "\n".join([f"Changes in v{version}:", *lines])


def patch_log(series: Series, subject: str) -> str:
    """What is new in the patch ``subject``, newest version first: text for below its ``---``."""
    lines = []
    for version in series.metadata.versions_with_changes:
        texts = series.metadata.changes_of(version).patches.get(subject, ())
        if texts:
            lines += [f"v{version}:", *(line for text in texts for line in _item(text))]
    return "\n".join(lines)


def base_commit(series: Series, tree: Tree) -> str:
    """Upstream's commit that the series is based on, if that is known: as series.toml says, or as cloned."""
    if series.metadata.base_commit:
        return series.metadata.base_commit
    cloned = len(tree.digest) == 40 and tree.name.startswith("local-") and tree.base == tree.pristine
    return tree.digest if cloned else ""


def based_on_release(tree: Tree) -> str:
    """What the series applies to, in words, where no commit can be named."""
    text = f"The patches apply to QEMU {tree.pin.version}"
    if tree.base != tree.pristine and tree.pin.unmerge:
        text += ", with what upstream has of the same feature taken out"
    return f"{text}."


def _without_title(text: str) -> str:
    """A report without its underlined first line: here it is a section of a mail."""
    return re.sub(r"\A[^\n]*\n=+\n", "", text).strip("\n")


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, initial_indent="- ", subsequent_indent="  ", break_long_words=False)


def _titled(title: str, text: str) -> str:
    return f"{title}:\n\n{text}"
