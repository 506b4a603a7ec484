"""harness.report.load and harness.load.record: tables, results, errors; docs/load.md has all arguments."""

import msgspec
import pytest

from harness.commands.load import LOAD
from harness.errors import LoadError
from harness.jsonfile import write_json
from harness.load.judge import summarize
from harness.load.plan import plan_load
from harness.load.record import LoadResults, check_load, load_file, record_load
from harness.report.load import render_load
from tests.structs import filled
from tests.unit.bench.support import make_bench
from tests.unit.build.support import make_options
from tests.unit.defaults import ROOT
from tests.unit.load.support import make_row, make_slice
from tests.unit.screen import rendered_lines

DOCS = (ROOT / "docs" / "load.md").read_text(encoding="utf-8")


def results(*slices, available=24000):
    plans = plan_load(
        available, guests=50, memory_mib=256, seconds=60, restarts=5, restart_mib=16384, wait=False
    )
    return filled(LoadResults, complete=True, plans=plans, summaries=summarize(slices), slices=slices)


def test_table_has_a_column_for_each_binary(layout):
    made = results(
        make_slice(make_row(), make_row()), make_slice(make_row(restart_s=None), variant="base", lost=3.0)
    )
    lines = rendered_lines(render_load(made))
    assert "crowd: 50 guests of 256M for 60 s with each binary" in lines
    assert "exits 1 2" in lines
    assert "memory not freed, peak 3.0, 900 MiB 0.0, 900 MiB" in lines
    assert "outcome pass pass" in lines
    check_load(layout, made)
    write_json(load_file(layout), made)
    assert load_file(layout).is_file()


def test_failed_load_is_an_error_with_a_remedy(layout):
    with pytest.raises(LoadError) as caught:
        check_load(layout, results(make_slice(make_row(), lost=100.0)))
    assert caught.value.details == ("crowd patched: 100.0 MiB were not freed",)
    with pytest.raises(LoadError) as caught:
        check_load(layout, results(make_slice(make_row(), oom_kills=1)))
    assert "--wait-for-memory" in caught.value.remedy


def test_load_that_does_not_fit_is_an_error(layout):
    made = results(available=500)
    assert (
        sum(
            line.startswith(("crowd: cancelled: ", "restart: cancelled: "))
            for line in rendered_lines(render_load(made))
        )
        == 2
    )
    with pytest.raises(LoadError, match="nothing ran: 50 guests"):
        check_load(layout, made)


def test_interrupted_run_replaces_older_results(layout, monkeypatch):
    write_json(load_file(layout), results(make_slice(make_row())))

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.load.record.run_load", stopped)
    with pytest.raises(KeyboardInterrupt):
        record_load(make_bench(layout, make_options(), seed=3), (), command="load")
    stored = msgspec.json.decode(load_file(layout).read_bytes(), type=LoadResults)
    assert (stored.complete, stored.seed, stored.slices) == (False, 3, ())


def test_each_argument_is_documented():
    for words, _ in LOAD:
        assert f"`{words[0]}" in DOCS
