"""Mailboxes: where one mail ends and the next begins, quoting, compression and size."""

import gzip
import re
import subprocess

import pytest

from harness.errors import OptionError
from harness.series import compressed as module
from harness.series.attached import read_mbox
from harness.series.compressed import read_bytes, unpack
from harness.series.mbox import bare, quote, split_mbox
from harness.series.rewrite import mailbox_bytes
from tests.unit.series.mails import mbox, patch

FROM = b"From a@example.org Thu Jan  1 10:20:30 1970\n"


def test_mails_are_named_by_their_number_in_the_mailbox():
    one, two = read_mbox(mbox(patch(), patch("[PATCH 2/2] x: y", ident="2@example.org")), "t.mbox")
    assert (one.origin, two.origin) == ("mail 1 of t.mbox", "mail 2 of t.mbox")


def test_single_patch_keeps_its_from_line_and_the_name_of_its_file():
    (mail,) = read_mbox(FROM + patch(), "0001-x.patch")
    assert (mail.data, mail.origin) == (FROM + patch(), "0001-x.patch")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_mails_end_at_an_empty_line_and_a_from_line(newline):
    data = (FROM + b"A: 1\n\none\n\n" + FROM + b"Date: 2\n\ntwo\n").replace(b"\n", newline)
    one, two = (part.replace(b"\r\n", b"\n") for part in split_mbox(data))
    assert one.rstrip(b"\n") + b"\n" == b"A: 1\n\none\n"
    assert two == b"Date: 2\n\ntwo\n"


@pytest.mark.parametrize(
    "data",
    [
        FROM + b"A: 1\n\none\n" + FROM + b"not after an empty line\n",
        FROM + b"A: 1\n\none\n\nFrom here on, without a time.\n",
        FROM + b"A: 1\n\none\n\n" + FROM + b"quoted, after an empty line\n",
        FROM + b"A: 1\n\none\n\n" + FROM + b"\nDate: 2\n",
        FROM + b"A: 1\n\none\n\n" + FROM,
        FROM + b"A: 1\n\none\nFrom here 10:20 in 1970\nnote: a colon\n",
        FROM + b"A: 1\n\none\n" + FROM.replace(b"10:20:30", b"10:20") + b"Date: 2\n",
        FROM + b"A: 1\n\none\n\n" + FROM + b"note: a colon, but no header of a mail\n\nSubject: x\n",
        FROM + b"A: 1\n\none\n>" + FROM.replace(b"\n", b" \n") + b"Date: 2\n",
    ],
)
def test_from_line_of_a_text_does_not_begin_a_mail(data):
    assert split_mbox(data) == (data.removeprefix(FROM).replace(b"\n>From", b"\nFrom"),)


@pytest.mark.parametrize(
    "line",
    [
        FROM,
        b"From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n",
        b"From - Thu Jan  1 10:20:30 1970\n",
        b"From a@example.org Thu Jan  1 10:20:30 1970 +0100\n",
        b"From a@example.org Thu Jan  1 1:20:30 1970\r\n",
    ],
)
@pytest.mark.parametrize(
    "header", [b"Date: 2\n", b"x-Header-2:3\nsubject: y\n", b">From quoted\nmessage-id: <x>\n"]
)
def test_from_line_with_a_header_begins_a_mail_without_an_empty_line(line, header):
    first, second = split_mbox(FROM + b"A: 1\n\none\n" + line + header)
    assert (first, second) == (b"A: 1\n\none\n", header.removeprefix(b">"))


@pytest.mark.parametrize("date", [b"Jan  1 10:20 1970", b"Jan  1 10:20:30 CET 1970", b"1 Jan 1:20 of 1970"])
def test_lenient_date_needs_an_empty_line(date):
    line = b"From a@example.org " + date + b"\n"
    assert len(split_mbox(FROM + b"A: 1\n\none\n\n" + line + b"Date: 2\n")) == 2


