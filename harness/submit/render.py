"""Format the checklist for a terminal, as text, Markdown and HTML."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.console import plain_text
from harness.report.pages import environment
from harness.submit.facts import BOXES, ChecklistItem, Verdict
from harness.submit.provenance import Reason

STYLES: dict[Verdict, str] = {"yes": "green", "no": "bold red", "person": "yellow", "not needed": "dim"}
LEGEND = "[x] fulfilled   [!] not fulfilled   [ ] only a person can judge   [-] does not apply"
DOCUMENT = "docs/devel/submitting-a-patch.rst"
TEMPLATES = Path(__file__).with_name("templates")


def heading(title: str, reasons: Sequence[Reason]) -> list[str]:
    """Return the first lines of every file: whether the series is ready to send, or the reasons."""
    if not reasons:
        return [f"{title}: ready, as far as a program can judge; a person sends it"]
    return [f"{title}: NOT READY TO SEND", *(f"  {reason.text}" for reason in reasons)]


def quotes(reasons: Sequence[Reason]) -> list[str]:
    """Return the quotations of the reasons, each once."""
    return list(dict.fromkeys(line for reason in reasons for line in reason.quote))


def as_table(title: str, items: Sequence[ChecklistItem], reasons: Sequence[Reason]) -> RenderableType:
    """Format the checklist for a terminal."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(ratio=2)
    table.add_column(ratio=3)
    for item in items:
        style = STYLES[item.verdict]
        table.add_row(Text(BOXES[item.verdict], style), item.rule, Text(item.evidence, style))
    top = [Text(line, "bold red" if reasons else "bold green") for line in heading(title, reasons)]
    policy = [Text(f"  QEMU's policy: {line}", "italic") for line in quotes(reasons)]
    return Group(*top, *policy, Text(f"\n{DOCUMENT}, rule by rule"), Text(LEGEND, "dim"), table)


def as_text(title: str, items: Sequence[ChecklistItem], reasons: Sequence[Reason]) -> str:
    """Format the checklist as for a terminal of 110 columns, without colours."""
    return plain_text(as_table(title, items, reasons), width=110)


def as_markdown(title: str, items: Sequence[ChecklistItem], reasons: Sequence[Reason]) -> str:
    """Format the checklist as Markdown."""
    first, *rest = heading(title, reasons)
    lines = [f"# {_escape(first)}", ""]
    lines += [f"- {_escape(line.strip())}" for line in rest] + ([""] if rest else [])
    lines += [f"> {_escape(line)}\n" for line in quotes(reasons)]
    lines += [f"`{DOCUMENT}`, rule by rule. {_escape(LEGEND)}", "", "| | rule | evidence |", "|---|---|---|"]
    lines += [f"| `{BOXES[one.verdict]}` | {_escape(one.rule)} | {_escape(one.evidence)} |" for one in items]
    return "\n".join(lines) + "\n"


def as_html(title: str, items: Sequence[ChecklistItem], reasons: Sequence[Reason]) -> str:
    """Format the checklist as a self-contained HTML page."""
    page = environment(TEMPLATES).get_template("checklist.html.j2")
    top = heading(title, reasons)
    words = {"quotes": quotes(reasons), "document": DOCUMENT, "legend": LEGEND}
    return page.render(heading=top, items=items, boxes=BOXES, **words)


def _escape(text: str) -> str:
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
