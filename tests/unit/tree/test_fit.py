"""Trying patches on other releases: files that moved, changes that are there already."""

import pytest

from harness.series import scan_changes
from harness.tree.fit import fit_patches
from harness.tree.moves import find_moves
from tests.unit.repositories import make_repository


def text(name, *changed):
    """A file of thirty lines; ``changed`` are further lines in its middle."""
    lines = [f"int {name}_of_{number};" for number in range(30)]
    return "\n".join([*lines[:15], *changed, *lines[15:]]) + "\n"


def adds(path, name, after, *lines):
    """A diff that adds ``lines`` after a line of the file ``text(name)``."""
    around = [f" int {name}_of_{number};" for number in range(after - 2, after + 4)]
    body = [*around[:3], *(f"+{line}" for line in lines), *around[3:]]
    return (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
        f"@@ -{after - 1},6 +{after - 1},{6 + len(lines)} @@\n" + "\n".join(body) + "\n"
    )


@pytest.fixture
def release(tmp_path):
    """Make a repository with one commit of the files, at a path that git has to be given in quotes."""

    def make(files):
        folder = tmp_path / f'with:colon "and \\ quote"-{len(list(tmp_path.iterdir()))}'
        return make_repository(folder, files) / ".git", "HEAD"

    return make


def fits(place, *diffs, moved=None):
    return list(fit_patches(*place, [(diff, scan_changes(diff)) for diff in diffs], moved=moved))


def test_files_that_moved_are_followed(release):
    old = release({"softmmu/vl.c": text("vl"), "softmmu/meson.build": text("meson"), "util/a.c": text("a")})
    new = release({"system/vl.c": text("vl", "int more;"), "system/meson.build": text("meson"), "x.c": ""})
    moved = find_moves({"softmmu/vl.c", "util/a.c"}, new, [old])
    assert moved == {"softmmu/vl.c": "system/vl.c"}
    (fit,) = fits(new, adds("softmmu/vl.c", "vl", 7, "int added_here;"), moved=moved)
    assert fit.kind == "moved"
    assert fit.details[0] == "softmmu/vl.c is system/vl.c in this tree"
    (fit,) = fits(new, adds("softmmu/vl.c", "vl", 7, "int added_here;"))
    assert fit.kind == "not"


def test_files_that_changed_much_follow_the_rest_of_their_folder(release):
    names = ("one", "two", "three")
    old = release({f"softmmu/{name}.c": text(name) for name in names} | {"softmmu/vl.c": text("vl")})
    new = release({f"system/{name}.c": text(name) for name in names} | {"system/vl.c": "all of it is new\n"})
    assert find_moves({"softmmu/vl.c"}, new, [old]) == {"softmmu/vl.c": "system/vl.c"}


def test_file_with_another_name_is_found_by_its_content(release):
    old = release({"hw/a.c": text("same"), "hw/other.c": text("other")})
    new = release({"target/b.c": text("same", "int more;"), "target/c.c": text("unlike")})
    assert find_moves({"hw/a.c", "hw/other.c", "hw/absent.c"}, new, [old]) == {"hw/a.c": "target/b.c"}


def test_the_first_release_that_has_a_file_is_compared(release):
    older, old = release({"x/a.c": text("a")}), release({"y/b.c": text("b")})
    new = release({"z/a.c": text("a"), "z/b.c": text("b")})
    moves = find_moves({"x/a.c", "y/b.c"}, new, [older, old])
    assert moves == {"x/a.c": "z/a.c", "y/b.c": "z/b.c"}
    assert find_moves({"z/a.c"}, new, [older, old]) == {}


FEATURE = ("static int feature_of_this_patch;", "static int second_line_of_it;")


def test_change_that_is_there_is_called_already(release):
    patch = adds("a.c", "a", 14, *FEATURE)
    other = text("a", *FEATURE).replace("int a_of_13;", "int changed;").replace("int a_of_16;", "int too;")
    for content in (text("a", *FEATURE), other):
        (fit,) = fits(release({"a.c": content}), patch)
        assert fit.kind == "already"
    (fit,) = fits(release({"a.c": text("a", FEATURE[0])}), patch)
    assert fit.kind != "already"


def test_change_that_a_later_patch_of_the_series_changes_again_is_called_already(release):
    second = (
        "diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -15,4 +15,4 @@\n int a_of_14;\n"
        f" {FEATURE[0]}\n-{FEATURE[1]}\n+static int another_text_of_it;\n int a_of_15;\n"
    )
    place = release({"a.c": text("a", FEATURE[0], "static int another_text_of_it;")})
    assert [fit.kind for fit in fits(place, adds("a.c", "a", 14, *FEATURE), second)] == ["already"] * 2


def test_patch_that_does_not_apply_leaves_the_others(release):
    place = release({"a.c": text("a"), "b.c": text("b")})
    bad = adds("b.c", "unlike", 7, "int x;")
    kinds = [
        fit.kind for fit in fits(place, adds("a.c", "a", 7, "int x;"), bad, adds("b.c", "b", 7, "int x;"))
    ]
    assert kinds == ["clean", "not", "clean"]


@pytest.mark.parametrize("name", ["../x.c", "a/../../x.c", ":(top)x.c", ":x.c", "*.c"])
def test_name_that_git_refuses_does_not_stop_the_trial(release, name):
    one, other = fits(
        release({"x.c": text("x")}), adds(name, "x", 7, "int y;"), adds("x.c", "x", 7, "int y;")
    )
    assert (one.kind, other.kind) == ("not", "clean")
