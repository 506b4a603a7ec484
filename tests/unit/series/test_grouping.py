"""Mails that belong together: threads with gaps, tags that disagree, copies, replies without a mark."""

import re

import pytest

from harness.series import find_thread
from harness.series.attached import read_mbox
from tests.unit.series.mails import DIFF, mbox, patch

ANN = "Ann <ann@e.org>"
RITA = "Rita <rita@e.org>"
TAG = "Reviewed-by: Rita <rita@e.org>"


def mail(subject, ident="", *above, diff=None, sender=ANN, day=1, text="Why."):
    """Return a mail; ``above`` are the ids that it follows. A title ``x`` changes the file x.c."""
    title = re.sub(r"^.*\] ?", "", subject)
    made = DIFF.replace("util/a.c", f"{title.replace(' ', '_') or 'none'}.c") if diff is None else diff
    data = patch(
        subject,
        ident=f"{ident}@x",
        diff=made,
        sender=sender,
        message=text,
        date=f"{day} Feb 2022 10:00:00 +0000",
    )
    if not ident:
        data = data.replace(b"Message-Id: <@x>\n", b"")
    if above:
        chain = " ".join(f"<{name}@x>" for name in above)
        data = data.replace(b"MIME", f"References: {chain}\nIn-Reply-To: <{above[-1]}@x>\nMIME".encode(), 1)
    return data


def note(subject, ident, *above, sender=RITA, text=TAG):
    return mail(subject, ident, *above, diff="", sender=sender, text=text)


def series(count=2, tag="[PATCH {}/{}]", name="p", *above, day=1):
    """Return a cover letter and ``count`` patches below it."""
    cover = mail(f"{tag.format(0, count)} cover", f"{name}0", *above, diff="", day=day)
    return [
        cover,
        *(
            mail(f"{tag.format(at, count)} {name}{at}", f"{name}{at}", *above, f"{name}0", day=day)
            for at in range(1, count + 1)
        ),
    ]


def read(mails):
    return find_thread(read_mbox(mbox(*mails), "box"))


def newest(mails):
    version = read(mails).newest
    assert version is not None
    return version


def titles(version):
    return [one.subject.title for one in version.patches]


def trailers(version):
    return [[str(one) for one in version.given(at)] for at in range(1, len(version.patches) + 1)]


# Series without a cover letter


