import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import process
from harness.errors import ApplyError, StorageError
from harness.series import load_series, read_input, scan_changes, series_of
from harness.tree import apply_series, import_source, start_of
from harness.tree.explain import _lines, best_place
from harness.tree.git import Git
from harness.tree.safety import Place, check_diff
from tests.unit.conftest import RELEASE
from tests.unit.programs import write_program
from tests.unit.repositories import git

HEAD = """\
From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001
From: A U Thor <author@example.org>
Date: Tue, 1 Feb 2022 10:00:00 +0100
Subject: [PATCH {number}/9] [tiny] change {number}

Reason.
---
"""


def write(layout, *diffs, head=HEAD):
    folder = layout.patches / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "series.toml").write_text('title = "Mine"\nbase = "base"\n')
    for number, diff in enumerate(diffs, start=1):
        text = head.format(number=number) + diff + "-- \n2.39.5\n\n"
        (folder / f"{number:04}-x.patch").write_bytes(text.encode("utf-8", "surrogateescape"))
    return load_series(layout, "mine")


def change(file, start, before, after, context=3):
    """Return a diff of a file with numbered lines, such as os-posix.c, around line ``start``."""
    lead = [f" line {number}" for number in range(start - context, start)]
    end = start + len(before)
    tail = [f" line {number}" for number in range(end, end + context)]
    body = [*lead, *(f"-{line}" for line in before), *(f"+{line}" for line in after), *tail]
    old, new = 2 * context + len(before), 2 * context + len(after)
    header = f"@@ -{start - context},{old} +{start - context},{new} @@ in_function"
    return f"diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n{header}\n" + "\n".join(body) + "\n"


def new_file(path, text="x", mode="100644"):
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{text}\n" + ("\\ No newline at end of file\n" if mode == "120000" else "")
    )


def test_full_disk_is_a_storage_error(tree, layout, reporter, monkeypatch):
    """git may report only the file that it cannot write, as if the patch were the cause."""
    series = write(layout, change("os-posix.c", 10, ["other"], ["new"]))
    with pytest.raises(ApplyError):
        apply_series(tree, series, layout, reporter)
    monkeypatch.setattr(process, "_has_no_room", lambda _: True)
    with pytest.raises(StorageError, match="the disk is full"):
        apply_series(tree, series, layout, reporter)


def state(tree):
    """Return the parts of a tree that a failed apply must not change."""
    refs = git(tree.path, "for-each-ref")
    worktrees = git(tree.path, "worktree", "list")
    files = sorted(path.name for path in tree.path.parent.iterdir() if not path.name.endswith(".lock"))
    return refs, worktrees, files


def test_series_is_applied_as_commits_and_reused(tree, layout, reporter):
    series = write(layout, change("os-posix.c", 10, ["line 10"], ["ten"]), new_file("sub/new.c"))
    before = state(tree)[1:]
    applied = apply_series(tree, series, layout, reporter)
    assert git(
        tree.path, "log", "--format=%s|%an|%cn|%ad|%cd", "--reverse", f"base..{applied.commit}"
    ).splitlines() == [
        f"[tiny] change {number}|A U Thor|qemu-harness" + 2 * "|Tue Feb 1 10:00:00 2022 +0100"
        for number in (1, 2)
    ]
    assert git(tree.path, "diff", "--name-only", "base", applied.commit).split() == [
        "os-posix.c",
        "sub/new.c",
    ]
    assert state(tree)[1:] == before
    again = apply_series(tree, series, layout, reporter)
    assert (again.commit, again.reused) == (applied.commit, True)


def test_ids_depend_only_on_base_and_series(tree, layout, reporter, monkeypatch, tmp_path):
    series = write(layout, change("os-posix.c", 10, ["line 10"], ["ten"]))
    first = apply_series(tree, series, layout, reporter)
    git(
        tree.path, "update-ref", "-d", f"refs/harness/mine/{series.digest[:12]}-{start_of(tree, 'base')[:12]}"
    )
    (tmp_path / ".gitconfig").write_text(
        "[user]\nname = X\nemail = x@y\n[commit]\ngpgsign = true\n[am]\nkeepcr = true\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Somebody")
    second = apply_series(tree, series, layout, reporter)
    assert not second.reused
    assert second.commit == first.commit


