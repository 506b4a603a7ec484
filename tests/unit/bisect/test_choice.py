"""Second compilers: their builds, and what of their findings is reported."""

import pytest

from harness.bisect.choice import builds_of, patches_between, prefer_hosts, report_once
from harness.bisect.diagnostics import read_diagnostics
from harness.bisect.scope import Scope
from harness.build.plan import Extra
from harness.check.building import FAILS, WARNING
from harness.errors import InfrastructureError
from tests.unit.bisect.support import judged
from tests.unit.build.support import make_options

PLAIN = "../src/util/a.c:{line}:5: warning: {text} [-Wunused-variable]"


def test_new_warnings_of_clang_are_findings(walk):
    old, new = (PLAIN.format(line=at, text=text) for at, text in ((3, "old"), (9, "new")))
    logs = {"c0 clang": [old], "c2 clang": [old, new], "c3 clang": [new]}
    built = walk(logs, compilers=("gcc", "clang"))
    assert [(one.rule, one.patch, one.line, one.message) for one in built.findings] == [
        ("build-warning", 2, 9, "new [-Wunused-variable] (native, clang)")
    ]
    assert walk(logs).findings == ()
    assert {(row.patch, row.compiler) for row in built.rows} == {
        (patch, compiler) for patch in range(5) for compiler in ("gcc", "clang")
    }
    assert {row.where for row in built.rows} == {"native", "native with clang"}


def test_only_the_first_compiler_tests(walk):
    walk({}, compilers=("gcc", "clang"))
    assert [commit for commit, *_ in walk.test_runs] == ["c0", "c1", "c2", "c3", "c4"]
    walk({}, compilers=("clang",))
    assert [commit for commit, *_ in walk.test_runs] == ["c0", "c1", "c2", "c3", "c4"]


def test_error_that_both_compilers_report_is_reported_once(walk):
    error = ["../src/util/b.c:7:1: error: unknown type name 'y'"]
    other = ["../src/util/b.c:8:1: error: only clang"]
    built = walk({"c2": error, "c2 clang": error, "c4 clang": other}, compilers=("gcc", "clang"))
    assert [(one.patch, one.line, one.message.rpartition(" (")[2]) for one in built.findings] == [
        (2, 7, "native)"),
        (4, 8, "native, clang)"),
    ]
    assert not built.tip_builds
    assert [(row.patch, row.compiler) for row in built.rows if row.outcome == "failed"] == [
        (2, "gcc"),
        (2, "clang"),
        (4, "clang"),
    ]
    assert not walk({"c4": other}, compilers=("gcc", "clang")).tip_builds, "gcc does not build it"
    assert walk({}, compilers=("gcc", "clang")).tip_builds
    with pytest.raises(InfrastructureError, match="the base does not build"):
        walk({"c0 clang": error}, compilers=("gcc", "clang"))


def test_findings_without_a_line_are_all_kept():
    first = FAILS.finding("linker", patch=1)
    second = FAILS.finding("linker, clang", patch=1)
    third, fourth = (WARNING.finding(text, patch=1, file="a.c", line=3) for text in ("a", "b"))
    assert report_once([[first, third, fourth], [second, third]]) == [first, third, fourth, second]


def test_cross_builds_have_one_compiler():
    options = make_options(hosts=("native", "s390x"), compilers=("gcc", "clang"))
    assert builds_of(options) == (("native", "gcc"), ("native", "clang"), ("s390x", "gcc"))


def test_patches_that_each_build_adds():
    series = judged(4)
    assert patches_between(series, make_options()) == [range(n, n + 1) for n in range(1, 5)]
    assert patches_between(series, make_options(bisect="ends")) == [range(1, 5)]
    assert patches_between(series, make_options(patches=("3",))) == [range(1, 3), range(3, 4)]


def test_warnings_that_clang_makes_errors_are_warnings():
    (one,) = read_diagnostics(["../src/a.c:1:2: error: unused [-Werror,-Wunused-variable]"])
    assert (one.is_warning, one.text, one.switch) == (True, "unused", "unused-variable")
    (two,) = read_diagnostics(["../src/a.c:1:2: error: unused [-Werror=unused-variable]"])
    assert (two.is_warning, two.text, two.switch) == (True, "unused", "unused-variable")


def test_series_decides_about_the_targets_of_other_hosts_too(walk):
    walk.scope = Scope(targets=("aarch64-softmmu",), extra=Extra(goals=("qemu-img",)))
    found = walk(hosts=("s390x",)).compiled
    assert (found.targets, found.programs) == (("aarch64-softmmu",), ()), "goals are built natively only"


def test_target_that_runs_on_the_host_comes_first():
    def targets(*hosts, **options):
        return prefer_hosts(make_options(hosts=hosts, **options)).targets

    assert targets("native", "s390x") == targets("native") == ("x86_64-softmmu", "s390x-softmmu")
    assert targets("s390x") == ("s390x-softmmu", "x86_64-softmmu")
    assert targets("aarch64") == ("aarch64-softmmu", "x86_64-softmmu", "s390x-softmmu")
    given = {"targets": ("x86_64-softmmu",), "given": ("-Dtargets=x86_64-softmmu",)}
    assert targets("s390x", **given) == ("x86_64-softmmu",)