@pytest.mark.parametrize("first", [(), ("cover",)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_chain_of_replies_is_one_series(first, order):
    chain = [
        mail("[PATCH 1/3] a", "1", *first),
        mail("[PATCH 2/3] b", "2", "1"),
        mail("[PATCH 3/3] c", "3", "2"),
    ]
    (version,) = read(chain[at] for at in order).versions
    assert (titles(version), version.missing) == (["a", "b", "c"], ())
    assert version.out_of_order is (order != (0, 1, 2))


def test_gap_in_a_chain_does_not_divide_it():
    (version,) = read([mail("[PATCH 1/3] a", "1"), mail("[PATCH 3/3] c", "3", "2")]).versions
    assert (titles(version), version.missing) == (["a", "c"], (2,))
    others = [mail("[PATCH 1/3] a", "1"), mail("[PATCH 3/3] c", "3", "2", sender=RITA)]
    assert len(read(others).versions) == 2
    assert len(read([mail("[PATCH 1/3] a", "1"), mail("[PATCH v2 3/3] c", "3", "2")]).versions) == 2


def test_patches_that_follow_each_other_in_a_circle_are_one_series():
    (version,) = read([mail("[PATCH 1/2] a", "1", "2"), mail("[PATCH 2/2] b", "2", "1")]).versions
    assert titles(version) == ["a", "b"]


def test_mail_without_an_id_belongs_to_the_mail_that_it_follows():
    (version,) = read([mail("[PATCH 1/2] a", "1"), mail("[PATCH 2/2] b", "", "1")]).versions
    assert titles(version) == ["a", "b"]


# Mails without a count


def test_thread_without_counts_is_one_series_in_its_order():
    mails = [mail("[PATCH] a", "1"), mail("[PATCH] b", "2", "1"), mail("[PATCH] c", "3", "1")]
    (version,) = read(mails).versions
    assert (titles(version), version.total, version.missing) == (["a", "b", "c"], 3, ())
    assert not version.recounted
    assert titles(read([mails[2], mails[0], mails[1]]).versions[0]) == ["c", "a", "b"]


@pytest.mark.parametrize("sent", [True, False])
def test_cover_letter_without_a_count_is_none_of_the_patches(sent):
    names = ("c", "1", "2") if sent else ("", "", "")
    above = ("c",) if sent else ()
    for tags in (("[PATCH] ", "[PATCH] "), ("[PATCH 1/2] ", "[PATCH 2/2] ")):
        mails = [
            mail("[PATCH] cover", names[0], diff=""),
            *(
                mail(f"{tag}{title}", name, *above)
                for tag, title, name in zip(tags, "ab", names[1:], strict=True)
            ),
        ]
        version = newest(mails)
        assert titles(version) == ["a", "b"]
        assert version.cover is not None
        if sent:
            assert titles(newest([mails[1], mails[2], mails[0]])) == ["a", "b"]
    empty = newest([mail("[PATCH] cover", "", diff="")])
    assert (titles(empty), empty.cover) == (["cover"], None)


def test_unrelated_mail_without_a_diff_is_no_series_of_its_own():
    mails = [*series(), mail("[PATCH] question", "q", diff="", day=9)]
    version = newest(mails)
    assert titles(version) == ["p1", "p2"]


def test_later_mail_with_the_same_title_replaces_an_earlier_one():
    new = DIFF.replace("util/a.c", "b.c").replace("zwei", "drei")
    mails = [mail("[PATCH] a", "1"), mail("[PATCH] b", "2", "1"), mail("[PATCH] b", "3", "1", diff=new)]
    version = newest(mails)
    assert (titles(version), [one.message_id for one in version.patches]) == (["a", "b"], ["1@x", "3@x"])
    assert [one.message_id for one in version.duplicates] == ["2@x"]
    assert (version.total, version.missing) == (2, ())
    assert trailers(newest([*mails, note("Re: b", "r", "1", "2")])) == [[], [TAG]]


def test_patches_of_other_files_with_the_same_title_all_count():
    mails = [mail("[PATCH] a", "1"), mail("[PATCH] a", "2", "1", diff=DIFF), mail("[PATCH] a", "3", "1")]
    version = newest(mails)
    assert [one.message_id for one in version.patches] == ["3@x", "2@x"]
    assert [one.message_id for one in version.duplicates] == ["1@x"]


def test_reply_in_html_is_noted():
    plain, html = note("Re: p2", "r", "p0", "p2"), note("Re: p2", "h", "p0", "p2").replace(b"plain", b"html")
    assert newest([*series(), plain]).notes == ()
    assert newest([*series(), plain, html]).notes == ("mail 5 of box is a reply in HTML, which is not read",)


@pytest.mark.parametrize("sender", [ANN, RITA])
@pytest.mark.parametrize("above", ["p0", "p2"])
@pytest.mark.parametrize("tag", ["[PATCH] ", ""])
def test_patch_without_a_count_in_reply_to_a_series_is_not_part_of_it(sender, above, tag):
    thread = read([*series(), mail(f"{tag}fix", "x", above, sender=sender, day=9)])
    (version,) = thread.versions
    assert (titles(version), version.notes) == (
        ["p1", "p2"],
        ("mail 4 of box contains a patch that is not part of the series",),
    )
    assert [one.message_id for one in thread.others] == ["x@x"]


def test_trailer_for_another_patch_in_the_thread_is_not_given_to_the_series():
    extra = mail("[PATCH] fix", "x", "p2", sender=RITA)
    version = newest([*series(), extra, note("Re: fix", "r", "p2", "x")])
    assert trailers(version) == [[], []]


@pytest.mark.parametrize("count", ["", " {}/2"])
def test_patches_of_several_authors_formatted_as_a_thread_are_one_series(count):
    names = [f"{'ab'[at] * 40}.1675000000.git.c@e.org" for at in (0, 1)]
    mails = [
        mail(f"[PATCH{count.format(at)}] {name}", ident, *names[: at - 1], sender=sender)
        for at, name, ident, sender in ((1, "a", names[0], ANN), (2, "b", names[1], RITA))
    ]
    (version,) = read(mails).versions
    assert titles(version) == ["a", "b"]
    other = mails[1].replace(b"1675000000", b"1676000000")
    assert titles(newest([mails[0], other])) == ["b"], "formatted at another time"


# Mails that were never sent


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (["[PATCH 04/19] a", "[PATCH v3 1/2] b", "[PATCH 01/12] c"], "abc"),
        (["[PATCH 1/2] a", "[PATCH 2/2] b", "[PATCH 1/2] c", "[PATCH 2/2] d"], "abcd"),
        (["[PATCH 2/2] b", "[PATCH 1/2] a"], "ab"),
        (["a", "[PATCH] b", "[RFC PATCH] c"], "abc"),
        (["[PATCH 1/2] a", "[PATCH 2/2] b", "[PATCH v2 1/2] a", "[PATCH v2 2/2] c"], "ac"),
        (["[PATCH v2 1/2] a", "[PATCH v2 2/2] c", "[PATCH 1/2] a", "[PATCH 2/2] b"], "ac"),
        (["[PATCH 1/2] a", "[PATCH 2/2] b", "[PATCH v2 1/2] c", "[PATCH v2 2/2] d"], "cd"),
        (["[PATCH 1/2] a", "[PATCH v2 1/3] a", "[PATCH v2 2/3] c", "[PATCH v2 3/3] d"], "acd"),
        (["[PATCH 1/2] a", "[PATCH 2/2] b", "[PATCH v2 1/1] c"], "abc"),
        (["[PATCH 1/3] a", "[PATCH 2/3] b", "[PATCH 3/3] c", "[PATCH v2 2/3] x"], "axc"),
        (["[PATCH] a", "[PATCH v2] a"], "a"),
        (["[PATCH] a", "[PATCH] b", "[PATCH v2] a"], "ab"),
        (["[PATCH] a", "[PATCH v2] b"], "ab"),
        (["[PATCH] a", "[PATCH v2] a", "[PATCH v4] a", "[PATCH v4] b"], "ab"),
        (["[PATCH] a", "[PATCH v2] a", "[PATCH v4] b"], "aab"),
        (["[PATCH 1/2] a", "[PATCH 1/2] b", "[PATCH v2 1/2] c", "[PATCH v2 2/2] d"], "abcd"),
        (["[PATCH 1/1] a", "[PATCH v2 1/1] b"], "ab"),
    ],
)  # fmt: skip
def test_mails_without_any_id_are_files(subjects, expected):
    assert "".join(titles(newest(mail(subject) for subject in subjects))) == expected


