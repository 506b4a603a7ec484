"""What builds left out is in every report."""

from harness.bench import Subject
from harness.build.plan import LEFT_OUT
from harness.report.headline import left_out_line
from harness.report.table import table_text
from harness.report.write import write_reports
from tests.unit.report.support import make_results, realistic

DEVICES, DEBUG = LEFT_OUT.values()


def subject(variant, *left_out):
    return Subject(variant=variant, target="x86_64-softmmu", path="/q", left_out=left_out)


def test_line_names_each_part_once():
    both = (subject("base", DEVICES, DEBUG), subject("patched", DEVICES, DEBUG), subject("mine"))
    line = left_out_line(make_results((), binaries=both))
    assert line == f"built without {DEVICES}, {DEBUG}"
    assert left_out_line(make_results((), binaries=(subject("mine"),))) == ""


def test_every_report_has_the_line(layout):
    results = make_results(realistic(rounds=3), binaries=(subject("base", DEBUG),))
    written = {path.suffix: path.read_text(encoding="utf-8") for path in write_reports(layout, results)}
    for text in (table_text(results), written[".md"], written[".html"]):
        assert f"built without {DEBUG}" in " ".join(text.split())
