"""The plan of a build: the arguments of configure, and the inputs of the fingerprint."""

import dataclasses
from pathlib import Path

import pytest

from harness.build.configure import SWITCHES, Configure
from harness.build.plan import BuildRequest, Extra, Tools, binary_name, folder_name, make_plan, target_name
from harness.errors import ConfigureError, OptionError
from tests.unit.build.support import BOTH

TOOLS = Tools(
    compiler=Path("/usr/bin/gcc"),
    compiler_version="gcc 12",
    ninja=Path("/venv/bin/ninja"),
    meson=Path("/venv/bin/meson"),
    meson_version="1.8.5",
    python=Path("/venv/bin/python3"),
    python_digest="abc",
    ccache=Path("/usr/bin/ccache"),
)


KNOWN = " ".join(f"{switch})" for switch in SWITCHES)
OLD = Configure(
    text=f"{KNOWN} --meson=*) --python=*) --with-git-submodules=*) --enable-sanitizers)", packages=()
)
NEW = Configure(
    text=f"{KNOWN} --python=*) --disable-download) --enable-asan) --enable-ubsan)",
    packages=("meson==1.9.0", "pycotap==1.3.1"),
)
"""configure of 7.2 and of 10.2, as far as it matters here."""


def request_for(layout, **changes):
    fields = {
        "tree": "7.2",
        "label": "base",
        "commit": "c1",
        "version": "7.2.0",
        "source": layout.build_root("7.2", "base") / "src",
        "configure": OLD,
        "configure_digest": "d",
        "targets": BOTH,
        "jobs": 3,
    }
    return BuildRequest(**(fields | changes))


def plan_of(layout, env=None, tools=TOOLS, **changes):
    return make_plan(request_for(layout, **changes), tools, layout, env or {})


def test_both_targets_are_configured_and_built_together(layout):
    plan = plan_of(layout)
    assert plan.configure[0] == "../src/configure"
    assert "--target-list=x86_64-softmmu,s390x-softmmu" in plan.configure
    assert "--cc=/usr/bin/ccache /usr/bin/gcc" in plan.configure
    assert plan.ninja == ("/venv/bin/ninja", "-j3", "qemu-system-x86_64", "qemu-system-s390x")


@pytest.mark.parametrize(
    ("configure", "given", "absent"),
    [(OLD, "--meson=/venv/bin/meson", "--python="), (NEW, "--python=/venv/bin/python3", "--meson=")],
)
def test_only_switches_that_configure_knows_are_passed(layout, configure, given, absent):
    plan = plan_of(layout, configure=configure)
    assert given in plan.configure
    assert not [word for word in plan.configure if word.startswith(absent)]
    assert ("--disable-download" in plan.configure) == (configure is NEW)
    assert ("--with-git-submodules=ignore" in plan.configure) == (configure is OLD)


def test_rust_is_off_unless_it_is_asked_for(layout):
    rusty = dataclasses.replace(NEW, text=f"{NEW.text} --enable-rust) --disable-rust)")
    plain = plan_of(layout, configure=rusty)
    assert not [word for word in plain.configure if "rust" in word]
    plan = plan_of(layout, configure=rusty, rust=True)
    assert "--enable-rust" in plan.configure
    assert plan.fingerprint != plain.fingerprint
    with pytest.raises(OptionError, match="this release has no Rust"):
        plan_of(layout, rust=True)


@pytest.mark.parametrize(
    ("configure", "given"), [(OLD, ("--enable-sanitizers",)), (NEW, ("--enable-asan", "--enable-ubsan"))]
)
def test_sanitizers_are_enabled_by_the_switches_of_the_release(layout, configure, given):
    plain = plan_of(layout, configure=configure)
    plan = plan_of(layout, configure=configure, profile="sanitize")
    switches = {"--enable-sanitizers", "--enable-asan", "--enable-ubsan"}
    assert not switches.intersection(plain.configure)
    assert switches.intersection(plan.configure) == set(given)
    assert plan.fingerprint != plain.fingerprint
    assert (plain.folder.name, plan.folder.name) == ("native", "native-sanitize")
    assert plan.env["ASAN_OPTIONS"] == "detect_leaks=0"


