"""Report stage: samples → build/results/*.json → tables and pages.

Takes: runs of teardown and properties. Gives: stored results, and tables rendered from them alone.
"""

from harness.jsonfile import write_json
from harness.report.model import AccelFacts, HostFacts, TeardownResults
from harness.report.properties import (
    PropertiesResults,
    check_properties,
    properties_file,
    record_properties,
    render_properties,
)
from harness.report.record import check_results, property_verdict, record_teardown, teardown_file
from harness.report.store import read_teardown
from harness.report.table import render_table, table_text

__all__ = [
    "AccelFacts",
    "HostFacts",
    "PropertiesResults",
    "TeardownResults",
    "check_properties",
    "check_results",
    "properties_file",
    "property_verdict",
    "read_teardown",
    "record_properties",
    "record_teardown",
    "render_properties",
    "render_table",
    "table_text",
    "teardown_file",
    "write_json",
]
