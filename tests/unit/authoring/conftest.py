"""A series on the small release of tests/fakeqemu, and the developer's git in its worktree."""

import subprocess

import pytest

from harness.authoring.branch import base_of
from harness.progress import Silent
from harness.series import load_series
from harness.tree import apply_series
from tests.unit.conftest import copy_tree, import_tiny, layout_in

HEAD = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: {author}
Date: Tue, 20 Dec 2022 12:00:00 +0100
Subject: [PATCH {number}/{total}] {subject}
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

{message}
---
{remarks} a | 2 +-

{diff}"""
ENCODED = "=?UTF-8?q?J=C3=BCrgen=20M=C3=BCller?= <jm@example.org>"


def change(line, to="new"):
    """Return a diff of os-posix.c, whose lines are ``line 1`` to ``line 40``."""
    before = [f" line {number}\n" for number in range(line - 3, line)]
    after = [f" line {number}\n" for number in range(line + 1, line + 4)]
    hunk = "".join([*before, f"-line {line}\n", f"+{to}\n", *after])
    names = "diff --git a/os-posix.c b/os-posix.c\n--- a/os-posix.c\n+++ b/os-posix.c\n"
    return f"{names}@@ -{line - 3},7 +{line - 3},7 @@\n{hunk}"


def patch(number, total, diff, **words):
    """Return a patch file; keyword arguments replace its parts."""
    values = {
        "author": ENCODED,
        "subject": f"os-posix: change number {number}",
        "message": "Because of \u00e4.\n\nSigned-off-by: J\u00fcrgen M\u00fcller <jm@example.org>",
        "remarks": "",
    }
    return HEAD.format(**{**values, **words}, number=number, total=total, diff=diff)


@pytest.fixture(scope="session")
def applied(tmp_path_factory):
    """A tree with the commits of the series of ``folder``; not to be written to."""
    root = tmp_path_factory.mktemp("applied")
    layout = layout_in(root)
    _, tree = import_tiny(root, {"crlf.txt": b"one\r\ntwo\r\nthree\r\n"})
    onto = base_of(tree, write_series(layout))
    apply_series(tree, load_series(layout, "mine"), layout, Silent(), onto=onto)
    return tree


@pytest.fixture
def tree(applied, layout):
    """The test's own tree."""
    return copy_tree(applied, layout)


@pytest.fixture
def folder(layout):
    """Create a series of two patches with a cover letter."""
    return write_series(layout)


def write_series(layout):
    """Write the series ``mine`` and return its folder."""
    folder = layout.patches / "mine"
    folder.mkdir(parents=True)
    (folder / "series.toml").write_text(
        '# kept\ntitle = "Mine"\npins = ["tiny"]\n\n[without]\n"a@b.org" = "gone"\n'
    )
    (folder / "0000-cover-letter.patch").write_text(
        "From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.org>\nDate: Tue, 20 Dec 2022 12:00:00 +0100\n"
        "Subject: [PATCH 0/2] Mine\n\nWhy all this.\n\n"
        "J\u00fcrgen M\u00fcller (2):\n  os-posix: change number 1\n  os-posix: change number 2\n\n"
        " os-posix.c | 4 ++--\n 1 file changed, 2 insertions(+), 2 deletions(-)\n"
    )
    (folder / "0001-first.patch").write_text(patch(1, 2, change(5)))
    (folder / "0002-second.patch").write_text(patch(2, 2, change(20), remarks="for readers alone\n\n"))
    return folder


def git(path, *words, text=None):
    """Run git as the developer does, in a worktree; return its output."""
    identity = [
        *("-c", "user.name=Dev", "-c", "user.email=dev@example.org", "-c", "commit.gpgSign=false"),
        *("-c", "core.hooksPath=/dev/null", "-c", "core.editor=true"),
    ]
    ended = subprocess.run(
        ["git", "-C", str(path), *identity, *words], input=text, text=True, capture_output=True, check=True
    )
    return ended.stdout


def edit(place, line):
    """Change a further line of os-posix.c in the last commit of a worktree."""
    path = place / "os-posix.c"
    path.write_text(path.read_text().replace(f"line {line}\n", f"line {line} too\n"))
    git(place, "commit", "--quiet", "--all", "--amend", "--no-edit")
