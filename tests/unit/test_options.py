"""harness.options: one list, read by meson; what is refused, and how."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import options as module
from harness.errors import HarnessError, OptionError
from harness.layout import Layout, find_layout
from harness.options import (
    check_choice,
    choose_seed,
    declared_options,
    format_size,
    parse_options,
    parse_size,
)
from harness.process import Finished
from tests.unit.defaults import ROOT


@pytest.fixture(scope="module")
def layout(tmp_path_factory, known_options):
    cache = tmp_path_factory.mktemp("known") / "cache"
    shutil.copytree(known_options, cache)
    return dataclasses.replace(find_layout(ROOT), cache=cache)


def refused(layout, *words):
    with pytest.raises(OptionError) as caught:
        parse_options(layout, words)
    return caught.value


def test_defaults(layout):
    options = parse_options(layout, [])
    assert options.pin == "7.2"
    assert options.targets == ("x86_64-softmmu", "s390x-softmmu")
    assert options.memory_mib == (256, 1024, 4096)
    assert options.budget_s == 150
    assert options.ccache is True


def test_clone_around_the_working_folder_is_the_default_source(layout):
    inside = dataclasses.replace(layout, clone=Path("/home/me/qemu"))
    assert parse_options(inside, []).source == "/home/me/qemu"
    assert not parse_options(inside, []).has("source")
    assert parse_options(inside, ["-Dpin=7.2"]).source == ""
    assert parse_options(inside, ["-Dsource=/other"]).source == "/other"
    assert parse_options(layout, []).source == ""


def test_values_are_those_that_were_given(layout):
    words = ("-Drounds=3", "-Dccache=false", "-Dpatches=2,10", "-Drules-off=style", "-Dsource=a=b")
    options = parse_options(layout, words)
    assert (options.rounds, options.ccache, options.rules_off) == (3, False, ("style",))
    assert (options.source, options.given) == ("a=b", words)
    assert parse_options(layout, ["-Dccache=true"]).ccache is True
    assert options.patch_numbers == {2, 10}
    assert [options.has(name) for name in ("rounds", "round", "pin")] == [True, False, False]
    values = options.values()
    assert (values["rounds"], values["memory_mib"], values["pin"]) == (3, (256, 1024, 4096), "7.2")
    assert set(values) == set(module.Options.__dataclass_fields__) - {"given"}


def test_later_value_replaces_an_earlier_one(layout):
    assert parse_options(layout, ["-Dpin=1", "-Dpin=2"]).pin == "2"


def project(folder, options):
    """A layout of a project with its own options."""
    root = folder / "root"
    root.mkdir()
    (root / "meson.build").write_text("project('x')\n", encoding="utf-8")
    (root / "meson_options.txt").write_text(options, encoding="utf-8")
    return Layout(root=root, build=folder, trees=folder, cache=folder / "cache")


def test_declaration_of_an_option_is_read_whole(tmp_path):
    layout = project(
        tmp_path,
        """\
option('lone', type: 'integer', value: 5,
       description: 'Without bounds')
option('low', type: 'integer', min: 1,
       value: 5, description: 'One bound: max: 9')
