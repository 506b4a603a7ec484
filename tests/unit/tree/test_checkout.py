import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import OptionError, TreeError
from harness.tree import checkout, import_source, start_of
from tests.unit.repositories import git
from tests.unit.tree.test_apply import new_file, write


def times(path):
    return {
        str(file): file.lstat().st_mtime_ns
        for file in path.rglob("*")
        if file.is_file() and file.name != ".git"
    }


def test_variants_are_checked_out_to_the_paths_of_the_layout(tree, layout, reporter):
    series = write(layout, new_file("a.c"))
    for variant, label in (("pristine", "pristine"), ("base", "base"), ("patched", "patched-mine")):
        found = checkout(tree, variant, series, layout, reporter)
        assert found.path == layout.build / "tiny" / label / "src"
        assert (found.label, found.variant) == (label, variant)
        assert git(found.path, "rev-parse", "HEAD") == found.commit
        assert git(found.path, "status", "--porcelain") == ""
        assert (found.path / "a.c").exists() == (variant == "patched")
        assert (found.path / "util" / "feature.c").exists() == (variant == "pristine")


def test_attributes_of_the_release_do_not_change_bytes(tree, layout, reporter):
    path = checkout(tree, "base", None, layout, reporter).path
    assert (path / "run.bat").read_bytes() == b"unix line end\n"
    assert (path / "kept.log").is_file()
    assert (path / "configure").stat().st_mode & 0o111
    assert (path / "link").is_symlink()


def test_second_checkout_changes_no_file(tree, layout, reporter):
    first = checkout(tree, "base", None, layout, reporter)
    before = times(first.path)
    reporter.lines.clear()
    assert checkout(tree, "base", None, layout, reporter) == first
    assert times(first.path) == before
    assert reporter.lines == []


def test_new_commit_changes_only_changed_files(tree, layout, reporter):
    path = checkout(tree, "patched", write(layout, new_file("a.c", "1")), layout, reporter).path
    before = times(path)
    (path / "untracked").write_text("mine")
    checkout(tree, "patched", write(layout, new_file("a.c", "2")), layout, reporter)
    assert (path / "a.c").read_text() == "2\n"
    assert (path / "untracked").read_text() == "mine"
    after = times(path)
    assert {name for name in before if before[name] != after[name]} == {str(path / "a.c")}


def test_targets_are_those_of_the_commit(tree, layout, reporter):
    series = write(layout, new_file("configs/targets/new-softmmu.mak", "TARGET_ARCH=new"))
    assert "new-softmmu" in checkout(tree, "patched", series, layout, reporter).facts.targets
    assert "new-softmmu" not in checkout(tree, "pristine", None, layout, reporter).facts.targets


def test_uncommitted_changes_are_an_error_and_are_kept(tree, layout, reporter):
    path = checkout(tree, "base", None, layout, reporter).path
    (path / "VERSION").write_text("mine\n")
    with pytest.raises(TreeError, match="uncommitted changes in 1 files") as error:
        checkout(tree, "base", None, layout, reporter)
    assert "stash" in error.value.remedy
    assert (path / "VERSION").read_text() == "mine\n"


def test_commits_of_the_user_are_kept_as_a_branch(tree, layout, reporter):
    path = checkout(tree, "base", None, layout, reporter).path
    (path / "VERSION").write_text("mine\n")
    git(path, "commit", "-qam", "mine")
    mine = git(path, "rev-parse", "HEAD")
    checkout(tree, "base", None, layout, reporter)
    assert (path / "VERSION").read_text() == "1.2.3\n"
    assert git(tree.path, "rev-parse", f"kept-{mine[:12]}") == mine
    assert any("kept as branch" in line for line in reporter.lines)


