"""What is built so that every changed file is compiled, on configurations that stand for QEMU's."""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bisect import scope as module
from harness.bisect.includes import Includes
from harness.bisect.scope import Scope, choose, choose_scope
from harness.build.features import Needs
from harness.build.plan import Extra
from harness.build.probe import Sources
from tests.unit.bisect.support import judged
from tests.unit.bisect.test_compiled import CHANGE
from tests.unit.build.support import make_options
from tests.unit.check.support import Recorder
from tests.unit.repositories import touch_files, write_files

BINARIES = ("qemu-system-x86_64", "qemu-system-s390x", "qemu-system-arm", "qemu-system-aarch64", "qemu-arm")
OTHERS = (
    "libsystem_arm.a",
    "qemu-img",
    "qemu-x86_64",
    "tests/unit/test-a",
    "tests/qtest/npcm-test",
    "tests/qtest/npcm-other",
)
KNOWN = (
    "x86_64-softmmu",
    "s390x-softmmu",
    "arm-softmmu",
    "aarch64-softmmu",
    "arm-linux-user",
    "x86_64-linux-user",
)
ALL = {
    "util/a.c": (*BINARIES, *OTHERS),
    "hw/arm/virt.c": ("libsystem_arm.a", "qemu-system-arm", "qemu-system-aarch64"),
    "hw/arm/only64.c": ("qemu-system-aarch64",),
    "hw/s390x/a.c": ("qemu-system-s390x",),
    "linux-user/syscall.c": ("qemu-arm", "qemu-x86_64"),
    "linux-user/arm/loop.c": ("qemu-arm",),
    "target/arm/translate.c": ("qemu-system-arm", "qemu-system-aarch64", "qemu-arm"),
    "qemu-img.c": ("qemu-img",),
    "tests/unit/test-a.c": ("tests/unit/test-a",),
    "tests/qtest/npcm.c": ("tests/qtest/npcm-test",),
    "block/tools.c": ("qemu-img",),
}
STEPS = {"qemu-system-arm": 900, "qemu-system-aarch64": 1000, "qemu-img": 100, "qemu-arm": 300}


def sources_of(*programs, **more):
    """What a configuration with ``programs`` compiles; ``more`` are further programs of a block driver."""
    users = {path: [name for name in names if name in programs] for path, names in ALL.items()}
    users |= {f"block/{name}.c": list(names) for name, names in more.items()}
    return Sources(
        programs=programs,
        steps=tuple(STEPS.get(name, 500) for name in programs),
        users={path: tuple(map(programs.index, names)) for path, names in users.items() if names},
        runs_on={"tests/qtest/npcm-test": ("arm-softmmu",)},
    )


WIDEST = sources_of(*BINARIES, *OTHERS)


@dataclass(kw_only=True)
class Machine:
    """Stands for Chooser: configurations that are computed instead of configured."""

    options: Any
    includes: Includes = field(default_factory=lambda: Includes(files=frozenset()))
    known: dict[str, Needs | None] = field(default_factory=dict)
    lines: dict[str, Needs] = field(default_factory=dict)
    """What a symbol needs to be defined."""
    drivers: dict[str, str] = field(default_factory=dict)
    """Switch → the source in block/ that it adds to every system emulator."""
    broken: dict[str, str] = field(default_factory=dict)
    """Switch that configure refuses → its error."""
    unexplained: str = ""
    """Source that only the default features contain."""
    probes: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = field(default_factory=list)
    widest_reads: int = 0
    layout: Any = "layout"
    reporter: Any = "reporter"

    targets = KNOWN

    @property
    def features(self):
        return SimpleNamespace(
            needs_of=lambda path: self.known.get(path, Needs() if path.endswith(".c") else None),
            needs=lambda conditions: self.lines.get(conditions[0].name, Needs()),
        )

    @property
    def widest(self):
        self.widest_reads += 1
        more = {self.unexplained: BINARIES[:1]} if self.unexplained else {}
        return sources_of(*BINARIES, *OTHERS, **more)

    def probe(self, targets, extra):
        self.probes.append((targets, extra.switches, extra.default_features))
        for switch in extra.switches:
            if switch in self.broken:
                return Sources(error=tuple(self.broken[switch].splitlines()))
        names = [
            name for name, target in zip((*BINARIES, "qemu-x86_64"), KNOWN, strict=True) if target in targets
        ]
        tests = ["tests/unit/test-a", *(["tests/qtest/npcm-test"] if "arm-softmmu" in targets else [])]
        tools = ["qemu-img"] if "--enable-tools" in extra.switches else []
        drivers = {self.drivers[switch]: tuple(names) for switch in extra.switches if switch in self.drivers}
        if extra.default_features and self.unexplained:
            drivers[self.unexplained] = tuple(names)
        return sources_of(*names, *tests, *tools, **drivers)

    checkout = SimpleNamespace(path=Path("/nowhere"))
    aims = module.Chooser.aims
    programs = module.Chooser.programs
    needs = module.Chooser.needs
    includers = module.Chooser.includers
    demand = module.Chooser.demand
    demands = module.Chooser.demands
    suffices = module.Chooser.suffices
    lacking = module.Chooser.lacking
    _near = module.Chooser._near


