"""harness.options: one list, read by meson; what is refused, and how."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import options as module
from harness.errors import HarnessError, OptionError
from harness.layout import Layout, find_layout
from harness.options import declared_options, format_size, parse_options, parse_size
from harness.process import Finished

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    import dataclasses

    return dataclasses.replace(find_layout(ROOT), cache=tmp_path_factory.mktemp("cache"))


def refused(layout: Layout, *words: str) -> OptionError:
    with pytest.raises(OptionError) as caught:
        parse_options(layout, words)
    return caught.value


def test_defaults(layout: Layout) -> None:
    options = parse_options(layout, [])
    assert options.pin == "7.2"
    assert options.targets == ("x86_64-softmmu", "s390x-softmmu")
    assert options.memory_mib == (256, 1024, 4096)
    assert options.budget_s == 150
    assert options.ccache is True


def test_every_declared_option_is_a_field(layout: Layout) -> None:
    fields = {
        name.removesuffix("_mib").removesuffix("_s") for name in module.Options.__dataclass_fields__
    } - {"given"}
    assert fields == {name.replace("-", "_") for name in declared_options(layout)}


def test_second_reading_comes_from_the_cache(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    declared_options(layout)
    monkeypatch.setattr(module, "run", lambda *_, **__: pytest.fail("meson was asked again"))
    assert "pin" in declared_options(layout)


def test_damaged_cache_is_regenerated(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    declared_options(layout)
    (cached,) = (layout.cache / "options").iterdir()
    said = Finished(argv=(), returncode=0, output=cached.read_text(encoding="utf-8"), duration_s=0)
    asked: list[object] = []
    monkeypatch.setattr(module, "run", lambda words, **_: asked.append(words) or said)
    damage = ("{ half a fi", "{}", "[]", "[1]", '[{"name": "pin"}]', "\xff", "null")
    for number, text in enumerate(damage, start=1):
        cached.write_text(text, encoding="latin-1")
        assert "pin" in declared_options(layout)
        assert "pin" in declared_options(layout)
        assert len(asked) == number, text


@pytest.mark.parametrize("text", ["256M,16G", "['256M','16G']", "256m, 16g"])
def test_arrays_in_mesons_notation(layout: Layout, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(module, "_refuse_too_large", lambda _: None)
    assert parse_options(layout, [f"-Dmemory={text}"]).memory_mib == (256, 16384)


@pytest.mark.parametrize(
    ("word", "cause", "remedy"),
    [
        ("-Dmemry=1G", "unknown option -Dmemry", "did you mean -Dmemory=?"),
        ("--pin=7.2", "is not an option", "-Dname=value"),
        ("-Dpin", "is not an option", "-Dname=value"),
        ("-Drounds=1001", "out of range", "from 0 to 1000"),
        ("-Dbudget=120", "not a duration", "s, m or h"),
        ("-Dbudget=0s", "not a duration", "s, m or h"),
        ("-Dpreset=fll", "has no 'fll'", "did you mean full?"),
        ("-Drounds=ten", "not a number", "an integer"),
        ("-Drounds=-1", "not a number", "an integer"),
        ("-Dccache=yes", "not a boolean", "true or false"),
        ("-Dmemory=16", "not a size", "M or G"),
        ("-Dmemory=0G", "not a size", "M or G"),
        ("-Dmemory=", "the list is empty", "give at least one"),
        ("-Dmemory=1G,1G", "contains a duplicate", "give each value once"),
        ("-Dmemory=[1G", "not a list of strings", "-Dmemory=a,b"),
        ("-Dmemory=[1,2]", "not a list of strings", "-Dmemory=a,b"),
        ("-Dtriggers=sigtem", "has no 'sigtem'", "did you mean sigterm?"),
        ("-Daccel=xen", "has no 'xen'", "known are: auto kvm tcg"),
        ("-Dpin=7\0", "NUL", "remove it"),
    ],
)
def test_refusals(layout: Layout, word: str, cause: str, remedy: str) -> None:
    error = refused(layout, word)
    assert cause in error.cause
    assert remedy in error.remedy
    assert "\n" not in error.cause + error.remedy


def test_guest_larger_than_the_machine(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        total = 24 * 1024**3

    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: Memory)
    error = refused(layout, "-Dmemory=400G")
    assert "400G" in error.cause
    assert "24G" in error.remedy
    # A default that does not fit is no mistake of the user's: such sizes are cancelled when they come up.
    Memory.total = 1024**3
    assert 4096 in parse_options(layout, []).memory_mib


@given(st.text(max_size=20))
def test_any_argument_gives_options_or_an_option_error(layout: Layout, text: str) -> None:
    for word in (text, f"-D{text}", f"-Dmemory={text}", f"-Dtargets={text}"):
        try:
            parse_options(layout, [word])
        except HarnessError as error:
            assert error.code == 2


@given(st.integers(1, 4096))
def test_sizes_round_trip(mib: int) -> None:
    assert parse_size(format_size(mib)) == mib


def test_readme_explains_every_option(layout: Layout) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Options\n")[1].split("\n## ")[0]
    rows = set(re.findall(r"^\| `([a-z_-]+)` \|", section, re.MULTILINE))
    assert rows == set(declared_options(layout))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200)])
def test_durations(layout: Layout, text: str, seconds: int) -> None:
    assert parse_options(layout, [f"-Dbudget={text}"]).budget_s == seconds


def test_duplicate_size_is_refused(layout: Layout) -> None:
    assert "1G is given twice" in refused(layout, "-Dmemory=1G,256M,1024M").cause


def test_paused_guest_cannot_power_off(layout: Layout) -> None:
    for payload in ("paused", "paused,linux"):
        error = refused(layout, "-Dtriggers=sigterm,poweroff", f"-Dpayload={payload}")
        assert "a paused guest cannot power off" in error.cause
    options = parse_options(layout, ["-Dtriggers=sigterm,poweroff", "-Dpayload=linux,linux-busy"])
    assert options.payload == ("linux", "linux-busy")


def test_guest_too_small_for_linux_is_refused(layout: Layout) -> None:
    assert "Linux needs more than 64M" in refused(layout, "-Dpayload=linux", "-Dmemory=1G,64M").cause
    assert parse_options(layout, ["-Dmemory=64M"]).memory_mib == (64,)


def test_sharing_needs_ccache(layout: Layout) -> None:
    for word in ("-Dccache_remote=file:/x", "-Ddistcc=localhost"):
        assert "ccache, which is off" in refused(layout, "-Dccache=false", word).cause
        parse_options(layout, [word])


@pytest.mark.parametrize("word", ["-Ddistcc=\udc98", "-Dsource=/a\ud800", "\udcff"])
def test_arguments_that_are_not_text_are_refused(layout: Layout, word: str) -> None:
    with pytest.raises(OptionError, match="is not UTF-8"):
        parse_options(layout, [word])
