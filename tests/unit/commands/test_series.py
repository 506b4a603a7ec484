"""The command series: what each action calls, prints and writes, and how it ends."""

import re

import pytest

from harness.errors import AuthoringError, OptionError, ProvenanceError
from harness.series import load_series, read_series_file
from harness.submit.write import outgoing_folder
from tests.unit import conftest as unit
from tests.unit.authoring import conftest as authoring
from tests.unit.authoring.conftest import change, edit, git, patch
from tests.unit.authoring.test_tags import thread
from tests.unit.commands import support
from tests.unit.submit.support import validate

# Fixtures of other packages. The stand-in for QEMU is not needed here.
layout, fetched = unit.layout, support.fetched
folder, applied, tree = authoring.folder, authoring.applied, authoring.tree
pytestmark = pytest.mark.usefixtures("fetched")

REVIEW = "Reviewed-by: R <r@example.org>"
ARGUMENTS = {
    "new": (),
    "import": (),
    "refresh": (),
    "split": ("1", "util/*", "--title", "util: more"),
    "status": (),
    "tags": ("thread.mbox",),
    "reroll": (),
    "declare": (),
}
"""The arguments of each action after the name of the series."""


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def branch(run, layout, folder):
    """Import the series; return the worktree of its branch."""
    ended = run("series", "import", "mine")
    assert (ended.code, ended.error) == (0, None)
    return layout.build_root("tiny", "series-mine") / "src"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("new", "x", "y"), "needs no arguments after the name, not 1"),
        (("import", "mine", "a", "b"), "needs at most 1 argument after the name, not 2"),
        (("refresh", "mine", "x"), "needs no arguments after the name, not 1"),
        (("split", "mine"), "needs at least 2 arguments after the name, not 0"),
        (("split", "mine", "1"), "needs at least 2 arguments after the name, not 1"),
        (("status", "mine", "x"), "needs no arguments after the name, not 1"),
        (("tags", "mine"), "needs 1 argument after the name, not 0"),
        (("tags", "mine", "a", "b"), "needs 1 argument after the name, not 2"),
        (("reroll", "mine", "x"), "needs no arguments after the name, not 1"),
        (("declare", "mine", "x"), "needs no arguments after the name, not 1"),
        (("status", ""), "'' cannot be used as a folder name"),
        (("reroll", "/tmp"), "'/tmp' cannot be used as a folder name"),
        (("refresh", "mine", "--title=x"), "--title is for series new and split"),
        (("new", "mine", "--discard"), "--discard is for series import"),
        (("import", "mine", "--keep-tags"), "--keep-tags is for series refresh"),
        (("import", "mine", "--apply"), "--apply is for series tags"),
    ],
)
def test_arguments_that_an_action_lacks_or_ignores_are_refused(run, fetched, layout, folder, words, cause):
    ended = run("series", *words)
    assert isinstance(ended.error, OptionError)
    assert ended.error.cause.removeprefix(f"series {words[0]} ") == cause
    assert fetched.pins == []
    assert not layout.locks.exists(), "the checkout was locked"


@pytest.mark.parametrize("action", ARGUMENTS)
def test_every_action_but_status_locks_the_checkout(run, calls, action):
    calls.spy("harness.commands.request.locked")
    run("series", action, "missing", *ARGUMENTS[action])
    assert ("locked" in calls.made) is (action != "status")


@pytest.mark.parametrize("action", ["refresh", "split"])
def test_action_on_commits_needs_a_branch(run, folder, action):
    ended = run("series", action, "mine", *ARGUMENTS[action], "-Dpin=tiny")
    assert isinstance(ended.error, AuthoringError)
    assert ended.code == 25
    assert ended.error.cause == "series mine has no branch on tiny"
    assert ended.error.remedy == "run `qemu-harness series import mine -Dpin=tiny`"
    assert ended.out == ""


def test_new_series_has_a_folder_and_a_branch(run, fetched, layout):
    ended = run("series", "new", "fresh", "--title", "A fresh start", "-Dpin=tiny")
    assert (ended.code, ended.error) == (0, None)
    assert fetched.locked == [True]
    folder, branch = layout.patches / "fresh", layout.build_root("tiny", "series-fresh") / "src"
    assert read_series_file(folder).title == "A fresh start"
    assert git(branch, "symbolic-ref", "HEAD") == "refs/heads/series/fresh\n"
    assert ended.out.splitlines() == [
        f"{folder}: complete series.toml",
        f"{branch}: commit there, then run `qemu-harness series refresh fresh -Dpin=tiny`",
    ]
    before = files(folder)
    again = run("series", "new", "fresh")
    assert isinstance(again.error, AuthoringError)
    assert again.error.cause == f"{folder} already exists"
    assert fetched.locked == [True], "the tree was fetched before the refusal"
    assert files(folder) == before