@pytest.fixture(autouse=True)
def installed_packages(monkeypatch):
    installed = []
    monkeypatch.setattr(module, "user_targets", lambda _: KNOWN[4:])

    def ensure_libraries(needs, layout, reporter):
        assert layout == "layout"
        assert reporter
        installed.append([need.package for need in needs])

    monkeypatch.setattr(module, "ensure_libraries", ensure_libraries)
    return installed


def machine(**changes):
    options = make_options(targets=("x86_64-softmmu", "s390x-softmmu"))
    return Machine(**({"options": options} | changes))


@pytest.mark.parametrize(
    ("files", "targets", "goals"),
    [
        ({"util/a.c"}, ("x86_64-softmmu",), ()),
        (set(), ("x86_64-softmmu",), ()),
        ({"util/a.c", "tests/unit/test-a.c"}, ("x86_64-softmmu",), ("tests/unit/test-a",)),
        ({"hw/arm/virt.c"}, ("aarch64-softmmu",), ()),
        ({"hw/arm/virt.c", "hw/arm/only64.c"}, ("aarch64-softmmu",), ()),
        ({"hw/arm/virt.c", "hw/s390x/a.c"}, ("s390x-softmmu", "aarch64-softmmu"), ()),
        ({"hw/s390x/a.c", "util/a.c"}, ("s390x-softmmu",), ()),
        ({"linux-user/syscall.c"}, ("x86_64-linux-user",), ()),
        ({"linux-user/arm/loop.c"}, ("arm-linux-user",), ()),
        ({"linux-user/arm/loop.c", "target/arm/translate.c"}, ("arm-linux-user",), ()),
        ({"linux-user/arm/loop.c", "hw/arm/virt.c"}, ("arm-linux-user", "aarch64-softmmu"), ()),
        ({"target/arm/translate.c"}, ("aarch64-softmmu",), ()),
        ({"tests/qtest/npcm.c"}, ("arm-softmmu",), ("tests/qtest/npcm-test",)),
        ({"no/such.c"}, ("x86_64-softmmu",), ()),
    ],
)
def test_smallest_set_compiles_every_file(files, targets, goals):
    chosen = choose(machine(), files, set())
    assert (sorted(chosen.targets), chosen.extra.goals) == (sorted(targets), goals)
    assert chosen.extra.exact


def test_widest_configuration_is_read_only_if_the_usual_one_lacks_a_file():
    usual = machine()
    choose(usual, {"util/a.c"}, {"meson.build"}, {"util/a.c": ("TARGET_X86_64",)})
    assert (usual.widest_reads, usual.probes) == (0, [(("x86_64-softmmu",), (), False)])
    other = machine()
    choose(other, {"hw/arm/virt.c"}, set())
    assert other.widest_reads > 0


