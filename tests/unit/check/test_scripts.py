"""Scripts and YAML with syntax errors."""

from types import SimpleNamespace

import pytest

from harness.check.scripts import check, kind_of, parse

GOOD = {
    "python": "import os\nprint('a \\d')\n",
    "shell": "#!/bin/bash\nshopt -s extglob\ncase x in +(a|b)) echo a ;; esac\n",
    "yaml": "a: !reference [b, c]\n---\nb: &x {c: 1}\nd: *x\n",
}
BAD = {
    "python": "import os\n\ndef f(:\n    pass\n",
    "shell": "#!/usr/bin/env bash\necho a\nif true; then\necho b\n",
    "yaml": "a: 1\nb: [c\nd: e\n",
}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("scripts/a.py", "", "python"),
        ("scripts/a", "#!/usr/bin/env python3\n", "python"),
        ("scripts/a", "#! /usr/bin/python3.11 -B\n", "python"),
        ("scripts/a.py", "#!/bin/sh\n", "shell"),
        ("configure", "#!/bin/sh\n#\n", "shell"),
        ("tests/qemu-iotests/001", "#!/usr/bin/env bash\n", "shell"),
        ("a.sh", "", "shell"),
        (".gitlab-ci.d/base.yml", "", "yaml"),
        ("a.pl", "#!/usr/bin/env perl\n", ""),
        ("a.py.in", "", ""),
        ("python", "#!/bin/shell\n", ""),
        ("util/a.c", "int a;\n", ""),
    ],
)
def test_kind_is_named_by_the_ending_or_the_first_line(path, text, expected):
    assert kind_of(path, text) == expected


@pytest.mark.parametrize("kind", GOOD)
def test_what_a_parser_reads_is_no_finding(kind):
    assert parse(kind, GOOD[kind]) is None
    assert parse("", BAD[kind]) is None


@pytest.mark.parametrize(("kind", "line"), [("python", 3), ("shell", 5), ("yaml", 3)])
def test_syntax_error_has_a_line_and_a_message(kind, line):
    found = parse(kind, BAD[kind])
    assert found is not None
    assert found[0] == line
    assert len(found[1]) > 5


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("python", "a = '\udcff'\n"),
        ("python", "(" * 5000),
        ("python", "-" * 100_000 + "1"),
        ("python", "a\0b"),
        ("shell", "case x in\n"),
        ("yaml", "a: \x01\n"),
    ],
)
def test_hostile_text_ends_in_an_answer(kind, text):
    found = parse(kind, text)
    assert found is None or isinstance(found[0], int)


def test_message_of_yaml_has_one_line():
    assert parse("yaml", "a: \x01\n") == (
        0,
        "unacceptable character #x0001: special characters are not allowed",
    )
    assert parse("yaml", BAD["yaml"]) == (3, "expected ',' or ']', but got ':'")


def series(*patches):
    """Patches of (path, before, after); a path without text before is new."""
    texts = {}
    made = []
    for number, (path, before, after) in enumerate(patches, start=1):
        texts |= {(f"{number}^", path): before, (str(number), path): after}
        change = SimpleNamespace(old=path if before else "", new=path, binary=False, new_mode="100644")
        made.append(
            SimpleNamespace(number=number, commit=str(number), parent=f"{number}^", changes=(change,))
        )
    return SimpleNamespace(patches=made, read=lambda commit, path: texts.get((commit, path)))


def test_error_belongs_to_the_patch_that_makes_it():
    path = "scripts/a.py"
    good, bad = GOOD["python"], BAD["python"]
    found = list(check(series((path, good, good), (path, good, bad), (path, bad, bad + "# more\n"))))
    assert [(one.rule, one.severity, one.patch, one.file, one.line) for one in found] == [
        ("script-syntax", "error", 2, path, 3)
    ]
    assert found[0].message.startswith("python: ")
    assert found[0].snippet == ("def f(:",)


@pytest.mark.parametrize(
    ("path", "text", "line", "shown"),
    [("a.py", "def f(:", 1, ("def f(:",)), ("a.yml", "a: \x01\n", 0, ()), ("a.sh", BAD["shell"], 5, ("",))],
)
def test_line_of_the_error_is_shown(path, text, line, shown):
    (found,) = check(series((path, "", text)))
    assert (found.line, found.snippet) == (line, shown)


def test_new_file_and_file_that_becomes_a_script_are_judged():
    bad = BAD["shell"]
    assert [one.patch for one in check(series(("a", "", bad), ("b", "text\n", bad)))] == [1, 2]


def test_every_file_of_a_patch_is_read_once():
    bad = BAD["python"]
    files = {
        "link.py": bad,
        "sub": bad,
        "gone.py": bad,
        "a.c": bad,
        "old.py": bad,
        "good.py": "a = 1\n",
        "b": bad,
    }
    modes = {"link.py": "120000", "sub": "160000"}
    changes = [
        SimpleNamespace(
            old=path, new="" if path == "gone.py" else path, binary=path == "old.py", new_mode=modes.get(path)
        )
        for path in files
    ]
    reads = []

    def read(commit, path):
        reads.append((commit, path))
        return f"#!/usr/bin/python3\n{files[path]}" if commit == "1" else "" if path == "b" else files[path]

    one = SimpleNamespace(number=1, commit="1", parent="0", changes=changes)
    assert [found.file for found in check(SimpleNamespace(patches=[one], read=read))] == ["b"]
    assert reads == [("1", "good.py"), ("1", "b"), ("0", "b")]


def test_patch_that_was_not_applied_and_links_are_not_read():
    given = series(("a.py", "", BAD["python"]))
    given.patches[0].commit = ""
    assert list(check(given)) == []
    given = series(("a.py", "", BAD["python"]))
    given.patches[0].changes[0].new_mode = "120000"
    assert list(check(given)) == []