def test_status_without_a_branch_names_the_next_steps(run, fetched, folder):
    ended = run("series", "status", "mine")
    assert (ended.code, ended.error) == (0, None)
    assert fetched.pins == ["tiny"]
    assert fetched.locked == [False]
    lines = ended.out.splitlines()
    assert lines[0].split() == ["patch", "file", "commit", "branch", "since", "previous", "tags"]
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert lines[1].rstrip() == "1  os-posix: change number 1  0001"
    assert lines[3:] == [
        "Mine: [PATCH] version 1; archived versions: none",
        "no branch; to create it, run `qemu-harness series import mine`",
        "cannot be submitted: the series has not been validated; "
        "run `nox -s validate -- -Dseries=mine -Dpin=tiny`",
    ]


def test_status_of_an_empty_series_does_not_mention_validation(run, layout):
    run("series", "new", "fresh", "-Dpin=tiny")
    ended = run("series", "status", "fresh")
    assert ended.code == 0
    assert "submitted" not in ended.out


@pytest.mark.slow
def test_edited_commit_is_shown_and_written(run, fetched, layout, tree, folder, branch):
    validate(layout, tree, "mine")
    clean = run("series", "status", "mine")
    assert [line.split()[-1] for line in clean.out.splitlines()[1:3]] == ["same", "same"]
    assert f"branch series/mine in {branch}\nvalidated on 2026-01-01T00:00: clean\n" in clean.out
    edit(branch, 21)
    (branch / "util" / "other.c").write_text("int more;\n")
    dirty = run("series", "status", "mine")
    assert [line.split()[-1] for line in dirty.out.splitlines()[1:3]] == ["same", "changed"]
    assert dirty.out.splitlines()[-3:-1] == [
        "1 changed files in it are not committed",
        "the branch differs from the patches; run `qemu-harness series refresh mine`",
    ]
    git(branch, "checkout", "--quiet", "util/other.c")
    ended = run("series", "refresh", "mine")
    assert (ended.code, ended.error, fetched.locked[-1]) == (0, None, True)
    assert ended.out.splitlines() == [
        "written 0002-os-posix-change-number-2.patch",
        "written 0000-cover-letter.patch",
        "removed 0002-second.patch",
        "1 files unchanged",
    ]
    assert b"+line 21 too" in (folder / "0002-os-posix-change-number-2.patch").read_bytes()
    assert "differs from the patches" not in run("series", "status", "mine").out


@pytest.mark.slow
def test_refresh_removes_stale_review_tags_unless_told_to_keep_them(run, layout, tree, folder):
    (folder / "0002-second.patch").write_text(patch(2, 2, change(20), message=f"Why.\n\n{REVIEW}"))
    run("series", "import", "mine")
    edit(layout.build_root("tiny", "series-mine") / "src", 21)
    kept = run("series", "refresh", "mine", "--keep-tags")
    assert kept.code == 0
    assert not [line for line in kept.lines if REVIEW in line]
    assert REVIEW in load_series(layout, "mine").patches[1].message
    edit(layout.build_root("tiny", "series-mine") / "src", 22)
    ended = run("series", "refresh", "mine")
    (warning,) = [line for line in ended.lines if REVIEW in line]
    assert warning.startswith(f"removed from 'os-posix: change number 2': {REVIEW}: the tag was given to ")
    assert REVIEW not in load_series(layout, "mine").patches[1].message


@pytest.mark.slow
def test_import_drops_commits_only_with_discard(run, folder, branch):
    first = git(branch, "rev-parse", "HEAD")
    edit(branch, 21)
    run("series", "import", "mine").fails(AuthoringError, "commits that are not in the patches of mine")
    ended = run("series", "import", "mine", "--discard")
    assert (ended.code, ended.error) == (0, None)
    assert ended.out == f"{branch}: on branch series/mine\n"
    assert git(branch, "rev-parse", "HEAD") == first


def test_import_of_a_mailbox_prints_its_notes(run, fetched, layout, folder, tmp_path):
    box = tmp_path / "thread.mbox"
    mails = [path.read_bytes() for path in sorted(folder.glob("*.patch"))]
    box.write_bytes(b"\n".join([*mails[:2], mails[2].replace(b"\n", b"\r\n")]))
    ended = run("series", "import", "theirs", str(box), "-Dpin=tiny")
    assert (ended.code, ended.error) == (0, None)
    assert fetched.locked == [True]
    assert "  mail 3 of thread.mbox: its lines end in CR LF; the CRs were removed" in ended.lines
    assert [one.subject for one in load_series(layout, "theirs").patches] == [
        "os-posix: change number 1",
        "os-posix: change number 2",
    ]
    assert ended.out == f"{layout.build_root('tiny', 'series-theirs') / 'src'}: on branch series/theirs\n"


