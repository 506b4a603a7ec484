"""Each new problem is attributed to the commit that introduces it, and problems of the base to none."""

import msgspec
import pytest

from harness.bisect import commits
from harness.bisect.cost import cost_of
from harness.bisect.diagnostics import Diagnostic
from harness.bisect.manual import Manual
from harness.bisect.qtests import UNSTEADY
from harness.bisect.scope import Scope
from harness.bisect.suites import QemuTest
from harness.bisect.testing import with_tools
from harness.build.plan import Extra
from harness.build.result import CacheUse
from harness.check import CommitBuild, CoveredFile
from harness.check.building import FAILS
from harness.errors import InfrastructureError, StorageError
from tests.unit.bisect.support import Walk, judged
from tests.unit.build.support import make_options
from tests.unit.series.mails import DIFF

WARNING = "../src/util/a.c:{line}:5: error: unused variable 'x' [-Werror=unused-variable]"
PLAIN = "../src/util/a.c:{line}:5: warning: unused variable 'x' [-Wunused-variable]"
ERROR = "../src/util/b.c:7:1: error: unknown type name 'y'"
ANOTHER = "../src/util/c.c:1:1: error: another"
RST = """\
diff --git a/docs/a.rst b/docs/a.rst
--- a/docs/a.rst
+++ b/docs/a.rst
@@ -1 +1,2 @@
 one
+two
"""


def places(built):
    return [(one.rule, one.patch, one.file, one.line) for one in built.findings]


def test_each_commit_is_built(walk):
    built = walk()
    assert [(row.patch, row.outcome) for row in built.rows] == [(n, "ok") for n in range(5)]
    assert built.findings == ()
    assert built.tip_builds
    assert [row.patch for row in walk(bisect="ends").rows] == [0, 4]


