"""The user's clone as a source: used in place, never written to."""

import hashlib
import shlex
import shutil
import subprocess
from dataclasses import replace

import pytest

from harness import process
from harness.errors import ApplyError, OptionError, TreeError
from harness.pipeline import check_request, label_of_variant, prepare, with_variants
from harness.series import range_series, read_input
from harness.source.clone import merge_base, open_clone, upstream_branch
from harness.source.fetch import NO_PIN, fetch
from harness.tree import checkout, import_source, start_of
from tests.unit.build.support import make_options
from tests.unit.conftest import RELEASE
from tests.unit.repositories import git, make_repository, write_files


def state(folder):
    """Every file below ``folder`` with its digest and its time."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def clone(tmp_path):
    """Two commits on master, one more on topic, which is checked out."""
    folder = write_files(tmp_path / "my qemu", RELEASE)
    (folder / "configure").chmod(0o755)
    make_repository(folder)
    (folder / "util" / "other.c").write_text("int two;\n")
    git(folder, "commit", "-qam", "two")
    git(folder, "checkout", "-qb", "topic")
    (folder / "util" / "other.c").write_text("int topic;\n")
    git(folder, "commit", "-qam", "topic")
    return folder


@pytest.fixture
def use(layout, reporter):
    """The tree of what -Dsource= says."""

    def tree(text):
        return import_source(fetch(NO_PIN, layout, reporter, local=str(text)), layout, reporter)

    return tree


def test_head_or_a_revision_with_its_history_is_used(clone, use):
    head, master = use(clone), use(f"{clone}@master")
    assert head.pristine == git(clone, "rev-parse", "topic")
    assert master.pristine == head.digest.replace(head.digest, git(clone, "rev-parse", "master"))
    assert git(head.path, "rev-list", "--count", head.pristine) == "3"
    assert head.path == master.path
    assert (head.facts.version, head.facts.targets) == ("1.2.3", ("s390x-softmmu", "x86_64-softmmu"))
    assert head.pin.name == head.name
    with pytest.raises(OptionError, match="no variant base"):
        start_of(head, "base")


def test_nothing_is_copied_and_nothing_is_written_to_the_clone(clone, use, layout, reporter):
    (clone / "util" / "other.c").write_text("not committed\n")
    before = state(clone)
    tree = use(clone)
    checked_out = checkout(tree, "pristine", None, layout, reporter)
    assert (checked_out.path / "util" / "other.c").read_text() == "int topic;\n"
    (layout.patches / "mine").mkdir()
    use(f"{clone}@master")
    assert state(clone) == before
    assert git(tree.path, "count-objects").startswith("0 objects")
    assert any(
        "uncommitted changes are not part of" in line and "util/other.c" in line for line in reporter.lines
    )


def test_commits_that_vanish_from_the_clone_do_not_stop_the_next_run(clone, use, layout, reporter):
    """A force-push and git gc: what was checked out stays, and the new commit is checked out."""
    first = checkout(use(clone), "pristine", None, layout, reporter)
    git(clone, "checkout", "-q", "master")
    git(clone, "branch", "-qD", "topic")
    git(clone, "reflog", "expire", "--expire=now", "--all")
    git(clone, "gc", "-q", "--prune=now")
    assert (first.path / "util" / "other.c").read_text() == "int topic;\n"
    second = checkout(use(clone), "pristine", None, layout, reporter)
    assert (second.path / "util" / "other.c").read_text() == "int two;\n"
    with pytest.raises(OptionError, match="no commit"):
        use(f"{clone}@{first.commit}")


def test_bare_shallow_and_linked_clones_work(clone, use, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(clone), "bare.git")
    git(tmp_path, "clone", "-q", "--depth=1", clone.as_uri(), "shallow")
    git(clone, "worktree", "add", "-q", str(tmp_path / "linked"), "master")
    assert use(tmp_path / "bare.git").facts.version == "1.2.3"
    shallow = use(tmp_path / "shallow")
    assert git(shallow.path, "rev-list", "--count", shallow.pristine) == "1"
    assert use(tmp_path / "linked").pristine == git(clone, "rev-parse", "master")


def test_a_partial_clone_names_what_is_missing(clone, use, tmp_path):
    git(clone, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", clone.as_uri(), "a partial")
    before = state(tmp_path / "a partial")
    with pytest.raises(TreeError, match="partial clone") as error:
        use(tmp_path / "a partial")
    assert state(tmp_path / "a partial") == before
    command = error.value.remedy.rpartition(", or: ")[2]
    assert shlex.split(command) == [
        "git",
        "-C",
        str(tmp_path / "a partial"),
        "fetch",
        "--refetch",
        "--no-filter",
    ]
    git(tmp_path / "a partial", "checkout", "-q", "topic")
    assert use(tmp_path / "a partial").facts.version == "1.2.3"


def test_submodules_are_noted_and_left_out(clone, use, reporter, layout, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    git(clone, "submodule", "--quiet", "add", str(other), "roms/other")
    git(clone, "commit", "-qm", "submodule")
    assert checkout(use(clone), "pristine", None, layout, reporter).path.is_dir()
    assert any("submodules are not part of the tree: roms/other" in line for line in reporter.lines)


def test_subprojects_that_the_clone_has_downloaded_are_copied(clone, use, layout, reporter):
    wraps = {f"{name}.wrap": "[wrap-git]\n" for name in ("keycodemapdb", "slirp")}
    folder = write_files(clone / "subprojects", {**wraps, ".gitignore": "/keycodemapdb\n/other\n"})
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "wraps")
    for name in ("keycodemapdb", "other"):
        write_files(folder / name, {".git/HEAD": "", "data.csv": name})
    made = checkout(use(clone), "pristine", None, layout, reporter).path / "subprojects"
    assert {path.name for path in made.iterdir()} == {*wraps, ".gitignore", "keycodemapdb"}
    assert [path.name for path in (made / "keycodemapdb").iterdir()] == ["data.csv"]
    (made / "keycodemapdb" / "data.csv").write_text("own")
    checkout(use(clone), "pristine", None, layout, reporter)
    assert (made / "keycodemapdb" / "data.csv").read_text() == "own"


def test_folder_of_a_subproject_is_the_one_that_its_wrap_file_states(clone, use, layout, reporter):
    """QEMU's anyhow-1-rs.wrap states anyhow-1.0.98. A series may state any path, so none is followed."""
    folder = clone / "subprojects"
    folder.mkdir()
    stated = {"anyhow-1-rs": "anyhow-1.0.98", "up": "../secret", "over": "..", "root": str(clone / "secret")}
    for name, directory in stated.items():
        (folder / f"{name}.wrap").write_text(f"[wrap-file]\ndirectory = {directory}\nsource_hash = 0\n")
    (folder / "gone.wrap").symlink_to("nowhere")
    (folder / ".gitignore").write_text("/anyhow-*/\n")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "wraps")
    for path in (folder / "anyhow-1.0.98", clone / "secret"):
        path.mkdir()
        (path / "lib.rs").touch()
    made = checkout(use(clone), "pristine", None, layout, reporter).path
    assert [path.name for path in (made / "subprojects").iterdir() if path.is_dir()] == ["anyhow-1.0.98"]
    assert (made / "subprojects" / "anyhow-1.0.98" / "lib.rs").is_file()
    assert not (made / "secret").exists()


