"""Mails become series: re-rolls replace, replies add, nothing is lost or done twice, in any order."""

import hashlib
import random
import sqlite3
import time
from collections import Counter

import pytest

from harness.check.files import is_covered
from harness.errors import OptionError
from harness.watch import intake, sections
from harness.watch.inbox import Batch, Cursor
from harness.watch.intake import choose_again, ripen, take
from harness.watch.sections import Choice, Section, choose
from harness.watch.store import Store
from tests.unit.check.support import MAINTAINERS
from tests.unit.series.mails import patch
from tests.unit.validate.test_outputs import results
from tests.unit.watch.inboxes import device, fifty, reply, series, who, without_id


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "watch.sqlite") as store:
        yield store


def add(store, *mails, choice=Choice()):  # noqa: B008 - frozen
    return take(store, "inbox", Batch(mails=mails, cursor=Cursor()), choice).mails


def all_series(store):
    return [one for row in reversed(store.all_series()) if (one := store.series(row.id))]


def only(store):
    (one,) = all_series(store)
    return one


def states(one):
    return [(version.number, version.state) for version in one.versions]


def finish(store, version):
    run = store.start_run(version.id, version.contents.sha256)
    store.finish_run(run, results=results(), seconds=1)


def facts(store):
    """What is known, without what depends on the order of arrival."""
    return sorted(
        (
            version.number,
            version.message_id,
            version.state,
            version.contents.sha256,
            len(version.contents.given),
        )
        for one in all_series(store)
        for version in one.versions
    )


def test_fifty_series_are_found(store):
    add(store, *fifty())
    ripen(store, Choice(), 3600)
    found = all_series(store)
    assert len(found) == 50
    states = Counter(version.state for one in found for version in one.versions)
    assert states == {"queued": 49, "replaced": 9, "left out": 1}
    versions = {
        one.title: [version.number for version in one.versions] for one in found if len(one.versions) > 1
    }
    assert versions == {
        "hw/dev1: improve the device": [2, 1],
        "hw/dev2: improve the device": [3, 2, 1],
        "hw/dev4: improve the device": [2, 1],
        "hw/dev5: improve the device": [1, 1],
        "hw/dev7: improve the device": [2, 1],
        "hw/dev8: improve the device": [2, 1],
        "hw/dev10: improve the device": [2, 1],
        "hw/dev13: a better title": [2, 1],
    }


@pytest.mark.parametrize("seed", range(2))
def test_order_of_arrival_has_no_effect(tmp_path, seed):
    """Except on which of two versions with the same number is newer."""
    mails = [mail for mail in fifty() if b"RESEND" not in mail and b"dev31" not in mail]
    other = random.Random(seed).sample(mails, len(mails))
    with Store(tmp_path / "a") as one, Store(tmp_path / "b") as two, Store(tmp_path / "c") as three:
        add(one, *mails)
        for mail in other:
            add(two, mail)
        add(three, *other)
        for store in (one, two, three):
            ripen(store, Choice(), 3600)
        assert facts(one) == facts(two) == facts(three)


def test_mail_is_taken_once(store):
    assert add(store, *series(1, 2)) == 3
    before = store.counter()
    assert add(store, *series(1, 2)) == 0
    assert store.counter() == before


def test_reply_changes_what_is_known_and_builds_nothing(store):
    add(store, *series(1, 2))
    finish(store, only(store).versions[0])
    add(store, reply(1), reply(1, 2, text="NACK", by=2))
    (version,) = only(store).versions
    assert version.state == "done"
    assert [(given.patch, given.text, given.objects) for given in version.contents.given] == [
        (1, "Reviewed-by: Dua Developer <dua@example.org>", False),
        (2, "NACK", True),
    ]
    assert version.contents.replies == 2


@pytest.mark.parametrize(
    ("again", "number"),
    [
        (series(1, 2, version=2), 2),
        (series(9, 2, version=2, sender=who(1), above="1-v1-0@example.org"), 2),
        (series(1, 2, version=2, title="quite another title"), 2),
        (series(9, 2, version=3, sender=who(1), message="Hello.\n\nSupersedes: <1-v1-1@example.org>"), 3),
        (series(1, 1, version=2, title="hw/dev1:  Improve the device!"), 2),
        ([mail.replace(b"<1-v1", b"<1-again") for mail in series(1, 2, tag="PATCH RESEND")], 1),
        ([series(1, 2, version=2)[2].replace(b"<1-v2-0@", b"<1-v1-2@")], 2),
    ],
    ids=["title", "reply", "same-patches", "supersedes", "punctuation", "resend", "one-patch"],
)
def test_newer_version_replaces_the_one_that_waits(store, again, number):
    add(store, *series(1, 2))
    add(store, *again)
    assert states(only(store)) == [(number, "queued"), (1, "replaced")]
    assert "replaces it" in only(store).versions[1].reason


