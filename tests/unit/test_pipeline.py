"""harness.pipeline: refused requests, default variants, builds for each host."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import pipeline
from harness.build.hosts import HOSTS
from harness.errors import OptionError
from harness.layout import Layout, find_layout
from harness.pipeline import (
    Checked,
    Prepared,
    for_host,
    with_all_variants,
    with_feature,
    with_variants,
)
from harness.progress import Silent
from tests.unit.build.support import make_options
from tests.unit.conftest import tiny_pin
from tests.unit.defaults import ROOT, options_with

LAYOUT = find_layout(ROOT)


def test_cycles_skip_variants_without_the_feature_unless_variants_are_given() -> None:
    assert with_feature(LAYOUT, make_options(variants=())).variants == ("patched",)
    named = make_options(variants=("base", "patched"), given=("-Dvariants=base,patched",))
    assert with_feature(LAYOUT, named).variants == ("base", "patched")


def test_cycles_refuse_emulated_hosts() -> None:
    with pytest.raises(OptionError, match="cycles run on host native only"):
        with_feature(LAYOUT, make_options(hosts=("native", "s390x")))


def test_cross_builds_have_the_target_of_their_host_unless_targets_are_given() -> None:
    both = make_options(hosts=("native", "s390x"), targets=("x86_64-softmmu", "s390x-softmmu"))
    assert for_host(both, HOSTS["s390x"]).targets == ("s390x-softmmu",)
    assert for_host(both, HOSTS["native"]).targets == both.targets
    named = dataclasses.replace(both, given=("-Dtargets=x86_64-softmmu,s390x-softmmu",))
    assert for_host(named, HOSTS["s390x"]).targets == both.targets


def test_every_variant_is_built_for_every_host(
    layout: Layout, reporter: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, str, tuple[str, ...]]] = []
    kept: list[object] = []

    def build(checkout: Any, options: Any, *_: object, host: str = "native") -> str:
        built.append((checkout.variant, host, options.targets))
        return f"{checkout.variant} {host}"

    checkouts = tuple(SimpleNamespace(variant=variant) for variant in ("base", "patched"))
    prepared = Prepared(tree=None, series=None, checkouts=checkouts)  # type: ignore[arg-type]
    monkeypatch.setattr(pipeline, "ensure", lambda *_: kept.append("ensure"))
    monkeypatch.setattr(pipeline, "prepare", lambda *_: prepared)
    monkeypatch.setattr(pipeline, "build", build)
    monkeypatch.setattr(pipeline, "write_build_results", lambda *given: kept.append(given[1:]))
    checked = Checked(pin=tiny_pin(), series=None)
    options = options_with(hosts=("native", "s390x"))
    assert pipeline.build_all(layout, checked, options, reporter, "build")[0] is prepared
    both = ("x86_64-softmmu", "s390x-softmmu")
    assert built == [
        ("base", "native", both),
        ("patched", "native", both),
        ("base", "s390x", both[1:]),
        ("patched", "s390x", both[1:]),
    ]
    names = ("base native", "patched native", "base s390x", "patched s390x")
    assert kept == ["ensure", (names, "build")]
    built.clear()
    assert len(pipeline.build_cross(prepared, layout, options, reporter)) == 1
    assert built == [("patched", "s390x", both[1:])]


def test_each_emulated_host_has_a_native_qemu_that_emulates_it(
    layout: Layout, reporter: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the native build of the first variant, with the host's target."""

    def build(checkout: Any, options: Any, *_: object) -> Any:
        assert (checkout, options.hosts, options.targets) == ("base", ("native",), ("s390x-softmmu",))
        return SimpleNamespace(binary=lambda target: SimpleNamespace(file=Path(f"/{target}")))

    monkeypatch.setattr(pipeline, "build", build)
    prepared = Prepared(tree=None, series=None, checkouts=("base", "patched"))  # type: ignore[arg-type]
    options = options_with(hosts=("native", "s390x"))
    found = pipeline.build_emulators(prepared, layout, options, reporter)
    assert found == ((HOSTS["s390x"], Path("/s390x-softmmu")),)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ({"pin": "5.2"}, "cannot build pin 5.2, only fetch and import it"),
        ({"pin": "10.0", "variants": ("patched",)}, "is for pin 7.2, not for 10.0"),
        ({"series": "no-such", "variants": ("patched",)}, "no series"),
    ],
)
def test_requests_that_cannot_be_built_are_refused(words: dict[str, Any], cause: str) -> None:
    with pytest.raises(OptionError, match=cause):
        pipeline.check_request(find_layout(ROOT), options_with(**words))


def test_build_folder_with_spaces_is_refused(tmp_path: Path) -> None:
    layout = dataclasses.replace(find_layout(ROOT), build=tmp_path / "with space")
    with pytest.raises(OptionError, match="spaces and colons"):
        pipeline.check_request(layout, options_with())
    assert pipeline.check_request(layout, make_options(), needs_build=False).series is not None


def test_series_is_read_only_for_the_variant_patched() -> None:
    options = options_with(variants=("base", "pristine"), series="no-such")
    assert pipeline.check_request(find_layout(ROOT), options).series is None


def test_properties_use_all_variants_unless_variants_are_given() -> None:
    assert with_all_variants(LAYOUT, make_options(variants=())).variants == ("base", "patched", "pristine")
    named = make_options(variants=("base", "patched"), given=("-Dvariants=base,patched",))
    assert with_all_variants(LAYOUT, named).variants == ("base", "patched")
    with pytest.raises(OptionError, match="lacks native, which most properties need"):
        with_all_variants(LAYOUT, make_options(hosts=("s390x",)))


@pytest.mark.parametrize(
    ("changes", "variants"),
    [
        ({}, ("base", "patched")),
        ({"pin": "10.2"}, ("pristine",)),
        ({"source": "/some/clone"}, ("pristine",)),
        ({"source": "/some/clone", "given": ("-Dpin=7.2",)}, ("base", "patched")),
        ({"pin": "10.2", "given": ("-Dseries=async-teardown",)}, ("base", "patched")),
        ({"variants": ("pristine", "base")}, ("pristine", "base")),
    ],
)
def test_variants_follow_the_series_and_the_tree(changes: dict[str, Any], variants: tuple[str, ...]) -> None:
    assert with_variants(LAYOUT, options_with(**changes)).variants == variants


def test_a_series_that_names_no_pin_is_compared_with_pristine(layout: Layout, tmp_path: Path) -> None:
    series = tmp_path / "mine"
    shutil.copytree(ROOT / "patches" / "async-teardown", series)
    (series / "series.toml").unlink()
    options = options_with(series=str(series), source="/some/clone", given=(f"-Dseries={series}",))
    assert with_variants(layout, options).variants == ("pristine", "patched")
