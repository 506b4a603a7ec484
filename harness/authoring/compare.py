"""Whether a patch file and a commit are the same thing, and what their diffs are called (git-patch-id(1))."""

from __future__ import annotations

import email.utils
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.authoring.branch import Commit
from harness.series import Mail, read_mail
from harness.tree.git import Git


@dataclass(frozen=True, kw_only=True)
class OldFile:
    """A patch file as it lies in the series' folder."""

    path: Path
    number: int
    data: bytes

    @cached_property
    def mail(self) -> Mail:
        return read_mail(self.data, self.path.name)

    @property
    def message(self) -> str:
        """Subject and message as ``git am`` would make a commit of them."""
        body = self.mail.message
        return f"{self.mail.subject.title}\n\n{body}" if body else self.mail.subject.title


def patch_id(git: Git, diff: bytes) -> str:
    """The stable patch-id of ``diff``: of what it changes, whatever the lines' numbers and white space."""
    said = git.read("patch-id", "--stable", stdin=diff)
    return said.split()[0] if said else ""


def commit_patch_id(git: Git, commit: Commit, *how: str) -> str:
    """The stable patch-id of what ``commit`` changes, as git-diff-tree(1) shows it ``how``."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        # By way of a file: the bytes of a diff need not be UTF-8.
        shown = Path(scratch) / "diff"
        plain = Git(repository=git.repository, at=git.at, settings=("core.quotePath=false",))
        words = how or ("--no-renames",)
        plain.run("diff-tree", "-p", *words, f"--output={shown}", commit.parent, commit.id)
        return patch_id(git, shown.read_bytes())


def is_same(git: Git, old: OldFile, commit: Commit, message: str) -> bool:
    """Whether ``git am`` of the file on the commit's parent gives the commit, with no hunk elsewhere."""
    mail = old.mail
    if (mail.author.name, mail.author.email) != (commit.author, commit.email):
        return False
    if raw_date(mail.date) != commit.date or _plain(old.message) != _plain(message):
        return False
    return gives_tree(git, commit.parent, mail.diff.encode("utf-8", "surrogateescape")) == commit.tree


def gives_tree(git: Git, parent: str, diff: bytes) -> str:
    """The tree that ``diff`` makes of ``parent``; empty when it does not apply just where it says."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        env = {"GIT_INDEX_FILE": os.fspath(Path(scratch) / "index")}
        git.run("read-tree", parent, env=env)
        ended = git.run(
            *("apply", "--cached", "-v", "--whitespace=nowarn", "-"), stdin=diff, env=env, check=False
        )
        if ended.returncode or re.search(r"^Hunk #\d+ succeeded at ", ended.output, re.MULTILINE):
            return ""
        return git.read("write-tree", env=env)


def raw_date(date: str) -> str:
    """``date`` of a mail in git's raw form, ``seconds +0100``; empty when it is none."""
    parsed = email.utils.parsedate_tz(date)
    if parsed is None:
        return ""
    zone = parsed[9] or 0
    minutes = abs(zone) // 60
    sign = "-" if zone < 0 else "+"
    return f"{int(email.utils.mktime_tz(parsed))} {sign}{minutes // 60:02d}{minutes % 60:02d}"


def _plain(message: str) -> list[str]:
    """A message's lines as git keeps them: no blanks at their ends, no empty lines around."""
    subject, _, body = message.strip().partition("\n\n")
    return [" ".join(subject.split()), *(line.rstrip() for line in body.strip().splitlines())]
