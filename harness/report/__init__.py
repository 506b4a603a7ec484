"""Report stage: stored results → tables, HTML, Markdown and JUnit.

Takes: the results structs of the stages. Gives: text and files. They contain only what is in the results;
nothing is run.
"""

from harness.report.table import render_table, table_text
from harness.report.write import write_reports

__all__ = ["render_table", "table_text", "write_reports"]
