import json
import re
from pathlib import Path

import msgspec
import pytest

from harness import results as module
from harness.bench import Subject
from harness.build.hosts import HOSTS
from harness.errors import StorageError, TeardownError
from harness.figures import format_seconds
from harness.jsonfile import write_json
from harness.machine import host_facts
from harness.progress import Silent
from harness.report.live import live_table, round_line
from harness.report.table import render_table, table_text
from harness.teardown import record
from harness.teardown.emulated import EmulatedRun
from harness.teardown.model import EmulatedHost, Property, TeardownRun
from harness.teardown.record import check_results, record_teardown
from harness.teardown.results import AccelFacts, read_teardown, teardown_file
from tests.structs import filled

from ..bench.support import make_bench
from ..repositories import write_files
from ..screen import rendered
from ..teardown.support import make_sample
from ..teardown.test_scenario import options
from .support import make_results


def results(samples, **fields):
    return make_results(
        samples, **{"command": "nox -s teardown -- -Dmemory=1G", "started": "a", "finished": "b", **fields}
    )


def grid(variants=("base", "patched"), memories=(256, 1024)):
    return [
        make_sample(
            0.0421 if variant == "base" else 0.00123,
            None if variant == "base" else 0.0445,
            variant=variant,
            memory_mib=memory,
            target=target,
            round=turn,
        )
        for turn in (1, 2, 3)
        for target in ("x86_64-softmmu", "s390x-softmmu")
        for memory in memories
        for variant in variants
    ]


def test_results_round_trip(tmp_path):
    made = results(grid())
    write_json(tmp_path / "results" / "teardown.json", made)
    again = read_teardown(tmp_path / "results" / "teardown.json")
    assert msgspec.json.encode(again) == msgspec.json.encode(made)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["teardown.json"]


def test_rows_have_the_documented_field_names(tmp_path):
    write_json(tmp_path / "r.json", results(grid()))
    row = json.loads((tmp_path / "r.json").read_text())["rows"][0]
    wanted = (
        "variant target host memory_mib backend pages accel payload trigger round exit_s reclaim_s restart_s"
    )
    assert set(wanted.split()) <= set(row)


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "r.json"
    write_json(file, results([]))
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.jsonfile.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_json(file, results(grid()))
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"schema": 99}', "has schema 99"),
        ('{"schema": 1}', "is not a results file"),
        ('{"schema": 2}', "is not a results file"),
        ("half a fi", "is not a results file"),
        (None, "cannot read"),
    ],
)
def test_unreadable_files_are_refused_with_the_reason(tmp_path, text, match):
    if text is not None:
        (tmp_path / "r.json").write_text(text)
    with pytest.raises(StorageError, match=match):
        read_teardown(tmp_path / "r.json")


def test_results_of_schema_1_are_compared_again(tmp_path):
    old = msgspec.to_builtins(results(grid()))
    for name in ("slopes", "gates", "seed", "warmup_s", "round_s"):
        del old[name]
    for row in old["rows"]:
        for name in ("kind", "loaded", "thp", "returned_mib"):
            del row[name]
    old |= {"schema": 1, "comparisons": [{"variant": "patched", "base_s": 1.0}]}
    (tmp_path / "old.json").write_bytes(msgspec.json.encode(old))
    read = read_teardown(tmp_path / "old.json")
    assert read.schema == 2
    assert read.comparisons == results(grid()).comparisons


def test_slopes_floor_and_foreign_load_follow_the_table():
    samples = [
        *grid(),
        *(make_sample(0.0002, variant="floor", kind="floor", threads=4, memory_mib=0) for _ in range(3)),
        make_sample(0.0421, variant="base", loaded=True, round=3, memory_mib=256),
    ]
    text = " ".join(table_text(results(samples), width=200).split())
    assert (
        "x86_64: QEMU's exit took 42.1 ms [42.1 ms, 42.1 ms] with 1G, no growth found (< 0.01 ms/GiB)" in text
    )
    assert "extrapolated" not in text
    assert "floor: a process with 4 threads and 1 page of memory ends in 0.20 ms" in text
    assert "1 of 28 samples were taken while other work kept CPUs busy" in text
    assert "floor 0M" not in text


def test_restart_is_reported_with_its_ratio():
    samples = grid() + [
        make_sample(variant=name, kind="restart", restart_s=value, memory_mib=1024)
        for name, value in (("base", 2.0), ("patched", 1.0))
        for _ in range(3)
    ]
    text = table_text(results(samples), width=120)
    assert "x86_64 1G ram 4k sigkill: restart: base 2.00 s, patched 1.00 s: patched 0.50 better" in text


def test_run_continues_without_a_compiler(layout, monkeypatch):
    def fail(*_):
        raise TeardownError("no compiler", "x")

    monkeypatch.setattr(record, "build_programs", fail)
    reporter = Silent()
    assert record._floor(layout, reporter) is None
    assert "no compiler" in reporter.lines[0]


