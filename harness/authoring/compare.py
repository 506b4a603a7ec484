"""Compare a patch file with a commit, and compute the patch-ids of their diffs (git-patch-id(1))."""

import email.utils
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.authoring.branch import Commit
from harness.series import Mail, read_mail
from harness.series.form import diff_start
from harness.tree.git import Git


@dataclass(frozen=True, kw_only=True)
class OldFile:
    """A patch file in the folder of a series."""

    path: Path
    number: int
    data: bytes

    @cached_property
    def mail(self) -> Mail:
        return read_mail(self.data, self.path.name)

    @property
    def message(self) -> str:
        """The commit message that ``git am`` would create."""
        body = self.mail.message
        return f"{self.mail.subject.title}\n\n{body}" if body else self.mail.subject.title

    def patch_id(self, git: Git) -> str:
        """Return the patch-id of its diff."""
        return patch_id(git, self.data[diff_start(self.data) :])


def patch_id(git: Git, diff: bytes) -> str:
    """Return the stable patch-id of ``diff``, which ignores line numbers and white space; empty for none."""
    output = git.read("patch-id", "--stable", stdin=diff)
    return output.split()[0] if output else ""


def commit_patch_id(git: Git, commit: Commit, *how: str) -> str:
    """Return the stable patch-id of ``commit``, with the options ``how`` of git-diff-tree(1)."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        # In a file, because the bytes of a diff need not be UTF-8.
        shown = Path(scratch) / "diff"
        plain = Git(repository=git.repository, at=git.at, settings=("core.quotePath=false",))
        words = how or ("--no-renames",)
        plain.run("diff-tree", "-p", *words, f"--output={shown}", commit.parent, commit.id)
        return patch_id(git, shown.read_bytes())


def is_same(git: Git, old: OldFile, commit: Commit, message: str) -> bool:
    """Return whether ``git am`` of the file on the commit's parent creates the commit, without offsets."""
    mail = old.mail
    if (mail.author.name, mail.author.email) != (commit.author, commit.email):
        return False
    if raw_date(mail.date) != commit.date or _plain(old.message) != _plain(message):
        return False
    return gives_tree(git, commit.parent, mail.diff.encode("utf-8", "surrogateescape")) == commit.tree


def gives_tree(git: Git, parent: str, diff: bytes) -> str:
    """Return the tree of ``parent`` with ``diff`` applied; empty if it does not apply without offsets."""
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
    """Convert the ``date`` of a mail to git's raw format, ``seconds +0100``; empty if it is invalid."""
    parsed = email.utils.parsedate_tz(date)
    if parsed is None:
        return ""
    zone = parsed[9] or 0
    minutes = abs(zone) // 60
    sign = "-" if zone < 0 else "+"
    return f"{int(email.utils.mktime_tz(parsed))} {sign}{minutes // 60:02d}{minutes % 60:02d}"


def _plain(message: str) -> list[str]:
    """Split a message into lines as git stores them: no trailing spaces, no empty lines around."""
    subject, _, body = message.strip().partition("\n\n")
    return [" ".join(subject.split()), *(line.rstrip() for line in body.strip().splitlines())]