def test_a_release_without_the_switches_is_refused(layout):
    lacking = Configure(text=OLD.text.replace("--without-default-features", ""), packages=())
    with pytest.raises(ConfigureError, match="does not know --without-default-features"):
        plan_of(layout, configure=lacking)


def test_unknown_host_is_refused(layout):
    with pytest.raises(OptionError, match="riscv"):
        plan_of(layout, host="riscv")


@pytest.mark.parametrize(
    "tools",
    [
        dataclasses.replace(TOOLS, compiler_version="gcc 13"),
        dataclasses.replace(TOOLS, compiler=Path("/opt/gcc")),
        dataclasses.replace(TOOLS, meson_version="1.9"),
        dataclasses.replace(TOOLS, python_digest="def"),
        dataclasses.replace(TOOLS, ccache=None),
    ],
)
def test_other_tools_change_the_fingerprint(layout, tools):
    assert plan_of(layout, tools=tools).fingerprint != plan_of(layout).fingerprint


def test_fingerprint_includes_flags_but_not_inputs_of_ninja(layout):
    plan = plan_of(layout)
    assert plan_of(layout, {"CFLAGS": "-O0"}).fingerprint != plan.fingerprint
    same = plan_of(layout, {"PATH": "/elsewhere"}, commit="c2", jobs=1, targets=BOTH[:1])
    assert same.fingerprint == plan.fingerprint
    moved = dataclasses.replace(TOOLS, meson=Path("/other/bin/meson"), ninja=Path("/other/bin/ninja"))
    assert plan_of(layout, tools=moved).fingerprint == plan.fingerprint


def test_variants_differ_for_ccache_only_in_the_base_folder(layout):
    base = plan_of(layout)
    patched = plan_of(layout, label="patched-x")
    assert base.env["CCACHE_DIR"] == patched.env["CCACHE_DIR"]
    for plan in (base, patched):
        assert plan.env["CCACHE_BASEDIR"] == str(plan.folder.parent)
    assert plan_of(layout, tools=dataclasses.replace(TOOLS, ccache=None)).env == {}


def test_fake_configure_knows_all_switches(layout):
    """The fake configure rejects unknown arguments, so a new switch must be added to it, too."""
    text = (Path(__file__).parents[2] / "fakeqemu" / "configure").read_text()
    for version in ("7.2.0", "10.0.2"):
        for profile in ("release", "sanitize"):
            for word in plan_of(layout, version=version, profile=profile).configure[1:]:
                assert word.partition("=")[0] in text


def test_binaries_of_system_and_user_emulation():
    for target, binary in (("x86_64-softmmu", "qemu-system-x86_64"), ("arm-linux-user", "qemu-arm")):
        assert binary_name(target) == binary
        assert target_name(binary) == target


def test_extra_switches_and_goals_are_part_of_the_plan(layout):
    plain = plan_of(layout)
    extra = Extra(switches=("--enable-curl",), goals=("qemu-img",))
    plan = plan_of(layout, extra=extra)
    assert "--enable-curl" in plan.configure
    assert "--without-default-features" in plan.configure
    assert plan.ninja == (*plain.ninja, "qemu-img")
    assert plan.fingerprint != plain.fingerprint
    wide = plan_of(layout, targets=(), extra=Extra(default_features=True))
    assert "--without-default-features" not in wide.configure
    assert not any(word.startswith("--target-list") for word in wide.configure)


def test_features_of_installed_libraries_are_on_if_the_release_has_them(layout):
    tools = dataclasses.replace(TOOLS, features=("--enable-linux-aio",))
    knowing = dataclasses.replace(OLD, text=f"{OLD.text} --enable-linux-aio)")
    plans = [
        make_plan(request_for(layout, configure=configure), each, layout, {})
        for configure, each in ((OLD, tools), (knowing, TOOLS), (knowing, tools))
    ]
    assert ["--enable-linux-aio" in plan.configure for plan in plans] == [False, False, True]
    assert plans[1].fingerprint != plans[2].fingerprint, "configure runs again after the installation"


def test_another_compiler_has_a_folder_of_its_own(layout):
    assert folder_name("native", "release", "clang") == "native-clang"
    assert folder_name("native", "sanitize", "clang") == "native-sanitize-clang"
    plan = plan_of(layout, extra=Extra(compiler="clang"))
    assert plan.folder.name == "native-clang"
