import hashlib
import io
import os
import tarfile
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import OptionError, StorageError, TreeError
from harness.progress import Silent
from harness.source.pin import Edit, Traces
from harness.tree import import_source, start_of
from harness.tree.content import from_archive, from_folder
from harness.tree.edits import edit_text
from harness.tree.fastimport import REF, import_entries
from harness.tree.git import Git, make_repository
from harness.tree.paths import bad_link, bad_path
from tests.unit.programs import write_program
from tests.unit.repositories import git, unpack


class SilentStep:
    def update(self, done, total=None, text=""):
        pass


def test_import_keeps_bytes_modes_links_and_ignored_files(layout, reporter, make_source):
    tree = import_source(make_source(), layout, reporter)
    listed = {
        line.partition("\t")[2]: line.split(" ")[0]
        for line in git(tree.path, "ls-tree", "-r", "import").splitlines()
    }
    assert listed["configure"] == "100755"
    assert listed["meson.build"] == "100644"
    assert listed["link"] == "120000"
    assert "kept.log" in listed
    assert git(tree.path, "show", "import:run.bat") == "unix line end"


def test_pristine_has_the_prepare_edits_and_base_the_unmerge_edits(layout, reporter, make_source):
    tree = import_source(make_source(), layout, reporter)
    base = start_of(tree, "base")
    assert "blobs = true" in git(tree.path, "show", "import:meson.build")
    assert git(tree.path, "show", "pristine:meson.build") == (
        "project('tiny')\nblobs = false\nhas_feature = true"
    )
    assert git(tree.path, "show", "base:meson.build") == "project('tiny')\nblobs = false"
    assert git(tree.path, "show", "base:util/meson.build") == "util_ss.add(files('other.c'))"
    assert "util/feature.c" not in git(tree.path, "ls-tree", "-r", "--name-only", "base")
    assert git(tree.path, "rev-list", "base").split()[:2] == [base, tree.pristine]


def test_a_pin_without_unmerge_edits_has_no_base(layout, reporter, make_source):
    tree = import_source(make_source(unmerge=(), traces=Traces(patterns=())), layout, reporter)
    assert start_of(tree, "pristine") == tree.pristine
    with pytest.raises(OptionError, match="no variant base"):
        start_of(tree, "base")


def test_ids_do_not_depend_on_the_configuration_of_git(layout, reporter, make_source, monkeypatch, tmp_path):
    source = make_source()
    first = import_source(source, layout, reporter)
    hook = write_program(tmp_path / "hooks" / "post-checkout", f"touch {tmp_path}/ran")
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = Other\nemail = other@example.org\n[core]\nautocrlf = true\n"
        f"hooksPath = {hook.parent}\n[commit]\ngpgsign = true\n[i18n]\ncommitEncoding = latin1\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gitconfig").rename(tmp_path / ".gitconfig")
    for name in ("GIT_DIR", "GIT_AUTHOR_NAME", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = import_source(source, replace(layout, trees=tmp_path / "other"), reporter)
    assert (second.pristine, start_of(second, "base")) == (first.pristine, start_of(first, "base"))
    assert not (tmp_path / "ran").exists()
    # The bytes are the same, so the id must be the same, too.
    bases = {Git(repository=tree.path).read("rev-parse", "base^{tree}") for tree in (first, second)}
    assert len(bases) == 1


def test_second_import_reuses_the_tree(layout, reporter, make_source):
    source = make_source()
    first = import_source(source, layout, reporter)
    reporter.lines.clear()
    assert import_source(source, layout, reporter) == first
    assert reporter.lines == []


def test_changed_edits_reuse_the_import(layout, reporter, make_source):
    source = make_source()
    first = import_source(source, layout, reporter)
    reporter.lines.clear()
    changed = replace(source, pin=msgspec.structs.replace(source.pin, prepare=()))
    second = import_source(changed, layout, reporter)
    assert start_of(second, "base") != start_of(first, "base")
    assert not any("importing" in line for line in reporter.lines)


@pytest.mark.parametrize("damage", ["state", "tag", "HEAD", "objects"])
def test_damaged_tree_is_recreated(layout, reporter, make_source, damage):
    source = make_source()
    first = import_source(source, layout, reporter)
    if damage == "state":
        (first.path / "harness.json").write_text("{ cut sho")
    elif damage == "tag":
        git(first.path, "tag", "-f", "pristine", "import")
    elif damage == "HEAD":
        (first.path / "HEAD").write_bytes(b"")
    else:
        for pack in (first.path / "objects").rglob("*"):
            if pack.is_file():
                pack.unlink()
        (first.path / "harness.json").unlink()
    assert import_source(source, layout, reporter) == first
    assert git(first.path, "rev-parse", "pristine") == first.pristine


def test_leftovers_of_a_killed_import_are_removed(layout, reporter, make_source):
    temporary = layout.trees / ".tiny.new"
    (temporary / "objects").mkdir(parents=True)
    (temporary / "HEAD").write_text("garbage")
    tree = import_source(make_source(), layout, reporter)
    assert tree.path.is_dir()
    assert not temporary.exists()


def test_truncated_archive_leaves_no_tree(layout, reporter, make_source):
    source = make_source({"big": os.urandom(100_000)})
    whole = source.path.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 4):
        source.path.write_bytes(whole[:length])
        with pytest.raises(TreeError, match=r"tiny\.tar\.xz"):
            import_source(source, layout, reporter)
        assert not layout.tree("tiny").exists()


