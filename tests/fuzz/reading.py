"""Targets for results: every JSON file that the harness reads, and everything derived from it."""

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from harness.build import BuildResults
from harness.build.result import Build
from harness.check import ValidateResults
from harness.jsonfile import load
from harness.layout import Layout
from harness.machine import HostFacts
from harness.properties.record import PropertiesResults, properties_file
from harness.report.comparing import compare_runs, render_changes
from harness.report.html import write_page
from harness.report.store import made_from
from harness.report.table import table_text
from harness.report.write import write_reports
from harness.submit.cover import find_figures
from harness.submit.validated import validation_summary
from harness.teardown.gates import judge_gates, read_gates
from harness.teardown.model import Sample
from harness.teardown.ratios import Ratios, read_ratios
from harness.teardown.results import TeardownResults, read_teardown, teardown_file
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare
from harness.validate.outputs import ci_marks, write_outputs
from harness.validate.run import read_validate, validate_file
from harness.validate.table import render_validate, verdict_line
from harness.watch.model import Series
from tests.fuzz import site
from tests.fuzz.mutate import mutated, values
from tests.fuzz.seeds import JSON_TOKENS
from tests.structs import filled

Strategy = st.SearchStrategy[bytes]


@functools.cache  # comparing takes longer than reading an example
def results_json() -> bytes:
    """Return a teardown run of two variants at three sizes, with its comparisons and gates."""
    rows = tuple(
        Sample(
            variant=variant,
            target="x86_64-softmmu",
            host="native",
            memory_mib=memory,
            backend="ram",
            pages="4k",
            accel="tcg",
            payload="paused",
            trigger="sigterm",
            round=turn,
            index=turn,
            outcome="ok",
            exit_s=seconds * memory * (1 + turn / 100),
            reclaim_s=0.1 + turn / 100,
        )
        for memory in (256, 1024, 4096)
        for variant, seconds in (("base", 1e-4), ("patched", 1e-5))
        for turn in range(1, 5)
    )
    results = filled(
        TeardownResults,
        command="nox -s teardown",
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:10:00+00:00",
        complete=True,
        host=filled(HostFacts, kernel="6.1", machine="x86_64", cpus=2, memory_mib=1),
        options={"memory_mib": [256, 1024, 4096], "pin": "7.2"},
        rows=rows,
        comparisons=compare(rows),
        slopes=fit_slopes(rows),
    )
    return msgspec.json.format(msgspec.json.encode(results), indent=1)


def ratios_json() -> bytes:
    """Return an empty file of recorded ratios."""
    return b'{"schema": 1, "command": "x", "ratios": []}'


def _malformed(kind: type, *seeds: Callable[[], bytes]) -> Callable[[Layout], Strategy]:
    """Generate valid and malformed JSON of ``kind``, and malformed ``seeds``."""

    def examples(_: Layout) -> Strategy:
        made = values(kind)

        @st.composite  # has a short name: hypothesis would write the whole strategy out
        def one(draw: st.DrawFn) -> bytes:
            how = draw(st.integers(0, 2 if seeds else 1))
            if how == 2:
                return draw(mutated(tuple(seed() for seed in seeds), JSON_TOKENS))
            whole = json.dumps(draw(made)).encode()
            return draw(mutated((whole,), JSON_TOKENS)) if how else whole

        return one()

    return examples


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _show(table: RenderableType) -> None:
    Console(file=io.StringIO(), width=100).print(table)


def _teardown(layout: Layout, data: bytes) -> None:
    path = _put(teardown_file(layout), data)
    results, sound = read_teardown(path), msgspec.json.decode(results_json(), type=TeardownResults)
    with made_from(path):
        table_text(results)
        write_reports(layout, results)
        judge_gates(results, read_gates("", layout.root))
        for old, new in ((sound, results), (results, results)):
            _show(render_changes(old, new, compare_runs(old, new)))


def _properties(layout: Layout, data: bytes) -> None:
    _put(properties_file(layout), data)
    # Without rows, there are no plots, which take most of the time.
    write_page(layout, filled(TeardownResults, complete=True), layout.build / "x.html")


def _validate(layout: Layout, data: bytes) -> None:
    path = _put(validate_file(layout), data)
    validation_summary(layout, "x", "0" * 64, "7.2")
    results = read_validate(layout)
    validation_summary(layout, "x", results.series.sha256, results.pin)
    with made_from(path):
        _show(render_validate(results))
        verdict_line(results)
        write_outputs(layout, results)
        ci_marks(results, {"GITHUB_ACTIONS": "true"})


def _build(layout: Layout, data: bytes) -> None:
    path = _put(layout.results / "build.json", data)
    for kind in (BuildResults, Build):
        load(path, kind)
    _put(teardown_file(layout), results_json())
    find_figures(layout, "0" * 40)


def _ratios(layout: Layout, data: bytes) -> None:
    read_ratios(_put(layout.root / "ratios.json", data))


RESULTS: tuple[tuple[str, str, Callable[[Layout], Strategy], Callable[[Layout, bytes], None]], ...] = (
    (
        "teardown",
        "teardown.json, and everything derived from it",
        _malformed(TeardownResults, results_json),
        _teardown,
    ),
    ("validate", "validate.json, and everything derived from it", _malformed(ValidateResults), _validate),
    ("properties", "properties.json, in the report", _malformed(PropertiesResults), _properties),
    (
        "site",
        "a series of the watch, in the templates of its site",
        _malformed(Series, site.series_json),
        site.check,
    ),
    ("build", "build.json", _malformed(BuildResults), _build),
    ("ratios", "recorded ratios", _malformed(Ratios, ratios_json), _ratios),
)
