"""harness.pipeline: refused requests, default variants, builds for each host."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import pipeline
from harness.build.hosts import HOSTS
from harness.commands.guests import refuse_other_hosts
from harness.errors import CompileError, OptionError
from harness.layout import find_layout
from harness.pipeline import (
    Checked,
    Prepared,
    check_request,
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


def test_cycles_skip_variants_without_the_feature_unless_variants_are_given():
    assert with_feature(LAYOUT, make_options(variants=())).variants == ("patched",)
    named = make_options(variants=("base", "patched"), given=("-Dvariants=base,patched",))
    assert with_feature(LAYOUT, named).variants == ("base", "patched")


def test_cross_builds_have_the_target_of_their_host_unless_targets_are_given():
    both = make_options(hosts=("native", "s390x"), targets=("x86_64-softmmu", "s390x-softmmu"))
    assert for_host(both, HOSTS["s390x"]).targets == ("s390x-softmmu",)
    assert for_host(both, HOSTS["native"]).targets == both.targets
    named = dataclasses.replace(both, given=("-Dtargets=x86_64-softmmu,s390x-softmmu",))
    assert for_host(named, HOSTS["s390x"]).targets == both.targets


def test_every_variant_is_built_for_every_host(layout, reporter, monkeypatch):
    """What a build needs is installed first, and the results of all builds are written together."""
    checked = Checked(pin=tiny_pin(), series=None)
    options = options_with(hosts=("native", "s390x"))
    checkouts = tuple(SimpleNamespace(variant=variant) for variant in ("base", "patched"))
    prepared = Prepared(tree=None, series=None, checkouts=checkouts)
    built, early, kept = [], [], []

    def prepare(*given):
        kept.append(("prepare", *given))
        return prepared

    def build(checkout, options, *given, host="native"):
        assert given == (layout, reporter)
        built.append((checkout.variant, host, options.targets))
        return f"{checkout.variant} {host}"

    def configure(checkout, options, _layout, quiet, *, host):
        assert quiet is not reporter
        early.append((checkout.variant, host, options.targets))

    def ensure(*given, meanwhile):
        kept.append(("ensure", *given))
        for job in meanwhile:
            job("quiet")

    monkeypatch.setattr(pipeline, "ensure", ensure)
    monkeypatch.setattr(pipeline, "write_build_results", lambda *given: kept.append(("write", *given)))
    for stage in (prepare, build, configure):
        monkeypatch.setattr(pipeline, stage.__name__, stage)
    last = [lambda quiet: early.append(("firmware", "", ()))]
    made = pipeline.build_all(layout, checked, options, reporter, "build", meanwhile=last)
    names = ("base native", "patched native", "base s390x", "patched s390x")
    assert made == (prepared, names)
    both = ("x86_64-softmmu", "s390x-softmmu")
    assert built == [
        ("base", "native", both),
        ("patched", "native", both),
        ("base", "s390x", both[1:]),
        ("patched", "s390x", both[1:]),
    ]
    assert early == [*built[1:], ("firmware", "", ())], "all but the first, while that is built"
    assert kept == [
        ("ensure", layout, options, reporter),
        ("prepare", layout, checked, options, "quiet"),
        ("prepare", layout, checked, options, reporter),
        ("write", layout, names, "build"),
    ]
    built.clear()
    assert pipeline.build_cross(prepared, layout, options, reporter) == ("patched s390x",)
    assert built == [("patched", "s390x", both[1:])]


def test_each_emulated_host_has_a_native_qemu_that_emulates_it(layout, reporter, monkeypatch):
    """It is the native build of the first variant, with the host's target."""

    def build(checkout, options, *_):
        assert (checkout, options.hosts, options.targets) == ("base", ("native",), ("s390x-softmmu",))
        return SimpleNamespace(binary=lambda target: SimpleNamespace(file=Path(f"/{target}")))

    monkeypatch.setattr(pipeline, "build", build)
    prepared = Prepared(tree=None, series=None, checkouts=("base", "patched"))
    options = options_with(hosts=("native", "s390x"))
    found = pipeline.build_emulators(prepared, layout, options, reporter)
    assert found == ((HOSTS["s390x"], Path("/s390x-softmmu")),)


def test_series_is_read_only_for_the_variant_patched():
    options = options_with(variants=("base", "pristine"), series="no-such")
    assert check_request(LAYOUT, options).series is None


