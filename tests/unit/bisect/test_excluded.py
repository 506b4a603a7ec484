"""Added lines that the preprocessor leaves out: groups of a source, real preprocessing, findings."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from harness.bisect import excluded as module
from harness.bisect.conditions import read_conditions
from harness.bisect.excluded import added_lines, excluded_findings, only_excluded, preprocess
from harness.build.database import NAME
from harness.check import Judged
from harness.errors import TimeoutExpiredError
from harness.sandbox import NO_SANDBOX
from harness.tree.git import Git
from tests.unit.bisect.support import RecordingSandbox
from tests.unit.check.support import judged
from tests.unit.repositories import git, write_files
from tests.unit.series.mails import patch

NINJA = """\
build a.o: c_COMPILER ../src/util/a.c
build b.o: c_COMPILER ../src/util/a.c
build c.o: c_COMPILER ../src/util/c.c
build prog: c_LINKER a.o b.o c.o
build other: c_LINKER a.o
"""
DIFF = "diff --git a/{0} b/{0}\nindex 1..2 100644\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-a\n+b\n"
SOURCE = """\
#include "a.h"
int zero;
#ifdef _WIN32
int one; /* lines that a compiler for
#else another system reads */
#elif defined(NOWHERE) && \\
    defined(OTHER)
int two;
#else
int three = LONG_CALL(1,
    2);
#endif
#if 0
it's no code
#endif
#ifdef B
const char *four = "/* #endif";
#endif
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n#if X\nb\n#endif\nc", {1: "", 3: "#if X", 5: ""}),
        ("#ifdef X\na\n#else\nb\n#endif", {2: "#ifdef X", 4: "#else of #ifdef X"}),
        ("#if X\n#elif Y\na\n#else\nb\n#endif", {3: "#elif Y", 5: "#else of #elif Y"}),
        ("#ifndef A_H\n#define A_H\na\n#ifdef X\nb\n#endif\n#endif", {3: "", 5: "#ifdef X"}),
        ("#ifndef A\n#define B\na\n#endif", {2: "#ifndef A", 3: "#ifndef A"}),
        ("b\n#if X\n#endif\n#ifndef A\n#define A\na\n#endif", {1: "", 6: "#ifndef A"}),
        ("  # if  X /* c */\na // b\n/* c\n#endif */\n\n# endif\nb", {2: "#if X", 7: ""}),
        ("#if X && \\\n  Y\na\n#endif", {3: "#if X &&"}),
        ("#define M(x) \\\n  f(x); \\\n  g(x)\na", {4: ""}),
        ('s = "/*";\n#if X\nt = \'"\';\n#endif\nu', {1: "", 3: "#if X", 5: ""}),
        ("#if X\n/* c\n#endif\n*/ a\nb\n#endif\nc", {4: "#if X", 5: "#if X", 7: ""}),
        ("#if X /* a */ > /* b */ 'y' // c\nd // e\nf\n#endif", {2: "#if X > 'y'", 3: "#if X > 'y'"}),
        (
            "#if X */* a */2\nb\n#elifdef Y\nc\n#elifndef Z\nd\n#endif",
            {2: "#if X *2", 4: "#elifdef Y", 6: "#elifndef Z"},
        ),
        ("#define M \\\n#if X\na", {3: ""}),
        ("#define M \\\r\n  f()\r\na\r\n", {3: ""}),
        ("#if X && \\ \t\n  Y\na\n#endif", {3: "#if X &&"}),
        ("#endif\n#else\na", {3: ""}),
        (
            "#include <a>\n#define A\n#if X\n#define B \\\n  c\n# include <d>\n#undef B\n#endif",
            dict.fromkeys((4, 6, 7), "#if X"),
        ),
        ("#if A\n#endif\n#ifndef X\n#define X(a) 1\n#define Y\n#pragma once\n#endif", {5: "#ifndef X"}),
        ("#if X\r\na\r\n#endif\r\nb\r\n", {2: "#if X", 4: ""}),
    ],
)
def test_groups_of_a_source(text, code):
    found = read_conditions(text)
    assert {line: found.texts[group] for line, group in found.code.items()} == code


def test_group_is_active_if_one_inside_is():
    found = read_conditions("#if A\na\n#if B\nb\n#endif\n#endif\n#if C\nc\n#endif")
    assert found.active({4}) == {0, 1, 2}
    assert found.active({2, 3}) == {0, 1}
    assert found.active(set()) == {0}


def test_form_feed_ends_no_line(series, built):
    text = '#if 0\nint a;\n#endif\nconst char *b = "\f";\n#ifdef A\n#warning odd\nint c;\n#endif\n'
    added = added_lines(series({}, {"util/a.c": text}))
    preprocess(added, built, ["other"], NO_SANDBOX)
    assert added["util/a.c"].excluded == [2]


