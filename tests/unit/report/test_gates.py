import msgspec
import pytest

from harness.errors import GateError, OptionError
from harness.figures import format_slope
from harness.teardown.gates import Gate, Gates, check_gates, judge_gates, read_gates
from harness.teardown.ratios import Ratio, read_ratios, save_ratios
from harness.teardown.results import GateResult
from tests.unit.defaults import ROOT

from ..teardown.support import make_sample
from .support import make_results, realistic


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


def test_gates_on_metrics_of_behaviour_tests_are_left_out():
    assert outcomes(realistic(), Gates(gate=(Gate(name="boot", kind="ratio", metric="boot"),))) == {}


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
        ('[[gate]]\nname = "x"\nkind = "slope"\nmetric = "boot"\n', "kind slope is for latencies only"),
    ],
)
def test_invalid_gate_files_are_refused_with_the_reason(tmp_path, text, match):
    if text is not None:
        (tmp_path / "g.toml").write_text(text)
    with pytest.raises(OptionError, match=match):
        read_gates(str(tmp_path / "g.toml"), ROOT)


CONSTANT = {"base": (1.0, 2.0), "pristine+option": (0.0, 1.5), "patched": (0.5, 3.0)}
"""Seconds of exit and reclaim at 256M; 1G takes twice as long."""


def constant(rounds=3, **fields):
    """Samples without noise, whose intervals have no width."""
    return [
        make_sample(
            ended * factor, back * factor, variant=variant, memory_mib=memory, round=turn + 1, **fields
        )
        for variant, (ended, back) in CONSTANT.items()
        for memory, factor in ((256, 1), (1024, 2))
        for turn in range(rounds)
    ]


def judged(samples, *, results=None, recorded=None, **fields):
    gates = Gates(gate=(Gate(name="g", **fields),), recorded=recorded or {})
    return judge_gates(results or make_results(samples), gates)


def test_ratio_gate_has_figure_interval_and_limit_of_each_size():
    small, large = judged(constant(), kind="ratio", at_most=0.5)
    assert (small.gate, small.outcome, small.reason) == ("g", "pass", "")
    assert (small.figure, small.low, small.high, small.limit) == (0.5, 0.5, 0.5, 0.5)
    assert ["256M" in small.place, "1G" in large.place] == [True, True]


@pytest.mark.parametrize(
    ("size", "places"), [("every", 2), ("largest", 1), ("1G", 1), ("256M", 1), ("2G", 0)]
)
def test_ratio_gate_selects_sizes(size, places):
    found = [row for row in judged(constant(), kind="ratio", size=size) if row.outcome != "skip"]
    assert len(found) == places
    if size in ("largest", "1G", "256M"):
        assert ("256M" if size == "256M" else "1G") in found[0].place


@pytest.mark.parametrize(
    ("fields", "figure"),
    [
        ({"latency": "exit"}, 0.5),
        ({"latency": "reclaim"}, 1.5),
        ({"latency": "reclaim", "reference_latency": "exit"}, 3.0),
        ({"latency": "exit", "variant": "base", "reference": "patched"}, 2.0),
        ({"latency": "reclaim", "reference": "pristine+option"}, 2.0),
    ],
)
def test_ratio_gate_divides_the_named_latencies(fields, figure):
    assert {row.figure for row in judged(constant(), kind="ratio", at_most=9.0, **fields)} == {figure}


def test_cell_without_figures_does_not_hide_the_others():
    def is_first(row):
        return row.variant == "patched" and row.memory_mib == 256

    (large,) = judged([row for row in constant() if not is_first(row)], kind="ratio")
    assert "1G" in large.place
    alone = [row for row in constant(backend="memfd") if row.variant == "base"]
    (slope,) = judged([*alone, *constant()], kind="slope")
    assert slope.place.endswith("ram")


def test_ratio_gate_of_restarts_uses_their_samples():
    samples = [*constant(), *constant(kind="restart", restart_s=4.0)]
    assert {row.figure for row in judged(samples, kind="ratio", latency="restart")} == {1.0}
    assert {row.figure for row in judged(samples, kind="ratio", latency="exit")} == {0.5}


