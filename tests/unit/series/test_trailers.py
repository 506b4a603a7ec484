"""Trailers of replies and messages, and objections."""

import pytest

from harness.series import parse_trailers, read_mail
from harness.series.trailers import Trailer, objections, reply_trailers
from tests.unit.series.mails import DIFF, patch

RITA = "Rita Reader <rita@example.org>"


def given(text, *, headers="", coding="8bit"):
    mail = patch("Re: x", ident="r@e.org", diff="", message=text, headers=headers, coding=coding)
    return [str(trailer) for trailer in reply_trailers(read_mail(mail, "x"))]


@pytest.mark.parametrize(
    "text",
    [
        f"Reviewed-by: {RITA}",
        "Reviewed-by: Rita Reader\n<rita@example.org>",
        "Reviewed-by: Rita Reader\n  <rita@example.org>  ",
        "Reviewed-by: Rita\nReader <rita@example.org>",
        "Reviewed-by: Rita Reader <\nrita@example.org>",
        "Reviewed-by: Rita Reader <rita@\nexample.org>",
        "Reviewed-by:\nRita Reader <rita@example.org>",
        "Reviewed-by:\n Rita Reader\n <rita@example.org>",
        "Reviewed-by: Rita Reader <rita@example.org<mailto:rita@example.org>>",
        "Reviewed-by: Rita Reader\n<rita@example.org<mailto:rita@example.org>>",
        "Reviewed-by: Rita Reader <rita@example.org <mailto:rita@example.org>>",
        "Reviewed-by: Rita Reader <rita@example.org> <mailto:rita@example.org>",
        "Reviewed-by: Rita Reader <MAILTO:rita@example.org>",
        "Reviewed-by: Rita Reader<mailto:rita@example.org>",
        "Reviewed-by: Rita Reader [mailto:rita@example.org]",
        "Reviewed-by: Rita Reader rita@example.org[mailto:rita@example.org]",
        "Reviewed-by:\u00a0Rita\u00a0Reader  <rita@example.org>",
        "reviewed-BY:Rita Reader <rita@example.org>",
    ],
)
def test_trailer_keeps_its_address_however_it_was_written(text):
    assert given(f"Fine.\n\n{text}\n\nBest\nRita") == [f"Reviewed-by: {RITA}"]
    assert given(f"{text}\nTested-by: {RITA}") == [f"Reviewed-by: {RITA}", f"Tested-by: {RITA}"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Reviewed-by: Rita\n\n<rita@example.org>", ""),
        ("Reviewed-by: Rita\nrita@example.org", ""),
        ("Tested-by:\nRita\nReviewed-by: Rita", ""),
        ("Reviewed-by: Rita\n> <rita@example.org>", ""),
        ("Reviewed-by: Rita\nSee: <rita@example.org>", ""),
        ("Reviewed-by: Rita\nand <this> too", ""),
        ("Reviewed-by: r@e.org\nRita <rita@example.org>", "Reviewed-by: r@e.org"),
        (f"Reviewed-by: {RITA}\n<x@e.org>", f"Reviewed-by: {RITA}"),
        ("Reviewed-by: R <r@e.org> a <b\nand more", "Reviewed-by: R <r@e.org> a <b"),
    ],
)
def test_other_lines_are_not_joined(text, kept):
    assert given(text) == ([kept] if kept else [])


@pytest.mark.parametrize(
    "text",
    [
        "Reviewed-by: tags are fine.",
        "Reviewed-by: tags of a@b.org and others are fine",
        "Acked-by: me",
        "Tested-by: on s390x, see <the log>",
        "Suggested-by: or Reported-by: <nobody>, who knows",
    ],
)
def test_prose_gives_no_trailer(text):
    assert given(f"{text}\n\nReviewed-by: {RITA}") == [f"Reviewed-by: {RITA}"]


@pytest.mark.parametrize("more", [" # s390x", " (for the docs)", ", with the nit fixed"])
def test_comment_may_follow_the_address(more):
    assert given(f"Tested-by: {RITA}{more}") == [f"Tested-by: {RITA}{more}"]


def test_trailers_of_quoted_and_other_mails_are_not_given():
    assert given(f"> Reviewed-by: {RITA}\n Acked-by: {RITA}\n\tAcked-by: {RITA}\nFixes: 12") == []
    for mark in (
        "-----Original Message-----",
        "----- Forwarded message -----",
        "From: A\nSent: Monday",
        "From: A\nDate: Monday",
    ):
        assert given(f"Acked-by: {RITA}\n\n{mark}\n\nReviewed-by: {RITA}") == [f"Acked-by: {RITA}"]
    assert given(f"From: A\nTo: B\nAcked-by: {RITA}") == [f"Acked-by: {RITA}"]


@pytest.mark.parametrize(
    "key", ["Reviewed-by", "Acked-by", "Tested-by", "Reported-by", "Suggested-by", "Nacked-by", "Nak-by"]
)
def test_known_trailers_are_given(key):
    assert given(f"{key}: {RITA}") == [f"{key}: {RITA}"]
    assert given(f"X{key}: {RITA}") == []
    assert given(f"Signed-off-by: {RITA}\nCc: {RITA}") == []


