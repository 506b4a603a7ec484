"""Fixtures shared by the stages: a layout in a temporary folder and a tiny release to import."""

import functools
import hashlib
import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from harness.errors import HarnessError
from harness.layout import Layout, find_layout
from harness.options import declared_options
from harness.progress import Silent
from harness.source.fetch import Source
from harness.source.pin import Edit, Location, Pin, Traces
from harness.tree import import_source, start_of

# No time limit for examples: on a busy machine, any of them may take a second.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[2]
RELEASE = {
    "VERSION": "1.2.3\n",
    "configure": "#!/bin/sh\nexit 0\n",
    "meson.build": "project('tiny')\nblobs = true\nhas_feature = true\n",
    "os-posix.c": "".join(f"line {number}\n" for number in range(1, 41)),
    "util/feature.c": "int feature;\n",
    "util/meson.build": "util_ss.add(files('feature.c'))\nutil_ss.add(files('other.c'))\n",
    "util/other.c": "int other;\n",
    ".gitignore": "*.log\n",
    "kept.log": "ignored by the release's own .gitignore\n",
    ".gitattributes": "*.bat text eol=crlf\n*.c ident\n",
    "run.bat": "unix line end\n",
    "configs/targets/x86_64-softmmu.mak": "",
    "configs/targets/s390x-softmmu.mak": "",
}


COLLECTED = pytest.StashKey[set[Path]]()


def pytest_itemcollected(item):
    """Store the file of each collected test, before ``-m`` deselects tests."""
    item.config.stash.setdefault(COLLECTED, set()).add(item.path)


@pytest.fixture(scope="session")
def collected_files(pytestconfig):
    """Files from which pytest collected tests."""
    return pytestconfig.stash[COLLECTED]


@pytest.fixture(autouse=True, scope="session")
def _errors_have_one_line_of_cause_and_of_remedy():
    """Check this, which CONTRIBUTING.md requires, for each error that any test provokes."""
    create = HarnessError.__init__

    def check(self, cause, remedy, **more):
        assert cause, "an error without a cause"
        assert remedy, f"no remedy: {cause}"
        assert "\n" not in cause + remedy, f"several lines: {cause!r}, {remedy!r}"
        create(self, cause, remedy, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HarnessError, "__init__", check)
        yield


@pytest.fixture(scope="session")
def known_options(tmp_path_factory):
    """A cache with the list of options, which meson takes a quarter of a second to read."""
    layout = replace(find_layout(ROOT), cache=tmp_path_factory.mktemp("cache"))
    declared_options(layout)
    return layout.cache


@pytest.fixture
def layout(tmp_path):
    """A layout of temporary folders."""
    root = tmp_path / "root"
    (root / "qemu-src").mkdir(parents=True)
    (root / "patches").mkdir()
    return Layout(root=root, build=tmp_path / "build", trees=tmp_path / "trees", cache=tmp_path / "cache")


@pytest.fixture
def reporter():
    """A reporter that stores its lines in ``lines``."""
    return Silent()


def bytes_of(folder):
    """Return the digest of each file below ``folder``, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def make_archive(path, files, top="qemu-1.2.3/"):
    """Create a tar.xz of ``files`` below ``top``, and a link to ``VERSION``; ``configure`` is executable."""
    with tarfile.open(path, "w:xz", preset=0) as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(top + name)
            member.size = len(data)
            member.mode = 0o755 if name == "configure" else 0o644
            tar.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo(top + "link")
        member.type, member.linkname = tarfile.SYMTYPE, "VERSION"
        tar.addfile(member)
    return path


def tiny_pin(**fields):
    """Return the pin of the tiny release; keyword arguments override its fields."""
    values = {
        "name": "tiny",
        "archive": "tiny.tar.xz",
        "sha256": "0" * 64,
        "locations": (Location(kind="url", url="file:///nowhere/tiny.tar.xz"),),
        "prepare": (Edit(kind="replace", file="meson.build", old="blobs = true", new="blobs = false"),),
        "unmerge": (
            Edit(kind="remove", file="util/feature.c"),
            Edit(kind="replace", file="util/meson.build", old="util_ss.add(files('feature.c'))\n"),
            Edit(kind="replace", file="meson.build", old="has_feature = true\n"),
        ),
        "traces": Traces(patterns=("feature",)),
    }
    return Pin(**{**values, **fields})


def tiny_source(folder, files=None, **fields):
    """Create a Source of the tiny release in ``folder``, with additional ``files`` and fields of the pin."""
    path = make_archive(folder / "tiny.tar.xz", {**RELEASE, **(files or {})})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Source(pin=tiny_pin(sha256=digest, **fields), kind="url", path=path, digest=digest)


def layout_in(folder):
    """Return a layout whose root is ``folder``."""
    return Layout(root=folder, build=folder / "build", trees=folder / "trees", cache=folder / "cache")


def import_tiny(folder, files):
    """A source of the tiny release with ``files``, and its tree below ``folder``, for ``copy_tree``."""
    source = tiny_source(folder, files)
    tree = import_source(source, layout_in(folder), Silent())
    start_of(tree, "base")
    return source, tree


def copy_tree(tree, layout):
    """The test's own copy of a tree that others use too: far cheaper than an import."""
    copy = replace(tree, path=layout.tree(tree.name))
    shutil.copytree(tree.path, copy.path)
    return copy


@pytest.fixture
def make_pin():
    """``tiny_pin``."""
    return tiny_pin


@pytest.fixture
def make_source(tmp_path):
    """``tiny_source`` in the test's own folder."""
    return functools.partial(tiny_source, tmp_path)