def test_live_table_shows_medians_and_a_round_is_one_line():
    samples = [*grid(), make_sample(variant="base", kind="overhead", memory_mib=0)]
    text = rendered(live_table(samples))
    assert re.search(r"s390x +1G +ram 4k +sigkill +3 +42.1 ms +42.1 ms +1.23 ms +44.5 ms", text)
    assert live_table([]).row_count == 0
    assert round_line(samples) == "  exit at 1G: base 42.1 ms, patched 1.23 ms"
    bad = [*samples, make_sample(variant="base", outcome="failed", reason="x"), make_sample(loaded=True)]
    assert round_line(bad).endswith("patched 1.23 ms, 1 failed, 1 under foreign load")


def test_table_shows_medians_ratio_and_verdict_within_80_columns():
    text = table_text(results(grid()), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    (line,) = [line for line in text.splitlines() if re.match(r"s390x +1G", line)]
    assert " ".join(line.split()) == "s390x 1G 42.1 ms 1.23 ms 0.029 44.5 ms 1.06 better, worse"


def test_emulated_host_is_listed_with_its_failed_properties():
    properties = (
        Property(name="clone", outcome="ok"),
        Property(name="seccomp", outcome="failed", reason="no filter"),
    )
    host = filled(
        EmulatedHost, host="s390x", kernel="6.1.0-9-s390x", accel="tcg", boot_s=4.2, properties=properties
    )
    rows = [make_sample(variant=name, host="s390x") for name in ("base", "patched")]
    text = table_text(results(rows, emulated=(host,)))
    assert "x86_64, on s390x, 1M, ram" in text
    assert "Linux 6.1.0-9-s390x emulated by tcg; properties that hold: clone\n" in text
    assert "s390x: seccomp failed: no filter" in text


def test_failed_property_is_an_error(layout):
    rows = [make_sample(host="s390x")]
    good = Property(name="clone", outcome="ok")
    host = filled(EmulatedHost, host="s390x", properties=(good,))
    check_results(layout, results(rows, emulated=(host,)))
    bad = msgspec.structs.replace(good, outcome="failed", reason="why")
    with pytest.raises(TeardownError, match="1 of 1 properties of the series failed") as caught:
        check_results(layout, results(rows, emulated=(msgspec.structs.replace(host, properties=(bad,)),)))
    assert caught.value.details == ("s390x: clone: why",)


def test_cross_built_binaries_start_no_native_guest(layout, monkeypatch):
    """Rows, comparisons and the machine itself are kept; indexes go on where the native rows end."""
    calls = []

    def emulate(layout, options, where, subjects, reporter, *, emulator, first_index, on_sample):
        calls.append((where.name, emulator, first_index))
        rows = tuple(
            make_sample(variant=name, host="s390x", index=first_index + n, round=n)
            for n in range(3)
            for name in ("base", "patched")
        )
        for row in rows:
            on_sample(row)
        return EmulatedRun(facts=filled(EmulatedHost, host="s390x"), samples=rows)

    monkeypatch.setattr(record, "run_emulated", emulate)
    monkeypatch.setattr(record, "run_teardown", lambda *_, **__: pytest.fail("a guest was started here"))
    subjects = (Subject(variant="base", host="s390x", target="s390x-softmmu", path=""),)
    emulators = ((HOSTS["s390x"], Path("/qemu")),)
    record_teardown(make_bench(layout, options(), subjects, emulators=emulators), command="x")
    assert calls == [("s390x", Path("/qemu"), 1)]
    written = read_teardown(teardown_file(layout))
    assert [row.host for row in written.emulated] == ["s390x"]
    assert {row.host for row in written.comparisons} == {"s390x"}
    assert [(row.target, row.name) for row in written.accels] == [("s390x-softmmu", "tcg")]


def test_cancelled_size_is_listed_with_its_reason():
    samples = [
        *grid(memories=(256,)),
        *(
            make_sample(
                variant=name, memory_mib=16384, outcome="cancelled", reason="needs 17000 MiB of memory"
            )
            for name in ("base", "patched")
        ),
    ]
    text = table_text(results(samples))
    assert re.search(r"16G +cancelled +cancelled", text)
    assert "16G: 2 samples cancelled: needs 17000 MiB" in text


def test_failures_and_an_incomplete_run_are_reported():
    samples = [*grid(), make_sample(variant="patched", outcome="failed", reason="no helper", memory_mib=256)]
    text = table_text(results(samples, complete=False))
    assert "patched x86_64 256M: 1 sample failed: no helper" in text
    assert "stopped before its end" in text


def test_few_samples_give_no_verdict():
    text = table_text(results([make_sample(variant=name) for name in ("base", "patched")]))
    assert "?, ?" in text
    assert "not enough data" in text


def test_several_variants_and_a_single_one():
    text = table_text(results(grid(("pristine+option", "base", "patched"))))
    assert re.search(r"x86_64 +256M +pristine\+option ", text)
    assert re.search(r"x86_64 +256M +patched ", text)
    alone = table_text(results(grid(("patched",))))
    assert "ratio" not in alone
    assert "1.23 ms" in alone
    assert "42.1 ms" in table_text(results(grid(("base",))))


def test_piped_output_has_no_colour_codes():
    assert "\x1b" not in rendered(render_table(results(grid())), width=80)
    assert "\x1b" not in table_text(results(grid()))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.000123, "0.12 ms"),
        (0.0123, "12.3 ms"),
        (0.0999996, "100 ms"),
        (0.9999, "1.00 s"),
        (12.34, "12.3 s"),
    ],
)
def test_figures_have_three_significant_digits(seconds, text):
    assert format_seconds(seconds) == text


