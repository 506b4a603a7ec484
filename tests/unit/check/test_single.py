"""check-patch: the mail of one patch on a clone, and b4 itself with it as a check command."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import cli
from harness.check.registry import RULES
from harness.check.single import ALONE
from harness.layout import find_layout
from tests.unit.check.support import RELEASE, good, new_file
from tests.unit.conftest import bytes_of
from tests.unit.repositories import git, write_files

CLEAN = good()
ERRORS = good(signed="")
WARNINGS = good(subject="[PATCH] util: add a second one.")
B4 = Path(sys.executable).with_name("b4")


@pytest.fixture
def clone(tmp_path):
    """A clone of the tiny release, on a branch."""
    folder = write_files(tmp_path / "clone", RELEASE)
    git(tmp_path, "init", "--quiet", "--initial-branch=master", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=release")
    git(folder, "checkout", "--quiet", "-b", "topic")
    return folder


@pytest.fixture
def call(clone, monkeypatch, capsys):
    """Call check-patch with a mail on standard input, in the clone."""
    monkeypatch.chdir(clone)
    monkeypatch.setattr(cli, "run_guarded", lambda call, die_with_parent: call())

    def check_patch(mail, *words):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mail)))
        code = cli._report_errors(lambda: cli.main(["check-patch", *words]))
        ended = capsys.readouterr()
        return SimpleNamespace(code=code, out=ended.out, err=ended.err)

    return check_patch


def test_clean_patch_prints_nothing(call, clone):
    before = bytes_of(clone)
    ended = call(CLEAN)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert bytes_of(clone) == before, "the user's clone is never written to"


def test_errors_and_warnings_are_lines_that_b4_colours(call):
    ended = call(ERRORS)
    assert ended.code == 20
    assert ended.out == "ERROR: the message has no Signed-off-by [dco-missing]\n"
    assert ended.err == "", "b4 takes lines on standard error for failures"
    ended = call(WARNINGS)
    assert ended.code == 20
    assert ended.out.startswith("WARNING: ")
    assert "[subject-dot]" in ended.out


def test_options_choose_rules_and_exit_code(call):
    assert call(ERRORS, "-Drules-off=dco-missing").code == 0
    assert call(WARNINGS, "-Dfail-on=error").code == 0
    assert call(ERRORS, "-Dfail-on=never").code == 0
    assert "dco-missing" in call(ERRORS, "-Dfail-on=never").out


def test_results_in_json_are_those_of_b4s_review(call):
    (result,) = json.loads(call(CLEAN, "--json").out)
    assert result == {"tool": "qemu-harness", "status": "pass", "summary": "passed all checks", "details": ""}
    (result,) = json.loads(call(ERRORS, "--json").out)
    assert (result["status"], result["summary"]) == ("fail", "1 error")
    (detail,) = json.loads(result["details"])
    assert (detail["status"], detail["description"][:7]) == ("fail", "ERROR: ")
    (result,) = json.loads(call(WARNINGS, "--json").out)
    assert (result["status"], result["summary"]) == ("warn", "1 warning")


def test_patch_of_a_series_is_judged_without_the_others(call):
    assert call(CLEAN.replace(b"[PATCH]", b"[PATCH v2 3/7]")).out == ""


def test_patch_that_does_not_apply_is_checked_by_the_other_rules(call):
    elsewhere = (
        CLEAN.replace(b" util/", b" other/").replace(b"a/util/", b"a/other/").replace(b"b/util/", b"b/other/")
    )
    assert call(elsewhere.replace(b"add a second one", b"add a second one.")).out.count("subject-dot") == 1


def test_new_file_without_maintainer_is_found_by_the_patch_and_by_its_commit(call, clone):
    mail = new_file("odd/x.c", "/* SPDX-License-Identifier: GPL-2.0-or-later */", "int x;")
    applied = call(mail).out
    assert "odd/x.c: WARNING: no section of MAINTAINERS covers the file [file-maintainers]" in applied
    git(clone, "am", "--quiet", stdin=mail)
    git(clone, "commit", "--quiet", "--allow-empty", "--message=later")
    assert call(mail).out == applied, "HEAD contains the patch, as in b4 prep --check"


def test_commit_with_the_same_title_is_not_the_patch(call, clone):
    git(clone, "commit", "--quiet", "--allow-empty", "--message=util: add a second one")
    assert "[file-maintainers]" in call(new_file("odd/x.c", "int x;")).out


def test_notes_are_not_printed(call):
    assert call(CLEAN.replace(b"[PATCH]", b"[RFC PATCH]")).out == ""


def test_input_that_is_no_patch_is_an_error(call, monkeypatch, tmp_path):
    ended = call(b"From: A <a@example.org>\nSubject: hello\n\nworld\n")
    assert ended.code == 2
    assert "contains no patch" in ended.err
    monkeypatch.chdir(tmp_path)
    ended = call(CLEAN)
    assert ended.code == 2
    assert "is no commit of a git clone with files" in ended.err
    assert call(CLEAN, "-Dsource=clone@nowhere").code == 2
    assert call(CLEAN, "-Dsource=clone@master").code == 0


def test_rules_that_are_off_exist():
    assert set(RULES) >= ALONE


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif("MUTANT_UNDER_TEST" in os.environ, reason="mutated modules fail in processes of b4")
def test_b4_colours_the_lines(clone, tmp_path):
    script = tmp_path / "check-patch"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m harness check-patch "$@"\n')
    script.chmod(0o755)
    for key in ("prep", "am"):
        git(clone, "config", f"b4.{key}-perpatch-check-cmd", str(script))
    for key, value in (("user.name", "A U Thor"), ("user.email", "a@example.org")):
        git(clone, "config", key, value)
    env = {
        **os.environ,
        "PYTHONPATH": str(find_layout().root),
        "PYTHONWARNINGS": "",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }

    def b4(*words):
        ended = subprocess.run(
            [B4, "--offline-mode", *words], cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        return ended.stdout + ended.stderr

    b4("prep", "--new", "two", "--fork-point", "master")
    git(clone, "am", "--quiet", stdin=CLEAN)
    (clone / "util" / "more.c").write_text("int more;\n")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message=util: add more.")
    checked = b4("prep", "--check")
    assert "util: add a second one" in checked
    assert "Success: 1, Warning: " in checked
    assert "check-patch: ERROR: the message has no Signed-off-by [dco-missing]" in checked

    box = tmp_path / "box.mbox"
    box.write_text(git(clone, "format-patch", "--thread", "--stdout", "HEAD~2") + "\n")
    ident = box.read_text().lower().partition("message-id: <")[2].partition(">")[0]
    git(clone, "checkout", "--quiet", "master")
    listed = b4("am", "--check", "--no-add-trailers", "-m", str(box), "-o", str(tmp_path / "out"), ident)
    assert "check-patch: passed all checks" in listed
    assert "check-patch: ERROR: the message has no Signed-off-by [dco-missing]" in listed
    b4("shazam", "--no-add-trailers", "-m", str(box), ident)
    assert git(clone, "log", "--format=%s", "-2", "master").splitlines() == [
        "util: add more.",
        "util: add a second one",
    ]