def test_cover_letter_of_another_version_belongs_to_files_that_were_never_sent():
    cover = mail("[PATCH v2 0/2] cover", diff="")
    (version,) = read([cover, mail("[PATCH 1/2] a"), mail("[PATCH 2/2] b")]).versions
    assert (version.number, titles(version), version.cover is not None) == (2, ["a", "b"], True)


# Partial re-rolls


def test_partial_reroll_takes_the_other_patches_of_the_version_before():
    thread = read([*series(3), mail("[PATCH v2 2/3] new", "n", "p0", "p2", day=2)])
    version = thread.newest
    assert [one.number for one in thread.versions] == [1, 2]
    assert titles(version) == ["p1", "new", "p3"]
    assert (version.number, version.total, version.missing) == (2, 3, ())
    assert version.reused == ((1, 1), (3, 1))
    assert version.cover is not None
    assert (version.recounted, version.out_of_order) == (False, False)


def test_partial_reroll_may_have_several_patches_in_reply_or_one_without_a_thread():
    again = [mail("[PATCH v2 2/3] new", "n", "p2"), mail("[PATCH v2 3/3] newer", "m", "p3")]
    version = newest([*series(3), *again])
    assert (titles(version), version.reused) == (["p1", "new", "newer"], ((1, 1),))
    below = [mail("[PATCH v2 2/3] new", "n", "p0"), mail("[PATCH v2 3/3] newer", "m", "n")]
    assert titles(newest([*series(3), *below])) == ["p1", "new", "newer"]
    alone = newest([*series(3), mail("[PATCH v2 2/3] new", "n", day=2)])
    assert titles(alone) == ["p1", "new", "p3"]


