from pathlib import Path

import msgspec
import pytest

from harness.errors import GateError, OptionError
from harness.layout import Layout
from harness.teardown.gates import DEFAULT, check_gates, judge_gates, read_gates
from harness.teardown.ratios import read_ratios, save_ratios

from .support import make_results, realistic

ROOT = Path(__file__).resolve().parents[3]


def outcomes(samples, gates=None):
    results = make_results(samples)
    found = judge_gates(results, gates or read_gates("", ROOT))
    return {gate.gate: {row.outcome for row in found if row.gate == gate.gate} for gate in found}


EXIT, FLAT, BACK, UPSTREAM_EXIT, UPSTREAM_BACK = (gate.name for gate in read_gates("", ROOT).gate)


def test_good_run_passes_all_gates():
    assert set().union(*outcomes(realistic()).values()) == {"pass"}


@pytest.mark.parametrize(
    ("fields", "gate"),
    [
        ({"exit_ms": 9.0}, EXIT),
        ({"reclaim": 1.3}, BACK),
        ({"exit_ms": 2.0}, UPSTREAM_EXIT),
        ({"reclaim": 90.0}, UPSTREAM_BACK),
    ],
)
def test_each_gate_fails_on_its_regression(fields, gate):
    assert "fail" in outcomes(realistic(**fields))[gate]


def test_growing_exit_fails_its_gate():
    samples = [
        msgspec.structs.replace(row, exit_s=row.exit_s + row.memory_mib / 1024 * 0.003)
        if row.variant == "patched"
        else row
        for row in realistic()
    ]
    assert outcomes(samples)[FLAT] == {"fail"}


def test_figure_beyond_the_limit_by_chance_is_undecided():
    """The median of reclaim is 1.2 of base's exit, yet its interval reaches 1."""
    samples = realistic(rounds=3, reclaim=1.2)
    spread = [
        msgspec.structs.replace(row, reclaim_s=row.reclaim_s * (0.8, 1.0, 1.3)[row.round - 1])
        if row.variant == "patched" and row.reclaim_s
        else row
        for row in samples
    ]
    assert "undecided" in outcomes(spread)[BACK] <= {"undecided", "pass"}


def test_missing_figures_skip_a_gate():
    found = outcomes(realistic(("base", "patched")))
    assert found[UPSTREAM_EXIT] == found[UPSTREAM_BACK] == {"skip"}
    assert found[EXIT] == {"pass"}


def test_failed_gate_is_an_error_and_undecided_gate_is_not(tmp_path):
    layout = Layout(root=tmp_path, build=tmp_path, trees=tmp_path, cache=tmp_path)
    results = make_results(realistic(exit_ms=9.0))
    gates = judge_gates(results, read_gates("", ROOT))
    with pytest.raises(GateError, match=r"of \d+ gates failed") as caught:
        check_gates(layout, msgspec.structs.replace(results, gates=gates))
    assert any("above 0.05" in line for line in caught.value.details)
    undecided = tuple(msgspec.structs.replace(gate, outcome="undecided") for gate in gates)
    check_gates(layout, msgspec.structs.replace(results, gates=undecided))


def test_recorded_ratios_guard_later_runs(tmp_path):
    before = make_results(realistic())
    assert save_ratios(tmp_path / "ratios.json", before) == len(before.comparisons)
    assert "reference_s" not in (tmp_path / "ratios.json").read_text()
    assert len(read_ratios(tmp_path / "ratios.json")) == len(before.comparisons)
    (tmp_path / "gates.toml").write_text(
        '[[gate]]\nname = "as before"\nkind = "recorded"\nlatency = "exit"\nat_most = 2.0\n'
        'file = "ratios.json"\n'
    )
    gates = read_gates(str(tmp_path / "gates.toml"), ROOT)
    assert outcomes(realistic(), gates) == {"as before": {"pass"}}
    assert outcomes(realistic(exit_ms=3.0), gates)["as before"] == {"pass", "fail"}
    assert outcomes(realistic(backend="memfd"), gates) == {"as before": {"skip"}}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "cannot read"),
        ("[[gate", "not a file of gates"),
        ('[[gate]]\nname = "x"\nkind = "speed"\n', "not a file of gates"),
        ('[[gate]]\nname = "x"\nkind = "ratio"\natmost = 2\n', "not a file of gates"),
        ('[[gate]]\nname = "x"\nkind = "ratio"\nsize = "big"\n', "not a size"),
        ('[[gate]]\nname = "x"\nkind = "recorded"\nfile = "no.json"\n', "cannot read recorded ratios"),
    ],
)
def test_invalid_gate_files_are_refused_with_the_reason(tmp_path, text, match):
    if text is not None:
        (tmp_path / "g.toml").write_text(text)
    with pytest.raises(OptionError, match=match):
        read_gates(str(tmp_path / "g.toml"), ROOT)


def test_default_gates_come_from_the_file():
    assert DEFAULT.is_file()
    assert len(read_gates("", ROOT).gate) == 5