def test_a_link_that_leaves_the_tree_is_refused(clone, use):
    (clone / "leak").symlink_to("/etc/passwd")
    git(clone, "add", "leak")
    git(clone, "commit", "-qm", "leak")
    for _ in range(2):  # the check is remembered only when it has passed
        with pytest.raises(TreeError, match="leak"):
            use(clone)


def test_a_clone_of_another_user_needs_the_users_word(clone, use, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr("harness.source.clone._READ_ONLY", {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    with pytest.raises(TreeError, match="belongs to another user") as error:
        use(clone)
    assert f"--add safe.directory {shlex.quote(str(clone))}" in error.value.remedy


def test_unknown_revisions_and_folders_are_refused(clone, use, tmp_path):
    with pytest.raises(OptionError, match="has no commit nonesuch"):
        use(f"{clone}@nonesuch")
    with pytest.raises(OptionError, match="has no commit --help"):
        use(f"{clone}@--help")
    plain = tmp_path / "plain"
    shutil.copytree(clone, plain, ignore=shutil.ignore_patterns(".git"))
    assert use(plain).facts.version == "1.2.3"
    with pytest.raises(OptionError, match="not a git clone"):
        use(f"{plain}@master")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    with pytest.raises(OptionError, match="has no commit HEAD"):
        use(empty)
    (empty / "file").touch()
    git(empty, "add", ".")
    git(empty, "commit", "-qm", "x")
    with pytest.raises(TreeError, match="not a QEMU source"):
        use(empty)


def test_a_url_needs_a_full_commit_id(clone, use):
    commit = git(clone, "rev-parse", "master")
    git(clone, "config", "uploadpack.allowAnySHA1InWant", "true")
    tree = use(f"{clone.as_uri()}@{commit}")
    assert tree.facts.version == "1.2.3"
    assert git(tree.path, "rev-list", "--count", tree.pristine) == "1"
    with pytest.raises(OptionError, match="full commit id"):
        use(f"{clone.as_uri()}@master")


def test_the_upstream_branch_is_a_remotes_head_else_master(clone, tmp_path, reporter):
    opened = open_clone(clone, "", reporter)
    assert upstream_branch(opened) == "refs/heads/master"
    assert merge_base(opened, "topic", "master") == git(clone, "rev-parse", "master")
    assert merge_base(opened, "topic", "nonesuch") == ""
    git(tmp_path, "clone", "-q", str(clone), "second")
    assert upstream_branch(open_clone(tmp_path / "second", "", reporter)) == "refs/remotes/origin/HEAD"


def test_a_second_use_starts_only_few_programs(clone, use, monkeypatch):
    use(clone)
    started = []
    original = subprocess.Popen

    def popen(*arguments, **words):
        started.append(arguments)
        return original(*arguments, **words)

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    use(clone)
    assert len(started) <= 10


def test_a_source_of_an_archive_of_a_pin_is_that_pin(layout, reporter, make_source):
    source = make_source()
    layout.pins_file.write_text(
        f'["mine"]\narchive = "x.tar.xz"\nsha256 = "{source.digest}"\n'
        '[["mine".locations]]\nkind = "url"\nurl = "file:///none"\n'
    )
    found = fetch(NO_PIN, layout, reporter, local=str(source.path))
    assert (found.pin.name, found.kind) == ("mine", "url")


def test_a_series_of_the_source_is_a_range_or_the_commits_since_the_upstream_branch(clone, layout):
    master = git(clone, "rev-parse", "master")
    for text, count, base in (
        ("master..topic", 1, master),
        ("topic", 1, master),
        ("master~1..topic", 2, git(clone, "rev-parse", "master~1")),
    ):
        found = read_input(layout, text, clone=str(clone))
        assert (found.kind, len(found.patches), found.base_commit) == ("range", count, base), text
    assert len(read_input(layout, "topic", clone=f"{clone}@master").patches) == 1
    with pytest.raises(OptionError, match="no commits of its own"):
        read_input(layout, "master", clone=str(clone))
    with pytest.raises(OptionError, match="no series 'nonesuch'"):
        read_input(layout, "nonesuch", clone=str(clone))
    with pytest.raises(OptionError, match="no series 'topic'"):
        read_input(layout, "topic")


def test_the_base_that_a_mail_states_is_read(clone, layout, tmp_path):
    git(clone, "format-patch", "-q", "--base=master", "-o", str(tmp_path / "out"), "master..topic")
    found = read_input(layout, str(tmp_path / "out"))
    assert found.base_commit == git(clone, "rev-parse", "master")
    git(clone, "format-patch", "-q", "-o", str(tmp_path / "plain"), "master..topic")
    assert read_input(layout, str(tmp_path / "plain")).base_commit == ""


def test_unsafe_commit_of_a_range_is_refused(clone, use, layout, reporter):
    (clone / "leak").symlink_to("/etc/passwd")
    git(clone, "add", "leak")
    git(clone, "commit", "-qm", "leak")
    series = range_series(layout, "topic", str(clone))
    with pytest.raises(ApplyError, match=f"commit {series.commits[1][:12]} of my-qemu.*'leak'"):
        checkout(use(f"{clone}@master"), "patched", series, layout, reporter)


def test_a_range_is_built_from_its_own_commits_on_the_commit_before_it(clone, layout, reporter):
    options = make_options(source=str(clone), series="topic", given=("-Dseries=topic",), variants=())
    options = with_variants(layout, options)
    assert options.variants == ("pristine", "patched")
    checked = check_request(layout, options)
    prepared = prepare(layout, checked, options, reporter)
    commits = {checkout.label: checkout.commit for checkout in prepared.checkouts}
    assert commits == {
        "pristine": git(clone, "rev-parse", "master"),
        "patched-my-qemu": git(clone, "rev-parse", "topic"),
    }
    assert label_of_variant(layout, options, "patched") == "patched-my-qemu"
    assert label_of_variant(layout, options, "pristine") == "pristine"
    at_head = prepare(layout, checked, replace(options, source=f"{clone}@topic~0"), reporter)
    assert at_head.checkouts[0].commit == git(clone, "rev-parse", "topic")
    assert not any("uncommitted" in line for line in reporter.lines)
    (clone / "util" / "other.c").write_text("not committed\n")
    before = state(clone)
    prepare(layout, checked, options, reporter)
    assert state(clone) == before
    assert any("uncommitted changes are not part of" in line for line in reporter.lines)