def test_offsets_of_hunks_that_moved_are_noted(tree, layout, reporter):
    diff = change("os-posix.c", 10, ["line 10"], ["ten"]).replace("@@ -7,7 +7,7 @@", "@@ -2,7 +2,7 @@")
    applied = apply_series(tree, write(layout, diff), layout, reporter)
    assert applied.notes == ("0001-x.patch: os-posix.c hunk 1 applies at line 7 (offset +5)",)


def test_three_way_merge_is_noted(tree, layout, reporter):
    old = git(tree.path, "rev-parse", "base:os-posix.c")
    first = change("os-posix.c", 12, ["line 12"], ["twelve"])
    second = change("os-posix.c", 8, ["line 8"], ["eight"], context=5)
    second = second.replace("--- a/os-posix.c", f"index {old[:12]}..{'1' * 12} 100644\n--- a/os-posix.c")
    applied = apply_series(tree, write(layout, first, second), layout, reporter)
    assert "0002-x.patch: applied by a three-way merge" in applied.notes
    text = git(tree.path, "show", f"{applied.commit}:os-posix.c")
    assert "eight\n" in text
    assert "twelve\n" in text


def test_failed_patch_is_explained_and_the_tree_is_unchanged(tree, layout, reporter):
    good = change("os-posix.c", 30, ["line 30"], ["thirty"]).split("\n", 3)[3]
    good = good.replace("@@ -27,7 +27,7 @@", "@@ -25,7 +25,7 @@")
    bad = change("os-posix.c", 20, ["line twenty"], ["TWENTY"])
    series = write(layout, new_file("a.c"), bad + good)
    before = state(tree)
    with pytest.raises(ApplyError) as error:
        apply_series(tree, series, layout, reporter)
    assert error.value.cause == "patch 2/2 of mine (0002-x.patch) does not apply to os-posix.c"
    details = "\n".join(error.value.details)
    assert "os-posix.c, hunk 1 of 2: @@ -17,7 +17,7 @@ in_function" in details
    assert "- line twenty" in details
    assert "the tree has at lines 17-23:" in details
    assert "   20 ! line 20" in details
    assert "   19   line 19" in details
    assert "os-posix.c hunk 2 at line 27 (offset +2)" in details
    assert state(tree) == before


def test_missing_and_existing_files_are_reported(tree, layout, reporter):
    with pytest.raises(ApplyError) as error:
        apply_series(tree, write(layout, change("absent.c", 10, ["x"], ["y"])), layout, reporter)
    assert "absent.c: the tree has no such file" in error.value.details
    with pytest.raises(ApplyError) as error:
        apply_series(tree, write(layout, new_file("VERSION")), layout, reporter)
    assert "VERSION: the patch creates this file, but the tree already has it" in error.value.details


def test_leftovers_of_a_killed_apply_are_removed(tree, layout, reporter):
    left = layout.trees / ".tiny.apply"
    left.mkdir()
    git(tree.path, "worktree", "add", "-q", "--detach", str(left / "tree"), "base")
    before = state(tree)[0]
    with pytest.raises(ApplyError):
        apply_series(tree, write(layout, new_file("VERSION")), layout, reporter)
    assert state(tree)[0] == before
    assert not left.exists()
    assert len(git(tree.path, "worktree", "list").splitlines()) == 1


def test_series_for_another_pin_is_a_warning(tree, layout, reporter):
    write(layout, new_file("a.c"))
    (layout.patches / "mine" / "series.toml").write_text('title = "T"\npins = ["7.2"]\n')
    apply_series(tree, load_series(layout, "mine"), layout, reporter)
    assert any("written for pin 7.2, not for tiny" in line for line in reporter.lines)


def test_another_base_gives_other_commits(tree, layout, reporter, make_source):
    series = write(layout, new_file("a.c"))
    first = apply_series(tree, series, layout, reporter)
    other = import_source(make_source({"crlf.txt": b"one\r\ntwo\r\nthree\r\n"}, prepare=()), layout, reporter)
    assert start_of(other, "base") != start_of(tree, "base")
    second = apply_series(other, series, layout, reporter)
    assert not second.reused
    assert second.commit != first.commit