def test_only_a_trusted_base_in_a_new_folder_is_built_with_the_shared_cache(walk):
    walk()
    assert walk.trusted == []
    walk.trusts_base = True
    walk(hosts=("native", "s390x"))
    assert walk.trusted == ["c0", "c0"], "of each host, no commit of the series"
    walk.layout.build_root("7.2", "validate-x").joinpath("native").mkdir(parents=True)
    walk()
    assert walk.trusted == ["c0", "c0"], "the series may have written to the folder"


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({}, []),
        ({"compilers": ("gcc", "clang")}, ["native-clang"]),
        ({"profile": "sanitize"}, ["native-sanitize"]),
        ({"rust": True}, ["native"]),
    ],
)
def test_base_that_may_have_warnings_is_compiled_again_to_show_them(walk, options, gone):
    folders = [
        walk.layout.build_root("7.2", "validate-x") / f"native{more}" for more in ("", "-clang", "-sanitize")
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    walk(**options)
    assert [folder.name for folder in folders if not folder.exists()] == gone


def test_findings_of_the_tip_alone_may_come_from_earlier_patches(walk):
    (finding,) = walk({"c4": [ERROR]}, bisect="ends").findings
    assert finding.message.startswith("unknown type name 'y' (native) (")
    assert "-Dbisect=each" in finding.message
    (finding,) = walk({"c4": [ERROR]}, bisect="ends", patches=("4",)).findings
    assert "-Dbisect=each" not in finding.message
    (finding,) = walk({"c4": [ERROR]}).findings
    assert "-Dbisect=each" not in finding.message
    for count in (1, 2):
        walk.series = judged(count)
        (finding,) = walk({f"c{count}": [ERROR]}, bisect="ends").findings
        assert ("-Dbisect=each" in finding.message) == (count > 1)


def test_each_commit_is_built_for_those_of_the_targets_that_it_has(walk):
    usual, new = ("x86_64-softmmu", "s390x-softmmu"), "riscv64-softmmu"
    walk.scope = Scope(targets=(new,))
    walk.present = {
        "c0": ("cris-softmmu", *usual),
        "c1": ("cris-softmmu",),
        "c2": (new, *usual),
        "c3": (new,),
        "c4": (new, *usual),
    }
    assert walk().findings == ()
    targets = [walk.targets[f"c{number}"] for number in range(5)]
    assert targets == [usual, ("cris-softmmu",), (new,), (new,), (new,)]


def test_single_patch_is_built_after_its_predecessor(walk):
    assert [row.patch for row in walk(patches=("3",)).rows] == [0, 2, 3]
    assert [row.patch for row in walk(patches=("1", "4"), bisect="ends").rows] == [0, 1, 3, 4]
    plain = [PLAIN.format(line=3)]
    assert places(walk({"c2": plain, "c3": plain}, patches=("3",))) == [("build-warning", 2, "util/a.c", 3)]


def test_warning_is_attributed_to_the_first_commit_that_has_it(walk):
    warn = [WARNING.format(line=3)]
    built = walk({"c2": warn, "c3": [WARNING.format(line=9)], "c4": []})
    assert places(built) == [("build-warning", 2, "util/a.c", 3)]
    assert [row.outcome for row in built.rows] == ["ok", "ok", "failed", "failed", "ok"]
    assert built.rows[3].reason == "same errors as patch 2"
    plain = [PLAIN.format(line=3)]
    assert places(walk({"c0": plain, "c1": plain})) == [], "the base has it"
    assert places(walk({"c3": plain})) == [("build-warning", 3, "util/a.c", 3)]
    other = plain[0].replace("'x'", "'y'")
    assert [number for _, number, _, _ in places(walk({"c2": [*plain, other], "c3": plain}))] == [2, 2]


def test_warning_of_an_earlier_commit_is_not_new_after_a_failure(walk):
    plain = [PLAIN.format(line=3)]
    assert places(walk({"c1": plain, "c2": [ERROR], "c3": plain})) == [
        ("build-warning", 1, "util/a.c", 3),
        ("build-fails", 2, "util/b.c", 7),
    ]
    walk.test_logs = {"c2": [ERROR]}
    assert places(walk({"c1": plain, "c3": plain})) == [
        ("build-warning", 1, "util/a.c", 3),
        ("build-fails", 2, "util/b.c", 7),
    ]


def test_message_names_the_switch_of_the_warning_and_the_host(walk):
    (finding,) = walk({"c3": [PLAIN.format(line=3)]}).findings
    assert finding.message == "unused variable 'x' [-Wunused-variable] (native)"
    (finding,) = walk({"c3": ["../src/a.c:1:1: warning: odd"]}).findings
    assert finding.message == "odd (native)"


def test_warnings_of_a_reused_build_are_not_read_again(walk):
    walk.reused = frozenset({"c4"})
    assert places(walk({"c4": [PLAIN.format(line=3)]})) == []


def test_errors_and_warnings_are_both_reported(walk):
    built = walk({"c1": [WARNING.format(line=3), ERROR], "c2": [ERROR], "c3": [ERROR], "c4": [ERROR]})
    assert places(built) == [("build-warning", 1, "util/a.c", 3), ("build-fails", 1, "util/b.c", 7)]
    assert not built.tip_builds
    other = walk({"c1": [ERROR], "c2": [ERROR, ANOTHER]})
    assert [(rule, number) for rule, number, _, _ in places(other)] == [
        ("build-fails", 1),
        ("build-fails", 2),
    ]


def test_error_that_returns_after_a_fix_is_inherited_only_from_the_previous_patch(walk):
    built = walk({"c1": [ERROR], "c3": [ERROR], "c4": [ERROR, ANOTHER]})
    assert [number for _, number, _, _ in places(built)] == [1, 3, 4]
    assert [row.reason for row in built.rows] == ["", ERROR, "", ERROR, ERROR]


def test_test_that_is_unsteady_on_the_base_is_no_error_of_the_series(walk, monkeypatch):
    run = walk._run_tests

    def unsteady(build, *rest, **more):
        rows = run(build, *rest, **more)
        reason = f"{UNSTEADY}: x" if build.commit == "c0" else "x"
        return tuple(msgspec.structs.replace(row, reason=reason) for row in rows)

    monkeypatch.setattr(walk, "_run_tests", unsteady)
    (finding,) = walk(failing={"c2": ["a"]}).findings
    assert (finding.rule, finding.patch, finding.severity) == ("test-fails", 2, "warning")
    assert finding.message == "a fails, but on the base it failed once too"


LINK_STEP = (
    "FAILED: [code=1] qemu-system-x86_64",
    "cc -o qemu-system-x86_64 util/a.c.o",
    "/usr/bin/ld: util/a.c.o: in function `run':",
    "a.c:(.text+0x{at}f): undefined reference to `f'",
    "ninja: build stopped",
)
MESON_STEP = (
    "FAILED: build.ninja",
    "meson --internal regenerate",
    "../src/util/meson.build:1:{at}: ERROR: File a.c does not exist.",
)
QAPI_STEP = ("FAILED: qapi.h", "python3 qapi-gen.py", "Traceback:", "KeyError: 'data'", "[9/9] Linking")


@pytest.mark.parametrize(
    ("step", "rule", "text"),
    [
        (LINK_STEP, "build-fails", "a.c:(.text+0x5f): undefined reference to `f'"),
        (MESON_STEP, "build-configure", "File a.c does not exist."),
        (QAPI_STEP, "build-fails", "KeyError: 'data'"),
    ],
)
def test_error_of_a_linker_or_generator_is_attributed_to_the_first_commit_that_has_it(walk, step, rule, text):
    first, second = ([line.format(at=at) for line in step] for at in "56")
    fail = "cc1: internal error: x"  # makes the fake fail; no place
    found = walk({"c2": [*first, fail], "c3": [*second, fail], "c4": []})
    assert [(one.rule, one.patch, one.message) for one in found.findings] == [(rule, 2, f"{text} (native)")]
    assert found.rows[3].reason == "same errors as patch 2"
    other = [line.replace("`f'", "`g'").replace("a.c", "b.c").replace("'data'", "'x'") for line in second]
    found = walk({"c2": [*first, fail], "c3": [*second, *other, fail], "c4": []})
    assert [one.patch for one in found.findings] == [2, 3], "another error"


def test_failure_without_a_diagnostic_has_its_first_line_and_no_place(walk):
    details = [f"error: line {number}" for number in range(20)]
    built = walk({"c2": details})
    (finding,) = built.findings
    assert (finding.rule, finding.message) == ("build-fails", "error: line 0 (native)")
    assert (finding.patch, finding.file, finding.line) == (2, "", 0)
    assert finding.snippet == tuple(details[:8])
    assert built.rows[2].reason == "error: line 0"


def test_failing_configure_is_a_finding_with_its_last_lines(walk):
    walk.unconfigured = {"c2": ["ERROR: no glib"], "c3": []}
    built = walk()
    assert [(one.rule, one.patch, one.message, one.snippet) for one in built.findings] == [
        ("build-configure", 2, "ERROR: no glib (native)", ("ERROR: no glib",)),
        ("build-configure", 3, "configure failed (native)", ()),
    ]
    assert [(row.reason, row.log) for row in built.rows[2:4]] == [
        ("ERROR: no glib", ""),
        ("configure failed", ""),
    ]


def test_base_that_does_not_build_is_an_infrastructure_error(walk):
    with pytest.raises(InfrastructureError, match="the base does not build: compiling failed") as raised:
        walk({"c0": [ERROR]})
    assert raised.value.remedy == "fix it"
    assert raised.value.details == (ERROR,)
    assert raised.value.log == walk.layout.root / "c0.log"


def test_killed_compiler_is_an_infrastructure_error(walk):
    with pytest.raises(InfrastructureError, match="memory") as raised:
        walk({"c2": ["gcc: fatal error: Killed signal terminated program cc1", ERROR]})
    assert "-Djobs=1" in raised.value.remedy
    assert raised.value.log == walk.layout.root / "c2.log"


def test_failure_that_is_not_reproducible_is_ignored(walk):
    walk.once = True
    built = walk({"c2": [ERROR]})
    assert built.tip_builds
    assert [row.outcome for row in built.rows] == ["ok"] * 5
    assert any("patch 2" in line and "first attempt" in line for line in walk.reporter.lines)


LINK = "/usr/bin/ld: util/a.c.o: error: undefined reference to `f'"


@pytest.mark.parametrize(("last", "rules"), [([], []), ([LINK], ["build-fails"])])
def test_warnings_of_the_first_attempt_count(walk, last, rules):
    walk.again = {"c2": last}
    found = {one.rule for one in walk({"c2": [PLAIN.format(line=3), LINK]}).findings if one.patch == 2}
    assert found == {"build-warning", *rules}, "the second attempt compiles only what failed"


def test_failed_compilation_is_repeated_to_report_all_errors(walk):
    walk({"c2": [ERROR]})
    assert walk.builds == [
        ("c0", "native", False),
        ("c1", "native", False),
        ("c2", "native", False),
        ("c2", "native", True),
        ("c3", "native", False),
        ("c4", "native", False),
    ]


def test_full_disk_ends_the_run(walk, monkeypatch):
    def full(*_, **__):
        raise StorageError("the disk is full", "free some")

    monkeypatch.setattr(Walk, "_build", full)
    with pytest.raises(StorageError):
        walk()


def test_rows_record_the_build_of_each_commit(walk):
    walk.cache = CacheUse(direct_hits=1, preprocessed_hits=2, misses=4, uncacheable=0)
    walk.reused = frozenset({"c0"})
    base, _, failed, _, tip = walk({"c2": [ERROR]}).rows
    log = walk.layout.root
    assert base == CommitBuild(
        patch=0, commit="c0", host="native", outcome="ok", seconds=1.2, log=f"{log}/c0.log"
    )
    assert failed == CommitBuild(
        patch=2, commit="c2", host="native", outcome="failed", seconds=1.2, reason=ERROR, log=f"{log}/c2.log"
    )
    assert tip == msgspec.structs.replace(
        base, patch=4, commit="c4", steps=7, cache_hits=3, cache_misses=4, log=f"{log}/c4.log"
    )
    walk.cache = None
    assert walk().rows[4] == msgspec.structs.replace(tip, cache_hits=0, cache_misses=0)


def test_commits_are_built_for_each_host_and_tested_on_the_native_one(walk):
    built = walk({"c2": [PLAIN.format(line=3)]}, hosts=("native", "s390x"))
    assert [(row.host, row.patch) for row in built.rows] == [
        (host, number) for host in ("native", "s390x") for number in range(5)
    ]
    assert [one.message.rpartition(" ")[2] for one in built.findings] == ["(native)", "(s390x)"]
    assert [row.patch for row in built.tests] == list(range(5))
    assert built.isolation == "recorded"
    assert built.cost.all_s == 6.0, "the commits of the first host"
    assert {row.seconds for row in built.rows} == {1.2, 11.2}


def test_progress_names_the_commit(walk):
    walk(hosts=("native", "s390x"), patches=("1",))
    titles = [line for line in walk.reporter.lines if line.startswith("building")]
    assert titles == ["building and testing each commit", "building and testing each commit for s390x"]
    assert [line for line in walk.reporter.lines if line.startswith("tests of")] == [
        "tests of the base",
        "tests of patch 1",
    ]
    assert walk.reporter.updates == 2 * [(0, 2, "base"), (1, 2, "patch 1")]


def test_failing_test_is_attributed_to_the_first_commit_that_it_fails_on(walk):
    assert places(walk(failing={"c2": ["a"], "c3": ["a"], "c4": ["a"]})) == [("test-fails", 2, "", 0)]
    assert places(walk(failing={f"c{n}": ["a"] for n in range(5)})) == [], "fails on the base"
    again = walk(failing={"c1": ["a"], "c3": ["a"]})
    assert [number for _, number, _, _ in places(again)] == [1, 3], "fixed in between"


@pytest.mark.parametrize(
    ("base", "first", "second", "found"),
    [
        ("a:1", "a:1", "a:1", []),
        ("a:1", "a:1 2 3", "a:1 3", [(1, "a fails: 2, 3")]),
        ("", "a:1 2 3 4 5 6 7", "", [(1, "a fails: 1, 2, 3, 4, 5, 6 and 1 more")]),
        ("a:1", "a:1", "a:4", [(2, "a fails: 4")]),
        ("a:1", "a", "a", [(1, "a fails")]),
        ("a", "a:1", "a:2", []),
        ("", "a:1", "a:1", [(1, "a fails: 1")]),
        ("a:1", "", "a:1", []),
    ],
)
def test_part_of_a_test_that_fails_on_the_base_too_hides_no_other(walk, base, first, second, found):
    failing = {f"c{at}": [word] for at, word in enumerate((base, first, second)) if word}
    assert [(one.patch, one.message) for one in walk(failing=failing).findings] == found


def test_what_is_known_to_fail_is_not_tried_again(walk):
    walk(failing={"c0": ["a:1"], "c1": ["a:1 2"]})
    assert (walk.known["c0"], walk.known["c1"], walk.known["c2"]) == (
        set(),
        {("a", "1")},
        {("a", "1"), ("a", "2")},
    )


def test_test_with_failing_parts_may_take_too_long(walk):
    walk.outcome = "timeout"
    (finding,) = walk(failing={"c2": ["a:1"]}).findings
    assert finding.message == "a takes too long"


def test_finding_of_a_test_has_its_outcome_and_reason(walk):
    (finding,) = walk(failing={"c2": ["a"], "c3": ["a"]}).findings
    assert (finding.message, finding.snippet) == ("a fails", ("why it failed",))
    walk.outcome = "timeout"
    (finding,) = walk(failing={"c2": ["a"]}).findings
    assert finding.message == "a takes too long"
    walk.outcome = "infrastructure"
    assert walk(failing={"c2": ["a"]}).findings == ()


def test_tests_are_run_on_each_commit_and_recorded(walk):
    built = walk(jobs=3)
    assert walk.test_runs == [(f"c{n}", ["a"], 3) for n in range(5)]
    assert [(row.patch, row.name) for row in built.tests] == [(n, "a") for n in range(5)]


def test_tests_that_the_series_does_not_touch_are_not_run(walk):
    assert walk(qemu_tests=("touched",)).tests == ()
    walk.tests = (QemuTest(name="b", suite="unit", programs=(), sources=("util/a.c",)),)
    assert {row.name for row in walk(qemu_tests=("touched",)).tests} == {"b"}


def test_without_tests_meson_is_not_asked_for_them(walk, monkeypatch):
    def list_tests(*_):
        raise AssertionError

    monkeypatch.setattr(Walk, "_list_tests", list_tests)
    assert walk(qemu_tests=("none",)).tests == ()


def test_tests_of_the_base_that_cannot_be_built_are_an_infrastructure_error(walk):
    walk.test_logs = {"c0": [ERROR]}
    with pytest.raises(InfrastructureError, match="base") as raised:
        walk()
    assert raised.value.log == walk.log(0, "tests")
    assert "log" in raised.value.remedy


def test_test_that_does_not_compile_is_a_finding_and_is_not_run(walk):
    walk.tests = tuple(
        QemuTest(name=name, suite="unit", programs=programs, sources=())
        for name, programs in (("a", ("test-a",)), ("script", ()))
    )
    errors = [
        f"../src/tests/a.c:{line}:1: error: unknown type {letter}" for line, letter in enumerate("abcdef", 1)
    ]
    walk.test_logs = {"c2": [*errors, PLAIN.format(line=9)], "c3": errors[:1]}
    built = walk()
    assert [(one.message, one.patch, one.file, one.line) for one in built.findings] == [
        ("unused variable 'x' [-Wunused-variable] (native)", 2, "util/a.c", 9),
        *((f"unknown type {letter} (tests)", 2, "tests/a.c", line) for line, letter in enumerate("abcde", 1)),
    ]
    assert {one.snippet for one in built.findings} == {()}
    assert [names for _, names, _ in walk.test_runs] == [
        ["a", "script"],
        ["a", "script"],
        ["script"],
        ["script"],
        ["a", "script"],
    ]


def test_test_that_does_not_link_is_reported_once(walk):
    output = [f"error: line {number}" for number in range(12)]
    walk.test_logs = {"c2": output, "c3": output}
    (finding,) = walk().findings
    assert (finding.rule, finding.patch, finding.file, finding.line) == ("build-fails", 2, "", 0)
    assert finding.message == "the test programs cannot be built (tests)"
    assert finding.snippet == tuple(output[-8:])


def test_another_test_that_does_not_link_is_another_finding(walk):
    step = [line.format(at=1) for line in LINK_STEP]
    other = [line.replace("`f'", "`g'") for line in step]
    fail = "cc1: internal error: x"
    walk.layout.root.joinpath("build.ninja").touch()
    walk.test_logs = {"c2": [*step, fail], "c4": [*other, fail]}
    assert [(one.rule, one.patch, one.message.rpartition(": ")[2]) for one in walk().findings] == [
        ("build-fails", 2, "undefined reference to `f' (tests)"),
        ("build-fails", 4, "undefined reference to `g' (tests)"),
    ]


def manual(page, *, status=0):
    return Manual(returncode=status, warnings=(), page=page, last="Theme error")


@pytest.fixture
def documented(walk):
    """A series of two patches that change the manual, with Sphinx installed."""
    walk.series = judged(2, RST)
    walk.sphinx = "/usr/bin/sphinx-build"
    walk.manuals = {"c0": manual("before"), "c2": manual("after", status=2)}
    return walk


def lacks(built):
    """Return the patch and the reason of each finding on a manual that was not checked; there is no other."""
    assert {(one.rule, one.severity) for one in built.findings} == {("manual-not-checked", "note")}
    return [(one.patch, one.message.partition(": ")[2]) for one in built.findings]


def test_manual_of_a_commit_that_is_not_built_is_reported(documented):
    why = "the last commit was not built on this machine"
    assert lacks(documented(patches=("1",))) == [(1, why)]
    assert lacks(documented(hosts=("s390x",))) == [(2, why)]
    found = documented({"c2": [ERROR]}).findings
    assert [(one.rule, one.patch) for one in found] == [("build-fails", 2), ("manual-not-checked", 2)]


def test_manuals_of_base_and_last_commit_are_compared(documented):
    built = documented({"c1": [ERROR]})
    assert [one.rule for one in built.findings] == ["build-fails", "manual-fails"]
    assert "Theme error" in built.findings[1].message
    lines = documented.reporter.lines
    assert [line for line in lines if "manual" in line] == ["manual of the base", "manual of patch 2"]


def test_new_warning_in_the_manual_is_attributed_to_a_patch(documented):
    odd = Diagnostic(file="docs/a.rst", line=3, text="odd", switch="", is_warning=True)
    documented.manuals["c2"] = Manual(returncode=0, warnings=(odd,), page="after", last="")
    built = documented({"c1": [PLAIN.format(line=3)]})
    assert places(built) == [("build-warning", 1, "util/a.c", 3), ("manual-warning", 2, "docs/a.rst", 3)]


def test_manual_of_a_broken_base_is_not_compared(documented):
    documented.manuals["c0"] = manual("", status=2)
    assert lacks(documented()) == [(2, "Sphinx cannot build that of the base")]
    assert any(
        line.startswith("Sphinx") and str(documented.log(0, "manual")) in line
        for line in documented.reporter.lines
    )


def test_missing_sphinx_is_reported_once(documented):
    documented.sphinx = ""
    assert lacks(documented(patches=("1",))) == [(1, "Sphinx is not installed")]
    assert [line for line in documented.reporter.lines if "Sphinx is not installed" in line] == [
        "the series changes the manual, which is not built: Sphinx is not installed"
    ]


def test_manual_is_not_built_for_series_that_do_not_change_it(documented):
    documented.series = judged(2)
    assert documented().findings == ()
    documented.sphinx = ""
    documented()
    assert not [line for line in documented.reporter.lines if "anual" in line]


def row(number, seconds, hits, misses):
    return CommitBuild(
        patch=number,
        commit="c",
        host="native",
        outcome="ok",
        seconds=seconds,
        cache_hits=hits,
        cache_misses=misses,
    )


def test_ratio_is_computed_only_for_a_cold_base():
    cold = cost_of([row(0, 100, 1, 999), row(1, 20, 5, 5)])
    warm = cost_of([row(0, 100, 900, 100), row(1, 20, 5, 5)])
    assert (cold.ratio, warm.ratio, warm.all_s) == (1.2, 0.0, 120)
    assert (cold.cold_s, warm.cold_s) == (100, 0)
    assert cost_of([]) is None


@pytest.mark.parametrize(
    ("hits", "misses", "ratio"),
    [(5, 95, 1.75), (6, 94, 0.0), (0, 1, 1.75), (0, 0, 0.0)],
    ids=["5 % of hits", "6 % of hits", "one call", "no cache"],
)
def test_base_is_cold_with_at_most_5_percent_of_cache_hits(hits, misses, ratio):
    cost = cost_of([row(0, 3, hits, misses), row(1, 2.26, 1, 1)])
    assert (cost.ratio, cost.all_s) == (ratio, 5.3)


def test_base_without_duration_has_no_ratio():
    cost = cost_of([row(0, 0.0, 0, 1)])
    assert cost.ratio == 0


MAINTAINERS = "Block\nL: qemu-block@nongnu.org\nF: util/\n"


def test_tools_are_configured_for_block_code_and_iotests(walk, monkeypatch):
    files = {("c0", "MAINTAINERS"): MAINTAINERS}
    monkeypatch.setattr(type(walk.series), "read", lambda _, commit, path: files.get((commit, path)))
    tools = Extra(switches=("--enable-curl", "--enable-tools"))
    plain = Extra(switches=("--enable-curl",))
    touched, none = make_options(qemu_tests=("touched",)), make_options(qemu_tests=("none",))
    assert with_tools(walk.series, touched, plain) == tools
    assert with_tools(walk.series, touched, tools) == tools
    assert with_tools(walk.series, none, plain) == plain
    files.clear()
    assert with_tools(walk.series, touched, plain) == plain
    iotest = judged(1, DIFF.replace("util/", "tests/qemu-iotests/"))
    assert with_tools(iotest, touched, plain) == tools


def test_quick_iotests_run_for_block_code(walk):
    source = walk.layout.root / "src"
    source.mkdir(exist_ok=True)
    (source / "MAINTAINERS").write_text(MAINTAINERS)
    walk.tests = (QemuTest(name="io", suite="block", programs=(), sources=()),)
    assert {row.name for row in walk(qemu_tests=("touched",)).tests} == {"io"}


def test_coverage_of_the_last_commit_is_measured_on_request(walk, monkeypatch):
    covered = CoveredFile(patch=2, file="util/a.c", executable=2, missing=(1,))
    proved = FAILS.finding("of a proof", patch=1)
    monkeypatch.setattr(commits, "conclude", lambda *_: ((), (proved,)))
    texts = {("c4", "util/a.c"): "a line"}
    monkeypatch.setattr(type(walk.series), "read", lambda _, commit, path: texts.get((commit, path)))
    measured = []

    def measure(state, built, part):
        assert part.tip == built.commit
        assert state.judged is walk.series
        measured.append(built.commit)
        return (covered,)

    monkeypatch.setattr(commits, "measure", measure)
    built = walk(coverage=True)
    assert built.coverage == (covered,)
    assert [(one.rule, one.snippet) for one in built.findings] == [
        (proved.rule, ()),
        ("lines-not-run", ("a line",)),
    ]
    assert measured == ["c4"]
    assert walk().coverage == ()
    assert walk({"c4": [ERROR]}, coverage=True).coverage == (), "the last commit does not build"
    assert measured == ["c4"]