def test_properties_use_all_variants_unless_variants_are_given():
    assert with_all_variants(LAYOUT, make_options(variants=())).variants == ("base", "patched", "pristine")
    named = make_options(variants=("base", "patched"), given=("-Dvariants=base,patched",))
    assert with_all_variants(LAYOUT, named).variants == ("base", "patched")


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
def test_variants_follow_the_series_and_the_tree(changes, variants):
    assert with_variants(LAYOUT, options_with(**changes)).variants == variants


def test_series_without_a_pin_is_compared_with_pristine(layout, tmp_path):
    series = tmp_path / "mine"
    shutil.copytree(ROOT / "patches" / "async-teardown", series)
    (series / "series.toml").unlink()
    options = options_with(series=str(series), source="/some/clone", given=(f"-Dseries={series}",))
    assert with_variants(layout, options).variants == ("pristine", "patched")


@pytest.fixture
def stages(monkeypatch):
    """Replace the stages before a build by ones that record their arguments, and check the signatures."""
    calls = []
    facts = SimpleNamespace(targets=("x86_64-softmmu", "s390x-softmmu"), version="1.2.3")

    def fetch(pin, layout, reporter, *, local=""):
        calls.append(("fetch", pin.name, layout, reporter, local))
        return "source"

    def import_source(source, layout, reporter):
        calls.append(("import", source, layout, reporter))
        return SimpleNamespace(name="tiny-tree", facts=facts)

    def checkout(tree, variant, series, layout, reporter):
        calls.append(("checkout", tree.name, variant, series, layout, reporter))
        return f"checkout of {variant}"

    for stage in (fetch, import_source, checkout):
        monkeypatch.setattr(pipeline, stage.__name__, stage)
    return calls


def test_prepare_checks_out_each_variant_and_applies_the_series_to_patched(layout, reporter, stages):
    series = SimpleNamespace(range_base="")
    options = options_with(variants=("base", "patched"), source="/some/clone")
    prepared = pipeline.prepare(layout, Checked(pin=tiny_pin(), series=series), options, reporter)
    assert stages == [
        ("fetch", "tiny", layout, reporter, "/some/clone"),
        ("import", "source", layout, reporter),
        ("checkout", "tiny-tree", "base", None, layout, reporter),
        ("checkout", "tiny-tree", "patched", series, layout, reporter),
    ]
    assert (prepared.tree.name, prepared.series) == ("tiny-tree", series)
    assert prepared.checkouts == ("checkout of base", "checkout of patched")


def test_prepare_refuses_a_target_that_the_tree_lacks_before_any_checkout(layout, reporter, stages):
    options = options_with(targets=("x86_64-softmmu", "vax-softmmu"))
    with pytest.raises(OptionError, match=r"-Dtargets: QEMU 1\.2\.3 has no .vax-softmmu") as refused:
        pipeline.prepare(layout, Checked(pin=tiny_pin(), series=None), options, reporter)
    assert "s390x-softmmu" in refused.value.remedy
    assert [call[0] for call in stages] == ["fetch", "import"]


def test_tree_is_that_of_the_source_or_of_the_pin(layout, reporter, stages):
    layout = dataclasses.replace(LAYOUT, build=layout.build)
    clone = options_with(source="/some/clone")
    assert pipeline.tree_of(layout, clone, reporter).name == "tiny-tree"
    assert pipeline.tree_of(layout, options_with(pin="10.2"), reporter).name == "tiny-tree"
    assert stages == [
        ("fetch", "", layout, reporter, "/some/clone"),
        ("import", "source", layout, reporter),
        ("fetch", "10.2", layout, reporter, ""),
        ("import", "source", layout, reporter),
    ]


def test_name_of_a_pin_s_tree_is_known_before_it_is_fetched(reporter, stages):
    assert pipeline.tree_name(LAYOUT, options_with(pin="10.2"), reporter) == "10.2"
    assert stages == []
    assert pipeline.tree_name(LAYOUT, options_with(source="/some/clone"), reporter) == "tiny-tree"
    assert stages[0] == ("fetch", "", LAYOUT, reporter, "/some/clone")