@pytest.mark.parametrize("whole_mail", [False, True])
def test_carriage_returns_of_files_are_kept_and_of_mails_removed(tree, layout, reporter, whole_mail):
    if whole_mail:  # a mail with CRLF line ends, which are not part of the file
        series = write(layout, change("os-posix.c", 10, ["line 10"], ["ten"]))
        path = layout.patches / "mine" / "0001-x.patch"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        file, wanted = "os-posix.c", "line 9\nten\nline 11\n"
    else:
        diff = "diff --git a/crlf.txt b/crlf.txt\n--- a/crlf.txt\n+++ b/crlf.txt\n@@ -1,3 +1,3 @@\n"
        write(layout, diff + " one\r\n-two\r\n+TWO\r\n three\r\n")
        file, wanted = "crlf.txt", "one\r\nTWO\r\nthree"
    series = load_series(layout, "mine")
    commit = apply_series(tree, series, layout, reporter).commit
    assert wanted in git(tree.path, "show", f"{commit}:{file}")


ESCAPED = (
    'diff --git "a/\\056\\056/x" "b/\\056\\056/x"\nnew file mode 100644\n'
    '--- /dev/null\n+++ "b/\\056\\056/x"\n'
)
RENAME = "diff --git a/link b/sub/link\nsimilarity index 100%\nrename from link\nrename to sub/link\n"


@pytest.mark.parametrize(
    ("diffs", "problem"),
    [
        ([new_file("../x")], "contains .."),
        ([new_file("a/../../x")], "contains .."),
        ([new_file("/etc/passwd")], "absolute"),
        ([ESCAPED + "@@ -0,0 +1 @@\n+x\n"], "contains .."),
        ([new_file(".git/hooks/post-checkout", mode="100755")], "reserved by git"),
        ([new_file("sub/.GIT/config")], "reserved by git"),
        ([new_file("git~1/config")], "reserved by git"),
        ([new_file(".gitmodules")], "submodules"),
        ([new_file("sub", "Subproject commit " + "1" * 40, mode="160000")], "submodule"),
        ([new_file("l", "/etc/passwd", mode="120000")], "absolute"),
        ([new_file("l", "../x", mode="120000")], "outside"),
        ([new_file("a/l", "b/../../../x", mode="120000")], "has .. after"),
        ([new_file("l", "a", mode="120000"), new_file("l/x")], "through the symbolic link l"),
        ([new_file("l", "a", mode="120000") + new_file("l/x")], "through the symbolic link l"),
        ([new_file("link/x")], "through the symbolic link link"),
        (
            [RENAME.replace("a/link b/sub/link", "a/link b/../link").replace("sub/link", "../link")],
            "contains ..",
        ),
        ([new_file("odd", mode="100777")], "mode"),
        ([new_file("fine.c") + "--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-1.2.3\n+x\n"], "does not follow"),
    ],
)
def test_unsafe_patches_are_refused(layout, diffs, problem):
    series = write(layout, *diffs) if problem != "does not follow" else write(layout, new_file("fine.c"))
    links = {"link"}
    for index, diff in enumerate(diffs[:-1]):
        check_diff(Place(series=series, index=index), diff, links)
    with pytest.raises(ApplyError) as error:
        check_diff(Place(series=series, index=len(diffs) - 1), diffs[-1], links)
    assert problem in error.value.cause
    assert "-x.patch" in error.value.cause


def test_refused_patch_leaves_the_tree_unchanged(tree, layout, reporter):
    before = state(tree)
    with pytest.raises(ApplyError, match=r"patch 2/2 of mine \(0002-x\.patch\) is refused: 'link/x'"):
        apply_series(tree, write(layout, new_file("a.c"), new_file("link/x")), layout, reporter)
    assert state(tree) == before


def test_unsafe_path_in_an_encoded_mail_is_refused(tree, layout, reporter):
    folder = layout.patches / "mine"
    write(layout, new_file("a.c"))
    headers = HEAD.format(number=1).partition("\n\n")[0]
    body = base64.encodebytes(("Reason.\n---\n" + new_file("../x")).encode()).decode()
    (folder / "0001-x.patch").write_text(
        f"{headers}\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{body}"
    )
    with pytest.raises(ApplyError, match=r"contains \.\."):
        apply_series(tree, load_series(layout, "mine"), layout, reporter)


def test_second_mail_in_a_file_is_refused(tree, layout, reporter):
    write(layout, new_file("a.c"))
    path = layout.patches / "mine" / "0001-x.patch"
    path.write_text(path.read_text() + "\n" + HEAD.format(number=2) + new_file("b.c"))
    with pytest.raises(ApplyError, match="2 mails"):
        apply_series(tree, load_series(layout, "mine"), layout, reporter)