def test_version_that_was_judged_is_kept(store):
    add(store, *series(1, 2))
    finish(store, only(store).versions[0])
    add(store, *series(1, 2, version=2))
    assert states(only(store)) == [(2, "queued"), (1, "done")]
    add(store, *series(1, 2, version=3))
    assert states(only(store)) == [(3, "queued"), (2, "replaced"), (1, "done")]


def test_older_version_that_comes_late_is_not_queued(store):
    add(store, *series(1, 2, version=2))
    add(store, *series(1, 2))
    assert states(only(store)) == [(2, "queued"), (1, "replaced")]


@pytest.mark.parametrize(
    "other",
    [
        series(1, 2, version=2, sender="Else <else@example.org>"),
        series(3, 2, sender="Bob Builder <bob@example.org>"),
        series(1, 2, title="another", sender="Bob Builder <bob@example.org>")[:1],
    ],
)
def test_other_series_replaces_nothing(store, other):
    add(store, *series(1, 2))
    add(store, *[mail.replace(b"<1-v1", b"<x-v1") for mail in other])
    assert states(all_series(store)[0]) == [(1, "queued")]
    assert len(all_series(store)) == 2


def test_series_waits_for_its_patches(store):
    first, *rest = series(1, 3, date=time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()))
    add(store, first, *rest[:2])
    ripen(store, Choice(), 3600)
    (version,) = only(store).versions
    assert (version.state, version.reason) == ("waiting", "patches that are missing: 3")
    add(store, rest[2])
    ripen(store, Choice(), 3600)
    assert states(only(store)) == [(1, "queued")]
    assert only(store).versions[0].reason == ""


def test_series_is_judged_without_patches_that_do_not_come_and_again_with_them(store):
    mails = series(1, 3)
    add(store, *mails[:3])
    ripen(store, Choice(), 0)
    finish(store, only(store).versions[0])
    add(store, reply(1))
    ripen(store, Choice(), 0)
    assert states(only(store)) == [(1, "done")]
    add(store, mails[3])
    assert states(only(store)) == [(1, "queued")]
    assert len(only(store).versions[0].runs) == 1


def test_mail_that_comes_during_a_run_queues_the_series_again(store):
    mails = series(1, 3)
    add(store, *mails[:3])
    ripen(store, Choice(), 0)
    version = only(store).versions[0]
    run = store.start_run(version.id, version.contents.sha256)
    add(store, mails[3])
    assert states(only(store)) == [(1, "running")]
    store.finish_run(run, reason="x")
    assert states(only(store)) == [(1, "queued")]


def test_cover_letter_that_comes_last_joins_its_patches(store):
    cover, *patches = series(1, 3)
    for mail in (*patches, cover):
        add(store, mail)
    (version,) = only(store).versions
    assert (version.state, version.contents.missing, len(version.contents.patches)) == ("queued", (), 3)
    assert version.message_id == "1-v1-0@example.org"
    assert len(store.all_series()) == 1


# --only


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ((), {0, 1, 2}),
        (("tiny",), {0}),
        (("hw/",), {1, 2}),
        (("hw/dev2*",), {2}),
        (("TINY", "hw/dev1.c"), {0, 1}),
    ],
)
def test_only_wanted_series_are_queued(store, rules, wanted):
    choice = choose(rules, MAINTAINERS, ["util/a.c", "hw/dev1.c", "hw/dev2.c"])
    add(store, patch("[PATCH] util: count"), *series(1, 1), *series(2, 1), choice=choice)
    found = all_series(store)
    assert {at for at, one in enumerate(found) if one.versions[0].state == "queued"} == wanted
    assert {one.versions[0].reason for one in found} <= {"", "--only names other sections and paths"}
    assert [one.sections for one in found] == [("Tiny",), (), ()]