def test_given_targets_restrict():
    options = make_options(targets=("s390x-softmmu",), given=("-Dtargets=s390x-softmmu",))
    chosen = choose(machine(options=options), {"hw/arm/virt.c"}, {"configs/targets/arm-softmmu.mak"})
    assert chosen.targets == ("s390x-softmmu",)
    assert chosen.elsewhere == {
        "hw/arm/virt.c": ("qemu-system-aarch64", "qemu-system-arm", "libsystem_arm.a")
    }
    headers = {"linux-user/arm/target.h", "util/a.h"}
    chosen = choose(machine(options=options), headers, set())
    assert chosen.elsewhere == {"linux-user/arm/target.h": ("qemu-arm",)}, "what compiles their folders"


def test_features_of_changed_files_are_switched_on(installed_packages):
    curl = Needs(switches=("--enable-curl",), libraries=("libcurl", "unknown"))
    windows = Needs(switches=("--enable-win",), system="windows")
    found = machine(known={"block/curl.c": curl, "block/win.c": windows}, drivers={"--enable-curl": "curl"})
    chosen = choose(found, {"block/curl.c", "block/win.c"}, set())
    assert chosen.extra == Extra(switches=("--enable-curl",), exact=True)
    assert chosen.targets == ("x86_64-softmmu",)
    assert installed_packages == [["libcurl4-gnutls-dev"]]
    assert chosen.sources.programs_of("block/curl.c") == ("qemu-system-x86_64",)
    assert chosen.needs == {"block/curl.c": curl, "block/win.c": windows}


LINES = {"CONFIG_CURL": Needs(switches=("--enable-curl",), libraries=("libcurl",))}


@pytest.mark.parametrize(
    ("files", "guards", "targets", "switches"),
    [
        ("util/a.c", {"util/a.c": ("CONFIG_CURL",)}, "x86_64-softmmu", ("--enable-curl",)),
        ("util/a.c", {"util/a.c": ("CONFIG_WIN32",)}, "x86_64-softmmu", ()),
        ("util/a.c", {"util/a.c": ("TARGET_ARM",)}, "x86_64-softmmu arm-softmmu", ()),
        ("util/a.c", {"util/a.c": ("CONFIG_CURL", "TARGET_X86_64")}, "x86_64-softmmu", ("--enable-curl",)),
        (
            "hw/arm/only64.c",
            {"hw/arm/only64.c": ("TARGET_S390X", "CONFIG_CURL")},
            "aarch64-softmmu s390x-softmmu",
            ("--enable-curl",),
        ),
    ],
)
def test_conditions_of_added_lines_are_met(files, guards, targets, switches, installed_packages):
    found = machine(lines=LINES)
    chosen = choose(found, {files}, set(), guards)
    assert sorted(chosen.targets) == sorted(targets.split())
    assert (chosen.extra.switches, chosen.extra.exact) == (switches, True)
    assert (installed_packages == [["libcurl4-gnutls-dev"]]) == bool(switches)
    if files == "util/a.c":
        assert found.widest_reads == 0


def test_given_targets_restrict_the_lines_too():
    options = make_options(targets=("s390x-softmmu",), given=("-Dtargets=s390x-softmmu",))
    chosen = choose(machine(options=options), {"util/a.c"}, set(), {"util/a.c": ("TARGET_ARM",)})
    assert chosen.targets == ("s390x-softmmu",)


def test_refused_feature_of_a_line_is_left_out():
    windows = {"util/win.c": Needs(system="windows")}
    error = "ERROR: Dependency curl not found"
    found = machine(known=windows, lines=LINES, broken={"--enable-curl": error})
    chosen = choose(found, {"util/a.c", "util/win.c"}, set(), {"util/a.c": ("CONFIG_CURL",)})
    assert (chosen.extra.switches, chosen.refused) == ((), {"--enable-curl": error})
    assert chosen.needs == windows


def test_feature_of_a_line_is_switched_on_besides_that_of_its_file():
    nfs = Needs(switches=("--enable-nfs",))
    found = machine(known={"block/nfs.c": nfs}, lines=LINES, drivers={"--enable-nfs": "nfs"})
    chosen = choose(found, {"block/nfs.c"}, set(), {"block/nfs.c": ("CONFIG_CURL",)})
    assert chosen.extra.switches == ("--enable-nfs", "--enable-curl")


