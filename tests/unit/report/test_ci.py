"""What CI demands: readable, without a time in it, and about guests that the quick preset has."""

import json

from harness.layout import find_layout
from harness.options import parse_options
from harness.teardown.gates import judge_gates, read_gates
from harness.teardown.presets import apply_preset
from tests.unit.defaults import ROOT

from .support import make_results, realistic


def test_gates_of_ci_pass_a_good_run():
    gates = read_gates(".ci/gates.toml", ROOT)
    found = judge_gates(make_results(realistic(("base", "patched"))), gates)
    assert {row.outcome for row in found if row.gate == gates.gate[0].name} == {"pass"}
    broken = judge_gates(make_results(realistic(("base", "patched"), exit_ms=90.0)), gates)
    assert {row.outcome for row in broken if row.gate == gates.gate[0].name} == {"fail"}


def test_recorded_ratios_cover_the_quick_preset_without_times():
    stored = json.loads((ROOT / ".ci" / "ratios.json").read_text())
    options = apply_preset(parse_options(find_layout(ROOT), ["-Dpreset=quick"]))
    places = {(row["target"], row["memory_mib"]) for row in stored["ratios"] if row["latency"] == "exit"}
    assert {(target, memory) for target in options.targets for memory in options.memory_mib} <= places
    assert not [name for row in stored["ratios"] for name in row if name.endswith("_s")]
