"""What a configuration would compile: read from the fake QEMU, stored, and read again only if needed."""

import json
import re
from dataclasses import replace

import pytest

from harness.build import probe as module
from harness.build.plan import Extra
from harness.build.probe import KEPT, Sources, probe
from harness.errors import OptionError
from harness.progress import Silent
from tests.unit.build.support import checkout_at, configure_runs, make_options


def stored(layout):
    return sorted((layout.cache / "graphs").glob("*.json"))


def test_sources_and_programs_of_a_configuration(layout, checkout):
    found = probe(checkout, make_options(targets=("s390x-softmmu",)), layout, Silent())
    assert found.programs[0] == "qemu-system-s390x"
    assert found.programs_of("main.c") == ("qemu-system-s390x",)
    assert found.programs_of("no/such.c") == ()
    assert (found.needed, found.steps[:2]) == (3, (3, 0))
    assert found.error == ()
    assert not checkout.path.with_name("probe").exists()


def test_answer_is_stored_by_commit_targets_and_switches(layout, checkout):
    options = make_options(targets=("s390x-softmmu",))
    first = probe(checkout, options, layout, Silent())
    assert probe(checkout, options, layout, Silent()) == first
    assert configure_runs(checkout) == 1
    probe(checkout, make_options(targets=("x86_64-softmmu",)), layout, Silent())
    probe(checkout, options, layout, Silent(), extra=Extra(switches=("--disable-werror",)))
    probe(make_checkout_of(checkout, "c2"), options, layout, Silent())
    assert configure_runs(checkout) == 4
    assert len(stored(layout)) == 4
    stored(layout)[0].write_text("{")
    for path in stored(layout)[1:]:
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'))
    probe(checkout, options, layout, Silent())
    assert configure_runs(checkout) == 5, "damaged and older answers are not used"


def test_answer_is_that_of_another_environment_with_the_same_versions(layout, checkout, monkeypatch):
    options, make_plan = make_options(targets=("s390x-softmmu",)), module.make_plan
    first = probe(checkout, options, layout, Silent())

    def elsewhere(*given):
        plan = make_plan(*given)
        moved = tuple(re.sub(r"^(--(?:meson|ninja)=)", r"\1/x", word) for word in plan.configure)
        assert sum(word != other for word, other in zip(moved, plan.configure, strict=True)) == 2
        return replace(plan, configure=moved)

    monkeypatch.setattr(module, "make_plan", elsewhere)
    assert probe(checkout, options, layout, Silent()) == first
    assert configure_runs(checkout) == 1


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "all targets"), (2, "t0-softmmu, t1-softmmu"), (4, "4 targets")]
)
def test_progress_counts_many_targets(layout, checkout, number, expected):
    names = tuple(f"t{index}-softmmu" for index in range(number))
    has_them = replace(checkout, facts=replace(checkout.facts, targets=names))
    reporter = Silent()
    probe(has_them, make_options(targets=names), layout, reporter)
    assert any(line.endswith(f"compiles for {expected}") for line in reporter.lines)


def make_checkout_of(checkout, commit):
    return checkout_at(checkout.path, commit=commit)


def test_failing_configure_is_an_answer(layout, checkout, monkeypatch):
    monkeypatch.setenv("FAKEQEMU_FAULT", "configure")
    found = probe(checkout, make_options(), layout, Silent())
    assert found.error == (
        '../src/meson.build:555:0: ERROR: Dependency "glib-2.0" not found, tried pkgconfig',
    )
    assert found.programs == ()
    with pytest.raises(OptionError, match="has no 'no-softmmu'"):
        probe(checkout, make_options(targets=("no-softmmu",)), layout, Silent())


def test_configure_that_never_ends_is_an_answer_that_is_not_stored(layout, checkout, monkeypatch):
    monkeypatch.setenv("FAKEQEMU_FAULT", "hang-configure")
    monkeypatch.setattr(module, "CONFIGURE_LIMIT_S", 0.5)
    assert "time limit" in probe(checkout, make_options(), layout, Silent()).error[0]
    assert stored(layout) == []


def test_installed_program_asks_again(layout, checkout, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PROGRAMS", ("harness-flex", "no-such-program"))
    probe(checkout, make_options(), layout, Silent())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "harness-flex").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    probe(checkout, make_options(), layout, Silent())
    assert len(stored(layout)) == 2


def test_failure_of_the_machine_is_not_stored(layout, checkout):
    script = checkout.path / "configure"
    whole = script.read_text()
    crash = "ERROR: Unhandled python OSError. This is probably not a Meson bug"
    for said, kept in (
        ("ERROR: No space left on device", 0),
        ("Killed", 0),
        (crash, 0),
        ("x: ERROR: no glib", 1),
    ):
        script.write_text(f"#!/bin/sh\n# {whole.replace(chr(10), ' ')}\necho '{said}'; exit 1\n")
        assert probe(checkout, make_options(), layout, Silent()).error[-1] == said
        assert len(stored(layout)) == kept


def test_widest_configuration_has_every_target_and_the_default_features(layout, checkout):
    extra = Extra(default_features=True)
    probe(checkout, make_options(targets=()), layout, Silent(), extra=extra)
    words = (checkout.path.parent / "configure-runs").read_text().split()
    assert "--without-default-features" not in words
    assert not any(word.startswith("--target-list") for word in words)


def test_unwritable_cache_and_unreadable_tests_are_no_error(layout, checkout):
    layout.cache.mkdir(parents=True, exist_ok=True)
    (layout.cache / "graphs").write_text("a file")
    assert probe(checkout, make_options(), layout, Silent()).programs


def test_targets_of_qtests_are_those_of_meson(tmp_path):
    (tmp_path / "meson-info").mkdir()
    tests = [
        {
            "cmd": [f"{tmp_path}/tests/qtest/a-test", "--tap"],
            "env": {"QTEST_QEMU_BINARY": "./qemu-system-arm"},
        },
        {"cmd": [f"{tmp_path}/tests/qtest/a-test"], "env": {"QTEST_QEMU_BINARY": "./qemu-system-aarch64"}},
        {"cmd": [f"{tmp_path}/tests/unit/b"], "env": {}},
        {"cmd": ["/usr/bin/true"], "env": {"QTEST_QEMU_BINARY": "./qemu-system-arm"}},
    ]
    path = tmp_path / "meson-info" / "intro-tests.json"
    path.write_text(json.dumps(tests))
    assert module._tests(tmp_path) == {"tests/qtest/a-test": ("arm-softmmu", "aarch64-softmmu")}
    path.write_text("[")
    assert module._tests(tmp_path) == {}


def test_oldest_answers_are_removed(tmp_path):
    for number in range(KEPT + 3):
        (tmp_path / f"{number:03}.json").touch()
    module._prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == KEPT - 1
    module._prune(tmp_path / "nowhere")


def test_positions_name_programs():
    sources = Sources(programs=("a", "b"), steps=(1, 2), users={"x.c": (1,)})
    assert sources.programs_of("x.c") == ("b",)