def test_new_version_takes_patches_of_the_one_that_it_answers():
    other = [mail("[PATCH v2 1/2] x", "x"), mail("[PATCH v2 2/2] y", "y", "x")]
    version = newest([*series(3), *other, mail("[PATCH v3 2/3] new", "n", "p2", day=2)])
    assert (titles(version), version.reused) == (["p1", "new", "p3"], ((1, 1), (3, 1)))


def test_senders_are_compared_without_case():
    mails = [mail("[PATCH] a", "1"), mail("[PATCH] b", "2", "1", sender="Ann <ANN@e.org>")]
    assert titles(newest(mails)) == ["a", "b"]
    assert titles(
        newest([mails[0], mails[1].replace(b"References", b"X").replace(b"In-Reply-To", b"Y")])
    ) == ["a", "b"]


def test_partial_rerolls_over_several_versions_remember_the_first_one():
    mails = [
        *series(3),
        mail("[PATCH v2 2/3] new", "n", "p2", day=2),
        mail("[PATCH v3 3/3] newer", "m", "p3", day=3),
    ]
    version = newest(mails)
    assert titles(version) == ["p1", "new", "newer"]
    assert version.reused == ((1, 1), (2, 2))


@pytest.mark.parametrize("above", ["p2", "p3"])
def test_partial_reroll_without_a_count_replaces_its_title_or_the_patch_that_it_answers(above):
    version = newest([*series(3), mail("[PATCH v2] new", "n", "p0", above, day=2)])
    assert titles(version) == [
        {"p2": "new"}.get(above, "p2") if at == 2 else name
        for at, name in ((1, "p1"), (2, "p2"), (3, "new" if above == "p3" else "p3"))
    ]
    version = newest([*series(3), mail("[PATCH v2] p1", "n", "p0", above, day=2, diff=DIFF)])
    assert [one.message_id for one in version.patches] == ["n@x", "p2@x", "p3@x"]
    assert (version.total, version.reused) == (3, ((2, 1), (3, 1)))
    alone = newest([*series(3), mail("[PATCH v2] new", "n", "p0", day=2)])
    assert (titles(alone), alone.reused) == (["new"], ())


@pytest.mark.parametrize(
    "again",
    [
        [mail("[PATCH v2 2/4] new", "n", "p2")],
        [mail("[PATCH v2 1/3] x", "x", "q"), mail("[PATCH v2 2/3] new", "n", "q")],
        [mail("[PATCH v2 0/3] cover", "c", "p0", diff=""), mail("[PATCH v2 2/3] new", "n", "c")],
        [mail("[PATCH v2 2/3] new", "n", "p2"), mail("[PATCH v2 2/3] new", "m", "p2", diff=DIFF)],
    ],
    ids=["another total", "no reply", "own cover letter", "duplicate"],
)
def test_incomplete_new_version_is_no_partial_reroll(again):
    version = newest([*series(3), *again])
    assert (version.number, version.reused) == (2, ())
    assert version.missing
    assert "p1" not in titles(version)


def test_complete_new_version_takes_nothing():
    version = newest([*series(2), mail("[PATCH v2 1/2] a", "a", "p0"), mail("[PATCH v2 2/2] b", "b", "p0")])
    assert (titles(version), version.reused, version.cover) == (["a", "b"], (), None)


def test_trailers_of_reused_patches_are_kept_and_of_replaced_ones_are_not():
    mails = [
        *series(3),
        note("Re: p1", "r1", "p0", "p1"),
        note("Re: p2", "r2", "p0", "p2", text="Tested-by: Rita <rita@e.org>"),
        note("Re: cover", "r0", "p0", text="Acked-by: Rita <rita@e.org>"),
        mail("[PATCH v2 2/3] new", "n", "p0", "p2", day=2),
    ]
    acked = "Acked-by: Rita <rita@e.org>"
    assert trailers(newest(mails)) == [[TAG, acked], [], [acked]]
    mails.append(note("Re: new", "r3", "p0", "p2", "n"))
    assert trailers(newest(mails)) == [[TAG, acked], [TAG], [acked]]


def test_partial_reroll_fills_a_gap_of_the_version_before():
    old = [one for at, one in enumerate(series(4)) if at not in (2, 3)]
    version = newest([*old, mail("[PATCH v2 2/4] new", "n", "p0", day=2)])
    assert (titles(version), version.missing, version.reused) == (["p1", "new", "p4"], (3,), ((1, 1), (3, 1)))


