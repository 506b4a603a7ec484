"""Report stage: samples → build/results/*.json → what people look at.

Takes: a teardown run. Gives: TeardownResults on disk, and a table rendered from them and from nothing else.
"""

from harness.jsonfile import write_json
from harness.report.model import AccelFacts, HostFacts, TeardownResults
from harness.report.record import check_results, property_verdict, record_teardown, teardown_file
from harness.report.store import read_teardown
from harness.report.table import render_table, table_text

__all__ = [
    "AccelFacts",
    "HostFacts",
    "TeardownResults",
    "check_results",
    "property_verdict",
    "read_teardown",
    "record_teardown",
    "render_table",
    "table_text",
    "teardown_file",
    "write_json",
]
