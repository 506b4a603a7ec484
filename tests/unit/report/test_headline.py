import re

import msgspec
import pytest

from harness.figures import format_duration
from harness.report.headline import extrapolations, headline, load_line, open_line, sample_words
from harness.report.html import report_page
from harness.report.markdown import report_text
from harness.report.table import table_text

from ..teardown.support import make_sample
from .support import make_results, realistic


def text_of(samples, **fields):
    return " ".join(headline(make_results(samples, **fields)))


def taken(samples, seconds=2):
    """Return ``samples`` with an index and a start each, ``seconds`` apart."""
    return [
        msgspec.structs.replace(
            row, index=index, started=f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}+00:00"
        )
        for index, row in enumerate(samples, 1)
        for at in (index * seconds,)
    ]


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Each takes a quarter of a second to draw."""
    for name in ("latency_plots", "restart_plots", "distribution_plots"):
        monkeypatch.setattr(f"harness.report.html.{name}", lambda _: ())


@pytest.fixture(scope="module")
def whole():
    return make_results(realistic(variants=("base", "patched"), reclaim=0.85))


def test_one_sentence_has_exit_growth_and_reclaim_with_their_intervals(whole):
    (line,) = headline(whole)
    assert line.startswith("x86_64: QEMU's exit took 124 ms [119 ms, 127 ms] with 4G and grows by 30.")
    assert "ms/GiB [" in line
    assert "; with the series 0.7" in line
    assert " at any size, no growth found (< 0.0" in line
    assert ". The memory is back after 0.8" in line
    assert line.endswith("] the time of base.")


def test_every_report_begins_with_it(whole):
    line = headline(whole)[0]
    for text in (table_text(whole, width=100), report_text(whole)):
        assert line in " ".join(text.split())
    page = report_page(whole, properties=None, logs=())
    assert f"<li>{line.replace(chr(39), '&#39;').replace('<', '&lt;')}</li>" in page


@pytest.mark.parametrize("rounds", [1, 2])
def test_few_samples_still_give_the_main_figures(rounds):
    text = text_of(realistic(variants=("base", "patched"), rounds=rounds))
    samples = "1 sample)" if rounds == 1 else "2 samples)"
    assert f"QEMU's exit took 1{'2'}" in text
    assert text.count(samples) == 2
    assert "8 of 8 verdicts are open" not in text
    assert "7 of 7 verdicts are open" in text


def test_sizes_with_few_samples_give_way_to_smaller_ones():
    rows = realistic(variants=("base", "patched"))
    text = text_of([row for row in rows if row.memory_mib != 4096 or row.round < 3])
    assert "] with 1G and grows by" in text
    assert re.search(r"The memory is back after \d\.\d\d times \[", text)


def test_single_size_has_no_growth():
    samples = [row for row in realistic(variants=("base", "patched")) if row.memory_mib in (0, 1024)]
    text = text_of(samples)
    assert "with 1G; with the series 0.7" in text
    assert "grow" not in text


def test_growth_that_is_not_positive_is_not_reported_as_one():
    falling = [
        make_sample(0.010 - size / 1e6, variant="base", memory_mib=size, round=turn)
        for size in (256, 1024, 4096)
        for turn in range(4)
    ]
    results = make_results(falling)
    assert results.slopes[0].high < 0
    assert "with 4G, no growth found (< 0.01 ms/GiB)." in text_of(falling)
    assert extrapolations(results) == ()
    assert "\N{MINUS SIGN}" not in text_of(falling)
    assert " -" not in text_of(falling)


def test_only_what_grows_is_extrapolated(whole):
    (line,) = extrapolations(whole)
    assert "from 4G to 1 TiB, not measured: exit of base 3" in line
    assert "patched no growth found (< 0.0" in line
    assert "-" not in line
    page = report_page(whole, properties=None, logs=())
    assert "ms (-" not in page


def test_other_variants_have_their_own_names():
    text = text_of(realistic())
    assert "with pristine+option 0." in text
    assert "The memory is back after 9." in text
    assert "] the time of base with pristine+option, after 0.98 times [" in text
    assert text_of([make_sample(variant="distro")]).startswith(
        "x86_64: exit of distro took 100 ms (1 sample)"
    )


def test_variants_without_a_helper_have_no_reclaim_of_their_own():
    samples = [make_sample(0.1, variant=name, round=turn) for name in ("base", "x") for turn in range(3)]
    assert "memory is back" not in text_of(samples)


def test_samples_that_do_not_count_give_no_sentence():
    assert headline(make_results([make_sample(outcome="cancelled", reason="too large")]))[1:] == ()


def noisy(spread, variants=("base", "patched"), rounds=5):
    """Both variants take 100 ms on average, ``spread`` apart from round to round."""
    samples = [
        make_sample(0.1 * spread ** ((turn + side) % 2 * 2 - 1), variant=variant, memory_mib=1024, round=turn)
        for turn in range(rounds)
        for side, variant in enumerate(variants)
    ]
    return taken(samples)


def test_open_verdicts_say_how_much_more_time_would_settle_them():
    line = open_line(make_results(noisy(1.3), options={"budget_s": 150}))
    assert line.startswith("2 of 2 verdicts are open (exit and reclaim of x86_64 1G): about ")
    assert " more would settle them (-Dbudget=" in line
    budget = int(line.rpartition("=")[2].removesuffix("s)."))
    assert budget > 150
    assert budget % 30 == 0


def test_time_to_settle_grows_with_the_noise():
    budgets = [
        int(open_line(make_results(noisy(spread), options={"budget_s": 60})).rpartition("=")[2][:-3])
        for spread in (1.15, 1.3)
    ]
    assert budgets[0] < budgets[1]


def test_fixed_designs_get_a_number_of_rounds():
    line = open_line(make_results(noisy(1.3), options={"rounds": 5}))
    assert "-Drounds=" in line
    assert 5 < int(line.rpartition("-Drounds=")[2].split()[0]) < 96


def test_noise_that_no_run_overcomes_is_reported():
    line = open_line(make_results(noisy(30.0), options={"budget_s": 150}))
    assert line.endswith("their difference is too small for the noise of this machine.")


def test_nothing_is_open_in_a_run_with_all_verdicts():
    assert open_line(make_results(realistic(variants=("base", "patched")))) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89.6, "90 s"), (119, "119 s"), (120, "2 min"), (7300, "2.0 h")]
)
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text


def test_number_of_samples_is_that_of_the_cells():
    fixed = realistic(variants=("base", "patched"), rounds=4)
    assert sample_words(make_results(fixed)) == "4 rounds"
    small = [row for row in fixed if row.memory_mib != 4096 or row.round < 3]
    assert sample_words(make_results(small)) == "2 to 4 samples"
    assert sample_words(make_results(small, options={"rounds": 4})) == "4 rounds"
    same = [msgspec.structs.replace(row, round=min(row.round, 2)) for row in fixed]
    assert sample_words(make_results(same)) == "4 samples"
    assert "Teardown, medians of 2 to 4 samples:" in table_text(make_results(small))
    assert "Medians of 2 to 4 samples in random order" in " ".join(report_text(make_results(small)).split())
    assert "Medians of 2 to 4 samples in" in report_page(make_results(small), properties=None, logs=())


def test_load_is_reported_with_the_cells_that_had_most_of_it():
    rows = [
        msgspec.structs.replace(
            row,
            loaded=(loaded := row.memory_mib == 4096 or (row.memory_mib == 1024 and row.round == 1)),
            foreign_cpus=1.5 if loaded else 0.1,
        )
        for row in realistic(variants=("base", "patched"), rounds=3)
    ]
    line = load_line(make_results(rows))
    assert line.startswith(
        "14 of 30 samples were taken while other work kept CPUs busy (1.5 on average), most in "
    )
    assert "x86_64 4G (6 of 6)" in line
    assert "x86_64 4G restart (6 of 6)" in line
    assert "x86_64 1G (2 of 6)" in line
    assert "256M" not in line
    assert load_line(make_results(realistic(rounds=1))) == ""