def test_changed_rules_apply_to_what_waits(store):
    add(store, *series(1, 1), *series(2, 1))
    choose_again(store, choose(("hw/dev2.c",), "", ["hw/dev2.c"]))
    assert [one.versions[0].state for one in all_series(store)] == ["left out", "queued"]
    choose_again(store, choose(("hw/dev2.c", "hw/"), "", ["hw/dev2.c"]))
    assert [one.versions[0].state for one in all_series(store)] == ["queued", "queued"]
    assert store.rows("SELECT rank FROM version ORDER BY id")[0][0] == 1


def test_section_leaves_out_what_it_excludes():
    choice = choose((), MAINTAINERS, ())
    assert choice.sections_of(["util/foreign/a.c"]) == ()
    assert choice.sections_of(["util/foreign/a.c", "util/a.c"]) == ("Tiny",)


def test_few_patterns_are_compared_with_a_path(monkeypatch):
    patterns = [
        *("*", "*.c", "*/a.c", "hw/", "hw/*/", "hw/*/a*", "hw/x/", "hw/x/a.c", "hw/x/*.[ch]", "hw/y/a.c"),
        *(f"hw/d{at}/" for at in range(100)),
    ]
    without = {"hw/": ("hw/x/b.c",), "hw/x/": ("hw/x/b.c",)}
    made = (Section(name=one, files=(one,), without=without.get(one, ())) for one in patterns)
    choice = Choice(sections=tuple(made))
    compared = []

    def spy(path, wanted):
        compared.extend(wanted)
        return is_covered(path, wanted)

    monkeypatch.setattr(sections, "is_covered", spy)
    paths = (
        "a.c",
        "hw/a.c",
        "hw/x/a.c",
        "hw/x/b.c",
        "hw/x/y/a.c",
        "hw/d7/z",
        "/a.c",
        "hw//a.c",
        "hw/*/a",
        "",
    )
    for path in paths:
        covered = (one for one in patterns if is_covered(path, (one,)))
        expected = tuple(one for one in covered if path != "hw/x/b.c" or one not in without)
        assert choice.sections_of([path]) == expected, path
    assert len(compared) < 20 * len(paths), "of 110 each"
    assert choice.sections_of(["a/" * 1_000_000]) == ()


def test_rule_that_names_nothing_is_refused():
    with pytest.raises(OptionError, match="is no section of MAINTAINERS") as caught:
        choose(("Tinny",), MAINTAINERS, ["util/a.c"])
    assert "did you mean 'Tiny'?" in caught.value.remedy


# Hostile mails


def hostile(text):
    return [mail.replace(b"1-v1-", text.encode("utf-8", "surrogateescape")) for mail in series(1, 2)]


@pytest.mark.parametrize(
    "mails",
    [
        series(1, 2, title="<img src=x onerror=alert(1)>"),
        series(1, 2, title="=?utf-8?q?=00=1b=5b31m?="),
        series(1, 2, title="x" * 100_000),
        hostile("../../../etc/"),
        hostile("a/b/"),
        hostile("x" * 5000),
        hostile("\udcff\udcfe"),
        hostile("';DROP TABLE mail;--"),
        [without_id(mail) for mail in series(1, 1)],
        *(
            series(1, 2, date=date)
            for date in ("Thu, 01 Jan 1970 00:00:00 +0000", "Fri, 31 Dec 9999 23:59:59 -1200")
        ),
        *(series(1, 2, date=date) for date in ("", "x" * 9999, "Mon, 99 Foo 0000 99:99:99 +9999")),
        series(1, 2, sender="=?utf-8?b?/////w==?= <?@x>"),
    ],
    ids=lambda mails: hashlib.sha256(mails[0]).hexdigest()[:8],
)
def test_hostile_mail_is_a_series_like_another(store, mails):
    add(store, *mails)
    ripen(store, Choice(), 0)
    for one in all_series(store):
        assert one.versions[0].state in ("queued", "waiting")
        assert len(one.title) <= 300
        assert one.title.isprintable() or "\ufffd" in one.title
    assert add(store, *series(2, 2)) == 3


def test_threads_that_loop_end(store):
    def mail(at, above):
        return patch(f"[PATCH {at}/3] x", ident=f"{at}@x", above=f"{above}@x", diff=device(at))

    add(store, mail(1, 3), mail(2, 1), mail(3, 2), patch(ident="4@x", above="4@x"))
    assert sum(len(one.versions) for one in all_series(store)) == 2