@pytest.mark.parametrize(
    "content_type",
    [
        b"Content-Type: multipart/mixed; boundary=b\n",
        b'content-type: multipart/mixed; boundary="b"\n',
        b'Content-Type: multipart/mixed;\n charset=x; boundary="b"\n',
    ],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_from_line_of_an_attached_file_does_not_begin_a_mail(content_type, newline):
    inner = b"\n--b\nContent-Type: text/x-patch\n\n" + FROM + b"Date: 2\n\n--b--\n"
    one = FROM + b"A: 1\n" + content_type + inner
    whole = (one + b"\n" + FROM + b"From: 3\n\nthree\n").replace(b"\n", newline)
    assert [part[:2] for part in split_mbox(whole)] == [b"A:", b"Fr"]
    for other in (one.replace(b"--b--", b"--c--"), one.replace(b"multipart/", b"text/")):
        assert [part[:2] for part in split_mbox(other)] == [b"A:", b"Da"]


def test_empty_mail_is_left_out():
    assert split_mbox(FROM) == ()


@pytest.mark.parametrize("data", [b"", b"only text\n", b"text\n\n" + FROM + b"A: 1\n\none\n"])
def test_data_that_does_not_begin_as_a_mailbox_is_one_mail(data):
    assert split_mbox(data) == (data,)
    (mail,) = read_mbox(data, "x")
    assert mail.data == data


def test_blank_lines_before_a_mailbox_are_ignored():
    assert split_mbox(b"\n\n" + FROM + b"Date: 1\n\none\n") == (b"Date: 1\n\none\n",)


def test_each_from_line_gets_one_more_level_of_quoting():
    assert quote(b"From x\n>>From y\n >From z\nFrom: w\n") == b">From x\n>>>From y\n >From z\nFrom: w\n"


def test_one_level_of_quoting_is_removed_at_line_starts():
    assert split_mbox(FROM + b">From x\n>>From y\n >From z\na >From b\n") == (
        b"From x\n>From y\n >From z\na >From b\n",
    )


def test_only_the_empty_line_of_the_format_is_removed():
    assert split_mbox(FROM + b"one\n\n\n" + FROM + b"Date: 2\n") == (b"one\n\n", b"Date: 2\n")


GIT_LINE = "From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n"
LIST_LINE = "From mboxrd@z Thu Jan  1 00:00:00 1970\n"
ANN = "From ann@example.org Tue Jan  3 10:00:00 2023\n"
HEADERS = "From: Ann <ann@example.org>\nSubject: quoted\n\n"


def git_reads(data, folder):
    """Return subject and message of each mail that git mailsplit and git mailinfo find in ``data``."""
    folder.mkdir()
    subprocess.run(["git", "mailsplit", "-b", f"-o{folder}"], input=data, check=True, capture_output=True)
    found = []
    for path in sorted(folder.iterdir()):
        words = ("git", "mailinfo", "-b", "--no-scissors", folder / "message", folder / "diff")
        told = subprocess.run(words, input=path.read_bytes(), check=True, capture_output=True).stdout.decode()
        (subject,) = [line[9:] for line in told.splitlines() if line.startswith("Subject: ")]
        found.append((subject, (folder / "message").read_text().strip()))
    return found


@pytest.mark.parametrize(
    "message",
    [
        "He wrote:\nFrom here on.",
        f"He wrote:\n{ANN}and left.",
        f"He wrote:\n\n{ANN}and left.",
        f"He wrote:\n\n{ANN}\nand left.",
        f"He wrote:\n\n{ANN}",
        f"He wrote:\n\n{ANN}note: no header of a mail.",
        f"{GIT_LINE}is above.",
        f">{GIT_LINE}is left out.",
        f"Two:\n>{GIT_LINE}>>From you.",
        f"He wrote:\n\n {GIT_LINE} {HEADERS}End.",
    ],
)
@pytest.mark.parametrize("line", [GIT_LINE, LIST_LINE, ""], ids=["git", "list", "none"])
def test_file_of_one_patch_is_one_mail_whatever_its_message_quotes(tmp_path, message, line):
    """git reads a mail without its From line as one. Where a list quoted it, b4 undoes that, git does not."""
    data = line.encode() + patch("[PATCH] util: count", message=message)
    (mail,) = read_mbox(data, "x")
    unquoted = re.sub("^>(>*From )", r"\1", message, flags=re.MULTILINE)
    sent = patch("[PATCH] util: count", message=unquoted if line == LIST_LINE else message)
    assert git_reads(sent, tmp_path / "git") == [(mail.subject.title, mail.message)]
    assert git_reads(bare(mailbox_bytes(mail)), tmp_path / "ours") == [(mail.subject.title, mail.message)]
    assert mail.is_sound


@pytest.mark.parametrize("line", [GIT_LINE, LIST_LINE], ids=["git", "list"])
@pytest.mark.parametrize("gap", ["\n", ""])
@pytest.mark.parametrize("above", [True, False])
def test_file_of_two_patches_is_two_mails(line, gap, above):
    """git reads the second one, below a first one without its From line, as a part of the first."""
    one, two = (patch(f"[PATCH {at}/2] a: {at}", message=f"Since:\n{ANN}{at}") for at in (1, 2))
    data = (line.encode() if above else b"") + one + gap.encode() + line.encode() + two
    found = read_mbox(data, "x")
    assert [mail.message for mail in found] == [f"Since:\n{ANN}{at}" for at in (1, 2)]
    assert [len(mail.changes) for mail in found] == [1, 1]


@pytest.mark.parametrize("quoted", [GIT_LINE + HEADERS, ANN + HEADERS])
def test_message_of_a_patch_without_a_from_line_may_quote_headers(tmp_path, quoted):
    data = patch("[PATCH] util: count", message=f"He wrote:\n\n{quoted}End.")
    (mail,) = read_mbox(data, "x")
    assert git_reads(data, tmp_path / "git") == [(mail.subject.title, mail.message)]
    assert len(read_mbox(GIT_LINE.encode() + data, "x")) == len(
        git_reads(GIT_LINE.encode() + data, tmp_path / "2")
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_file_above_the_limit_is_refused_by_name(tmp_path, monkeypatch, pack):
    limit = 2 * 1024**2
    monkeypatch.setattr(module, "LIMIT", limit)
    path = tmp_path / "x.mbox"
    path.write_bytes(pack(b"x" * limit))
    assert read_bytes(path) == b"x" * limit
    path.write_bytes(pack(b"x" * (limit + 1)))
    with pytest.raises(OptionError, match=r"x\.mbox .*2 MiB"):
        read_bytes(path)


def test_unreadable_file_is_refused_by_name(tmp_path):
    with pytest.raises(OptionError, match=f"{tmp_path}.*No such file"):
        read_bytes(tmp_path / "none")
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(OptionError, match=f"{tmp_path}/bad.gz"):
        read_bytes(tmp_path / "bad.gz")


@pytest.mark.parametrize("cut", [1, 4, 12])
def test_damaged_gzip_data_is_refused_by_name(cut):
    whole = gzip.compress(b"some text " * 20)
    assert unpack(whole, "x") == b"some text " * 20
    with pytest.raises(OptionError, match=r"^piped"):
        unpack(whole[:-cut], "piped")
    with pytest.raises(OptionError, match=r"^piped"):
        unpack(whole[:20] + b"\xff\xff" + whole[22:], "piped")
