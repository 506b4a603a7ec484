"""Who includes a header, in a small git checkout."""

import pytest

from harness.bisect.includes import Includes, read_includes
from harness.errors import TreeError
from harness.tree.git import Git
from tests.unit.repositories import git, write_files

FILES = {
    "include/hw/virt.h": '#include "hw/boot.h"\n',
    "include/hw/boot.h": "",
    "include/trace.h": "",
    "hw/arm/virt.c": '#include "qemu/osdep.h"\n  # include <hw/virt.h>\n# include "table.c.inc"\n',
    "hw/arm/table.c.inc": "",
    "hw/arm/trace.h": "",
    "hw/arm/other.c": '#include "trace.h"\n',
    "hw/misc/other.c": '#include "trace.h"\n#include "virt.h"\n',
    "target/arm/cpu.h": "",
    "target/ppc/cpu.h": "",
    "target/arm/helper.c": '#include "cpu.h"\n',
    "accel/exec.c": '#include "cpu.h"\n#include "only.h"\n',
    "target/ppc/only.h": "",
    "docs/text.rst": '#include "only.h"\n',
}


@pytest.fixture
def includes(tmp_path):
    write_files(tmp_path, FILES)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    return read_includes(Git(repository=tmp_path / ".git", at=tmp_path))


@pytest.mark.parametrize(
    ("path", "users"),
    [
        ("include/hw/virt.h", {"hw/arm/virt.c", "hw/misc/other.c"}),
        ("include/hw/boot.h", {"include/hw/virt.h", "hw/arm/virt.c", "hw/misc/other.c"}),
        ("hw/arm/table.c.inc", {"hw/arm/virt.c"}),
        ("hw/arm/trace.h", {"hw/arm/other.c"}),
        ("include/trace.h", {"hw/misc/other.c"}),
        ("target/arm/cpu.h", {"target/arm/helper.c"}),
        ("target/ppc/cpu.h", set()),
        ("target/ppc/only.h", {"accel/exec.c"}),
        ("hw/arm/virt.c", set()),
        ("include/qemu/osdep.h", set()),  # deleted
    ],
)
def test_users_of_a_file(includes, path, users):
    assert includes.users(path) == users


def test_tree_without_includes(tmp_path):
    git(tmp_path, "init", "-q")
    assert read_includes(Git(repository=tmp_path / ".git", at=tmp_path)) == Includes(files=frozenset())


def test_git_grep_that_fails_is_no_tree_without_includes(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    monkeypatch.setattr("harness.bisect.includes._FILES", (":(nonsense)x",))
    with pytest.raises(TreeError, match="git grep ends with status 128"):
        read_includes(Git(repository=tmp_path / ".git", at=tmp_path))