option('both_ends', type: 'integer', min: 0, max: 1000, value: 5, description: 'Two')
option('kind', type: 'combo', choices: ['b', 'a'], value: 'b', description: 'Caf\u00e9')
option('many', type: 'array', value: ['x', 'y'], description: 'List')
option('on', type: 'boolean', value: false, description: 'Switch')
""",
    )
    found = declared_options(layout)
    integer = module.Declared(name="lone", type="integer", default=5, description="Without bounds")
    assert found["lone"] == integer
    assert (found["low"].minimum, found["both_ends"].minimum, found["both_ends"].maximum) == (1, 0, 1000)
    assert (found["kind"].type, found["kind"].choices, found["kind"].default) == ("combo", ("b", "a"), "b")
    assert found["kind"].description == "Caf\u00e9"
    assert (found["many"].type, found["many"].default) == ("array", ("x", "y"))
    assert (found["on"].type, found["on"].default) == ("boolean", False)
    assert list(found) == ["lone", "low", "both_ends", "kind", "many", "on", "debug"]


def test_changed_declarations_are_read_again(tmp_path):
    layout = project(tmp_path, "option('one', type: 'string', value: '')\n")
    assert set(declared_options(layout)) == {"one", "debug"}
    (layout.root / "meson_options.txt").write_text("option('two', type: 'string', value: '')\n")
    assert set(declared_options(layout)) == {"two", "debug"}
    (layout.root / "meson.build").write_text("project('y')\n")
    assert set(declared_options(layout)) == {"two", "debug"}
    assert len(list((layout.cache / "options").iterdir())) == 3


def test_cache_that_cannot_be_written_is_no_error(tmp_path):
    layout = project(tmp_path, "option('one', type: 'string', value: '')\n")
    layout.cache.write_text("a file, no folder")
    assert set(declared_options(layout)) == {"one", "debug"}


def test_malformed_declarations_are_refused_with_the_words_of_meson(tmp_path):
    layout = project(tmp_path, "option('one', type: 'nonsense')\n")
    with pytest.raises(OptionError, match=r"meson_options\.txt") as error:
        declared_options(layout)
    assert 0 < len(error.value.details) <= 5


def test_every_declared_option_is_a_field(layout):
    fields = {
        name.removesuffix("_mib").removesuffix("_s") for name in module.Options.__dataclass_fields__
    } - {"given"}
    assert fields == {name.replace("-", "_") for name in declared_options(layout)}


def test_second_reading_comes_from_the_cache(layout, monkeypatch):
    declared_options(layout)
    monkeypatch.setattr(module, "run", lambda *_, **__: pytest.fail("meson was asked again"))
    assert "pin" in declared_options(layout)


def test_damaged_cache_is_regenerated(layout, monkeypatch):
    declared_options(layout)
    (cached,) = (layout.cache / "options").iterdir()
    said = Finished(argv=(), returncode=0, output=cached.read_text(encoding="utf-8"), duration_s=0)
    asked = []
    monkeypatch.setattr(module, "run", lambda words, **_: asked.append(words) or said)
    damage = ("{ half a fi", "{}", "[]", "[1]", '[{"name": "pin"}]', "\xff", "null")
    for number, text in enumerate(damage, start=1):
        cached.write_text(text, encoding="latin-1")
        assert "pin" in declared_options(layout)
        assert "pin" in declared_options(layout)
        assert len(asked) == number, text


@pytest.mark.parametrize("text", ["256M,16G", "['256M','16G']", "256m, 16g"])
def test_arrays_in_mesons_notation(layout, monkeypatch, text):
    monkeypatch.setattr(module, "_refuse_too_large", lambda _: None)
    assert parse_options(layout, [f"-Dmemory={text}"]).memory_mib == (256, 16384)


@pytest.mark.parametrize(
    ("word", "cause", "remedy"),
    [
        ("-Dmemry=1G", "unknown option -Dmemry", "did you mean -Dmemory=?"),
        ("-D\n=1", r"unknown option -D\n", "known are"),
        ("--pin=7.2", "is not an option", "-Dname=value"),
        ("-Dpin", "is not an option", "-Dname=value"),
        ("-Drounds=1001", "-Drounds: 1001 is out of range", "from 0 to 1000"),
        ("-Drounds=-1", "-Drounds: -1 is out of range", "from 0 to 1000"),
        ("-Drounds=99999999999", "-Drounds: 99999999999 is out of range", "from 0 to 1000"),
        ("-Dcycles=0", "-Dcycles: 0", "1 to 100000"),
        ("-Dcycles=100001", "-Dcycles: 100001", "1 to 100000"),
        ("-Dtimeout=86401", "-Dtimeout: 86401", "1 to 86400"),
        ("-Dseed=1000000000", "-Dseed: 1000000000 is out of range", "from 0 to 999999999"),
        ("-Dbudget=120", "not a duration", "s, m or h"),
        ("-Dbudget=0s", "not a duration", "s, m or h"),
        ("-Dpreset=fll", "has no 'fll'", "did you mean full?"),
        ("-Drounds=ten", "not a number", "an integer"),
        ("-Dccache=yes", "not a boolean", "true or false"),
        ("-Dmemory=16", "not a size", "M or G"),
        ("-Dmemory=0G", "not a size", "M or G"),
        ("-Dmemory=", "the list is empty", "give at least one"),
        ("-Dmemory=1G,1G", "contains a duplicate", "give each value once"),
        ("-Dmemory=1G,256M,1024M", "1G is given twice", ""),
        ("-Dmemory=[1G", "not a list of strings", "-Dmemory=a,b"),
        ("-Dmemory=[1,2]", "not a list of strings", "-Dmemory=a,b"),
        ("-Dtriggers=sigtem", "-Dtriggers: the harness has no 'sigtem'", "did you mean sigterm?"),
        ("-Daccel=xen", "-Daccel: the harness has no 'xen'", "known are: auto kvm tcg"),
        ("-Dpin=7\0", "NUL", "remove it"),
        ("-Dvariants=base,,base", "contains a duplicate", "give each value once"),
        ("-Dvariants=['base', 'bse']", "has no 'bse'", "did you mean base?"),
        ("-Dvariants={'base'}", "has no", "known are: base patched pristine"),
        ("-Dvariants=['base'", "not a list of strings", "-Dvariants=a,b"),
    ],
)
def test_refusals(layout, word, cause, remedy):
    error = refused(layout, word)
    assert cause in error.cause
    assert remedy in error.remedy
    assert "\n" not in error.cause + error.remedy


def test_guest_larger_than_the_machine_is_refused(layout, monkeypatch):
    class Memory:
        total = 24 * 1024**3 + 1

    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: Memory)
    assert parse_options(layout, ["-Dmemory=24G"]).memory_mib == (24 * 1024,)
    for word, size in (("-Dmemory=400G", "400G"), ("-Dmemory=1G,24577M", "24577M")):
        error = refused(layout, word)
        assert size in error.cause
        assert f"{24 * 1024} MiB" in error.cause
        assert "24G" in error.remedy
    # A default that does not fit is no mistake of the user's: such sizes are cancelled when they come up.
    Memory.total = 1024**3
    assert 4096 in parse_options(layout, []).memory_mib


@pytest.mark.parametrize("word", ["rounds=0", "rounds=1000", "cycles=1", "seed=999999999"])
def test_bounds_of_integers_are_inclusive(layout, word):
    name, _, value = word.partition("=")
    assert getattr(parse_options(layout, [f"-D{word}"]), name) == int(value)


def test_unknown_choice_without_a_similar_one_lists_all_in_order():
    check_choice("pin", ["b", "a"], ["b", "a", "c"], where="the table")
    with pytest.raises(OptionError, match=r"-Dpin: the table has no 'xyz'") as error:
        check_choice("pin", ["a", "xyz"], ["b", "a", "c"], where="the table")
    assert error.value.remedy.endswith(": a b c")
    assert "did you mean" not in error.value.remedy


def test_unknown_option_without_a_similar_one_lists_all_in_order(layout):
    error = refused(layout, "-Dqqqq=1")
    names = error.remedy.partition(": ")[2].split()
    assert names == sorted(declared_options(layout))
    assert "did you mean" not in error.remedy


def test_seed_is_drawn_only_if_none_is_given(monkeypatch):
    assert choose_seed(7) == 7
    for drawn in (0, module.SEEDS - 1):
        monkeypatch.setattr(
            module.secrets, "randbelow", lambda limit, drawn=drawn: drawn if limit == 999_999_999 else -9
        )
        assert choose_seed(0) == drawn + 1


@pytest.mark.parametrize(
    ("text", "mib"), [("1M", 1), ("1m", 1), ("9999999M", 9_999_999), ("2G", 2048), ("2g", 2048)]
)
def test_sizes_are_read_in_mib(text, mib):
    assert parse_size(text) == mib


@pytest.mark.parametrize("text", ["", "M", "01M", "1K", "1 M", "10000000M", "1MM"])
def test_text_that_is_no_size_is_named(text):
    with pytest.raises(OptionError) as error:
        parse_size(text, name="--size")
    assert error.value.cause.startswith(f"--size: {text!r} ")


@given(st.text(max_size=20))
def test_any_argument_gives_options_or_an_option_error(layout, text):
    for word in (text, f"-D{text}", f"-Dmemory={text}", f"-Dtargets={text}"):
        try:
            parse_options(layout, [word])
        except HarnessError as error:
            assert error.code == 2


@given(st.integers(1, 4096))
def test_sizes_round_trip(mib):
    assert parse_size(format_size(mib)) == mib


def test_readme_explains_every_option(layout):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Options\n")[1].split("\n## ")[0]
    rows = set(re.findall(r"^\| `([a-z_-]+)` \|", section, re.MULTILINE))
    assert rows == set(declared_options(layout))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200)])
def test_durations(layout, text, seconds):
    assert parse_options(layout, [f"-Dbudget={text}"]).budget_s == seconds


def test_paused_guest_cannot_power_off(layout):
    for payload in ("paused", "paused,linux"):
        error = refused(layout, "-Dtriggers=sigterm,poweroff", f"-Dpayload={payload}")
        assert "a paused guest cannot power off" in error.cause
    options = parse_options(layout, ["-Dtriggers=sigterm,poweroff", "-Dpayload=linux,linux-busy"])
    assert options.payload == ("linux", "linux-busy")


def test_guest_too_small_for_linux_is_refused(layout):
    assert "Linux needs more than 64M" in refused(layout, "-Dpayload=linux", "-Dmemory=1G,64M").cause
    assert parse_options(layout, ["-Dmemory=64M"]).memory_mib == (64,)
    assert "127M" in refused(layout, "-Dpayload=paused,linux", "-Dmemory=127M,256M").cause
    assert "128M" in refused(layout, "-Dpayload=linux", "-Dmemory=127M").remedy
    assert parse_options(layout, ["-Dpayload=linux-busy", "-Dmemory=128M"]).memory_mib == (128,)


def test_sharing_needs_ccache(layout):
    for word in ("-Dccache_remote=file:/x", "-Ddistcc=localhost"):
        assert "ccache, which is off" in refused(layout, "-Dccache=false", word).cause
        parse_options(layout, [word])


@pytest.mark.parametrize("word", ["-Ddistcc=\udc98", "-Dsource=/a\ud800", "\udcff"])
def test_arguments_that_are_not_text_are_refused(layout, word):
    with pytest.raises(OptionError, match="is not UTF-8"):
        parse_options(layout, [word])
