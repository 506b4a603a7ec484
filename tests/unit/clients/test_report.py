"""harness.report.clients and harness.clients.record: table, results, errors; docs/clients.md is complete."""

import json
import re

import pytest

from harness.clients import record
from harness.clients.judge import judge
from harness.clients.model import CLIENTS
from harness.clients.record import ClientsResults, check_clients, clients_file, record_clients
from harness.errors import ClientsError
from harness.figures import NONE
from harness.report.clients import render_clients
from tests.structs import filled
from tests.unit.bench.support import make_bench
from tests.unit.clients.support import BASE, PATCHED, WITHOUT, row, trial
from tests.unit.defaults import ROOT
from tests.unit.screen import rendered_lines
from tests.unit.teardown.test_scenario import options

DOCS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")


def results(*rows, complete=True):
    fields = {"libvirt": "9.0.0", "binaries": (BASE, WITHOUT, PATCHED), "claims": judge(rows), "rows": rows}
    return filled(ClientsResults, complete=complete, **fields)


def shown(*rows, complete=True):
    return rendered_lines(render_clients(results(*rows, complete=complete)))


def test_table_has_medians_by_client_and_binary():
    lines = shown(
        row("timeout", exit_s=0.003),
        row("libvirt destroy", held_mib=512.0),
        row("timeout", exit_s=0.001),
        row("timeout", BASE),
    )
    assert "libvirt destroy 1G ram patched 1.00 ms 2.00 ms 100 ms 512 1.00 s" in lines
    first = lines.index(f"timeout 1G ram base 100 ms 100 ms 100 ms {NONE} {NONE}")
    assert lines[first + 1] == f"timeout 1G ram patched 2.00 ms 2.00 ms 100 ms {NONE} {NONE}"
    assert "libvirt 9.0.0" in lines[0]


def test_failed_and_cancelled_rows_are_shown():
    lines = shown(
        row("timeout", outcome="failed", reason="broke"),
        row("cgroup kill", outcome="cancelled", reason="no cgroup"),
        complete=False,
    )
    assert " ".join(["timeout 1G ram patched failed", *[NONE] * 4]) in lines
    assert "cgroup kill cancelled: no cgroup" in lines
    assert any(line.startswith("fail: every guest") for line in lines)
    assert lines[-1] == "The run was stopped before its end."


def test_failed_claim_is_an_error(layout):
    check_clients(layout, results(row("timeout", BASE), row("timeout")))
    with pytest.raises(ClientsError) as caught:
        check_clients(layout, results(row("timeout", BASE), row("timeout", exit_s=0.1)))
    assert caught.value.code == 30
    assert "100 ms, without the option 100 ms" in caught.value.details[0]


def test_interrupted_run_keeps_its_rows(layout, monkeypatch):
    def stop(*_, on_row, **__):
        on_row(row("timeout"))
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "run_clients", stop)
    bench = make_bench(layout, options(), (PATCHED,), seed=7)
    with pytest.raises(KeyboardInterrupt):
        record_clients(bench, ((trial("timeout"),),), command="nox -s clients")
    stored = json.loads(clients_file(layout).read_text(encoding="utf-8"))
    assert (stored["complete"], len(stored["rows"])) == (False, 1)
    assert stored["command"] == "nox -s clients -- -Dseed=7"


def test_every_client_is_documented():
    rows = dict(re.findall(r"^\| `([a-z0-9 -]+)` \| ([^|]+) \| [^|]+ \|$", DOCS, re.MULTILINE))
    assert {name: text.strip() for name, text in rows.items()} == {
        name: client.does for name, client in CLIENTS.items()
    }


def test_every_claim_is_documented():
    for claim in judge(()):
        assert f"- {claim.name}" in DOCS
