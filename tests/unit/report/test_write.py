import re
from xml.etree import ElementTree

import msgspec
import pytest
from junitparser import JUnitXml

from harness.jsonfile import write_json
from harness.properties.record import PropertiesResults, properties_file
from harness.report.html import report_page
from harness.report.junit import write_junit
from harness.report.markdown import report_text
from harness.report.plots import COLOURS, latency_plots
from harness.report.write import write_reports
from harness.teardown.gates import judge_gates, read_gates
from harness.teardown.statistics import median_interval
from tests.fuzz.markup import read_page
from tests.picture import picture
from tests.structs import filled

from ..properties.support import make_row
from ..teardown.support import make_sample
from .support import make_results, realistic
from .test_gates import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results():
    made = make_results(
        [*realistic(), make_sample(variant="patched", outcome="failed", reason="<it> broke", memory_mib=256)]
    )
    return msgspec.structs.replace(made, gates=judge_gates(made, read_gates("", ROOT)))


@pytest.fixture(scope="module")
def page(results):
    return read_page(report_page(results, properties=None, logs=["../logs/avocado.log"]))


def test_page_is_self_contained(page):
    assert not [tag for tag, _ in page.tags if tag == "script"]
    inside = {f"#{name}" for name in page.ids}
    for link in page.links:
        assert link in inside or link in ("../logs/avocado.log", "data:,"), link


def test_every_plot_has_a_description_and_a_table(page):
    figures = [tag for tag, _ in page.tags].count("figure")
    assert figures == 2 + 1 + 2
    assert len([1 for _, attributes in page.tags if attributes.get("role") == "img"]) == figures
    assert [tag for tag, _ in page.tags].count("details") == figures
    for tag, attributes in page.tags:
        if tag == "div" and attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_page_shows_the_results(page, results):
    assert "grows by 30" in page.text
    assert "<it> broke" in page.text
    assert results.command in page.text
    assert "nox -s properties" in page.text
    assert len(re.findall(r"\bbetter\b", page.text)) >= 6


def test_plots_use_the_colours_of_the_page(results):
    svg = latency_plots(results)[0].svg
    assert "var(--v0)" in svg
    assert not [colour for colour in COLOURS if colour in svg]
    assert "#000000" not in svg


def test_picture_of_the_readme_is_a_small_self_contained_image(results):
    image = picture(results)
    assert len(image) < 100_000
    assert len(ElementTree.fromstring(image).findall("{http://www.w3.org/2000/svg}svg")) == 2
    assert set(re.findall(r"var\((--\w+)\)", image)) <= set(re.findall(r"(--\w+): #", image))


def test_properties_are_shown_by_variant(layout):
    results = make_results([make_sample(outcome="cancelled", reason="no plots: they take time")])
    rows = (make_row(1, "base", "fail", reason="no helper"), make_row(1, "patched"))
    found = filled(PropertiesResults, started="yesterday", complete=True, rows=rows)
    write_json(properties_file(layout), found)
    page = write_reports(layout, results)[0].read_text()
    assert "From the run of yesterday" in page
    assert re.search(r'<span class="bad">fail</span><br><span class="dim">no helper</span>', page)
    properties_file(layout).write_text("half a fi")
    assert "They have not been checked" in write_reports(layout, results)[0].read_text()


def test_text_fits_a_cover_letter(results):
    text = report_text(results)
    too_long = [line for line in text.splitlines() if len(line) > 72]
    assert too_long == []
    assert text.isascii() or set(text) - set(map(chr, range(128))) <= {"\N{EN DASH}"}
    words = " ".join(text.split())
    assert "x86_64: QEMU's exit took 12" in words
    assert "with 4G and grows by 30" in words
    assert "with the series 0.70 ms" in words
    assert "1 TiB, not measured" in words
    assert "Gate: exit does not grow with memory: 1 of 1 pass" in words
    assert re.search(r"^4G +patched +0\.\d\d ms 0\.00\d+ +\d+ ms", text, re.MULTILINE)


def test_junit_has_a_case_for_each_cell_and_gate(tmp_path, results):
    file = tmp_path / "folder" / "r.xml"
    write_junit(file, results)
    samples, gates = JUnitXml.fromfile(str(file))
    assert samples.failures == 1
    assert "<it> broke" in next(case.result[0].message for case in samples if case.result)
    assert samples.tests == 9 + 3 + 2
    assert gates.tests == len(results.gates)
    assert gates.failures == 0
    bad = tuple(msgspec.structs.replace(gate, outcome="fail", reason="why") for gate in results.gates)
    write_junit(file, msgspec.structs.replace(results, gates=bad))
    assert list(JUnitXml.fromfile(str(file)))[1].failures == len(bad)


def test_run_of_one_sample_gives_a_report(layout):
    for samples in ([make_sample()], [make_sample(outcome="cancelled", reason="needs much")]):
        files = write_reports(layout, make_results(samples, complete=False))
        assert all(file.stat().st_size for file in files)
        assert "stopped before its end" in files[1].read_text()


def test_interval_of_a_median():
    low, high = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert 1.0 <= low < 3.0 < high <= 5.0
    assert median_interval([1.0, 2.0]) == (1.0, 2.0)