@pytest.mark.parametrize(
    "kill", ["index lock", "half switched", "no folder", "registration", "first", "moved"]
)
def test_checkout_recovers_from_a_killed_run(tree, layout, reporter, kill, tmp_path):
    first = write(layout, new_file("a.c", "1"))
    path = checkout(tree, "patched", first, layout, reporter).path
    admin = Path(git(path, "rev-parse", "--absolute-git-dir"))
    series = write(layout, new_file("a.c", "2"))
    if kill == "index lock":
        (admin / "index.lock").write_bytes(b"")
    elif kill == "half switched":  # git has written some files, one partially, and has not moved HEAD
        path.with_name(".switching").write_text("1234\n")
        (path / "a.c").write_text("2\n")
        (path / "VERSION").write_text("")
        (admin / "index.lock").write_bytes(b"half")
    elif kill == "no folder":
        shutil.rmtree(path)
    elif kill == "registration":
        shutil.rmtree(admin)
    elif kill == "first":  # killed during the first checkout
        path.rename(path.with_name(".src.new"))
    else:
        new = replace(layout, build=tmp_path / "moved")
        layout.build.rename(new.build)
        layout = new
        path = layout.build / "tiny" / "patched-mine" / "src"
    found = checkout(tree, "patched", series, layout, reporter)
    assert found.path == path
    assert git(path, "rev-parse", "HEAD") == found.commit
    assert git(path, "status", "--porcelain") == ""
    assert (path / "a.c").read_text() == "2\n"
    assert (path / "VERSION").read_text() == "1.2.3\n"
    assert not path.with_name(".src.new").exists()
    assert not path.with_name(".switching").exists()


@pytest.mark.parametrize("variant", ["base", "patched"])
def test_locked_registration_of_a_killed_git_is_replaced(tree, layout, reporter, variant):
    """A kill of git worktree add leaves no folder, but a registration that is locked as "initializing"."""
    series = write(layout, new_file("new.c"))
    label = "base" if variant == "base" else f"patched-{series.name}"
    for path in (
        layout.build_root(tree.name, label) / ".src.new",
        layout.tree(tree.name).with_name(f".{tree.name}.apply") / "tree",
    ):
        words = ("add", "-q", "--lock", "--reason", "initializing", "--detach")
        git(tree.path, "worktree", *words, path, start_of(tree, "base"))
        shutil.rmtree(path)
    assert checkout(tree, variant, series, layout, reporter).path.is_dir()


def test_folder_that_is_not_a_checkout_is_renamed(tree, layout, reporter):
    path = layout.build / "tiny" / "base" / "src"
    path.mkdir(parents=True)
    (path / "mine").write_text("precious")
    checkout(tree, "base", None, layout, reporter)
    assert (path.with_name("src.old-1") / "mine").read_text() == "precious"


def test_checkout_of_a_recreated_tree_is_renamed(tree, layout, reporter, imported):
    path = checkout(tree, "base", None, layout, reporter).path
    (path / "VERSION").write_text("mine")
    shutil.rmtree(tree.path)
    found = checkout(import_source(imported[0], layout, reporter), "base", None, layout, reporter)
    assert (found.path / "VERSION").read_text() == "1.2.3\n"
    assert (path.with_name("src.old-1") / "VERSION").read_text() == "mine"


def test_patched_without_a_series_is_refused(tree, layout, reporter):
    with pytest.raises(OptionError):
        checkout(tree, "patched", None, layout, reporter)
    with pytest.raises(OptionError):
        checkout(tree, "other", None, layout, reporter)


def test_checkouts_of_a_regenerated_tree_are_not_mixed_up(tree, layout, reporter, tmp_path):
    """Their registrations have the numbers of other checkouts then."""
    kept = tmp_path / "kept"
    shutil.copytree(tree.path, kept)
    for variant in ("base", "pristine"):
        checkout(tree, variant, None, layout, reporter)
    shutil.rmtree(tree.path)
    shutil.copytree(kept, tree.path)
    for variant in ("pristine", "base", "pristine"):
        path = checkout(tree, variant, None, layout, reporter).path
        assert (path / "util" / "feature.c").exists() == (variant == "pristine")
        assert git(path, "status", "--porcelain") == ""
