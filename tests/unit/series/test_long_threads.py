"""Threads of hostile mails: the work grows with the number of mails, and what is read of them is bounded."""

import sys
from pathlib import Path

import pytest

import harness.series
from harness.series import find_thread, grouping, message_id_of, names, read_mail, thread
from harness.series.version import names_after
from tests.unit.series.mails import DIFF, patch

FOLDER = str(Path(harness.series.__file__).parent)


def mail(subject, at, *above, diff=None, sender="A <a@e.org>", text="Why."):
    """Return the mail ``at``; ``above`` are the ids that it follows."""
    made = DIFF.replace("util/a.c", f"util/{at}.c") if diff is None else diff
    data = patch(subject, ident=f"{at}@x", diff=made, sender=sender, message=text)
    chain = "\n ".join(f"<{one}@x>" for one in above)
    data = data.replace(b"MIME", f"References: {chain}\nMIME".encode(), 1) if above else data
    return read_mail(data, f"mail {at}")


def window(at, size=20):
    return range(max(0, at - size), at)


def pairs(tag):
    """Return two patches in a chain for each of 999 versions."""
    return lambda at: mail(tag.format(at // 2 + 1, at % 2 + 1), at, "absent" if at % 2 == 0 else at - 1)


def re_roll(tag):
    """Return a series of 20 patches, and re-rolls of one of them each."""
    return lambda at: (
        mail(f"[PATCH {at + 1}/20] p{at}", at, *([0] if at else []))
        if at < 20
        else mail(tag.format(at - 18, at % 20 + 1), at, at % 20)
    )


def either(first, other):
    return lambda at: first(at) if at % 2 else other(at)


def last_above(at):
    return (at - 1,) if at else ()


HOSTILE = {
    "versions of one patch of two": lambda at: mail(f"[PATCH v{at + 1} 1/2] t", at, *last_above(at)),
    "versions without a count": lambda at: mail(f"[PATCH v{at + 1}] t", at, *last_above(at)),
    "versions of one cover letter": lambda at: mail(f"[PATCH v{at + 1} 0/2] t", at, *last_above(at), diff=""),
    "versions of two": pairs("[PATCH v{} {}/4] t"),
    "versions of two without a count": pairs("[PATCH v{}] part {}"),
    "patches of one version": lambda at: mail(f"[PATCH {at}/999] t", at, *last_above(at)),
    "patches without a count": lambda at: mail(f"[PATCH] {at}", at, *last_above(at)),
    "patches of one title": lambda at: mail("[PATCH] t", at, *last_above(at)),
    "patches of one title and file": lambda at: mail("[PATCH] t", at, *last_above(at), diff=DIFF),
    "one number": lambda at: mail("[PATCH 1/5] t", at, f"absent{at}"),
    "cover letters of other series": either(
        lambda at: mail(f"[PATCH v{at} 0/{at}] t", at, "absent", diff=""),
        lambda at: mail(f"[PATCH v{at} 1/{at + 900}] t", at, "absent"),
    ),
    "cover letters without a count": lambda at: mail(f"[PATCH v{at}] t", at, *last_above(at), diff=""),
    "no ids": lambda at: read_mail(
        patch(f"[PATCH v{at % 999} 1/2] t").replace(b"Message-Id: <1@example.org>\n", b""), "x"
    ),
    "replies": lambda at: mail(
        "Re: t" if at else "[PATCH] t",
        at,
        *window(at),
        diff=None if at == 0 else "",
        text=f"Acked-by: A <{at}@e>",
    ),
    "quotes of a patch": lambda at: mail("[PATCH] t", at, *window(at), diff=DIFF, sender=f"<{at // 9}@e>"),
    "patches that name many": lambda at: mail(f"[PATCH v{at} 1/{at % 9 + 1}] t", at, *window(at)),
    "a circle": lambda at: mail(f"[PATCH {at % 5}/5] t", at, *(one % 40 for one in range(at + 1, at + 20))),
    "re-rolls of one patch": re_roll("[PATCH v{} {}/20] t"),
    "re-rolls of one patch without a count": re_roll("[PATCH v{}] t"),
}


def lines_run(mails):
    """Return the number of lines of harness/series that ``find_thread`` runs."""
    count = 0

    def local(_frame, event, _value):
        nonlocal count
        count += event == "line"
        return local

    def trace(frame, _event, _value):
        return local if frame.f_code.co_filename.startswith(FOLDER) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = find_thread(mails)
        assert found.newest
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", HOSTILE)
def test_work_grows_with_the_number_of_mails(kind, monkeypatch):
    for module, name, value in (
        (names, "MOST", 10),
        (thread, "_CANDIDATES", 5),
        (thread, "REUSED", 0),
        (grouping, "_GROUPS", 5),
    ):
        monkeypatch.setattr(module, name, value)
    few, many = ([HOSTILE[kind](at) for at in range(count)] for count in (60, 480))
    assert lines_run(many) < 12 * lines_run(few), "8 for linear work, 64 for quadratic"


def test_reply_at_the_end_of_a_long_chain_is_found():
    chain = [mail("[PATCH] t", 0), *(mail("Re: t", at, at - 1, diff="") for at in range(1, 600))]
    (version,) = find_thread(
        [*chain, mail("Re: t", 600, 599, diff="", text="Acked-by: A <a@e.org>")]
    ).versions
    assert len(version.replies) == 600
    assert [str(trailer) for _, trailer in version.trailers] == ["Acked-by: A <a@e.org>"]


def test_re_rolls_that_take_too_many_patches_are_not_completed(monkeypatch):
    make = HOSTILE["re-rolls of one patch"]
    whole = find_thread([make(at) for at in range(30)]).versions
    assert [len(version.reused) for version in whole] == [0, *[19] * 10]
    monkeypatch.setattr(thread, "REUSED", 5 * 19 * thread._LEAST)
    some = find_thread([make(at) for at in range(30)]).versions
    assert [len(version.reused) for version in some] == [0, *[19] * 5, *[0] * 5]
    assert [bool(version.notes) for version in some] == [False] * 6 + [True] * 5


def test_trailers_and_objections_of_replies_are_bounded(monkeypatch):
    text = "\n".join(f"Acked-by: A <a{at}@e.org>\nNACK {at}" for at in range(20))
    mails = [mail("[PATCH] t", 0), *(mail("Re: t", at, 0, diff="", text=text) for at in (1, 2))]
    (version,) = find_thread(mails).versions
    assert (len(version.trailers), len(version.objections), version.notes) == (40, 20, ())
    monkeypatch.setattr(thread, "GIVEN", 10)
    (version,) = find_thread(mails).versions
    assert (len(version.trailers), len(version.objections)) == (10, 10)
    assert version.notes == ("the replies have more trailers or objections than 10, which are not read",)


def test_series_that_require_each_other_are_read():
    mails = [mail(f"[PATCH v{at + 1}] t", at, text=f"Based-on: <{(at + 1) % 3}@x>") for at in range(3)]
    found = find_thread(mails)
    assert found.newest is found.versions[-1]
    found = find_thread(mails[:2])
    assert found.newest is found.versions[0], "the second one is required"
    found = find_thread([*mails[:1], mail("[PATCH v9] own", 9, text="Based-on: <9@x>")])
    assert found.newest is found.versions[1]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x" * 300_000, []),
        ("@" * 300_000, ["@" * 300_000]),
        ("x " * 100_000 + "a@b", ["a@b"]),
        ("<" * 300_000 + "a@b", ["a@b"]),
        (" <https://e.org/list/a@b/>, c@d", ["a@b"]),
        ("a@b", ["a@b"]),
        (" @b a@", []),
    ],
    ids=range(7),
)
def test_message_ids_are_found_in_long_lines(line, expected):
    """A search that begins at each character would take hours."""
    assert names_after("Based-on", f"x\nBased-on:{line}\na@b") == expected
    assert [message_id_of(line)] == (expected or [""])