# Tags that disagree


@pytest.mark.parametrize(
    ("cover", "tags", "number"),
    [
        ("[PATCH v2 0/2]", ("[PATCH 1/2]", "[PATCH 2/2]"), 2),
        ("[PATCH 0/2]", ("[PATCH v2 1/2]", "[PATCH v2 2/2]"), 2),
        ("[RFC PATCH 0/2]", ("[PATCH 1/2]", "[PATCH 2/2]"), 1),
        ("[PATCH RESEND 0/2]", ("[PATCH 1/2]", "[PATCH 2/2]"), 1),
        ("[PULL 0/2]", ("[PATCH 1/2]", "[PATCH 2/2]"), 1),
        ("[PATCH 0/3]", ("[PATCH 1/2]", "[PATCH 2/2]"), 1),
        ("[PATCH v2 0/2]", ("[PATCH v2 1/2]", "[PATCH 2/2]"), 2),
        ("[PATCH v2 0/2]", ("[PATCH 1/2]", "[PATCH v2 2/2]"), 2),
        ("[PATCH v2 0/2]", ("[PATCH]", "[PATCH]"), 2),
        ("[PATCH]", ("[PATCH 1/2]", "[PATCH 2/2]"), 1),
        ("[PATCH v3]", ("[PATCH 1/2]", "[PATCH 2/2]"), 3),
    ],
)  # fmt: skip
def test_patches_belong_to_the_cover_letter_that_they_follow(cover, tags, number):
    mails = [
        mail(f"{cover} cover", "c", diff=""),
        mail(f"{tags[0]} a", "1", "c"),
        mail(f"{tags[1]} b", "2", "c"),
    ]
    (version,) = read(mails).versions
    assert (titles(version), version.missing, version.total) == (["a", "b"], (), 2)
    assert version.cover is not None
    assert version.number == number


def test_patch_without_a_version_belongs_to_the_first_one_that_it_follows():
    (version,) = read([mail("[PATCH v2 1/2] a", "1"), mail("[PATCH 2/2] b", "2", "1")]).versions
    assert (titles(version), version.number) == (["a", "b"], 2)
    other = read([mail("[PATCH v2 1/3] a", "1"), mail("[PATCH 2/2] b", "2", "1")])
    assert len(other.versions) == 2
    assert len(read([mail("[PATCH v2 2/3] a", "1"), mail("[PATCH 3/3] b", "2", "1")]).versions) == 2


def test_cover_letter_without_a_thread_belongs_to_patches_without_one():
    cover, patches = mail("[PATCH v2 0/2] cover", "c", diff=""), series()[1:]
    bare = [re.sub(rb"(?:References|In-Reply-To): .*\n", b"", one) for one in patches]
    (version,) = read([cover, *bare]).versions
    assert (titles(version), version.number, version.cover is not None) == (["p1", "p2"], 2, True)
    for other in (
        mail("[PATCH v2 0/3] cover", "c", diff=""),
        mail("[PATCH v2 0/2] cover", "c", diff="", sender=RITA),
    ):
        assert len(read([other, *bare]).versions) == 2
    assert len(read([cover, *series()]).versions) == 2


def test_series_sent_again_in_reply_to_its_cover_letter_is_another_one():
    again = series(2, "[PATCH {}/{}]", "q", "p0", day=2)
    thread = read([*series(), *again])
    assert [titles(version) for version in thread.versions] == [["p1", "p2"], ["q1", "q2"]]
    assert all(version.cover for version in thread.versions)


def test_new_series_in_reply_to_a_patch_is_another_one():
    other = series(3, "[PATCH {}/{}]", "q", "p0", "p2", day=2)
    assert [titles(version) for version in read([*series(), *other]).versions] == [
        ["p1", "p2"],
        ["q1", "q2", "q3"],
    ]


# Replies without a mark


