"""The tags of subjects, as git, patchwork, Mercurial and mailing lists write them."""

import pytest

from harness.series.subject import parse_subject


@pytest.mark.parametrize(
    ("tag", "version", "number", "total", "words"),
    [
        ("[net,v2,1/2]", 2, 1, 2, ("net",)),
        ("[PATCH,v3,04/12]", 3, 4, 12, ()),
        ("[PATCH;v3;4/12]", 3, 4, 12, ()),
        ("[PATCH: 4/12]", 1, 4, 12, ()),
        ("[v2,1/2]", 2, 1, 2, ()),
        ("[v2]", 2, 0, 0, ()),
        ("[1/2]", 1, 1, 2, ()),
        ("[qemu,for-8.0,v2,1/2]", 2, 1, 2, ("qemu", "for-8.0")),
        ("[PATCH v2][1/4]", 2, 1, 4, ()),
        ("[PATCH v2] [1/4]", 2, 1, 4, ()),
        ("[PATCH] [v2] [1/4]", 2, 1, 4, ()),
        ("[Foo-devel] [Bar] [PATCH v2 1/2]", 2, 1, 2, ()),
        ("[Foo-devel][PATCH 1/2]", 1, 1, 2, ()),
        ("[PATCH][Foo][1/2]", 1, 1, 2, ()),
        ("[PATCH 1 of 2]", 1, 1, 2, ()),
        ("[PATCH 01 OF 12 v4]", 4, 1, 12, ()),
        ("[PATCH 0001  of  1234]", 1, 1, 1234, ()),
        ("[PATCH 1 / 2]", 1, 1, 2, ()),
        ("[PATCH #1/2]", 1, 1, 2, ()),
        ("[PATCH (1/2) v2]", 2, 1, 2, ()),
        ("[PATCH-1/2]", 1, 1, 2, ()),
        ("[PATCH1/2]", 1, 1, 2, ()),
        ("[patch V2 1/2]", 2, 1, 2, ("patch",)),
        ("[Patchv2 1/2]", 2, 1, 2, ("Patchv2",)),
        ("[PATCH_v2 1/2]", 2, 1, 2, ("PATCH_v2",)),
        ("[PATCH v2.1 1/2]", 2, 1, 2, ("v2.1",)),
        ("[PATCH v999 1/2]", 999, 1, 2, ()),
        ("[PATCH 1/2 v2 RESEND]", 2, 1, 2, ()),
    ],
)
def test_tag_is_read(tag, version, number, total, words):
    found = parse_subject(f"{tag} hw: one")
    assert (found.kind, found.title, found.reply, found.forwarded) == ("PATCH", "hw: one", False, False)
    assert (found.version, found.number, found.total, found.counted) == (version, number, total, total > 0)
    assert found.words == words
    assert found.is_patch
    assert not found.is_cover


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("[tiny] hw: one", "[tiny] hw: one"),
        ("[11/222222] hw: one", "[11/222222] hw: one"),
        ("[x11/2y] hw: one", "[x11/2y] hw: one"),
        ("[rev2] hw: one", "[rev2] hw: one"),
        ("[dispatch] hw: one", "[dispatch] hw: one"),
        ("hw: one [PATCH 1/2]", "hw: one [PATCH 1/2]"),
        ("PATCH 1/2: hw: one", "PATCH 1/2: hw: one"),
        ("[] hw: one", "[] hw: one"),
        ("[1/2", "[1/2"),
    ],
)
def test_other_brackets_are_part_of_the_title(text, title):
    found = parse_subject(text)
    assert (found.kind, found.title, found.counted, found.version, found.words) == ("", title, False, 1, ())
    assert not found.is_patch


def test_brackets_after_the_tag_are_part_of_the_title():
    assert parse_subject("[PATCH 1/2] [tiny] hw: one").title == "[tiny] hw: one"
    assert parse_subject("[Foo] [PATCH 1/2][tiny]hw: one").title == "[tiny]hw: one"
    assert parse_subject("[PATCH 1/2]: hw: one").title == "hw: one"
    assert parse_subject("[tiny]: hw: one").title == "[tiny]: hw: one"


@pytest.mark.parametrize(
    ("tag", "kind", "rfc"),
    [
        ("[RFC] [PATCH 1/2]", "PATCH", True),
        ("[RFC][1/2]", "PATCH", True),
        ("[PATCH,RFC,1/2]", "PATCH", True),
        ("[PULL][1/2]", "PULL", False),
        ("[Foo] [GIT PULL v2 1/2]", "PULL", False),
    ],
)
def test_kind_may_be_in_any_bracket(tag, kind, rfc):
    found = parse_subject(f"{tag} hw: one")
    assert (found.kind, found.rfc, found.number, found.title) == (kind, rfc, 1, "hw: one")


@pytest.mark.parametrize(
    ("text", "title", "kind", "forwarded"),
    [
        ("Re: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("[Foo-devel] Re: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("[PATCH 1/2] Re: hw: one", "hw: one", "PATCH", False),
        ("RE : aw: Antw: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("Re[3]: Re(2): Re^4: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("Re\uff1a [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("Fwd: [PATCH 1/2] hw: one", "hw: one", "PATCH", True),
        ("FW: Re: [PATCH 1/2] hw: one", "hw: one", "PATCH", True),
        ("Re: WG: [PATCH 1/2] hw: one", "hw: one", "PATCH", True),
        ("SV: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("Antwort: [PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("回复\uff1a[PATCH 1/2] hw: one", "hw: one", "PATCH", False),
        ("Re: hw: one", "hw: one", "", False),
        ("Fwd: Re: [tiny] hw: one", "[tiny] hw: one", "", True),
        ("[tiny] Re: hw: one", "hw: one", "", False),
    ],
)
def test_replies_and_forwarded_mails_are_marked(text, title, kind, forwarded):
    found = parse_subject(text)
    assert (found.title, found.kind, found.reply, found.forwarded) == (title, kind, True, forwarded)
    assert not found.is_patch
    assert not found.is_cover


@pytest.mark.parametrize(
    "text", ["[PATCH] fw: one", "[PATCH 1/2] wg: one", "read: one", "fwd_cfg: one", "vs: one"]
)
def test_subsystem_is_no_mark_of_a_reply(text):
    found = parse_subject(text)
    assert not found.reply
    assert found.title.endswith(": one")


def test_cover_letter_has_the_number_zero():
    for tag in ("[PATCH 0/2]", "[PATCH v2][00/12]", "[hw,v2,0/2]", "[PATCH 0 of 3]"):
        assert parse_subject(f"{tag} hw: two").is_cover
    assert not parse_subject("[PATCH] hw: two").is_cover


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("[PATCH 3/12] a: b", "03/12"),
        ("[PATCH 03/12] a: b", "03/12"),
        ("[PATCH 1/2] x", "1/2"),
        ("[PATCH] x", ""),
    ],
)
def test_label_is_written_as_git_does(text, label):
    assert parse_subject(text).label == label