def test_object_is_preprocessed_once_for_all_its_files(series, built, monkeypatch):
    header = HEADER.replace("int x;\n", "#if 0\nint y;\n#endif\n")
    found = series({}, {"util/a.c": SOURCE, "include/a.h": header})
    monkeypatch.setattr(module, "read_headers", lambda *rest: {"include/a.h": {"util/a.c"}})
    sandbox = RecordingSandbox()
    preprocess(added_lines(found), built, ["other"], sandbox)
    assert len(sandbox.commands) == 1


@pytest.fixture
def series(tmp_path):
    """A function that commits files after a base, and returns the series with that commit."""
    clone = tmp_path / "src"

    def commit(**files):
        write_files(clone, files)
        git(clone, "add", "-A")
        git(clone, "commit", "-q", "-m", "x")
        return git(clone, "rev-parse", "HEAD")

    def made(before, after):
        git(tmp_path, "init", "-q", "src")
        base = commit(**dict.fromkeys(after, "") | before)
        found = judged(patch("[PATCH] a", diff="".join(map(DIFF.format, after))))
        tip = commit(**after)
        one = dataclasses.replace(found.patches[0], commit=tip)
        repository = Git(repository=clone / ".git")
        return Judged(input=found.input, patches=(one,), pin="7.2", git=repository, base=base, tip=tip)

    return made


@pytest.fixture
def built(tmp_path):
    """A build whose second object is compiled with B defined."""
    folder = tmp_path / "native"
    words = f"ccache gcc -I. -I{tmp_path}/src/include {{}} -MD -MQ x.o -MF x.d -o x.o -c ../src/util/{{}}.c"
    commands = {name: words.format(f"-D{name.upper()}", "c" if name == "c" else "a") for name in "abc"}
    database = [
        {"directory": str(folder), "file": "../src/util/a.c", "output": f"{name}.o", "command": command}
        for name, command in commands.items()
    ]
    write_files(folder, {"build.ninja": NINJA, "compile_commands.json": json.dumps(database)})
    write_files(folder, {"a.o": "", "b.o": "", "c.o": ""})
    return SimpleNamespace(folder=str(folder))


HEADER = "#ifndef A_H\n#define A_H\n#define LONG_CALL(a, b) a\nint x;\n#endif\n"


def test_lines_of_groups_that_no_object_contains(series, built):
    found = series({}, {"util/a.c": SOURCE, "include/a.h": HEADER})
    added = added_lines(found)
    assert list(added) == ["util/a.c"], "nothing of the header is below a condition"
    assert added["util/a.c"].excluded == [], "nothing is known before"
    preprocess(added, built, ["other"], NO_SANDBOX)
    assert added["util/a.c"].excluded == [4, 8, 14, 17]
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert added["util/a.c"].excluded == [4, 8, 14], "another object contains the line"
    (finding,) = excluded_findings(added)
    assert (finding.rule, finding.severity, finding.patch) == ("lines-not-compiled", "note", 1)
    assert (finding.file, finding.line) == ("util/a.c", 4)
    assert finding.message == (
        "no build compiled 3 added lines: 4, 8, 14, below #ifdef _WIN32, #elif defined(NOWHERE) &&, #if 0"
    )
    assert only_excluded(added) == {}


def test_file_whose_added_lines_are_all_left_out_is_not_compiled(series, built):
    found = series(
        {"util/a.c": SOURCE.replace("int one;", ""), "include/a.h": HEADER},
        {"util/a.c": SOURCE},
    )
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert only_excluded(added) == {"util/a.c": "all added lines are below #ifdef _WIN32"}
    assert list(excluded_findings(added)) == []


def test_macros_and_includes_below_conditions_count(series, built, tmp_path):
    macro = "#define LOST(x) do {{ \\\n        x; \\\n    }} while (0)\n"
    text = f'int a;\n#ifdef {{}}\n{macro}#include "b.inc"\n#endif\n'
    write_files(tmp_path / "src", {"util/b.inc": ""})
    kept, lost = text.format("A"), text.format("NOWHERE")
    added = added_lines(
        series({"util/a.c": "int a;\n", "util/c.c": "int a;\n"}, {"util/a.c": kept, "util/c.c": lost})
    )
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert added["util/a.c"].excluded == []
    assert added["util/c.c"].excluded == [3, 6]
    assert only_excluded(added) == {"util/c.c": "all added lines are below #ifdef NOWHERE"}


def test_lines_of_a_header_count_with_the_sources_that_read_it(series, built, monkeypatch):
    header = HEADER.replace("int x;\n", "#ifdef B\nint x;\n#endif\n#if 0\nint y;\n#endif\n")
    found = series({}, {"util/a.c": '#include "a.h"\n', "include/a.h": header, "docs/a": SOURCE})

    def read_headers(folder, objects, wanted):
        assert (str(folder), set(wanted)) == (built.folder, {"include/a.h"})
        assert objects == {"a.o": "util/a.c", "b.o": "util/a.c", "c.o": "util/c.c"}
        return {"include/a.h": {"util/a.c"}}

    monkeypatch.setattr(module, "read_headers", read_headers)
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert added["include/a.h"].excluded == [8]