def test_host_facts_of_an_empty_root(tmp_path):
    facts = host_facts(tmp_path)
    assert (facts.cpu, facts.thp, facts.governor, facts.memory_mib) == ("", "", "", 0)
    assert facts.cpus >= 1


def test_host_facts_are_read(tmp_path):
    files = {
        "proc/meminfo": "MemTotal: 2048000 kB\nSwapTotal: 1024 kB\n",
        "proc/cpuinfo": "vendor_id : IBM/S390\nprocessor 0: version = FF, machine = 3931\n",
        "etc/os-release": 'NAME="D"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }
    facts = host_facts(write_files(tmp_path, files))
    assert (facts.memory_mib, facts.swap_mib, facts.thp) == (2000, 1, "madvise")
    assert facts.distribution == "Debian GNU/Linux 12 (bookworm)"
    assert "machine = 3931" in facts.cpu
    gib = f"Debian GNU/Linux 12 (bookworm), Linux {facts.kernel}, {facts.cpus} CPUs, 1 GiB"
    assert facts.summary == gib


def run_of(samples, *, error=None):
    def run_teardown(bench, *, floor, hooks):
        for sample in samples:
            hooks.on_sample(sample)
        if error:
            raise error
        return TeardownRun(samples=tuple(samples), warmup_s=9.0, round_s=8.0)

    return run_teardown


def go(layout, monkeypatch, **fields):
    monkeypatch.setattr(record, "build_programs", lambda *_: {"floor": Path("/floor")})
    monkeypatch.setattr(record, "run_teardown", run_of(**fields))
    return record_teardown(make_bench(layout, options(), seed=5), command="nox -s teardown")


def test_run_is_stored(layout, monkeypatch):
    made = go(layout, monkeypatch, samples=grid())
    kept = read_teardown(teardown_file(layout))
    assert kept.complete
    assert kept.rows == made.rows
    assert kept.options["rounds"] == 3
    assert kept.command == f"nox -s teardown -- -Dseed={kept.seed}"
    assert kept.seed == 5
    assert (kept.warmup_s, kept.round_s) == (9.0, 8.0)
    assert {slope.variant for slope in kept.slopes} == {"base", "patched"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TeardownError("a", "b")])
def test_stopped_run_keeps_completed_rows(layout, monkeypatch, error):
    with pytest.raises(type(error)):
        go(layout, monkeypatch, samples=grid()[:2], error=error)
    kept = read_teardown(teardown_file(layout))
    assert not kept.complete
    assert len(kept.rows) == 2
    assert len(kept.comparisons) == 2


def test_rows_are_saved_during_a_run(layout, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0.0)
    written = []
    monkeypatch.setattr(module, "write_json", lambda _path, value: written.append(len(value.rows)))
    go(layout, monkeypatch, samples=grid()[:3])
    assert written == [1, 2, 3, 3]


def test_failed_or_missing_samples_are_errors_and_cancelled_ones_are_not(layout):
    cancelled = make_sample(outcome="cancelled", reason="needs much")
    check_results(layout, results([*grid(), cancelled]))
    with pytest.raises(TeardownError, match="1 of 25 samples failed") as caught:
        check_results(layout, results([*grid(), make_sample(outcome="failed", reason="it broke")]))
    assert caught.value.details == ("base x86_64-softmmu: it broke",)
    with pytest.raises(TeardownError, match="every sample was cancelled"):
        check_results(layout, results([cancelled, make_sample(kind="floor", variant="floor")]))


def test_heading_lists_accelerators_and_differing_payloads():
    samples = [
        make_sample(target=target, payload=payload, accel=accel)
        for target, payload, accel in (
            ("x86_64-softmmu", "paused", "kvm"),
            ("x86_64-softmmu", "linux", "tcg"),
            ("s390x-softmmu", "paused", "tcg"),
            ("s390x-softmmu", "linux", "tcg"),
        )
    ]
    built = (AccelFacts(target="aarch64-softmmu", name="tcg", reason="built earlier"),)
    heading = table_text(results(samples, accels=built), width=200).splitlines()[0]
    assert heading.endswith("kvm for x86_64 paused, tcg for x86_64 linux, tcg for s390x")