def test_ratio_gate_fails_only_with_an_interval_above_the_limit():
    (failed, _) = judged(constant(), kind="ratio", at_most=0.4)
    assert failed.outcome == "fail"
    assert all(word in failed.reason for word in ("0.50", "interval 0.50 to 0.50", "0.40"))
    (unsure, _) = judged(constant(rounds=2), kind="ratio", at_most=0.4)
    assert (unsure.outcome, unsure.low, unsure.high) == ("undecided", None, None)
    assert "0.50" in unsure.reason
    assert "interval" not in unsure.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"variant": "distro"},
        {"reference": "distro"},
        {"reference": "pristine+option"},
        {"latency": "restart"},
    ],
)
def test_gate_without_figures_is_skipped_with_their_names(fields):
    """The exit of ``pristine`` takes no time here, so there is no ratio to it."""
    (skipped,) = judged(constant(), kind="ratio", **fields)
    assert (skipped.outcome, skipped.place, skipped.gate) == ("skip", "", "g")
    wanted = {"latency": "exit", "variant": "patched", "reference": "base", **fields}
    assert all(name in skipped.reason for name in wanted.values())


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.0, 3.0, "pass"),
        (3.0, 5.0, "pass"),
        (-5.0, -3.0, "pass"),
        (-5.0, 5.0, "pass"),
        (3.01, 5.0, "fail"),
        (-5.0, -3.01, "fail"),
    ],
)
def test_slope_gate_needs_an_interval_within_its_share_of_the_reference(low, high, outcome):
    slopes = {
        "base": (-30.0, -31.0, -29.0),
        "patched": ((low + high) / 2, low, high),
        "pristine+option": (9.0, 9.0, 9.0),
    }
    results = make_results(constant())
    changed = tuple(
        msgspec.structs.replace(
            slope, **dict(zip(("ms_per_gib", "low", "high"), slopes[slope.variant], strict=True))
        )
        for slope in results.slopes
    )
    (row,) = judged([], results=msgspec.structs.replace(results, slopes=changed), kind="slope", at_most=0.1)
    assert (row.gate, row.outcome, row.place) == ("g", outcome, "x86_64")
    assert (row.figure, row.low, row.high, row.limit) == ((low + high) / 2, low, high, 3.0)
    if outcome == "pass":
        assert row.reason == ""
    else:
        assert all(format_slope(value) in row.reason for value in ((low + high) / 2, low, high, 3.0))


def test_slope_gate_compares_equal_cells_only():
    samples = [*constant(), *(row for row in constant(backend="memfd") if row.variant != "base")]
    (row,) = judged(samples, kind="slope")
    assert row.place.endswith("ram")
    assert row.figure == pytest.approx(0.5 / 0.75 * 1000)
    (skipped,) = judged([row for row in samples if row.variant != "base"], kind="slope")
    assert skipped.outcome == "skip"


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("better", "pass"), ("same", "fail"), ("worse", "fail"), ("not enough data", "undecided")],
)
def test_verdict_gate_accepts_its_verdicts(verdict, outcome):
    results = make_results(constant())
    changed = tuple(msgspec.structs.replace(row, verdict=verdict) for row in results.comparisons)
    found = judged(
        [],
        results=msgspec.structs.replace(results, comparisons=changed),
        kind="verdict",
        latency="reclaim",
        reference="pristine+option",
        verdicts=("better",),
    )
    assert [(row.gate, row.outcome, row.figure, row.low, row.high) for row in found] == [
        ("g", outcome, 2, 2, 2)
    ] * 2
    assert ["256M" in found[0].place, "1G" in found[1].place] == [True, True]
    assert all(word in found[0].reason for word in (verdict, "2.00")) is (outcome != "pass")


def test_recorded_gate_multiplies_the_recorded_ratio():
    samples = constant()
    ratios = tuple(Ratio.of(row, row.ratio / 2) for row in make_results(samples).comparisons if row.ratio)
    small, large = judged(
        samples, kind="recorded", file="r", at_most=2.0, recorded={"r": ratios, "other": ()}
    )
    for row, size in ((small, "256M"), (large, "1G")):
        assert (row.gate, row.outcome, row.figure, row.low, row.high, row.limit) == ("g", "pass", *(0.5,) * 4)
        assert row.place.startswith(f"patched x86_64 {size}")
    failed = judged(
        samples, kind="recorded", file="r", at_most=1.9, latency="reclaim", recorded={"r": ratios}
    )
    assert {row.outcome for row in failed} == {"fail"}
    (skipped,) = judged(samples, kind="recorded", file="none", recorded={"r": ratios})
    assert skipped.outcome == "skip"


def test_error_counts_only_failed_gates_and_shows_the_first_ten(layout):
    rows = [*(f"f{number}" for number in range(12)), "passed", "skipped", "unsure"]
    outcome = {"passed": "pass", "skipped": "skip", "unsure": "undecided"}
    gates = tuple(
        GateResult(gate=name, place="here", outcome=outcome.get(name, "fail"), reason="above")
        for name in rows
    )
    with pytest.raises(GateError, match=r"^12 of 14 ") as caught:
        check_gates(layout, msgspec.structs.replace(make_results(constant()), gates=gates))
    assert caught.value.details == tuple(f"f{number}: here: above" for number in range(10))
    assert caught.value.log == layout.results / "teardown.json"
    check_gates(layout, msgspec.structs.replace(make_results(constant()), gates=gates[12:]))


def test_gate_file_is_relative_to_the_checkout_and_its_ratios_to_it(tmp_path):
    (tmp_path / "below").mkdir()
    save_ratios(tmp_path / "below" / "ratios.json", make_results(constant()))
    text = '[[gate]]\nname = "\u00fc"\nkind = "recorded"\nfile = "ratios.json"\nsize = "1G"\n'
    (tmp_path / "below" / "gates.toml").write_text(text, encoding="utf-8")
    gates = read_gates("below/gates.toml", tmp_path)
    assert [(gate.name, gate.size) for gate in gates.gate] == [("\u00fc", "1G")]
    assert gates.recorded == {"ratios.json": read_ratios(tmp_path / "below" / "ratios.json")}
    with pytest.raises(OptionError, match=f"{tmp_path}/none.toml"):
        read_gates("none.toml", tmp_path)
    (tmp_path / "latin.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(OptionError, match=f"{tmp_path}/latin.toml"):
        read_gates("latin.toml", tmp_path)