def tar_with(tmp_path, *members):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([member("/etc/passwd")], "absolute"),
        ([member("top/../../x")], "contains .."),
        ([member("top/.git/hooks/post-checkout")], "reserved by git"),
        ([member("top/sub/.GIT/config")], "reserved by git"),
        ([member("top/link", tarfile.SYMTYPE, "/etc/passwd")], "absolute"),
        ([member("top/a/link", tarfile.SYMTYPE, "../../x")], "outside"),
        ([member("top/a/link", tarfile.SYMTYPE, "b/../../../x")], "has .. after"),
        ([member("top/a", tarfile.SYMTYPE, "b"), member("top/a/x")], "not a folder"),
        ([member("top/a"), member("top/a/b/x")], "not a folder"),
        ([member("top/null", tarfile.CHRTYPE)], "not a file"),
        ([member("top/fifo", tarfile.FIFOTYPE)], "not a file"),
        ([member("top/hard", tarfile.LNKTYPE, "/etc/shadow")], "hard link"),
        ([member("top/hard", tarfile.LNKTYPE, "top/later")], "does not precede it"),
        ([member("one/x"), member("two/x")], "top folder"),
        ([member("flat")], "top folder"),
        ([], "empty"),
    ],
)
def test_unsafe_members_are_refused(tmp_path, members, problem):
    git = make_repository(tmp_path / "tree")
    with pytest.raises(TreeError) as error:
        import_entries(git, from_archive(tar_with(tmp_path, *members)), SilentStep())
    assert problem in error.value.cause
    assert git.find(REF) is None


def test_hard_link_is_imported_as_a_copy(layout, reporter, make_source, tmp_path):
    source = make_source()
    path = tmp_path / "hard.tar"
    with tarfile.open(source.path) as old, tarfile.open(path, "w") as new:
        for info in old:
            new.addfile(info, old.extractfile(info) if info.isreg() else None)
        new.addfile(member("qemu-1.2.3/twin", tarfile.LNKTYPE, "qemu-1.2.3/VERSION"))
    tree = import_source(replace(source, path=path), layout, reporter)
    assert git(tree.path, "show", "import:twin") == "1.2.3"


def test_facts_are_read_from_the_release(layout, reporter, make_source):
    facts = import_source(make_source(), layout, reporter).facts
    assert (facts.version, facts.targets) == ("1.2.3", ("s390x-softmmu", "x86_64-softmmu"))
    assert import_source(make_source(), layout, reporter).facts == facts


def test_traces_of_the_feature_are_found(layout, reporter, make_source):
    source = make_source({"docs.txt": "a\nThe FEATURE\n", "feature-notes": "\n"})
    with pytest.raises(TreeError, match="has 2 traces") as error:
        start_of(import_source(source, layout, reporter), "base")
    assert error.value.details == ("docs.txt:2:The FEATURE", "feature-notes: the name of the file")
    spared = Traces(patterns=("feature",), except_paths=("docs.txt",))
    source = make_source({"docs.txt": "The FEATURE\n"}, traces=spared)
    assert start_of(import_source(source, layout, reporter), "base")


@pytest.mark.parametrize(
    "edit",
    [
        Edit(kind="remove", file="absent.c"),
        Edit(kind="replace", file="os-posix.c", old="absent", new="x"),
        Edit(kind="replace", file="os-posix.c", old="line 1", new="x"),
        Edit(kind="remove-block", file="os-posix.c", first="line 4", last="line 99"),
        Edit(kind="remove-block", file="os-posix.c", first="ine 4", last="line 5"),
        Edit(kind="remove", file="link"),
    ],
)
def test_error_of_an_edit_names_pin_file_and_edit(layout, reporter, make_source, edit):
    with pytest.raises(TreeError) as error:
        import_source(make_source(prepare=(edit,)), layout, reporter)
    assert "tiny" in error.value.cause
    assert edit.file in error.value.cause
    assert edit.kind in error.value.cause
    assert not layout.tree("tiny").exists()


BLOBS = Edit(
    kind="replace", file="meson.build", old="blobs = true", new="blobs = false", unless="pc-bios/*.bz2"
)


