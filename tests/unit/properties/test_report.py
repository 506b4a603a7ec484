import json

import pytest

from harness.errors import PropertyError
from harness.properties import record
from harness.properties.record import PropertiesResults, check_properties, properties_file, record_properties
from harness.report.properties import render_properties
from tests.structs import filled

from ..bench.support import make_bench
from ..screen import rendered
from ..teardown.test_scenario import options
from .support import make_binary, make_row


def results(*rows, complete=True):
    return filled(PropertiesResults, complete=complete, binaries=(make_binary(),), rows=rows)


def shown(*rows, **fields):
    return rendered(render_properties(results(*rows, **fields)), width=110)


def test_table_has_a_row_for_each_property_and_a_column_for_each_variant():
    text = shown(
        make_row(1, "base", "fail", "fail", reason="exit takes long"),
        make_row(1, "patched"),
        make_row(3, "base", "cancel", "cancel", reason="no such option"),
        make_row(3, "patched"),
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "# property base patched" in lines
    assert "1 exit at once fail pass" in lines
    assert "3 -daemonize: one helper of the daemon cancel pass" in lines
    assert "1 base x86_64 fail: exit takes long" in lines
    assert "!" not in text


def test_unexpected_outcome_is_marked_and_comes_first():
    text = shown(
        make_row(1, "base", "fail", "fail", reason="known"), make_row(2, outcome="fail", reason="new")
    )
    assert "fail !" in text
    assert text.index("2 patched x86_64 fail (instead of pass): new") < text.index("known")


def test_combined_outcome_of_the_targets_is_shown():
    rows = (make_row(1), make_row(1, outcome="fail", target="s390x-softmmu", reason="slow"))
    assert "1 exit at once fail !" in " ".join(shown(*rows).split())
    assert "stopped before its end" in shown(*rows, complete=False)


def test_unexpected_outcomes_are_an_error_and_cancelled_ones_are_not(layout):
    check_properties(
        layout, results(make_row(), make_row(outcome="cancel"), make_row(outcome="fail", expected=""))
    )
    with pytest.raises(PropertyError, match="1 of 2 properties") as caught:
        check_properties(layout, results(make_row(), make_row(4, "pristine", "pass", "fail")))
    assert caught.value.details == ("row 4 of pristine x86_64: pass instead of fail",)
    assert caught.value.code == 17


def go(layout, monkeypatch, rows, error=None):
    def run(*_, emulated, on_row):
        for row in rows:
            on_row(row)
        if error:
            raise error

    monkeypatch.setattr(record, "run_properties", run)
    return record_properties(make_bench(layout, options(), [make_binary()]), [1], command="nox -s properties")


def test_results_have_the_documented_fields(layout, monkeypatch):
    go(layout, monkeypatch, [make_row(reason="r")])
    stored = json.loads(properties_file(layout).read_text())
    assert stored["complete"] is True
    assert stored["command"] == "nox -s properties"
    assert {"row", "title", "variant", "outcome", "reason", "target", "expected"} <= set(stored["rows"][0])


def test_interrupted_run_keeps_its_rows(layout, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        go(layout, monkeypatch, [make_row()], error=KeyboardInterrupt())
    stored = json.loads(properties_file(layout).read_text())
    assert stored["complete"] is False
    assert len(stored["rows"]) == 1