def test_nothing_is_chosen_if_the_usual_configuration_fails(monkeypatch):
    found = machine()
    monkeypatch.setattr(found, "probe", lambda *_: Sources(error=("ERROR: odd",)), raising=False)
    assert choose(found, {"hw/arm/virt.c"}, set()) == Scope(targets=("x86_64-softmmu",))


def test_tool_is_a_goal_of_its_own():
    tools = Needs(switches=("--enable-tools",))
    chosen = choose(machine(known={"qemu-img.c": tools}), {"qemu-img.c", "util/a.c"}, set())
    assert (chosen.targets, chosen.extra.goals) == (("x86_64-softmmu",), ("qemu-img",))
    assert chosen.extra.switches == ("--enable-tools",)


@pytest.mark.parametrize(
    ("errors", "kept", "refused"),
    [
        ({"nfs": 'ERROR: Dependency "libnfs" not found'}, ("--enable-curl",), ["nfs"]),
        ({"nfs": "ERROR: no such feature\nnfs\nis unknown"}, ("--enable-curl",), ["nfs"]),
        ({"nfs": "ERROR: something else"}, (), ["curl", "nfs"]),
        ({"nfs": "ERROR: Feature nfs is odd", "curl": "ERROR: no libcurl"}, (), ["curl", "nfs"]),
    ],
)
def test_refused_feature_does_not_stop_the_others(errors, kept, refused):
    needs = {
        "block/curl.c": Needs(switches=("--enable-curl",), libraries=("libcurl",)),
        "block/nfs.c": Needs(switches=("--enable-nfs",), libraries=("libnfs",)),
    }
    drivers = {"--enable-curl": "curl", "--enable-nfs": "nfs"}
    broken = {f"--enable-{name}": error for name, error in errors.items()}
    chosen = choose(machine(known=needs, drivers=drivers, broken=broken), set(needs), set())
    assert chosen.extra.switches == kept
    assert chosen.refused == {
        f"--enable-{name}": errors.get(name, errors["nfs"]).splitlines()[0] for name in refused
    }


def test_header_of_a_feature_switches_it_on():
    includes = Includes(files=frozenset({"include/curl.h", "block/curl.c", "block/win.c"}))
    includes.lines["curl.h"] = [("block/curl.c", "curl.h"), ("block/win.c", "curl.h")]
    curl = Needs(switches=("--enable-curl",))
    known = {"block/curl.c": curl, "block/win.c": Needs(system="windows")}
    found = machine(known=known, includes=includes, drivers={"--enable-curl": "curl"})
    chosen = choose(found, {"include/curl.h"}, set())
    assert chosen.extra.switches == ("--enable-curl",)
    assert chosen.needs == {"include/curl.h": curl}


def test_nothing_is_looked_up_for_files_of_other_operating_systems():
    windows = {"util/win.c": Needs(system="windows", switches=("--enable-win",))}
    found = machine(known=windows)
    chosen = choose(found, {"util/win.c", "util/a.c"}, set())
    assert (chosen.targets, chosen.extra.switches) == (("x86_64-softmmu",), ())
    assert chosen.needs == windows
    assert found.widest_reads == 0
    assert choose(machine(known={"no/such.c": None}), {"no/such.c"}, set()).elsewhere == {}


