"""Coverage for GitLab."""

from xml.etree import ElementTree as ET

from harness.check import CoveredFile
from harness.validate.cobertura import cobertura
from harness.validate.outputs import write_outputs
from tests.unit.validate.test_outputs import results


def test_lines_that_ran_and_those_that_did_not_are_listed_once():
    first = CoveredFile(patch=1, file="util/b.c", executable=3, missing=(5,), ran=(4, 7))
    second = CoveredFile(patch=2, file="util/b.c", executable=1, missing=(9,))
    other = CoveredFile(patch=2, file='odd <&> "name".c', executable=1, missing=(), ran=(1,))
    top = ET.fromstring(cobertura(results(coverage=(first, second, other))))
    assert (top.get("lines-valid"), top.get("lines-covered"), top.get("line-rate")) == ("5", "3", "0.6000")
    found = {one.get("filename"): one for one in top.iter("class")}
    assert list(found) == ['odd <&> "name".c', "util/b.c"]
    lines = [(line.get("number"), line.get("hits")) for line in found["util/b.c"].iter("line")]
    assert lines == [("4", "1"), ("5", "0"), ("7", "1"), ("9", "0")]
    assert found["util/b.c"].get("line-rate") == "0.5000"


def test_report_exists_only_with_coverage(layout):
    covered = CoveredFile(patch=1, file="util/a.c", executable=1, missing=(), ran=(1,))
    path = layout.results / "validate.cobertura.xml"
    assert path in write_outputs(layout, results(coverage=(covered,)))
    assert path.is_file()
    assert path not in write_outputs(layout, results())
    assert not path.exists(), "that of an earlier run is no result of this one"
