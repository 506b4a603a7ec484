"""Read a range of a git clone as mails."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError, OptionError
from harness.layout import Layout
from harness.process import Finished, shell_quote
from harness.series.mail import Mail, read_mail
from harness.source.clone import (
    find_commit,
    git_reason,
    is_clone,
    merge_base,
    refetch,
    run_git,
    split_revision,
    upstream_branch,
)

_RANGE = re.compile(r"(.+)@([^@]+(?<!/)\.\.[^@]*|\.\.[^@/][^@]*)")
"""For git, an end that is left out is HEAD (gitrevisions(7))."""
_ISOLATED = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
# -c and options override the clone's own configuration. No option turns these settings off:
_PLAIN = (
    *("-c", "safe.directory=*", "-c", "format.signOff=false", "-c", "format.subjectPrefix=PATCH"),
    *("-c", "format.outputDirectory=", "-c", "format.coverLetter=false", "-c", "diff.noprefix=false"),
    *("-c", "diff.mnemonicPrefix=false", "-c", "format.notes=false", "-c", "format.useAutoBase=false"),
    *("-c", "diff.suppressBlankEmpty=false", "-c", "core.attributesFile=/dev/null"),
    *("-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "format.noprefix=false", "-c", "format.mboxrd=false"),  # git 2.41
    *("-c", "diff.srcPrefix=a/", "-c", "diff.dstPrefix=b/"),  # git 2.45
)
_FORMAT = (
    *("--numbered", "--always", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--no-attach", "--no-thread", "--no-add-header", "--no-from", "--signature=git"),
    *("--encode-email-headers", "--unified=3", "--inter-hunk-context=0", "--diff-algorithm=default"),
    *("--find-renames", "--submodule=short", "-O/dev/null"),
)


def find_range(layout: Layout, source: str, clone: str) -> tuple[Path, str] | None:
    """Return the folder and the revisions of a range; None if ``source`` is none."""
    text = source
    is_path = Path(source).expanduser().exists() or layout.series(source).is_dir()
    if clone and "@" not in source and not is_path:
        text = _within(clone, source) or source
    found = _RANGE.fullmatch(text)
    folder = Path(found[1]).expanduser() if found else None
    return (folder.resolve(), found[2]) if found and folder and folder.is_dir() else None


def _within(clone: str, text: str) -> str:
    """Return ``text`` as a range ``CLONE@A..B`` of the clone that -Dsource= names; empty if it is none."""
    folder, _ = split_revision(clone)
    if not (folder.is_dir() and is_clone(folder)):
        if re.match(r"[^.\s]\S*\.\.(?!/)", text):
            raise OptionError(
                f"-Dseries: {text} is a range, but -Dsource={clone} is no git clone",
                "name a clone, or a range of one: -Dseries=CLONE@A..B",
            )
        return ""
    if ".." in text:
        return f"{folder}@{text}"
    opened = find_commit(folder, text)
    if opened is None:
        return ""
    base = merge_base(opened, upstream_branch(opened), opened.commit)
    if not base or base == opened.commit:
        raise OptionError(
            f"-Dseries: {text} has no commits of its own in {folder}",
            f"write a range: {shell_quote([f'-Dseries=BASE..{text}'])}",
        )
    return f"{folder}@{base}..{text}"


def read_range(clone: Path, revisions: str) -> tuple[Mail, ...]:
    """Format the commits of ``revisions`` as mails. Of the clone's configuration, attributes alone matter.

    Raises OptionError, also for merges; TreeError if git refuses the clone.
    """

    def failed(ended: Finished) -> HarnessError:
        if re.search(r"promisor|transport '.*' not allowed", ended.output):
            return OptionError(
                f"-Dseries: {clone} is a partial clone: objects of the range are missing",
                f"fetch them once: {refetch(clone)}",
            )
        return OptionError(
            f"-Dseries: git cannot read {revisions!r} in {clone}: {git_reason(ended) or 'no reason given'}",
            "name commits of that clone, such as master..topic",
        )

    def ask(*words: str) -> str:
        words = (*_PLAIN, *words, "--end-of-options", revisions)
        return run_git(clone, *words, env=_ISOLATED, error=failed).output

    if revisions.startswith("-"):
        raise OptionError(f"-Dseries: {revisions!r} is not a range of commits", "write CLONE@master..topic")
    find_commit(clone, "HEAD")  # with the user's configuration, which may refuse a clone of another user
    merges = ask("rev-list", "--merges", "--count").strip()
    if merges != "0":
        raise OptionError(
            f"-Dseries: {revisions} of {clone.name} has {merges} merge commits, and a series has none",
            f"rebase the branch (git rebase {revisions.partition('..')[0]}), or write a range without them",
        )
    with tempfile.TemporaryDirectory() as folder:
        ask("format-patch", f"--output-directory={folder}", *_FORMAT)
        files = sorted(Path(folder).iterdir())
        logged = ask("log", "-z", "--reverse", "--no-show-signature", "--format=%b")
        bodies = logged.removesuffix("\0").split("\0") if files else []
        return tuple(
            _commit_mail(path.read_bytes(), path.name, body) for path, body in zip(files, bodies, strict=True)
        )


def _commit_mail(data: bytes, origin: str, message: str) -> Mail:
    """Read a commit as a mail. Lines of its message that would divide a mail (``---``) divide nothing."""
    mail = read_mail(data, origin)
    head, _, body = data.partition(b"\n\n")
    text = message.strip("\n").encode("utf-8", "surrogateescape")
    if mail.message == message.strip() or not body.startswith(text):
        return mail
    rest = read_mail(head + b"\n\n" + body[len(text) :], origin)
    return replace(rest, data=mail.data, message=message.strip())