ERROR = "../src/target/arm/meson.build:3:8: ERROR: Program 'flex' not found or not executable"


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        ([], [(6, True)]),
        ([ERROR], [(6, True), (6, True)]),
        ([ERROR, ERROR], [(6, True), (6, True), (3, True)]),
        (["ERROR: odd"], [(6, True), (6, False)]),
        (["ERROR: odd", "ERROR: odd"], [(6, True), (6, False)]),
        (
            ["target/arm/meson.build: ERROR: a", "target/arm/meson.build: ERROR: b"],
            [(6, True), (3, True), (3, False)],
        ),
    ],
)
def test_widest_configuration_leaves_out_what_configure_fails_on(errors, asked, installed_packages, tmp_path):
    left, seen = list(errors), []

    class Failing(module.Chooser):
        def probe(self, targets, extra):
            seen.append((len(targets), extra.default_features))
            return Sources(error=(left.pop(0),)) if left else WIDEST

    targets = {
        "aarch64-softmmu.mak": "TARGET_ARCH=aarch64\nTARGET_BASE_ARCH=arm\n",
        "x86_64-softmmu.mak": "TARGET_ARCH=x86_64\nTARGET_BASE_ARCH=i386\n",
    }
    write_files(tmp_path / "configs" / "targets", targets)
    checkout = SimpleNamespace(facts=SimpleNamespace(targets=KNOWN[:4]), path=tmp_path)
    given = {"options": None, "layout": "layout", "reporter": Recorder(), "sandbox": None}
    found = Failing(checkout=checkout, **given).widest
    assert seen == asked
    assert bool(found.error) == (errors == ["ERROR: odd", "ERROR: odd"])
    assert installed_packages == ([["flex"]] if ERROR in errors else [])


def test_unexplained_feature_is_found_with_the_default_features():
    curl = {"block/curl.c": Needs(switches=("--enable-curl",))}
    found = machine(unexplained="odd", known=curl, drivers={"--enable-curl": "curl"})
    chosen = choose(found, {"block/odd.c", "block/curl.c"}, set())
    assert chosen.extra == Extra(switches=("--enable-curl",), default_features=True, exact=True)
    assert chosen.sources.programs_of("block/odd.c") == ("qemu-system-x86_64",)


def test_header_for_features_that_are_off_is_built_with_the_default_features():
    users = ("util/a.c", "block/odd.c")
    includes = Includes(files=frozenset({"include/block/odd.h", *users}))
    includes.lines["odd.h"] = [(user, "block/odd.h") for user in users]
    found = machine(unexplained="odd", includes=includes)
    chosen = choose(found, {"include/block/odd.h"}, set())
    assert chosen.extra.default_features
    assert chosen.elsewhere == {}


def test_described_targets_are_built():
    assert choose(machine(), set(), {"configs/devices/arm-softmmu/default.mak"}).targets == ("arm-softmmu",)
    assert choose(machine(), set(), {"configs/targets/arm-linux-user.mak"}).targets == ("arm-linux-user",)
    assert choose(machine(), set(), {"hw/arm/Kconfig"}).targets == ("aarch64-softmmu",)
    assert choose(machine(), {"util/a.c"}, {"configs/targets/arm-bsd-user.mak"}).targets == (
        "x86_64-softmmu",
    )


@pytest.mark.parametrize("given", [(), ("-Dtargets=x86_64-softmmu,s390x-softmmu",)])
def test_target_that_the_series_removes_is_not_chosen(given):
    found = machine(options=make_options(targets=("x86_64-softmmu", "s390x-softmmu"), given=given))
    found.targets = tuple(name for name in KNOWN if name != "x86_64-softmmu")
    removed = {"configs/targets/x86_64-softmmu.mak"}
    assert choose(found, {"util/a.c"}, removed).targets == ("s390x-softmmu",)
    assert choose(found, set(), removed).targets == ("s390x-softmmu",)


def test_header_counts_through_who_includes_it_and_else_through_its_folder():
    includes = Includes(files=frozenset({"include/hw/virt.h", "hw/arm/virt.c", "hw/arm/only64.c"}))
    includes.lines["virt.h"] = [("hw/arm/only64.c", "hw/virt.h")]
    found = machine(includes=includes)
    assert choose(found, {"include/hw/virt.h"}, set()).targets == ("aarch64-softmmu",)
    assert choose(found, {"linux-user/arm/target.h"}, set()).targets == ("arm-linux-user",)
    assert choose(found, {"linux-user/arm/deeper/target.h"}, set()).targets == ("arm-linux-user",)
    assert choose(found, {"include/unused.h"}, set()).targets == ("x86_64-softmmu",)


