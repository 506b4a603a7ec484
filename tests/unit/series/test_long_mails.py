"""Single mails of hostile length: the time to read one does not grow with the square of its length."""

import time

import pytest

from harness.series import find_thread
from harness.series.attached import read_mails
from harness.series.mail import PARTS
from tests.unit.series.mails import DIFF

MIME = "MIME-Version: 1.0\nContent-Type: "


def mail(body="", subject="[PATCH] x", headers="", sender="A <a@e.org>"):
    return f"From: {sender}\nSubject: {subject}\nMessage-Id: <1@x>\n{headers}\n{body}\n".encode()


def reply(body):
    return mail(body, subject="Re: x", headers="References: <0@x>\n")


LONG = {
    "replies": lambda size: mail(subject="Re: " * (size // 4)),
    "encoded words": lambda size: mail(subject="=?utf-8?q?x?= " * (size // 14)),
    "parameters": lambda size: mail(headers=f"{MIME}text/plain" + "; a=b" * (size // 5) + "\n"),
    "folded parameters": lambda size: mail(headers=f"{MIME}text/plain" + ";\n a=b" * (size // 7) + "\n"),
    "parameters of a multipart mail": lambda size: mail(
        headers=f"{MIME}multipart/mixed" + ";\n a=b" * (size // 7) + "\n"
    ),
    "flowed text": lambda size: mail("x \n" * (size // 3), headers=f"{MIME}text/plain; format=flowed\n"),
    "an address without an end": lambda size: reply("Acked-by: " + "a@" * (size // 2)),
    "an address of names": lambda size: reply("Acked-by: " + "a" * size),
    "white space in a trailer": lambda size: reply("Acked-by: a@b" + " " * size + "x"),
    "quoted file name": lambda size: mail('diff --git "a/' + "\\\\" * (size // 2) + '" b/x\n'),
}


def seconds(data):
    patch = mail(DIFF).replace(b"<1@x>", b"<0@x>")
    began = time.process_time()
    assert find_thread([*read_mails(patch, "patch"), *read_mails(data, "x")]).versions
    return time.process_time() - began


@pytest.mark.parametrize("kind", LONG)
def test_time_does_not_grow_with_the_square_of_the_length(kind):
    short, long = LONG[kind](25_000), LONG[kind](400_000)
    pairs = [(seconds(short), seconds(long)) for _ in range(3)]
    few, many = (min(times) for times in zip(*pairs, strict=True))
    assert many < 50 * few, "16 for linear time, up to 256 for quadratic"


def test_parts_beyond_a_limit_are_not_read():
    def of(count):
        parts = "".join(f"--b\nContent-Type: text/plain\n\ntext {at}\n" for at in range(count))
        (found,) = read_mails(mail(f"{parts}--b--\n", headers=f'{MIME}multipart/mixed; boundary="b"\n'), "x")
        return found

    whole, cut = of(PARTS), of(PARTS + 1)
    assert whole.message == cut.message
    assert f"text {PARTS - 1}" in cut.message
    assert [(fault.kind, fault.detail) for fault in cut.faults if fault not in whole.faults] == [
        ("multipart", f"it has more than {PARTS} parts; the rest is not read")
    ]


@pytest.mark.parametrize("head", ["", "diff --git a/f b/f\n", "Index: f\n"])
@pytest.mark.parametrize("place", ["-{} +1", "-1,{} +1", "-1 +{}", "-1 +1,{}"])
def test_line_number_of_any_length_is_read(head, place):
    hunk = "@@ -1 +1 @@\n-a\n+b\n"
    for number in ("9" * 18, "9" * 19, "9" * 5000):
        data = mail(f"{head}--- a/f\n+++ b/f\n{hunk}@@ {place.format(number)} @@\n-a\n+b\n")
        (found,) = read_mails(data, "x")
        assert found.is_sound is (place in {"-{} +1", "-1 +{}"})


def test_addresses_are_cut():
    (found,) = read_mails(mail(sender="A" * 30_000), "x")
    assert found.sender.name == "A" * 10_000


def test_name_of_an_attached_file_of_any_usual_length_is_read():
    name = "x" * 2000
    headers = f'{MIME}text/plain;\n charset="iso-8859-1"; name="{name}"\n'
    data = mail("caf\u00e9", headers=headers).decode().encode("latin-1")
    (found,) = read_mails(data, "x")
    assert found.message == "caf\u00e9"