def test_missing_mailbox_is_refused_before_the_tree_is_fetched(run, fetched):
    run("series", "import", "theirs", "/no/mbox").fails(OptionError)
    assert fetched.pins == []


@pytest.mark.parametrize("words", [("two", "x", "--title", "t"), ("1", "x"), ("-1", "x", "--title", "t")])
def test_split_without_number_or_title_is_refused(run, fetched, folder, words):
    run("series", "split", "mine", *(["--"] if words[0] == "-1" else []), *words).fails(
        OptionError, "needs the number of a patch, file name patterns and --title"
    )
    assert fetched.pins == []


@pytest.mark.slow
def test_split_prints_both_subjects(run, fetched, layout, folder):
    other = "diff --git a/util/other.c b/util/other.c\n--- a/util/other.c\n+++ b/util/other.c\n"
    both = f"{change(5)}{other}@@ -1 +1 @@\n-int other;\n+int more;\n"
    (folder / "0001-first.patch").write_text(patch(1, 2, both))
    run("series", "import", "mine")
    branch = layout.build_root("tiny", "series-mine") / "src"
    ended = run("series", "split", "mine", "1", "util/*", "--title", "util: more")
    assert (ended.code, ended.error, fetched.locked) == (0, None, [True, True])
    assert ended.out.splitlines() == [
        "util: more",
        "os-posix: change number 1",
        f"write the message of the new commit: git rebase -i, in {branch}",
        "then run `qemu-harness series refresh mine`",
    ]
    assert git(branch, "log", "--format=%s", "-3").splitlines() == [
        "os-posix: change number 2",
        "os-posix: change number 1",
        "util: more",
    ]


def test_tags_are_listed_and_added_only_on_request(run, fetched, layout, folder, tmp_path):
    good, bad = ("1", "R <r@example.org>", REVIEW), ("2", "R <r@example.org>", "Acked-by: B <b@example.org>")
    box = thread(layout, folder, tmp_path, good, bad)
    before = files(folder)
    ended = run("series", "tags", "mine", str(box))
    assert (ended.code, ended.error, fetched.locked) == (0, None, [True])
    assert ended.out.splitlines() == [
        f"os-posix: change number 1: {REVIEW} (mail reply-0@example.org)",
        "os-posix: change number 2: Acked-by: B <b@example.org> (mail reply-1@example.org)",
        "  not added: it was sent by R <r@example.org>, not by the person it names; ask that person",
        "nothing was changed; --apply adds the tags without a problem to the patches",
    ]
    assert files(folder) == before
    applied = run("series", "tags", "mine", str(box), "--apply")
    assert applied.code == 0
    assert applied.out.splitlines()[-1] == "1 tags added; next, run `qemu-harness series import mine`"
    first, second = load_series(layout, "mine").patches
    assert REVIEW in first.message
    assert "Acked-by" not in second.message
    nothing_new = run("series", "tags", "mine", str(box))
    assert "--apply" not in nothing_new.out


def test_reroll_archives_what_submit_wrote(run, fetched, layout, folder):
    outgoing = outgoing_folder(layout, "mine", 1)
    outgoing.mkdir(parents=True)
    (outgoing / "sent.toml").write_text('[message-ids]\n"0001" = "x@example.org"\n')
    before = {name: data for name, data in files(folder).items() if name.endswith(".patch")}
    ended = run("series", "reroll", "mine")
    assert (ended.code, ended.error) == (0, None)
    archive = folder / "history" / "v1"
    assert ended.out.splitlines() == [
        f"{archive} contains version 1; the patches are now version 2",
        f"describe the changes under [changes.v2] of {folder / 'series.toml'}",
    ]
    assert {name: data for name, data in files(archive).items() if name.endswith(".patch")} == before
    assert (archive / "sent.toml").read_bytes() == (outgoing / "sent.toml").read_bytes()
    assert read_series_file(folder).version == 2
    assert "archived versions: v1" in run("series", "status", "mine").out


def test_declare_prints_the_policy_and_writes_a_form(run, fetched, folder):
    ended = run("series", "declare", "mine")
    assert (ended.code, ended.error, fetched.locked) == (0, None, [True])
    form = folder / "provenance.toml"
    assert "DECLINE any contributions" in ended.out
    assert re.search(
        r"^\(QEMU's docs/devel/code-provenance\.rst of 2025, .*sha256 [0-9a-f]{64}\)$", ended.out, re.M
    )
    assert ended.out.splitlines()[-1] == f"{form}: a person has to answer its questions; no program may"
    assert 'person = "?"' in form.read_text()
    before = form.read_bytes()
    again = run("series", "declare", "mine")
    assert isinstance(again.error, ProvenanceError)
    assert again.code == 27
    assert form.read_bytes() == before
