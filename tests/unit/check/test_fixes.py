"""Rules on Fixes: lines, with a clone that has history."""

import pytest

from harness.check import Judged, JudgedPatch, fixes
from harness.check.message import check
from harness.series import read_mail
from harness.tree.git import Git
from tests.unit.check.support import SIGNED, WHY, good
from tests.unit.check.support import judged as without_history
from tests.unit.repositories import git

SHORT = ", which has 2 commits here"
TITLE = "s390x/tcg: avoid overflows in time2tod/tod2time, and in all functions that use these"


def body(fix):
    found = check(without_history(good(body=WHY, signed=f"{fix}\n{SIGNED}")))
    return [(one.rule, one.message, one.snippet) for one in found if one.rule != "body-wrap"]


@pytest.mark.parametrize(
    "line",
    [
        'Fixes: 14055ce53c2d ("s390x/tcg: avoid overflows")',
        "Fixes: 14055ce53c2d ('one')",
        f"Fixes: {'a' * 40} (\u201cone\u201d)",
        "Fixes: https://gitlab.com/qemu-project/qemu/-/issues/42",
        "Fixes: CVE-2022-1234",
        "Fixes: Coverity CID 1",
        "Fixes: #42",
        "Fixes: bug 1",
        "Resolves: https://gitlab.com/qemu-project/qemu/-/issues/42",
    ],
)
def test_correct_fixes_lines_have_no_findings(line):
    assert body(line) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("the bug", "the Fixes: line names no commit"),
        ('1234567 ("x")', "the commit id 1234567 has 7 digits instead of 12"),
        ('commit ABCDEF12345 ("x")', "the commit id ABCDEF12345 has 11 digits instead of 12"),
        ("14055ce53c2d", "the Fixes: line lacks the subject of the commit"),
        ("14055ce53c2d s390x/tcg: x", "the Fixes: line lacks the subject of the commit"),
    ],
)
def test_malformed_fixes_lines_are_findings(value, message):
    assert body(f"Fixes: {value}") == [("body-fixes", message, (f"Fixes: {value}",))]
    assert body(f"fixes: {value}")[0][:2] == ("body-fixes", message), "in any case"


def test_long_line_is_right():
    assert body(f'Fixes: 14055ce53c2d ("{TITLE}")') == []


@pytest.mark.parametrize(
    ("fix", "severity"),
    [
        (f'Fixes: 14055ce53c2d ("{TITLE[:40]}\n {TITLE[40:]}")', "note"),
        (f'Fixes: 14055ce53c2d\n\t("{TITLE[:40]}\n {TITLE[40:]}")', "note"),
        (f'Fixes: 14055ce53c2d ("{TITLE[:40]}\n{TITLE[40:]}", 2024-01-01)', "warning"),
    ],
)
def test_wrapped_line_is_called_wrapped(fix, severity):
    (found,) = check(without_history(good(body=WHY, signed=f"{fix}\n{SIGNED}")))
    shown = tuple(fix.splitlines()[:2])
    assert found == fixes.WRAPPED.finding(
        "the Fixes: line is wrapped", patch=1, snippet=shown, severity=severity
    ), "git reads lines that are indented"


def test_line_after_a_malformed_one_is_no_part_of_it():
    lacks = "the Fixes: line lacks the subject of the commit"
    for fix in ('Fixes: 14055ce53c2d\nCc: a ("x") <a@e.org>', "Fixes: 14055ce53c2d\n(and others)"):
        assert [message for _, message, _ in body(fix)] == [lacks]


@pytest.fixture
def clone(tmp_path):
    """A repository with the commits ``one`` and ``two``, and ``side``, which ``two`` does not contain."""
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "util: one")
    git(tmp_path, "checkout", "-q", "-b", "side")
    commit(tmp_path, "util: side")
    git(tmp_path, "checkout", "-q", "main")
    commit(tmp_path, "util: (two) of 'them'")
    return tmp_path


def commit(folder, title):
    git(folder, "commit", "-q", "--allow-empty", "-m", title)


def looked_up(clone, fix, origin=""):
    head = git(clone, "rev-parse", "main")
    mail = read_mail(good(body=WHY, signed=f"{fix}\n{SIGNED}"), "a.patch")
    judged = Judged(
        input=without_history(good()).input,
        patches=(JudgedPatch(number=3, mail=mail),),
        pin="clone",
        git=Git(repository=clone / ".git"),
        base=head,
        tip=head,
        origin=origin or head,
    )
    return (one for one in check(judged) if one.rule in ("fixes-subject", "fixes-unknown"))


