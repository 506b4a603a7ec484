"""Patches and commits: the file of an unchanged commit stays byte for byte the same."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.authoring.create import import_series, new_series
from harness.authoring.refresh import refresh
from harness.authoring.split import split
from harness.authoring.status import read_status
from harness.authoring.unsaved import unsaved
from harness.errors import AuthoringError, TreeError
from harness.series import load_series, read_input
from harness.tree import apply_series
from harness.tree.checkout import MARKER, checkout_commit
from tests.unit.authoring.conftest import change, edit, git, patch

OTHER = """\
diff --git a/util/other.c b/util/other.c
--- a/util/other.c
+++ b/util/other.c
@@ -1 +1 @@
-int other;
+int more;
"""
RAW = "diff --git a/raw b/raw\nnew file mode 100644\n--- /dev/null\n+++ b/raw\n@@ -0,0 +1 @@\n+\udcff\n"
COMMITS = "the branch of series mine on tiny has commits that are not in its patches"


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.patch"))}


def test_refresh_of_unchanged_commits_writes_nothing(layout, tree, folder, reporter):
    before = bytes_of(folder)
    made = import_series(layout, tree, "mine", None, reporter)
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    assert (done.written, done.removed, done.stale) == ((), (), ())
    assert bytes_of(folder) == before
    assert {row.state for row in read_status(layout, tree, folder).rows} == {"same"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "odd",
    [
        patch(1, 2, change(5), subject="os-posix: " + "a subject that is far too long for one line " * 3),
        patch(1, 2, change(5), author="S <s@example.org>", message="From: T\u00fcr <t@example.org>\n\nWhy."),
        patch(1, 2, change(5)).replace("\n", "\r\n"),
        patch(1, 2, change(5)).replace(" line 2\n", " line 1\n line 2\n").replace("-2,7 +2,7", "-1,8 +1,8"),
        patch(1, 2, change(5)) + "-- \n2.20.1\n\n",
        patch(1, 2, "diff --git a/crlf.txt b/crlf.txt\n--- a/crlf.txt\n+++ b/crlf.txt\n"
              "@@ -1,3 +1,3 @@\n one\r\n-two\r\n+zwei\r\n three\r\n"),
        patch(1, 2, RAW),
        patch(1, 2, "diff --git a/util/other.c b/util/moved.c\nsimilarity index 100%\n"
              "rename from util/other.c\nrename to util/moved.c\n"),
    ],
    ids=["long", "in-body", "crlf-mail", "context", "signature", "crlf-file", "not-utf-8", "rename"],
)  # fmt: skip
def test_unusual_patch_formats_are_kept(layout, tree, folder, reporter, odd):
    (folder / "0001-first.patch").write_bytes(odd.encode("utf-8", "surrogateescape"))
    before = bytes_of(folder)
    made = import_series(layout, tree, "mine", None, reporter)
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    assert done.written in ((), ("0000-cover-letter.patch",))
    del before["0000-cover-letter.patch"]
    assert {name: data for name, data in bytes_of(folder).items() if name in before} == before
    # Patches that a refresh rewrites produce the same commits.
    tip = made.workspace.tip
    for path in folder.glob("000[1-9]-*.patch"):
        path.unlink()
    refresh(made.workspace, folder, tree.pristine, reporter)
    again = apply_series(tree, load_series(layout, "mine"), layout, reporter)
    assert (again.commit, again.notes) == (tip, ())


def test_only_edited_commits_are_written(layout, tree, folder, reporter):
    before = bytes_of(folder)
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    edit(place, 21)
    assert [row.state for row in read_status(layout, tree, folder).rows] == ["same", "changed"]
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    after = bytes_of(folder)
    (written,) = set(done.written) - {"0000-cover-letter.patch"}
    assert written == "0002-os-posix-change-number-2.patch"
    assert done.removed == ("0002-second.patch",)
    assert after["0001-first.patch"] == before["0001-first.patch"]
    assert b"+line 21 too" in after[written]
    assert b"\nfor readers alone\n" in after[written]
    assert "Jürgen Müller" in load_series(layout, "mine").patches[1].author
    assert b"3 insertions(+), 3 deletions(-)" in after["0000-cover-letter.patch"]
    assert b"Why all this." in after["0000-cover-letter.patch"]
    again = import_series(layout, tree, "mine", None, reporter)
    assert again.workspace.tip == made.workspace.tip
    assert refresh(again.workspace, folder, tree.pristine, reporter).written == ()


@pytest.mark.slow
def test_inserted_commit_changes_only_the_numbers_of_others(layout, tree, folder, reporter):
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    second = git(place, "rev-parse", "HEAD").strip()
    git(place, "reset", "--quiet", "--hard", "HEAD~1")
    (place / "util" / "other.c").write_text("int more;\n")
    git(place, "commit", "--quiet", "--all", "-m", "util: more")
    git(place, "cherry-pick", second)
    before = bytes_of(folder)
    refresh(made.workspace, folder, tree.pristine, reporter)
    after = bytes_of(folder)
    assert list(after)[1:] == ["0001-first.patch", "0002-util-more.patch", "0003-second.patch"]
    assert after["0001-first.patch"] == before["0001-first.patch"].replace(b"PATCH 1/2", b"PATCH 1/3")
    assert after["0003-second.patch"] == before["0002-second.patch"].replace(b"PATCH 2/2", b"PATCH 3/3")
    assert b"Subject: [PATCH 0/3] Mine\n" in after["0000-cover-letter.patch"]
    assert b"  util: more\n" in after["0000-cover-letter.patch"]


@pytest.mark.slow
def test_patch_with_moved_lines_is_rewritten(layout, tree, folder, reporter):
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    second = git(place, "rev-parse", "HEAD").strip()
    git(place, "reset", "--quiet", "--hard", "HEAD~1")
    text = (place / "os-posix.c").read_text()
    (place / "os-posix.c").write_text("one\ntwo\n" + text)
    git(place, "commit", "--quiet", "--all", "--amend", "--no-edit")
    git(place, "cherry-pick", second)
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    assert "0002-os-posix-change-number-2.patch" in done.written
    assert b"@@ -19,7 +19,7 @@" in (folder / "0002-os-posix-change-number-2.patch").read_bytes()
    assert apply_series(tree, load_series(layout, "mine"), layout, reporter).notes == ()


@pytest.mark.slow
def test_review_tags_are_removed_when_the_diff_changes(layout, tree, folder, reporter):
    review = "Why.\n\nReviewed-by: R <r@example.org>\nSigned-off-by: A <a@example.org>"
    (folder / "0001-first.patch").write_text(patch(1, 2, change(5), message=review))
    (folder / "0002-second.patch").write_text(patch(2, 2, change(20), message=review))
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    edit(place, 21)
    kept = refresh(made.workspace, folder, tree.pristine, reporter, keep_tags=True)
    assert kept.stale == ()
    edit(place, 22)
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    (stale,) = done.stale
    assert (stale.patch, stale.line) == ("os-posix: change number 2", "Reviewed-by: R <r@example.org>")
    first, second = load_series(layout, "mine").patches
    assert "Reviewed-by" in first.message
    assert second.message == "Why.\n\nSigned-off-by: A <a@example.org>"
    assert "Reviewed-by" not in git(place, "log", "-1", "--format=%B")
    assert "Reviewed-by" in git(place, "log", "-1", "--format=%B", "HEAD~1")
    assert git(place, "status", "--porcelain") == ""
    # A new message does not change the diff.
    message = "os-posix: change number 2\n\nReviewed-by: N <n@example.org>"
    git(place, "commit", "--quiet", "--amend", "-m", message)
    assert refresh(made.workspace, folder, tree.pristine, reporter).stale == ()


@pytest.mark.slow
def test_split_moves_files_to_a_new_commit(layout, tree, folder, reporter):
    both = change(5) + OTHER
    (folder / "0001-first.patch").write_text(
        patch(1, 2, both, message="Why.\n\nReviewed-by: R <r@example.org>")
    )
    made = import_series(layout, tree, "mine", None, reporter)
    end = git(made.workspace.path, "rev-parse", "HEAD^{tree}")
    for patterns, cause in ((["nothing*"], "matches none"), (["*"], "matches all")):
        with pytest.raises(AuthoringError) as refused:
            split(made.workspace, tree.pristine, 1, patterns, "x")
        assert cause in refused.value.cause
    with pytest.raises(AuthoringError, match="no patch 3"):
        split(made.workspace, tree.pristine, 3, ["*"], "x")
    split(made.workspace, tree.pristine, 1, ["util/*"], "util: more")
    assert git(made.workspace.path, "rev-parse", "HEAD^{tree}") == end
    assert git(made.workspace.path, "status", "--porcelain") == ""
    done = refresh(made.workspace, folder, tree.pristine, reporter)
    first, second, third = load_series(layout, "mine").patches
    assert (first.subject, first.paths) == ("util: more", ("util/other.c",))
    assert (second.subject, second.paths) == ("os-posix: change number 1", ("os-posix.c",))
    assert third.file == "0003-second.patch"
    assert [stale.line for stale in done.stale] == ["Reviewed-by: R <r@example.org>"]


@pytest.mark.slow
def test_import_loses_no_work(layout, tree, folder, reporter):
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    (place / "util" / "other.c").write_text("int more;\n")
    assert import_series(layout, tree, "mine", None, reporter).workspace == made.workspace
    with pytest.raises(TreeError, match="uncommitted"):
        import_series(layout, tree, "mine", None, reporter, discard=True)
    git(place, "commit", "--quiet", "--all", "-m", "util: more")
    mine = git(place, "rev-parse", "HEAD").strip()
    with pytest.raises(AuthoringError, match="not in the patches"):
        import_series(layout, tree, "mine", None, reporter)
    assert unsaved(layout) == (COMMITS,)
    import_series(layout, tree, "mine", None, reporter, discard=True)
    assert unsaved(layout) == ()
    assert git(place, "rev-parse", "HEAD").strip() != mine
    assert mine in git(place, "for-each-ref", "refs/harness/kept/mine")
    # A tree that was created again does not know the worktree; its files are kept all the same.
    (place / "util" / "note.txt").write_text("mine\n")
    shutil.rmtree(tree.path / "worktrees")
    (place / ".git").unlink()
    import_series(layout, tree, "mine", None, reporter)
    assert (place.with_name("src.old-1") / "util" / "note.txt").read_text() == "mine\n"
    git(place, "commit", "--quiet", "--amend", "-m", "os-posix: change number 2\n\nBetter.")
    assert unsaved(layout) == (COMMITS,)
    (layout.trees / "damaged").mkdir()
    (layout.trees / "damaged" / "HEAD").write_text("x")
    assert unsaved(layout) == (COMMITS,)
    refresh(made.workspace, folder, tree.pristine, reporter)
    assert unsaved(layout) == ()


def test_each_kind_of_unsaved_work_is_found(layout, tree, folder, reporter):
    place = import_series(layout, tree, "mine", None, reporter).workspace.path
    built = checkout_commit(tree, "pristine", tree.pristine, layout, reporter).path
    (built / "made-by-a-build").touch()
    assert unsaved(layout) == ()
    (place / "new.c").touch()
    assert unsaved(layout) == (f"{place} has 1 files with uncommitted changes, such as new.c",)
    git(place, "stash", "--quiet", "--include-untracked")
    assert unsaved(layout) == (f"{tree.path} has commits that are in no patch: stash",)
    git(place, "stash", "drop", "--quiet")
    (built / "os-posix.c").write_text("mine\n")
    assert unsaved(layout) == (f"{built} has 1 files with uncommitted changes, such as os-posix.c",)
    index = git(built, "rev-parse", "--path-format=absolute", "--git-path", "index").strip()
    Path(index).write_text("damaged")
    assert unsaved(layout) == (f"{built} may have changes: git cannot read it",)
    built.with_name(MARKER).touch()
    assert unsaved(layout) == (), "a checkout that was stopped half-way"
    git(place, "branch", "kept-1")
    assert unsaved(layout) == (f"{tree.path} has commits that are in no patch: kept-1",)


def test_branch_that_another_checkout_has_is_left_there(layout, tree, folder, reporter, tmp_path):
    place = import_series(layout, tree, "mine", None, reporter).workspace.path
    other = dataclasses.replace(layout, build=tmp_path / "other build")
    with pytest.raises(AuthoringError, match=f"is checked out in {place}") as refused:
        import_series(other, tree, "mine", None, reporter)
    subprocess.run(refused.value.remedy.rpartition(": ")[2], shell=True, check=True)
    assert not place.exists()
    import_series(other, tree, "mine", None, reporter)


def test_unfinished_rebase_and_empty_commits_are_refused(layout, tree, folder, reporter):
    made = import_series(layout, tree, "mine", None, reporter)
    place = made.workspace.path
    git(place, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    with pytest.raises(AuthoringError, match="changes no file"):
        refresh(made.workspace, folder, tree.pristine, reporter)
    git(place, "reset", "--quiet", "--hard", "HEAD~1")
    git(place, "-c", "sequence.editor=sed -i s/^pick/edit/", "rebase", "-i", "HEAD~2")
    with pytest.raises(AuthoringError, match="unfinished rebase"):
        refresh(made.workspace, folder, tree.pristine, reporter)
    git(place, "rebase", "--abort")
    git(place, "checkout", "--quiet", "--detach")
    with pytest.raises(AuthoringError, match="not on its branch"):
        refresh(made.workspace, folder, tree.pristine, reporter)


def test_new_series_is_created_from_its_first_commit(layout, tree, reporter):
    made = new_series(layout, tree, "fresh", "A fresh start")
    with pytest.raises(AuthoringError, match="has no commit"):
        refresh(made.workspace, made.folder, tree.pristine, reporter)
    (made.workspace.path / "util" / "new.c").write_text("int n;\n")
    git(made.workspace.path, "add", "util/new.c")
    git(made.workspace.path, "commit", "--quiet", "-m", "util: new file\n\nWhy.")
    done = refresh(made.workspace, made.folder, tree.pristine, reporter)
    assert done.written == ("0001-util-new-file.patch",)
    series = load_series(layout, "fresh")
    assert (series.title, series.pins) == ("A fresh start", ("tiny",))
    assert b"Subject: [PATCH] util: new file\n" in series.patches[0].data
    with pytest.raises(AuthoringError, match="already exists"):
        new_series(layout, tree, "fresh", "")


def test_mailbox_is_imported_as_a_series(layout, tree, folder, reporter, tmp_path):
    mails = [
        path.read_text().replace("[PATCH ", "[RFC PATCH for-8.0 v3 ")
        for path in sorted(folder.glob("*.patch"))
    ]
    based = "\n\nBased-on: <other-1@example.org>\nbase-commit: " + "ab" * 20 + "\n"
    mails[0] = mails[0].replace("\n\nWhy all this.", based + "\nWhy all this.")
    box = tmp_path / "thread.mbox"
    box.write_text("".join(f"{mail}\n" for mail in mails))
    made = import_series(layout, tree, "theirs", read_input(layout, str(box)), reporter)
    series = load_series(layout, "theirs")
    assert [one.file for one in series.patches] == [
        "0001-os-posix-change-number-1.patch",
        "0002-os-posix-change-number-2.patch",
    ]
    assert (series.title, series.metadata.version) == ("Mine", 3)
    assert series.metadata.subject_prefix == "RFC PATCH for-8.0"
    assert series.metadata.based_on == ("other-1@example.org",)
    assert series.metadata.base_commit == "ab" * 20
    assert refresh(made.workspace, made.folder, tree.pristine, reporter).written == ()
    with pytest.raises(AuthoringError, match="already contains patches"):
        import_series(layout, tree, "theirs", read_input(layout, str(box)), reporter)
    box.write_text(mails[0] + "\n" + mails[2] + "\n")
    with pytest.raises(AuthoringError, match="patches 1 of 2 are missing"):
        import_series(layout, tree, "half", read_input(layout, str(box)), reporter)