def test_two_mails_with_one_id_do_not_multiply(store):
    one, two = series(1, 1), series(1, 1, version=2)
    two = [mail.replace(b"1-v2-1", b"1-v1-1") for mail in two]
    three = series(1, 1, tag="RFC PATCH", title="another title")
    add(store, *one, *two, *three)
    for each in all_series(store):
        for version in each.versions:
            finish(store, version)
    for at in range(4):
        add(store, reply(1, by=at))
    assert [states(each) for each in all_series(store)] == [[(2, "done"), (1, "done")]]


def test_mail_that_turns_out_to_quote_a_patch_is_no_series(store):
    (mail,) = series(1, 1)
    (quote,) = series(1, 1, sender=who(2), above="1-v1-1@example.org")
    add(store, quote.replace(b"Message-Id: <1-v1-1@", b"Message-Id: <quote@"))
    assert len(store.all_series()) == 1
    add(store, mail)
    assert only(store).author == who(1)
    assert states(only(store)) == [(1, "queued")]


def test_version_that_is_the_newest_again_waits_for_its_patches(store):
    add(store, *series(1, 2, title="a device", date="Fri, 01 Jan 2099 00:00:00 +0000")[:2])
    (quote,) = series(5, 1, version=2, title="a device", sender=who(1), above="5-v2-1@example.org")
    add(store, quote.replace(b"Message-Id: <5-v2-1@", b"Message-Id: <quote@"))
    assert states(only(store)) == [(2, "queued"), (1, "replaced")]
    add(store, *series(5, 1, version=2, title="a device"))
    (version,) = all_series(store)[0].versions
    assert (version.state, version.reason) == ("waiting", "patches that are missing: 2")


def test_series_of_too_many_patches_is_refused(store, monkeypatch):
    monkeypatch.setattr(intake, "THREAD_MAILS", 50)
    cover = patch("[PATCH 0000/9999] x", diff="", ident="0@x")
    mails = [patch(f"[PATCH {at:04}/9999] x", ident=f"{at}@x", above="0@x") for at in range(1, 200)]
    taken = take(store, "inbox", Batch(mails=(cover, *mails), cursor=Cursor()), Choice())
    assert (taken.mails, taken.full) == (200, 150)
    (version,) = only(store).versions
    assert (version.state, version.reason) == ("refused", "it has 9999 patches, more than 500")


@pytest.mark.parametrize(("count", "references", "full"), [(1100, 1, 1), (40, 90, 0)])
def test_mail_that_contains_many_mails_is_bounded(store, count, references, full):
    """SQLite limits the values of a statement."""
    store.db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 2000)
    inner = b"".join(
        b"From x Thu Jan  1 00:00:00 1970\nFrom: a@b\nMessage-Id: <%d@x>\nReferences: %s\n"
        b"Subject: [PATCH] x%d\n\n%s\n"
        % (at, b"\n ".join(b"<%d-%d@r>" % (at, one) for one in range(references)), at, device(1).encode())
        for at in range(count)
    )
    head = b"From: a@b\nSubject: [PATCH] all\nMessage-Id: <all@x>\nMIME-Version: 1.0\n"
    kind = b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: application/mbox\n\n'
    mail = head + kind + inner + b"\n--b--\n"
    assert take(store, "inbox", Batch(mails=(mail,), cursor=Cursor()), Choice()).full == full
    assert add(store, *series(2, 1)) == 1


def test_mails_that_join_threads_do_not_make_one_of_any_size(store, monkeypatch):
    monkeypatch.setattr(intake, "THREAD_BYTES", 5000)
    for at in range(8):
        add(store, *series(at, 1))
    above = "> <".join(f"{at}-v1-1@example.org" for at in range(8))
    assert take(store, "x", Batch(mails=(patch(above=above),), cursor=Cursor()), Choice()).full == 1
    assert len(all_series(store)) == 8


def test_further_mail_changes_only_what_it_is_about(store):
    def changes(*mails):
        before = store.db.total_changes
        add(store, *mails)
        return store.db.total_changes - before

    add(store, *(mail for number in range(1, 3) for mail in series(1, 1, version=number)))
    few = changes(reply(1, version=2))
    add(
        store,
        *(
            mail
            for number in range(3, 30)
            for mail in series(1, 1, version=number, above="1-v1-1@example.org")
        ),
    )
    assert changes(reply(1, version=29)) == few


def test_pull_request_is_left_out(store):
    add(store, *series(1, 2, tag="PULL"))
    assert states(only(store)) == [(1, "left out")]
