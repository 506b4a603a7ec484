import msgspec

from harness.report.comparing import compare_runs, render_changes

from ..screen import rendered
from .support import make_results, realistic


def scaled(samples, factor, variants):
    return [
        msgspec.structs.replace(row, exit_s=row.exit_s * factor, reclaim_s=row.reclaim_s * factor)
        if row.variant in variants
        else row
        for row in samples
    ]


def verdicts(old, new):
    changes = compare_runs(make_results(old), make_results(new))
    return {variant: {c.verdict for c in changes if c.variant == variant} for variant in ("base", "patched")}


def test_identical_runs_show_no_change():
    assert verdicts(realistic(), realistic()) == {"base": {"same"}, "patched": {"same"}}


def test_slower_machine_is_not_a_regression():
    everything = ("base", "pristine+option", "patched")
    found = verdicts(realistic(), scaled(realistic(), 2.0, everything))
    assert found["base"] == {"worse", "same"}  # restarts are as before
    assert found["patched"] == {"same"}


def test_regression_of_one_variant_is_found():
    found = verdicts(realistic(), scaled(realistic(), 2.0, ("patched",)))
    assert found["base"] == {"same"}
    assert "worse" in found["patched"]
    assert "better" in verdicts(scaled(realistic(), 2.0, ("patched",)), realistic())["patched"]


def test_too_few_samples_give_no_verdict():
    assert verdicts(realistic(rounds=2), realistic(rounds=2))["patched"] == {"not enough data"}


def test_both_runs_are_shown_and_disjoint_runs_are_reported():
    old, new = make_results(realistic()), make_results(scaled(realistic(), 2.0, ("patched",)))
    shown = rendered(render_changes(old, new, compare_runs(old, new)), width=140)
    assert "x86_64 4G ram 4k paused sigkill" in shown
    other = make_results(realistic(backend="memfd"))
    assert "The runs have no cell in common." in rendered(
        render_changes(old, other, compare_runs(old, other)), width=140
    )