@pytest.mark.parametrize(
    ("given", "variants", "falls_back"),
    [
        ({}, ("base", "patched"), True),
        ({"given": ("-Ddevices=guests",)}, ("base", "patched"), False),
        ({}, ("patched",), False),
        ({"devices": "all"}, ("base", "patched"), False),
    ],
)
def test_all_devices_are_built_where_those_of_guests_do_not_compile(
    given, variants, falls_back, layout, monkeypatch
):
    """If the release itself does not compile so; a fault of the series, or of -Ddevices=, is reported."""
    reporter = Silent()
    options = options_with(**{"devices": "guests", "variants": variants, "given": (), **given})
    checkouts = tuple(SimpleNamespace(variant=variant) for variant in variants)
    prepared = Prepared(tree=None, series=None, checkouts=checkouts)
    built = []
    written = []

    def build(checkout, chosen, *_, host):
        built.append((checkout.variant, chosen.devices))
        if chosen.devices == "guests" or "devices" in given:
            raise CompileError("compiling it failed", "correct it")
        return checkout.variant

    monkeypatch.setattr(pipeline, "ensure", lambda *_, meanwhile: None)
    monkeypatch.setattr(pipeline, "prepare", lambda *_: prepared)
    monkeypatch.setattr(pipeline, "build", build)
    monkeypatch.setattr(pipeline, "configure", lambda *_, **__: None)
    monkeypatch.setattr(pipeline, "write_build_results", lambda _, builds, __: written.append(builds))
    checked = Checked(pin=tiny_pin(), series=None)
    if not falls_back:
        with pytest.raises(CompileError):
            pipeline.build_all(layout, checked, options, reporter, "teardown")
        assert (len(built), written) == (1, [])
        return
    assert pipeline.build_all(layout, checked, options, reporter, "teardown") == (prepared, variants)
    assert built == [("base", "guests"), *((variant, "all") for variant in variants)]
    assert written == [variants]
    assert "compiling it failed; all devices of QEMU are built instead (-Ddevices=all)" in reporter.lines


OTHER_SERIES = "omit it with -Dvariants=pristine, or choose another series with -Dseries="
KNOWN = "known series: async-teardown async-teardown-fixes async-teardown-parallel"
PATCHED = {"variants": ("patched",)}


@pytest.mark.parametrize(
    ("refuse", "changes", "cause", "remedy"),
    [
        (
            check_request,
            PATCHED | {"pin": "10.2"},
            "series async-teardown is for pin 7.2, not for 10.2",
            OTHER_SERIES,
        ),
        (
            check_request,
            PATCHED | {"source": "/some/clone"},
            "series async-teardown is for pin 7.2, not for /some/clone",
            OTHER_SERIES,
        ),
        (
            check_request,
            PATCHED | {"series": "no-such"},
            "-Dseries: there is no series 'no-such', and no such file",
            KNOWN,
        ),
        (
            check_request,
            {"pin": "5.2"},
            "cannot build pin 5.2, only fetch and import it: releases before 7.2 differ",
            "choose another pin with -Dpin=",
        ),
        (
            with_all_variants,
            {"hosts": ("s390x",)},
            "-Dhosts=s390x lacks native, which most properties need",
            "use -Dhosts=native,s390x",
        ),
        (
            lambda _, options: refuse_other_hosts(options, "cycles run"),
            {"hosts": ("native", "s390x")},
            "-Dhosts=native,s390x: cycles run on host native only",
            "omit -Dhosts=",
        ),
    ],
)
def test_refusals_name_the_option_and_what_to_write_instead(refuse, changes, cause, remedy):
    with pytest.raises(OptionError) as refused:
        refuse(LAYOUT, options_with(**changes))
    assert (refused.value.cause, refused.value.remedy) == (cause, remedy)


def test_folder_and_age_are_refused_only_for_a_build(tmp_path):
    for name in ("with space", "with:colon", "with\ttab", "b[x]", "it's", "$x", "a\\b"):
        layout = dataclasses.replace(LAYOUT, build=tmp_path / name)
        with pytest.raises(OptionError) as refused:
            check_request(layout, options_with())
        assert refused.value.cause == (
            f"cannot build QEMU in {layout.build}: its configure needs a path without spaces, "
            "colons and special characters of the shell"
        )
        assert refused.value.remedy == "set QEMU_HARNESS_BUILD to a folder without them"
        assert check_request(layout, make_options(), needs_build=False).series is not None
    checked = check_request(LAYOUT, options_with(pin="10.2", variants=("pristine",)))
    assert (checked.pin.name, checked.series) == ("10.2", None)