def header(*users):
    includes = Includes(files=frozenset({"include/x.h", *users}))
    includes.lines["x.h"] = [(user, "x.h") for user in users]
    return includes


def test_header_is_compiled_with_half_of_the_sources_that_include_it():
    arm = ("hw/arm/virt.c", "hw/arm/only64.c", "target/arm/translate.c")
    most = machine(includes=header("util/a.c", *arm))
    chosen = choose(most, {"include/x.h"}, set())
    assert chosen.targets == ("aarch64-softmmu",), "x86_64 compiles 1 of 4"
    assert chosen.includers == {"include/x.h": frozenset({"util/a.c", *arm})}
    assert chosen.elsewhere == {}
    two = machine(includes=header("util/a.c", "hw/s390x/a.c", *arm[:2], "linux-user/arm/loop.c", "no/such.c"))
    both = choose(two, {"include/x.h", "hw/s390x/a.c"}, set())
    assert both.targets == ("s390x-softmmu", "aarch64-softmmu")
    compiled = {"util/a.c", "hw/s390x/a.c", *arm[:2], "linux-user/arm/loop.c"}
    assert both.includers == {"include/x.h": compiled}, "what no target compiles does not count"


def test_usual_target_that_compiles_half_is_enough():
    usual = machine(includes=header("util/a.c", "hw/s390x/a.c", "tests/unit/test-a.c", "tests/qtest/npcm.c"))
    chosen = choose(usual, {"include/x.h"}, set())
    assert (chosen.targets, usual.widest_reads, chosen.extra.goals) == (("x86_64-softmmu",), 0, ())
    assert chosen.includers == {"include/x.h": frozenset({"util/a.c", "hw/s390x/a.c"})}, "no tests"


def test_source_of_the_same_name_is_compiled_too():
    includes = Includes(files=frozenset({"include/hw/arm/virt.h", "util/a.c", "util/b.c", "hw/arm/virt.c"}))
    includes.lines["virt.h"] = [(user, "hw/arm/virt.h") for user in ("util/a.c", "hw/arm/virt.c")]
    found = machine(includes=includes)
    assert choose(found, {"include/hw/arm/virt.h"}, set()).targets == ("aarch64-softmmu",)
    options = make_options(targets=("x86_64-softmmu",), given=("-Dtargets=x86_64-softmmu",))
    restricted = choose(machine(options=options, includes=includes), {"include/hw/arm/virt.h"}, set())
    assert restricted.elsewhere["include/hw/arm/virt.h"][0] == "qemu-system-aarch64"
    includes.found.clear()
    includes.lines["virt.h"] += [
        ("hw/s390x/a.c", "hw/arm/virt.h"),
        ("linux-user/arm/loop.c", "hw/arm/virt.h"),
    ]
    assert choose(
        machine(options=options, includes=includes), {"include/hw/arm/virt.h"}, set()
    ).elsewhere == {"include/hw/arm/virt.h": ("qemu-system-aarch64", "qemu-system-arm", "libsystem_arm.a")}


def test_header_of_tests_is_compiled_with_half_of_them():
    found = machine(includes=header("tests/unit/test-a.c", "tests/qtest/npcm.c"))
    assert choose(found, {"include/x.h"}, set()).extra.goals == ("tests/unit/test-a",)
    both = machine(includes=header("tests/unit/test-a.c", "tests/qtest/npcm.c", "qemu-img.c"))
    assert both.includers("include/x.h", WIDEST) == {"qemu-img.c"}


def test_sources_of_emulators_count_before_those_of_tools():
    found = machine(includes=header("util/a.c", "qemu-img.c", "block/tools.c", "x.c"))
    assert found.includers("include/x.h", WIDEST) == {"util/a.c"}
    assert found.demands(["include/x.h"], WIDEST) == [{frozenset(ALL["util/a.c"]): 1}]


