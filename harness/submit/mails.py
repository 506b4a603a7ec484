"""Turn commits into mails by git-format-patch(1), and add Message-Ids, recipients and change logs.

Mails that are not ready to send have ``*** SUBJECT HERE ***`` in the brackets of their subject, which
git-send-email(1) refuses without ``--force``. They have neither To: nor Cc:, so that no other program can
send them either. git-am(1) removes the brackets, so the mails can still be applied.
"""

import email.header
import email.utils
import hashlib
import re
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.authoring.branch import Commit, reword
from harness.authoring.refresh import FORMAT
from harness.series import Series
from harness.series.address import split_address
from harness.series.form import remarks_of, split_headers, tag_for, with_remarks, with_tag
from harness.series.mbox import quote
from harness.submit.cover import patch_log
from harness.submit.provenance import Identity, Reason
from harness.submit.recipients import Recipients
from harness.tree.git import Git

REFUSED = "*** SUBJECT HERE ***"
"""git-send-email(1) refuses mails with this text as unfinished."""
NOT_READY = "NOT READY TO SEND"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """The properties that all mails of a series share."""

    name: str
    prefix: str
    version: int
    total: int
    has_cover: bool
    sender: Identity
    recipients: Recipients
    reasons: tuple[Reason, ...]
    seed: str
    """Seed of the Message-Ids: the same bytes give the same ids."""

    @property
    def is_ready(self) -> bool:
        return not self.reasons

    def tag(self, number: int) -> str:
        """Return the text in the brackets of mail ``number``; 0 is the cover letter."""
        numbered = True if self.has_cover else None
        tag = tag_for(self.prefix, self.version, number, self.total, numbered=numbered)
        return tag if self.is_ready else f"{REFUSED} {NOT_READY}, {tag}"

    def message_id(self, number: int) -> str:
        """Return the Message-Id of mail ``number`` without angle brackets."""
        digest = hashlib.sha256(f"{self.seed} {number} {self.sender}".encode()).hexdigest()[:16]
        domain = self.sender.email.rpartition("@")[2]
        host = domain if re.fullmatch(r"[A-Za-z0-9.-]+", domain) else "qemu-harness.invalid"
        return f"{digest}.v{self.version}.{number}.{self.name}@{host}"

    def file_name(self, number: int, rest: str) -> str:
        """Return the file name of ``git format-patch -v``: ``v2-0001-….patch``."""
        start = f"v{self.version}-" if self.version > 1 else ""
        return f"{start}{number:04d}-{rest}"


def signed(git: Git, base: str, commits: Sequence[Commit], line: str) -> tuple[Commit, ...]:
    """Add the trailer ``line`` to all commits that lack it. If ``line`` is empty, return them unchanged."""
    if not line:
        return tuple(commits)
    messages = [
        git.run(
            *("interpret-trailers", "--if-exists=addIfDifferent", "--trailer", line.replace(": ", "=", 1)),
            stdin=(commit.message + "\n").encode("utf-8", "surrogateescape"),
            merge_stderr=False,
        ).output.strip("\n")
        for commit in commits
    ]
    return reword(git, base, commits, messages)


def patch_mails(git: Git, base: str, tip: str, series: Series, envelope: Envelope) -> dict[str, bytes]:
    """Return the mail of each commit from ``base`` to ``tip``, by file name."""
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch:
        git.run("format-patch", "--quiet", *FORMAT, f"-o{scratch}", f"{base}..{tip}")
        fresh = [(path.name, path.read_bytes()) for path in sorted(Path(scratch).iterdir())]
    mails = {}
    for number, ((name, data), patch) in enumerate(zip(fresh, series.patches, strict=True), start=1):
        remarks = remarks_of(patch.data).decode("utf-8", "replace")
        below = "\n\n".join(filter(None, (patch_log(series, patch.subject), remarks)))
        mail = with_remarks(data, below.encode()) if below else data
        mail = with_tag(mail, envelope.tag(number))
        mails[envelope.file_name(number, name[5:])] = with_headers(mail, number, envelope)
    return mails


def cover_mail(title: str, body: str, date: str, envelope: Envelope) -> tuple[str, bytes]:
    """Return file name and bytes of the cover letter."""
    headers = [
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001",
        f"From: {address_header(str(envelope.sender))}",
        f"Date: {date}",
        f"Subject: [{envelope.tag(0)}] {_words(title, len(envelope.tag(0)) + 12)}",
    ]
    data = ("\n".join(headers) + "\n\n" + body).encode("utf-8", "surrogateescape")
    return envelope.file_name(0, "cover-letter.patch"), with_headers(data, 0, envelope)


def with_headers(data: bytes, number: int, envelope: Envelope) -> bytes:
    """Add Message-Id, threading, encoding, and the recipients or the reasons for their absence."""
    head, body = split_headers(data)
    lines = [f"Message-Id: <{envelope.message_id(number)}>"]
    if number and envelope.has_cover:
        first = envelope.message_id(0)
        lines += [f"In-Reply-To: <{first}>", f"References: <{first}>"]
    if envelope.is_ready:
        for name in ("to", "cc"):
            people = [address_header(one) for one in envelope.recipients.header(name)]
            if people:
                lines.append(f"{name.capitalize()}: " + ",\n ".join(people))
    else:
        reasons = "; ".join(dict.fromkeys(reason.text for reason in envelope.reasons))
        lines.append(_folded(f"X-Not-Ready-To-Send: {reasons}"))
    if not body.isascii() and b"\nContent-Type:" not in head:
        lines += [
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=UTF-8",
            "Content-Transfer-Encoding: 8bit",
        ]
    return head + "".join(f"{line}\n" for line in lines).encode() + b"\n" + body


def address_header(text: str) -> str:
    """Format ``Name <address>`` for a header: encoded by RFC 2047, quoted by RFC 5322."""
    name, address = split_address(text)
    return email.utils.formataddr((name, address), "utf-8") if name else address or text


def mailbox(mails: Sequence[bytes]) -> bytes:
    """Join the mails into one file for ``git am --patch-format=mboxrd``."""
    parts = []
    for data in mails:
        first, _, rest = data.partition(b"\n")
        parts.append(first + b"\n" + quote(rest).rstrip(b"\n"))
    return b"\n\n".join(parts) + b"\n\n"


def _words(text: str, column: int) -> str:
    """Encode and fold a subject if it is not ASCII."""
    if text.isascii():
        return text
    return email.header.Header(text, "utf-8", maxlinelen=76, header_name="x" * min(column, 60)).encode()


def _folded(text: str) -> str:
    """Fold a header field into lines of 76 columns; a longer word has a line of its own."""
    plain = "".join(one if one.isprintable() else " " for one in text).encode("ascii", "replace").decode()
    return "\n ".join(textwrap.wrap(plain, 75, break_long_words=False, break_on_hyphens=False))
