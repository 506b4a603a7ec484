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
from harness.check.model import Finding
from harness.check.registry import RULES
from harness.check.single import ALONE, check_results, judge_mail
from harness.check.subject import Judged, JudgedPatch
from harness.layout import find_layout
from harness.series import read_input
from harness.source.clone import commit_of
from tests.unit.check.support import ONE, RELEASE, good, new_diff, new_file
from tests.unit.conftest import bytes_of
from tests.unit.repositories import git, write_files
from tests.unit.series.mails import mbox

CLEAN = good()
ERRORS = good(signed="")
WARNINGS = good(subject="[PATCH] util: add a second one.")
TITLE = "util: add a second one"
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


def test_results_have_a_detail_of_each_finding():
    error = Finding(rule="a", severity="error", message="one", remedy="", file="x.c", snippet=("int x;", "y"))
    warning = Finding(rule="b", severity="warning", message="two", remedy="")
    (result,) = json.loads(check_results([error, warning, warning]))
    assert (result["status"], result["summary"]) == ("fail", "1 error, 2 warnings")
    assert json.loads(result["details"]) == [
        {"status": "fail", "description": "x.c: ERROR: one [a]", "srcline": "int x;"},
        *[{"status": "warn", "description": "WARNING: two [b]"}] * 2,
    ]


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


@pytest.fixture
def judge(layout, clone, tmp_path):
    """Judge mails on the commit of the clone."""

    def judge_mails(*mails):
        (tmp_path / "mails.mbox").write_bytes(mbox(*mails))
        (tmp_path / "scratch").mkdir()
        series = read_input(layout, str(tmp_path / "mails.mbox"))
        return judge_mail(series, commit_of(str(clone)), tmp_path / "scratch")

    return judge_mails


def test_mails_have_the_commits_that_are_there_or_new_ones(judge, clone):
    mails = [
        good(subject="[PATCH 1/3] util: one", ident="1@e.org", diff=ONE.replace("short_one", "other")),
        good(subject="[PATCH 2/3] util: two", ident="2@e.org"),
        good(subject="[PATCH 3/3] util: three", ident="3@e.org", diff=new_diff("a.c", "int a;")),
    ]
    git(clone, "am", "--quiet", stdin=mails[1])
    git(clone, "commit", "--quiet", "--allow-empty", "--message=later")
    release, own, later = git(clone, "rev-parse", "master", "HEAD~1", "HEAD").split()
    found = judge(*mails)
    one, two, three = found.input.patches
    assert found == Judged(
        input=found.input,
        patches=(
            JudgedPatch(number=1, mail=one),
            JudgedPatch(number=2, mail=two, commit=own, parent=release),
            JudgedPatch(number=3, mail=three, commit=found.tip, parent=own),
        ),
        pin="clone",
        git=found.git,
        base=release,
        tip=found.tip,
        source=clone,
        origin=later,
    )
    assert found.git.read("show", f"{found.tip}:a.c") == "int a;"


@pytest.mark.parametrize(("data", "mode"), [(b"/* h\xfcbsch */\n", 0o644), (b"", 0o755), (b"\0\1\2", 0o644)])
def test_patch_in_the_history_is_that_commit(judge, clone, tmp_path, data, mode):
    """Whatever order its files have by diff.orderFile."""
    (tmp_path / "order").write_text("util/short.c\n")
    for path in (clone / "util" / "short.c", clone / "util" / "crlf.c"):
        path.write_bytes(path.read_bytes() + data)
        path.chmod(mode)
    git(clone, "commit", "--quiet", "--all", f"--message={TITLE}")
    words = ("--binary", f"-O{tmp_path / 'order'}", f"--output={tmp_path / 'mail'}", "-1")
    git(clone, "format-patch", *words)
    own = git(clone, "rev-parse", "HEAD")
    git(clone, "commit", "--quiet", "--allow-empty", "--message=later")
    assert [patch.commit for patch in judge((tmp_path / "mail").read_bytes()).patches] == [own]


@pytest.mark.parametrize(
    "words", [["--allow-empty"], ["--amend"], ["--all"]], ids=["without a change", "root", "other change"]
)
def test_commit_with_the_same_title_is_not_the_patch(judge, clone, words):
    (clone / "util" / "short.c").write_text("int short_three;\n")
    git(clone, "commit", "--quiet", f"--message={TITLE}", *words)
    assert judge(new_file("odd/x.c", "int x;")).base == git(clone, "rev-parse", "HEAD")


def test_commit_with_the_same_change_and_another_title_is_not_the_patch(judge, clone):
    git(clone, "am", "--quiet", stdin=CLEAN)
    git(clone, "commit", "--quiet", "--amend", "--message=another")
    assert not judge(CLEAN).applies


def test_clone_may_be_shallow(call, clone, monkeypatch, tmp_path):
    git(clone, "commit", "--quiet", "--allow-empty", "--message=later")
    git(tmp_path, "clone", "--quiet", "--depth=1", clone.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    assert call(CLEAN).code == 0


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
