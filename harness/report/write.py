"""Write all reports of a teardown run."""

from pathlib import Path

from harness.jsonfile import storing
from harness.layout import Layout
from harness.report.html import write_page
from harness.report.junit import write_junit
from harness.report.markdown import report_text
from harness.teardown.results import TeardownResults


def write_reports(layout: Layout, results: TeardownResults) -> tuple[Path, ...]:
    """Write teardown.xml, report.md and report.html, and return their paths. Raises StorageError."""
    xml, text, page = (layout.results / name for name in ("teardown.xml", "report.md", "report.html"))
    write_junit(xml, results)
    with storing(f"write {text}"):
        text.write_text(report_text(results), encoding="utf-8")
    write_page(layout, results, page)
    return page, text, xml