@pytest.mark.parametrize(
    ("subject", "above", "expected"),
    [
        ("[PATCH 2/2] p2", ("p0", "p2"), [[], [TAG]]),
        ("[PATCH 2/2] p2", ("p2",), [[], [TAG]]),
        ("[PATCH] p2", ("p0", "p2"), [[], [TAG]]),
        ("p2", ("p0", "p2"), [[], [TAG]]),
        ("[PATCH v2 1/3] other", ("p0", "p1"), [[TAG], []]),
        ("[PATCH 0/2] cover", ("p0",), [[TAG], [TAG]]),
        ("[PATCH] cover", ("p0",), [[TAG], [TAG]]),
    ],
)
def test_mail_without_a_diff_that_answers_a_patch_is_a_reply(subject, above, expected):
    (version,) = read([*series(), note(subject, "r", *above)]).versions
    assert (titles(version), trailers(version)) == (["p1", "p2"], expected)
    assert [one.message_id for one in version.replies] == ["r@x"]
    assert version.duplicates == ()
    assert version.cover.message_id == "p0@x"


def test_answer_of_the_author_is_a_reply_if_it_has_the_number_of_the_patch():
    ping = note("[PATCH 2/2] p2", "r", "p0", "p2", sender=ANN, text="ping")
    (version,) = read([*series(), ping]).versions
    assert [one.message_id for one in version.replies] == ["r@x"]
    for tag, count in (("[PATCH]", 1), ("[PATCH v2]", 0)):
        (*_, version) = read([*series(), note(f"{tag} p2", "r", "p0", "p2", sender=ANN)]).versions
        assert len(version.replies) == count
    lost = note("[PATCH 2/2] p2", "p2", "p0", sender=ANN, text="The diff was lost.")
    (version,) = read([*series()[:2], lost]).versions
    assert ([one.message_id for one in version.patches], version.replies) == (["p1@x", "p2@x"], ())
    assert [fault.kind for fault in version.patches[1].faults] == ["empty"]


def test_mail_that_patches_follow_is_no_reply():
    (first, second) = read([*series(), *series(2, "[PATCH v2 {}/{}]", "q", "p0", day=2)]).versions
    assert first.replies == second.replies == ()
    lost = [mail("[PATCH 1/2] p1", "p1", "x", diff="", sender=RITA), mail("[PATCH 2/2] p2", "p2", "p1")]
    assert titles(newest([mail("[PATCH] other", "x"), *lost])) == ["p1", "p2"]


def test_single_reply_or_forwarded_mail_with_a_patch_is_judged():
    for mark in ("Re", "Fwd"):
        assert titles(newest([mail(f"{mark}: [PATCH 1/2] a", "1")])) == ["a"]
    assert titles(newest([*series(), mail("Fwd: [PATCH 2/2] p2", "f", "p2", sender=RITA)])) == ["p1", "p2"]
    assert read([note("Re: [PATCH] a", "r")]).newest is None


# Copies


def test_copies_of_a_mail_are_one_mail():
    mails = series()
    footer = [one + b"______\nthe list\n" for one in mails]
    tagged = [one.replace(b"Subject: ", b"Subject: [Foo-devel] ") for one in footer]
    for copies in (
        [*mails, *mails],
        [*footer, *mails],
        [*mails, *tagged],
        [one for one in mails for _ in "ab"],
    ):
        (version,) = read(copies).versions
        assert (titles(version), version.duplicates) == (["p1", "p2"], ())
    noted = [one.replace(b"-- \n2.39.5\n", b"______\nthe list\n") for one in mails]
    for copies in ([*mails, *noted], [*noted, *mails], [*mails, *tagged]):
        (version,) = read(copies).versions
        assert (version.out_of_order, version.notes) == (False, ())
        assert not any(one.faults for one in version.patches)


def test_best_copy_is_kept():
    one, two = (mail(f"[PATCH {at}/2] {name}", name) for at, name in ((1, "a"), (2, "b")))
    mangled = one.replace(b"From: Ann <ann@e.org>", b"From: Ann via Foo <foo@lists.example>")
    damaged = one.replace(b" int three;\n", b"")
    for copies in (
        [mangled, two, one],
        [damaged, two, one],
        [one, mangled, two],
        [one, two, damaged, mangled],
    ):
        version = newest(copies)
        assert str(version.patches[0].author) == ANN
        assert version.patches[0].is_sound
        assert titles(version) == ["a", "b"]