@pytest.mark.parametrize(("files", "expected"), [({}, "false"), ({"pc-bios/a.bz2": b""}, "true")])
def test_a_tree_that_has_the_files_needs_no_prepare_edit(layout, reporter, make_source, files, expected):
    tree = import_source(make_source(files, prepare=(BLOBS,)), layout, reporter)
    assert f"blobs = {expected}" in Git(repository=tree.path).read("show", f"{tree.pristine}:meson.build")


def test_an_edit_that_another_source_does_not_match_is_left_out(layout, make_source, tmp_path):
    source = make_source({"meson.build": "another\n"})
    with pytest.raises(TreeError, match="does not match"):
        import_source(source, layout, Silent())
    noted = []
    reporter = Silent()
    reporter.note = noted.append
    import_source(replace(source, kind="local", digest=""), layout, reporter)
    assert any(line.startswith("not applied: pin tiny: ") for line in noted)


def test_block_is_removed_from_first_to_nearest_last():
    edit = Edit(kind="remove-block", file="f", first="#if A\n case B:", last="#endif")
    data = b"#if A\n keep\n#endif\n#if A\n case B:\n x \xe9\n#endif\ntail\n#endif\n"
    assert edit_text(data, edit, pin="p") == b"#if A\n keep\n#endif\ntail\n#endif\n"


def folder_of(source, path):
    unpack(source.path.read_bytes(), path)
    return path / "qemu-1.2.3"


def test_plain_folder_gives_the_same_tree_as_the_archive(layout, reporter, make_source, tmp_path):
    source = make_source()
    folder = folder_of(source, tmp_path / "local")
    (folder / ".git").mkdir(exist_ok=True)  # nested .git folders are ignored
    (folder / "sub" / ".git").mkdir(parents=True)
    (folder / "sub" / ".git" / "config").write_text("")
    (folder / ".git").rmdir()
    local = replace(source, kind="local", path=folder, digest="")
    tree = import_source(local, layout, reporter)
    assert start_of(tree, "base") == start_of(import_source(source, layout, reporter), "base")
    assert tree.name == f"local-{tree.digest[:12]}"
    assert import_source(local, layout, reporter) == tree
    assert not list(layout.trees.glob(".*new*"))


def test_folder_with_a_fifo_or_an_absolute_link_is_refused(layout, reporter, make_source, tmp_path):
    source = make_source()
    folder = folder_of(source, tmp_path / "local")
    os.mkfifo(folder / "pipe")
    local = replace(source, kind="local", path=folder, digest="")
    with pytest.raises(TreeError, match="not a file"):
        import_source(local, layout, reporter)
    (folder / "pipe").unlink()
    (folder / "leave").symlink_to(tmp_path)
    with pytest.raises(TreeError, match="absolute"):
        import_source(local, layout, reporter)


def test_folder_that_is_no_qemu(layout, reporter, make_source, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "file").write_text("")
    with pytest.raises(TreeError, match="not a QEMU source"):
        import_source(
            replace(make_source(), kind="local", path=tmp_path / "empty", digest=""), layout, reporter
        )


def test_tree_of_another_source_is_replaced(layout, reporter, make_source):
    first = import_source(make_source(), layout, reporter)
    source = make_source({"new": "file\n"})
    assert hashlib.sha256(source.path.read_bytes()).hexdigest() == source.digest
    assert import_source(source, layout, reporter).pristine != first.pristine
    assert (layout.trees / "tiny.old").is_dir()


NAMES = st.sampled_from(
    ["a", "b", "..", ".", "", ".git", ".GIT", "git~1", "x.c", ".git.", ".gi\u200ct", "\\"]
)


@given(st.lists(NAMES, min_size=1, max_size=5).map("/".join))
def test_accepted_path_is_inside_the_tree(path):
    if not bad_path(path):
        normal = os.path.normpath(path)
        assert normal == path
        assert not normal.startswith((".." + os.sep, os.sep))
        assert not any(part.lower().startswith(".git") for part in normal.split("/"))


LINK = st.lists(st.sampled_from(["..", "a", "b", "l1", "l2", "."]), min_size=1, max_size=5).map("/".join)


@given(LINK, LINK)
def test_accepted_links_do_not_leave_the_tree(first, second):
    """The target of each link may pass through the other one."""
    links = {"a/l1": first, "a/b/l2": second}
    if any(bad_link(path, target) for path, target in links.items()):
        return

    def resolve(parts, here, budget):
        for index, part in enumerate(parts):
            if budget <= 0:
                return
            if part == "..":
                assert here, (first, second)
                here = here[:-1]
            elif part != ".":
                path = "/".join([*here, part])
                if path in links:
                    resolve([*links[path].split("/"), *parts[index + 1 :]], here, budget - 1)
                    return
                here = [*here, part]

    for path in links:
        resolve(path.split("/"), [], 20)


def test_unreadable_folder_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "secret").mkdir()
    (tmp_path / "VERSION").write_text("7.2.0")
    scan = os.scandir

    def deny(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(StorageError, match="secret"):
        list(from_folder(tmp_path))