def test_command_preprocesses_as_the_build_compiled_and_writes_nothing(series, built, tmp_path):
    sandbox = RecordingSandbox()
    found = series({}, {"util/a.c": SOURCE, "include/a.h": HEADER})
    preprocess(added_lines(found), built, ["other"], sandbox)
    folder = tmp_path / "native"
    words = f"gcc -I. -I{tmp_path}/src/include -DA ../src/util/a.c -E -dD -dI"
    assert sandbox.commands == [(words, folder)]
    assert sorted(path.name for path in folder.iterdir()) == ["a.o", "b.o", "build.ninja", "c.o", NAME]


def test_each_file_and_each_object_counts(series, built, monkeypatch):
    both = "int a;\n#ifdef A\nint b;\n#endif\n#ifdef B\nint c;\n#endif\n"
    rest = "int a;\n#if 0\nint b;\n#endif\n"
    given = {"util/a.c": both, "util/c.c": rest}
    found = series({}, given)
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert {path: one.excluded for path, one in added.items()} == {"util/a.c": [], "util/c.c": [3]}
    assert [one.objects for one in added.values()] == [2, 1]
    first = added_lines(series({}, given | {"util/a.c": both.partition("#ifdef B")[0]}))
    preprocess(first, built, ["prog"], NO_SANDBOX)
    assert [one.objects for one in first.values()] == [1, 1], "one object contains every line of a.c"
    only = added_lines(series({"util/a.c": "int a;\n"}, {"util/a.c": rest, "util/c.c": rest}))
    preprocess(only, built, ["prog"], NO_SANDBOX)
    assert list(only_excluded(only)) == ["util/a.c"]
    assert [one.file for one in excluded_findings(only)] == ["util/c.c"]
    monkeypatch.setattr(module, "MOST", 0)
    again = added_lines(found)
    preprocess(again, built, ["prog"], NO_SANDBOX)
    preprocess(again, built, ["prog"], NO_SANDBOX)
    assert [one.more for one in again.values()] == [4, 2]


def test_message_is_short(series, built):
    text = "int a;\n" + "".join(f"#ifdef N{n}\nint n{n};\n#endif\n" for n in range(12))
    found = series({}, {"util/a.c": text, "include/a.h": ""})
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    (finding,) = excluded_findings(added)
    assert finding.message == (
        "no build compiled 12 added lines: 3, 6, 9, 12, 15, 18, 21, 24, "
        "below #ifdef N0, #ifdef N1, #ifdef N2 and 9 more"
    )
    three = added_lines(series({}, {"util/a.c": "int a;\n" + text.partition("#ifdef N3")[0]}))
    preprocess(three, built, ["prog"], NO_SANDBOX)
    (finding,) = excluded_findings(three)
    assert finding.message.endswith("below #ifdef N0, #ifdef N1, #ifdef N2")


def test_preprocessor_that_hangs_is_ended(series, built, tmp_path, monkeypatch):
    added = added_lines(series({}, {"util/a.c": SOURCE, "include/a.h": HEADER}))
    write_files(tmp_path, {"hang": "#!/bin/sh\nsleep 60\n"})
    (tmp_path / "hang").chmod(0o755)
    database = [{"directory": "", "file": "", "output": "a.o", "command": f"{tmp_path}/hang"}]
    write_files(tmp_path / "native", {NAME: json.dumps(database)})
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    with pytest.raises(TimeoutExpiredError):
        preprocess(added, built, ["other"], NO_SANDBOX)


@pytest.mark.parametrize("broken", ["command", "database", "source"])
def test_file_that_was_not_preprocessed_is_not_judged(series, built, tmp_path, broken):
    found = series({}, {"util/a.c": SOURCE, "include/a.h": HEADER})
    if broken == "command":
        write_files(tmp_path / "native", {"compile_commands.json": "[]"})
    elif broken == "source":
        (tmp_path / "src" / "include" / "a.h").unlink()
    else:
        (tmp_path / "native" / "a.o").unlink()
        (tmp_path / "native" / "b.o").unlink()
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert added["util/a.c"].excluded == []
    assert (list(excluded_findings(added)), only_excluded(added)) == ([], {})


def test_limit_of_objects_is_stated(series, built, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    found = series({"util/a.c": SOURCE.replace("int one;", "")}, {"util/a.c": SOURCE, "include/a.h": HEADER})
    added = added_lines(found)
    preprocess(added, built, ["prog"], NO_SANDBOX)
    assert only_excluded(added) == {}, "another object may contain them"
    (finding,) = excluded_findings(added)
    assert finding.message == ("none of 1 of 2 objects contains 1 added line: 4, below #ifdef _WIN32")
