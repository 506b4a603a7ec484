"""The fuzzer itself, what it found, and in the slow tests a few examples for every reader."""

import dataclasses

import pytest

from harness.errors import ApplyError, FuzzError, OptionError, StorageError
from harness.layout import find_layout
from harness.progress import Silent
from harness.report.store import made_from
from harness.series import load_series, mailbox_bytes, read_input, read_mail
from harness.series.form import remarks_of, with_remarks
from harness.series.metadata import is_address
from harness.source.pin import load_pins
from harness.submit.mails import address_header
from harness.teardown.gates import read_gates
from harness.teardown.ratios import read_ratios
from harness.teardown.records import ConsoleReader
from harness.teardown.results import read_teardown
from tests.fuzz.runner import check_fuzz, choose_targets, fuzz, repeat
from tests.fuzz.targets import TARGETS
from tests.unit.fuzz.support import moved

DEEP = b"[" * 5000


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_parser_survives_some_examples(target, tmp_path):
    name = getattr(target, "name", "")
    done = fuzz(moved(tmp_path), Silent(), seconds=20, names=[name], seed=1, most=25)
    check_fuzz(done)
    assert done.rows[0].examples > 0


@pytest.mark.slow
def test_failing_example_is_stored_and_can_be_repeated(tmp_path, monkeypatch):
    def weak(_, data):
        if b"[" in data:
            raise KeyError("x")

    broken = dataclasses.replace(choose_targets(["gates"])[0], check=weak)
    monkeypatch.setattr("tests.fuzz.runner.TARGETS", (broken,))
    layout = moved(tmp_path)
    done = fuzz(layout, Silent(), seconds=20, seed=1, most=200)
    with pytest.raises(FuzzError) as caught:
        check_fuzz(done)
    (failure,) = (row.failure for row in done.rows)
    assert failure.path.parent == layout.build / "fuzz"
    assert f"nox -s fuzz -- --repeat {failure.path}" in "".join(caught.value.details)
    with pytest.raises(FuzzError, match="KeyError"):
        repeat(layout, failure.path)
    failure.path.write_bytes(b"")
    assert repeat(layout, failure.path) == "gates: read"


def test_unknown_parsers_are_refused():
    with pytest.raises(OptionError, match="no parser 'x'"):
        choose_targets(["x"])


def test_quilt_series_file_cannot_name_files_outside_its_folder(layout):
    folder = layout.patches / "mine"
    folder.mkdir()
    (layout.patches / "secret").write_text("Subject: secret\n")
    (folder / "link").symlink_to("../secret")
    for name in ("../secret", str(layout.patches / "secret"), "link", "x" * 5000, "a\0b"):
        (folder / "series").write_text(f"{name}\n")
        with pytest.raises(OptionError, match=r"outside of the folder|does not exist"):
            read_input(layout, str(folder))


def test_headers_that_crash_the_email_parser_are_not_a_patch(layout):
    folder = layout.patches / "mine"
    folder.mkdir()
    (folder / "0001-x.patch").write_bytes(b"From:../outside U Thor <a@example.org>\nSubject: x\n\nx\n")
    with pytest.raises(ApplyError, match="is not a valid patch"):
        load_series(layout, "mine")


def test_mails_with_unusual_addresses_and_codecs_are_read():
    mail = read_mail("From: \u00fc <\u00fc@example.org>\nSubject: [PATCH] x\n\nx\n".encode(), "x")
    assert b"@example.org>" in mailbox_bytes(mail)
    odd = read_mail(b"From: a@b\nContent-Type: text/plain; charset=undefined\n\nx\n", "x")
    assert "charset" in [fault.kind for fault in odd.faults]


@pytest.mark.parametrize("name", ["Subject", "From", "Date", "Message-Id", "in the body"])
@pytest.mark.parametrize(
    "value", [b"=?utf-8?q?h=C3=\xdcb?=", b"h\xdcb", b"=?utf-7?q?+2AA-_x?=", b"=?unicode_escape?q?=5Cud800?="]
)
def test_headers_that_cannot_be_encoded_are_fixed(name, value):
    headers = {"From": b"A <a@b>", "Subject": b"[PATCH] x", "Date": b"now", "Message-Id": b"<1@b>"}
    inner = b""
    if name in headers:
        headers[name] = value + b" <a@b>"
    else:
        inner = b"From: " + value + b" <a@b>\n\n"
    text = b"".join(key.encode() + b": " + value + b"\n" for key, value in headers.items())
    mail = read_mail(text + b"\n" + inner + b"x\n\x80\n", "x")
    assert read_mail(mailbox_bytes(mail), "x").message.endswith("\x80")


def test_body_that_cannot_be_encoded_has_a_wrong_character_set():
    mail = read_mail(b"From: a@b\nContent-Type: text/plain; charset=utf-7\n\n+2AA- x\n", "x")
    assert "charset" in [fault.kind for fault in mail.faults]
    mailbox_bytes(mail)


def test_deeply_nested_input_is_read_as_damaged():
    for odd in ("(" * 5000, "From:" * 2000, "<" * 5000):
        assert read_mail(f"From: {odd}\nSubject: [PATCH] x\n\nx\n".encode(), "x").author.email == ""
        address_header(odd)
    console = ConsoleReader()
    assert console.feed(b"\x1e" + DEEP + b"\n") == []
    assert console.damaged == 1


def test_addresses_that_are_invalid_in_headers_are_refused_early():
    assert is_address("\u00dc <u@example.org>")
    assert not is_address("\u00fc@example.org")
    assert not is_address("U <\u00fc@example.org>")


def test_remarks_begin_a_new_line():
    assert remarks_of(with_remarks(b"Subject: x\n\nno end", b"new")) == b"new"
    # Four dashes do not end a message (git-format-patch(1) writes three).
    assert remarks_of(with_remarks(b"Subject: x\n\n----\n", b"new")) == b"new"


@pytest.mark.parametrize("data", [DEEP, b"\xff", b'{"schema": ' + DEEP])
def test_deeply_nested_or_binary_results_are_refused(tmp_path, data):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(StorageError, match="not a results file"):
        read_teardown(path)
    with pytest.raises(OptionError, match="recorded ratios"):
        read_ratios(path)


def test_nul_in_the_file_of_an_edit_is_refused(layout):
    text = (find_layout().root / "qemu-src" / "pins.toml").read_text(encoding="utf-8")
    layout.pins_file.write_text(text.replace('file = "', 'file = "\\u0000', 1), encoding="utf-8")
    with pytest.raises(OptionError, match="is not a file of the tree"):
        load_pins(layout)


def test_deeply_nested_toml_is_refused(layout):
    layout.pins_file.write_bytes(b"a = " + DEEP)
    with pytest.raises(OptionError, match="cannot read pins"):
        load_pins(layout)
    (layout.root / "g.toml").write_bytes(b"a = " + DEEP)
    with pytest.raises(OptionError, match="not a file of gates"):
        read_gates("g.toml", layout.root)


def test_impossible_values_are_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="values that no run produces: KeyError"), made_from(tmp_path):
        raise KeyError("x")