def test_given_targets_leave_most_users_of_a_header_out():
    options = make_options(targets=("x86_64-softmmu",), given=("-Dtargets=x86_64-softmmu",))
    includes = header("util/a.c", "hw/arm/virt.c", "hw/arm/only64.c")
    chosen = choose(machine(options=options, includes=includes), {"include/x.h"}, set())
    assert chosen.targets == ("x86_64-softmmu",)
    assert chosen.elsewhere == {
        "include/x.h": ("qemu-system-aarch64", "qemu-system-arm", "libsystem_arm.a")
    }, "what compiles most of the others is first"
    includes = header("util/a.c", "hw/arm/virt.c", "no/such.c")
    half = choose(machine(options=options, includes=includes), {"include/x.h"}, set())
    assert half.elsewhere == {}, "one of the two that some target compiles"


def test_source_that_another_one_includes_is_compiled_on_its_own():
    includes = Includes(files=frozenset({"hw/arm/virt.c", "util/a.c"}))
    includes.lines["virt.c"] = [("util/a.c", "hw/arm/virt.c")]
    lacking = machine(includes=includes).lacking("hw/arm/virt.c", sources_of("qemu-system-x86_64"))
    assert lacking == ("qemu-system-aarch64", "qemu-system-arm", "libsystem_arm.a")


@pytest.mark.parametrize(
    ("diff", "commit"),
    [
        (CHANGE.format(path="hw/a.c"), "c0"),
        (CHANGE.format(path="hw/meson.build"), "c2"),
        (CHANGE.format(path="hw/a.c").replace("--- a/hw/a.c", "--- /dev/null"), "c2"),
    ],
)
def test_series_that_changes_the_description_is_read_at_its_last_commit(
    diff, commit, layout, tmp_path, monkeypatch
):
    asked = []
    touch_files(tmp_path, "hw/a.c")
    options, others, reporter = make_options(), make_options(targets=("arm-softmmu",)), Recorder()

    def checkout_commit(tree, label, commit, *rest):
        assert (tree, label, rest) == ("tree", "label", (layout, reporter))
        return SimpleNamespace(path=tmp_path, commit=commit)

    def probe(checkout, options, *rest, sandbox, extra):
        assert (checkout.path, options, rest) == (tmp_path, others, (layout, reporter))
        return sandbox, extra

    def choose(chooser, files, described, guards):
        assert guards == {"hw/a.c": ("CONFIG_A",)}
        assert chooser.probe(("arm-softmmu",), Extra()) == ("sandbox", Extra())
        asked.append((chooser.checkout.commit, files | described))
        return Scope(targets=(), sources=Sources(needed=3, users={"hw/a.c": (0,)}))

    monkeypatch.setattr(module, "checkout_commit", checkout_commit)
    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "choose", choose)
    monkeypatch.setattr(module, "read_includes", lambda _: Includes(files=frozenset()))
    rest = (layout, reporter, "sandbox", "label", {"hw/a.c": ("CONFIG_A",)})
    chosen = choose_scope(judged(2, diff), "tree", options, *rest)
    ((at, files),) = asked
    assert at == commit
    assert files == ({"hw/meson.build"} if "meson" in diff else {"hw/a.c"})
    assert chosen.changes == {1: frozenset(files), 2: frozenset(files)}
    assert chosen.again([2]) == ("meson" not in diff)
    others = dataclasses.replace(others, patches=("1",))
    choose_scope(judged(2, diff), "tree", dataclasses.replace(options, patches=("1",)), *rest)
    assert asked[1][0] == ("c1" if commit == "c2" else "c0")


def test_generated_headers_cost_a_whole_build():
    includes = Includes(files=frozenset({"hw/a.h", "hw/a.c", "hw/b.c", "hw/c.c"}))
    includes.lines["a.h"] = [("hw/a.c", "a.h"), ("hw/b.c", "a.h"), ("hw/c.c", "a.h")]
    sources = Sources(needed=99, users={"hw/a.c": (0,)})
    steps = partial(module.Chooser.steps, machine(includes=includes))
    assert [steps(path, sources) for path in ("hw/a.c", "hw/a.h", "hw/b.c", "docs/x.rst")] == [1, 1, 0, 0]
    assert [steps(path, sources) for path in ("qapi/a.json", "x.hx", "hw/trace-events")] == [99, 99, 99]