def messages(clone, fix, origin=""):
    found = list(looked_up(clone, fix, origin))
    assert {(one.patch, one.snippet) for one in found} <= {(3, (fix.splitlines()[0],))}
    return [(one.rule, one.severity, one.message) for one in found]


def test_commit_of_the_history_with_its_subject_is_right(clone):
    one, two = (git(clone, "rev-parse", name) for name in ("main~1", "main"))
    assert messages(clone, f'Fixes: {one[:12]} ("util: one")') == []
    assert messages(clone, f'Fixes: {one} ("Util:  one.")') == [], "spelling of the title does not count"
    assert messages(clone, f"Fixes: {two[:14]} (util: (two) of 'them', 2024-01-01)") == []
    assert messages(clone, f"Fixes: {one[:12]}") == [], "its form is reported"
    assert messages(clone, "Fixes: https://example.org/1") == []
    assert messages(clone, 'Fixes: 0123456789a ("x")') == [], "its length is reported"


def test_commit_that_does_not_exist_is_a_finding(clone):
    unknown = "0123456789ab"
    assert messages(clone, f'Fixes: {unknown} ("util: none")') == [
        ("fixes-unknown", "note", f"there is no commit {unknown}{SHORT}")
    ]
    one = git(clone, "rev-parse", "main~1")[:12]
    ((_, _, message),) = messages(clone, f'Fixes: {unknown} ("util: one")')
    assert message == f"there is no commit {unknown}, but {one} has this subject{SHORT}"
    assert messages(clone, f"Fixes: {unknown}")[0][2] == f"there is no commit {unknown}{SHORT}"
    ((_, _, message),) = messages(clone, f'Fixes: {unknown} ("one")')
    assert message == f"there is no commit {unknown}{SHORT}", "a part of a subject is another one"
    git(clone, "checkout", "-q", "side")
    ((_, _, message),) = messages(clone, f"Fixes: {unknown} (\"util: (two) of 'them'\")")
    assert message.endswith(f" has this subject{SHORT}"), "the history is that of the base"
    side = git(clone, "rev-parse", "side")[:12]
    ((rule, _, message),) = messages(clone, f'Fixes: {side} ("util: side")')
    assert (rule, message) == ("fixes-unknown", f"commit {side} is not in the history of the base{SHORT}")


def test_commit_that_a_stable_branch_has_picked_is_right(clone):
    side = git(clone, "rev-parse", "side")
    fix = f'Fixes: {side[:12]} ("util: side")'
    assert len(messages(clone, fix)) == 1
    commit(clone, f"util: side\n\n(cherry picked from commit {side})")
    assert messages(clone, fix) == []
    commit(clone, f"util: x\n\n(cherry picked from commit {'0123456789' * 4})")
    assert messages(clone, 'Fixes: 0123456789012 ("util: x")') == [], "of another repository"
    git(clone, "checkout", "-q", "side")
    assert messages(clone, fix) == [], "the history is that of the base"


def test_long_history_makes_it_a_warning(clone, monkeypatch):
    monkeypatch.setattr(fixes, "LONG_HISTORY", 2)
    assert messages(clone, 'Fixes: 0123456789ab ("x")') == [
        ("fixes-unknown", "warning", "there is no commit 0123456789ab")
    ]


def test_other_subject_is_a_finding(clone):
    one = git(clone, "rev-parse", "main~1")[:12]
    text = f"commit {one} has the subject 'util: one'"
    for fix in (f'Fixes: {one} ("util: another")', f'Fixes: {one} ("util:\n another")'):
        assert messages(clone, fix) == [("fixes-subject", "warning", text)]


def test_only_a_clone_with_history_is_asked(clone):
    fix = 'Fixes: 0123456789ab ("x")'
    assert messages(clone, fix, origin="a" * 64) == [], "an archive"
    assert len(messages(clone, fix)) == 1
    (clone / ".git" / "shallow").write_text(git(clone, "rev-parse", "main~1") + "\n")
    assert messages(clone, fix) == [], "a shallow clone"
