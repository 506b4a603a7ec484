"""Mailboxes: where one mail ends and the next begins, quoting, compression and size."""

import gzip

import pytest

from harness.errors import OptionError
from harness.series import compressed as module
from harness.series.attached import read_mbox
from harness.series.compressed import read_bytes, unpack
from harness.series.mbox import split_mbox
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
    data = (FROM + b"A: 1\n\none\n\n" + FROM + b"B: 2\n\ntwo\n").replace(b"\n", newline)
    one, two = (part.replace(b"\r\n", b"\n") for part in split_mbox(data))
    assert one.rstrip(b"\n") + b"\n" == b"A: 1\n\none\n"
    assert two == b"B: 2\n\ntwo\n"


@pytest.mark.parametrize(
    "data",
    [
        FROM + b"A: 1\n\none\n" + FROM + b"not after an empty line\n",
        FROM + b"A: 1\n\none\n\nFrom here on, without a time.\n",
        FROM + b"A: 1\n\none\n\n" + FROM + b"quoted, after an empty line\n",
        FROM + b"A: 1\n\none\n\n" + FROM + b"\nB: 2\n",
        FROM + b"A: 1\n\none\n\n" + FROM,
        FROM + b"A: 1\n\none\nFrom here 10:20 in 1970\nnote: a colon\n",
        FROM + b"A: 1\n\none\n" + FROM.replace(b"10:20:30", b"10:20") + b"B: 2\n",
        FROM + b"A: 1\n\none\n>" + FROM.replace(b"\n", b" \n") + b"B: 2\n",
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
@pytest.mark.parametrize("header", [b"B: 2\n", b"x-Header-2:3\n", b">From quoted\n"])
def test_from_line_with_a_header_begins_a_mail_without_an_empty_line(line, header):
    first, second = split_mbox(FROM + b"A: 1\n\none\n" + line + header)
    assert (first, second) == (b"A: 1\n\none\n", header.removeprefix(b">"))


@pytest.mark.parametrize("date", [b"Jan  1 10:20 1970", b"Jan  1 10:20:30 CET 1970", b"1 Jan 1:20 of 1970"])
def test_lenient_date_needs_an_empty_line(date):
    line = b"From a@example.org " + date + b"\n"
    assert len(split_mbox(FROM + b"A: 1\n\none\n\n" + line + b"B: 2\n")) == 2


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
    inner = b"\n--b\nContent-Type: text/x-patch\n\n" + FROM + b"B: 2\n\n--b--\n"
    one = FROM + b"A: 1\n" + content_type + inner
    whole = (one + b"\n" + FROM + b"C: 3\n\nthree\n").replace(b"\n", newline)
    assert [part[:2] for part in split_mbox(whole)] == [b"A:", b"C:"]
    for other in (one.replace(b"--b--", b"--c--"), one.replace(b"multipart/", b"text/")):
        assert [part[:2] for part in split_mbox(other)] == [b"A:", b"B:"]


def test_empty_mail_is_left_out():
    assert split_mbox(FROM) == ()


@pytest.mark.parametrize("data", [b"", b"only text\n", b"text\n\n" + FROM + b"A: 1\n\none\n"])
def test_data_that_does_not_begin_as_a_mailbox_is_one_mail(data):
    assert split_mbox(data) == (data,)
    (mail,) = read_mbox(data, "x")
    assert mail.data == data


def test_blank_lines_before_a_mailbox_are_ignored():
    assert split_mbox(b"\n\n" + FROM + b"A: 1\n\none\n") == (b"A: 1\n\none\n",)


def test_one_level_of_quoting_is_removed_at_line_starts():
    assert split_mbox(FROM + b">From x\n>>From y\n >From z\na >From b\n") == (
        b"From x\n>From y\n >From z\na >From b\n",
    )


def test_only_the_empty_line_of_the_format_is_removed():
    assert split_mbox(FROM + b"one\n\n\n" + FROM + b"B: 2\n") == (b"one\n\n", b"B: 2\n")


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