QUOTE = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001"


def test_quoted_line_of_a_mailbox_begins_no_mail(tree, layout, reporter, tmp_path):
    body = f"The log says:\n\n{QUOTE}\nand ends.\n\nSigned-off-by: A <a@example.org>\n---\n"
    diff = new_file("a.c")
    headers = HEAD.format(number=1).partition("\n\n")[0]
    encoded = base64.encodebytes((body + diff).encode()).decode()
    form = "\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    (tmp_path / "coded.patch").write_text(headers + form + encoded)
    bare = headers.partition("\n")[2]
    (tmp_path / "bare.eml").write_text(f"{bare}\n\n{body}{diff}")
    (tmp_path / "plain.patch").write_text(f"{headers}\n\n{body}{diff}")
    escaped = f"{headers}\n\n{body}{diff}\n".replace(f"\n{QUOTE}", f"\n>{QUOTE}")
    (tmp_path / "two.mbox").write_text(escaped + escaped.replace("a.c", "b.c"))
    for name in ("coded.patch", "bare.eml", "plain.patch", "two.mbox"):
        series = series_of(read_input(layout, str(tmp_path / name)))
        assert len(series.patches) == (2 if name == "two.mbox" else 1)
        applied = apply_series(tree, series, layout, reporter)
        message = Git(repository=tree.path).read("show", "-s", "--format=%B", applied.commit)
        assert QUOTE in message.splitlines(), name


def test_relative_link_that_a_rename_makes_unsafe_is_refused(layout, reporter, make_source):
    source = make_source()
    tree = import_source(source, layout, reporter)
    up = new_file("deep/l", "../VERSION", mode="120000")
    move = "diff --git a/deep/l b/l\nsimilarity index 100%\nrename from deep/l\nrename to l\n"
    with pytest.raises(ApplyError, match="outside of the tree"):
        apply_series(tree, write(layout, up, move), layout, reporter)


def test_links_inside_the_tree_may_be_added(tree, layout, reporter):
    commit = apply_series(
        tree, write(layout, new_file("sub/l", "../VERSION", mode="120000")), layout, reporter
    ).commit
    assert git(tree.path, "show", f"{commit}:sub/l") == "../VERSION"


def test_names_with_wildcards_are_literal(tree, layout, reporter):
    first, second = new_file("#[x]*?.c"), new_file("!b c.c")
    commit = apply_series(tree, write(layout, first, second), layout, reporter).commit
    assert set(git(tree.path, "diff", "--name-only", "base", commit).splitlines()) == {"!b c.c", "#[x]*?.c"}


def test_hooks_are_not_run(tree, layout, reporter, monkeypatch, tmp_path):
    for name in ("applypatch-msg", "pre-applypatch", "post-checkout", "post-commit"):
        write_program(tree.path / "hooks" / name, f"touch {tmp_path}/ran")
    apply_series(tree, write(layout, new_file("a.c")), layout, reporter)
    assert not (tmp_path / "ran").exists()


@given(st.integers(0, 30), st.lists(st.sampled_from(["}", "", "x();", "if (y) {"]), min_size=1, max_size=4))
def test_best_place_finds_the_lines_at_any_position(shift, noise):
    (found,) = scan_changes(change("f", 10, ["line 10"], ["ten"]))
    lines = noise * shift + RELEASE["os-posix.c"].splitlines()
    assert best_place(lines, found.hunks[0]) == len(noise) * shift + 6


def test_best_place_is_none_without_similar_lines():
    (found,) = scan_changes(change("f", 10, ["line 10"], ["ten"]))
    assert best_place(["}", "", "completely()"], found.hunks[0]) is None
    assert best_place([], found.hunks[0]) is None


@pytest.mark.parametrize(
    ("text", "lines"), [("a\n\fb\u2028c\r\nd", ["a", "\fb\u2028c", "d"]), ("a\n\n", ["a", ""]), ("", [])]
)
def test_lines_of_a_file_are_those_that_git_counts(tmp_path, text, lines):
    (tmp_path / "f").write_text(text, encoding="utf-8", newline="")
    assert _lines(tmp_path / "f") == lines