def test_other_mail_with_the_same_id_is_not_dropped():
    other = mail("[PATCH 1/2] a", "1", diff=DIFF)
    version = newest([mail("[PATCH 1/2] a", "1"), other, mail("[PATCH 2/2] b", "2")])
    assert (titles(version), len(version.duplicates)) == (["a", "b"], 1)
    same = [mail("[PATCH 1/2] a", "1"), mail("[PATCH 2/2] b", "1")]
    assert titles(newest(same)) == ["a", "b"]


# Objections and numbers


def test_objections_have_the_position_of_their_patch():
    mails = [
        *series(),
        note("Re: p2", "r2", "p0", "p2", text="NACK"),
        note("Re: cover", "r0", "p0", text="Nacked-by: Rita <rita@e.org>"),
        note("Re: NACK", "r3", "r2", sender=ANN, text="> NACK\nWhy?"),
    ]
    found = newest(mails).objections
    assert [(one.position, one.line, str(one.sender)) for one in found] == [
        (2, "NACK", RITA),
        (0, "Nacked-by: Rita <rita@e.org>", RITA),
    ]


def test_trailers_count_positions_and_reach_the_replacement():
    late = [mail("[PATCH 3/5] a", "a"), mail("[PATCH 5/5] b", "b", "a"), mail("[PATCH 5/5] c", "c", "a")]
    version = newest([*late, note("Re: b", "r", "b"), note("Re: a", "s", "a")])
    assert (titles(version), trailers(version)) == (["a", "c"], [[TAG], [TAG]])
    assert version.trailers[0][0] == 2
    assert version.trailers[1][0] == 1


def test_excerpt_is_one_patch_of_a_longer_series():
    assert newest([mail("[PATCH 03/12] a", "1")]).is_excerpt
    assert not newest([mail("[PATCH 1/1] a", "1")]).is_excerpt
    assert not newest(series()[:2]).is_excerpt
    assert not newest([mail("[PATCH 1/3] a", "1"), mail("[PATCH 2/3] b", "2")]).is_excerpt


def test_patches_may_be_counted_from_zero():
    version = newest([mail("[PATCH 0/2] a", "1"), mail("[PATCH 1/2] b", "2", "1")])
    assert (titles(version), version.missing, version.cover, version.recounted) == (
        ["a", "b"],
        (),
        None,
        False,
    )
    version = newest([mail("[PATCH 0/3] a", "1"), mail("[PATCH 2/3] b", "2", "1")])
    assert version.missing == (1,)
    whole = newest([mail("[PATCH 0/1] a", "1"), mail("[PATCH 1/1] b", "2", "1")])
    assert (titles(whole), whole.cover is not None) == (["b"], True)
    assert whole.notes == ("the diff in the cover letter, mail 1 of box, is not applied",)
    assert titles(newest([mail("[PATCH 0/1] a", "1")])) == ["a"]
    assert titles(newest([mail("[PATCH 0/0] a", "1")])) == ["a"]


def test_reply_that_contains_the_patch_without_marks_is_a_reply():
    original = f"{TAG}\n\n-----Original Message-----\nFrom: Ann\n\nWhy."
    again = mail("[PATCH 2/2] p2", "r", "p0", "p2", sender=RITA, text=original)
    version = newest([*series(), again])
    assert [one.sender.name for one in version.patches] == ["Ann", "Ann"]
    assert (version.duplicates, trailers(version)) == ((), [[], [TAG]])
    for sender in (ANN, RITA):  # whose mail program has another word for Re:
        again = mail("Antwoord: [PATCH 2/2] p2", "r", "p0", "p2", diff=DIFF, sender=sender, text=original)
        again = again.replace(b"util/a.c", b"p2.c")
        version = newest([*series(), again])
        assert (len(version.patches), version.notes, trailers(version)) == (2, (), [[], [TAG]])
    other = mail("Antwoord: [PATCH 2/2] p2", "r", "p0", "p2", diff=DIFF, text=original)
    assert len(newest([*series(), other]).notes) == 1
    for other in (
        mail("[PATCH 2/2] p2", "r", "p0", "p2", text=original),
        mail("[PATCH 2/2] p2", "r", "p0", "p2", sender=RITA, diff=DIFF),
        mail("[PATCH 2/2] p2", "r", "p0", "p1", sender=RITA),
    ):
        assert len(newest([*series(), other]).duplicates) == 1