def test_message_id_keeps_its_spelling_and_the_reply_is_named():
    mail = read_mail(patch("Re: x", ident="r@e.org", diff="", message="Message-Id: <a@b>"), "x")
    (trailer,) = reply_trailers(mail)
    assert (str(trailer), trailer.source, trailer.sender) == ("Message-Id: <a@b>", "r@e.org", mail.sender)


@pytest.mark.parametrize("coding", ["base64", "quoted-printable"])
def test_encoded_reply_gives_its_trailers(coding):
    assert given("Reviewed-by: Rita Reader\n<rita@example.org>", coding=coding) == [f"Reviewed-by: {RITA}"]


def test_text_below_scissors_belongs_to_another_patch():
    text = "Or so?\n\nAcked-by: {0}\n\n{1}\nSubject: [PATCH] x\n\nTested-by: {0}"
    for line in ("-- >8 --", "-----8<------", "- - - >8 - - - cut here", "--%<-----"):
        assert given(text.format(RITA, line)) == [f"Acked-by: {RITA}"]
    assert len(given(text.format(RITA, "-- 8 --"))) == 2


def test_wrapped_trailers_of_a_message_are_joined():
    text = "Why.\n\nSigned-off-by: A Very Long Name\n <a@example.org>\nAcked-by: B\n<b@e.org>\n"
    assert [str(one) for one in parse_trailers(text)] == [
        "Signed-off-by: A Very Long Name <a@example.org>",
        "Acked-by: B <b@e.org>",
    ]


def against(text):
    return list(objections(read_mail(patch("Re: x", diff="", message=text), "x")))


@pytest.mark.parametrize(
    "line",
    [
        "NACK",
        "NAK.",
        "NACK, because",
        "Nack",
        "Nacked",
        "NACKED",
        "NACKed",
        "Nak: no",
        f"Nacked-by: {RITA}",
        f"nack-by: {RITA}",
        f"Rejected-by: {RITA}",
        f"Objected-to-by: {RITA}",
    ],
)
def test_objection_is_found(line):
    assert against(f"Hello,\n\n{line} \n\nR") == [line]
    assert against(f"> {line}\nno") == []


@pytest.mark.parametrize("line", ["Naked truth", "NAKs are counted", "a NACK", "NACK-free", "Acked-by: A"])
def test_other_words_are_no_objection(line):
    assert against(line) == []


def test_word_in_the_middle_of_a_sentence_is_no_objection():
    text = "The endpoint answers each of these transfers with a"
    assert against(f"{text}\nNAK, so the driver waits.") == []
    assert against(f"{text} stall.\nNAK, so the driver waits.") == ["NAK, so the driver waits."]
    assert against(f"> {text}\nNAK") == ["NAK"]
    assert against("Hi Ann,\nNAK") == ["NAK"]


def test_wrapped_objection_is_one_line():
    assert against("Nacked-by: Rita Reader\n<rita@example.org>") == [f"Nacked-by: {RITA}"]


def test_objections_are_known_by_their_key():
    assert Trailer(key="NACKED-BY", value=RITA).is_objection
    assert not Trailer(key="Acked-by", value=RITA).is_objection


def test_indented_trailer_is_given_if_it_is_the_senders_own():
    own = "Acked-by: A U Thor <a@example.org>"
    assert given(f"Fine:\n    {own}\n\tReviewed-by: {RITA}") == [own]
    assert given(f"> {own}\n  > {own}\n| {own}") == []


@pytest.mark.parametrize("gap", [" ", ", ", "; "])
def test_trailers_on_one_line_are_divided(gap):
    line = f"Acked-by: {RITA}{gap}tested-by: {RITA}"
    assert given(line) == [f"Acked-by: {RITA}", f"Tested-by: {RITA}"]
    assert given(f"> {line}") == given(f">> {line}") == []
    assert given(f"Acked-by: {RITA} # s390x") == [f"Acked-by: {RITA} # s390x"]


def test_trailer_may_combine_keys_and_have_a_space_before_its_colon():
    assert given(f"Reviewed-and-tested-by: {RITA}") == [f"Reviewed-and-tested-by: {RITA}"]
    assert given(f"Not-reviewed-by: {RITA}\nReviewed-and-by: {RITA}") == []
    assert given(f"Acked-by : {RITA}") == [f"Acked-by: {RITA}"]


def test_trailer_below_a_diff_in_a_reply_is_given():
    diff = DIFF + f"Tested-by: {RITA}\n"
    mail = read_mail(patch("Re: x", message=f"Squash:\n\nAcked-by: {RITA}", diff=diff), "x")
    assert [str(one) for one in reply_trailers(mail)] == [f"Acked-by: {RITA}", f"Tested-by: {RITA}"]
    added = DIFF.replace(" int one;", f" int one;\n Tested-by: {RITA}").replace("1,3 +1,3", "1,4 +1,4")
    assert list(reply_trailers(read_mail(patch("Re: x", message="Squash:", diff=added), "x"))) == []
    signed = read_mail(patch("Re: x", diff=f"-- \nTested-by: {RITA}\n"), "x")
    assert list(reply_trailers(signed)) == []
