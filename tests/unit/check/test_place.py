"""Applying a series to a tree, and trying it on further pins."""

from dataclasses import replace

import msgspec
import pytest

from harness.check import RULES, Fit, run_checks
from harness.check import place as module
from harness.check.place import NO_PREFIX, base_of, place
from harness.errors import FetchError
from harness.progress import Silent
from harness.series.series import SeriesFile
from harness.tree import start_of
from harness.tree.fit import PatchFit, fit_patches
from harness.tree.git import Git
from tests.unit.check.support import ONE, Recorder, append, good, judged, new_file, pair


def series(*mails):
    return judged(*mails).input


def test_base_is_the_one_asked_for_or_that_of_the_series():
    ours = replace(series(good()), is_ours=True)
    assert [base_of(ours, asked) for asked in ("base", "pristine", "auto")] == [
        "base",
        "pristine",
        "pristine",
    ]
    assert base_of(series(good()), "auto") == "pristine"
    for base in ("base", "pristine"):
        metadata = SeriesFile(title="x", base=base)
        assert base_of(replace(ours, metadata=metadata), "auto") == base


def test_patches_have_their_commits(apply, tree, files):
    placed = apply(*pair())
    checked, git = placed.judged, Git(repository=tree.path)
    one, two = checked.patches
    base = git.read("rev-parse", "pristine").strip()
    assert git.read("rev-parse", checked.base).strip() == base
    assert (one.number, two.number) == (1, 2)
    assert one.parent == base
    assert two.parent == one.commit
    assert two.commit == checked.tip
    assert git.read("log", "-1", "--format=%s", two.commit).strip() == "util: add more"
    assert placed.error is None
    assert (checked.pin, checked.origin, checked.source) == (tree.pin.name, tree.digest, files)
    assert checked.input.name == "series"
    assert [(fit.kind, fit.details) for fit in checked.fits] == [("clean", ()), ("clean", ())]
    assert placed.fits == (Fit(pin="tiny", patch=1, kind="clean"), Fit(pin="tiny", patch=2, kind="clean"))


def test_commit_of_a_subject_that_git_shortens_is_found(apply):
    (patch,) = apply(good(subject="[PATCH] [odd] util: add it")).judged.patches
    assert patch.mail.subject.title == "[odd] util: add it"
    assert patch.commit


def test_series_may_be_applied_to_the_base(apply, tree):
    feature = append("util/feature.c", "int feature;\n", "int more;")
    assert apply(feature).judged.applies
    placed = apply(feature, base="base")
    assert placed.judged.base == start_of(tree, "base")
    assert not placed.judged.applies
    assert [fit.kind for fit in placed.fits] == ["not"]


def numbered(number, mail, title):
    """Patch ``number`` of three."""
    subject = f"[PATCH {number}/3] util: {title}".encode()
    return mail.replace(b"[PATCH] util: add a second one", subject).replace(b"<1@", f"<{number}@".encode())


def test_series_that_does_not_apply_has_an_error_and_no_commits(apply):
    bad = append("util/short.c", "other;\n", "int x;")
    placed = apply(numbered(1, good(), "one"), numbered(2, bad, "two"))
    assert placed.error is not None
    assert placed.judged.tip == placed.judged.base
    assert [(one.commit, one.parent) for one in placed.judged.patches] == [("", ""), ("", "")]
    assert [fit.kind for fit in placed.judged.fits] == ["clean", "not"]


def test_series_without_a_sound_patch_is_not_tried(apply):
    placed = apply(good(diff=""))
    assert (placed.fits, placed.judged.fits, placed.error) == ((), (), None)
    assert not placed.judged.applies


def test_patch_that_changes_nothing_has_no_commit(apply):
    placed = apply(
        numbered(1, good(), "one"),
        numbered(2, new_file("util/long.c", *(f"static int line_{n};" for n in range(1, 81))), "two"),
        numbered(3, append("util/crlf.c", "one\r\ntwo\r\n", "three\r"), "three"),
    )
    one, two, three = placed.judged.patches
    assert [fit.kind for fit in placed.fits] == ["clean", "already", "clean"]
    assert (two.commit, two.parent) == ("", "")
    assert three.parent == one.commit
    assert three.commit


def test_commit_is_not_that_of_a_patch_with_its_title_that_changes_nothing(apply):
    there = new_file("util/long.c", *(f"static int line_{n};" for n in range(1, 81)))
    placed = apply(numbered(1, there, "same"), numbered(2, good(), "same"))
    assert [bool(patch.commit) for patch in placed.judged.patches] == [False, True]
    assert [fit.kind for fit in placed.fits] == ["already", "clean"]


def test_unsound_patches_are_left_out(apply):
    last = append("util/crlf.c", "one\r\ntwo\r\n", "three\r")
    mails = (numbered(1, good(), "one"), numbered(2, good(diff=""), "two"), numbered(3, last, "three"))
    placed = apply(*mails)
    assert [(fit.patch, fit.kind) for fit in placed.fits] == [(1, "clean"), (3, "clean")]
    one, two, three = placed.judged.patches
    assert (two.commit, two.parent) == ("", "")
    assert three.parent == one.commit != ""


def test_refused_patch_does_not_apply_in_any_word(apply):
    link = new_file("util/link", "../../x", mode="120000")
    placed = apply(numbered(1, good(), "one"), numbered(2, link, "two"))
    assert [(fit.patch, fit.kind) for fit in placed.fits] == [(1, "clean"), (2, "not")]
    assert placed.judged.stopped_at == 2
    assert "link to ../../x" in placed.error.reason


def without_prefix(mail):
    for prefix in (b" a/", b" b/"):
        mail = mail.replace(prefix, b" ")
    return mail


@pytest.mark.parametrize(
    "mail",
    [
        without_prefix(good()),
        without_prefix(new_file("util/new.c", "int x;")),
        without_prefix(new_file("new.c", "int x;")),
        without_prefix(good(diff=ONE.format(line="int y;").partition("100644\n")[2])),
        without_prefix(good(line="/* h\udcfcbsch */")),
    ],
    ids=["changed", "new", "new at the top", "cvs", "Latin-1"],
)
def test_patch_for_p0_is_not_applied_elsewhere(apply, mail):
    placed = apply(mail)
    assert placed.judged.unprefixed == {1}
    assert not placed.judged.applies
    assert {(fit.kind, fit.details) for fit in placed.fits} <= {("not", (NO_PREFIX,))}
    assert {one.rule for one in run_checks(placed.judged, frozenset(RULES), Silent())} & {
        "apply-p0",
        "apply-fails",
        "apply-file",
        "input-damaged",
    } == {"apply-p0"}


SAME = new_file("util/long.c", *(f"static int line_{n};" for n in range(1, 81)))


@pytest.mark.parametrize(
    ("second", "trials", "kinds"),
    [
        (SAME, ["not", "clean"], ["3-way", "already"]),
        (SAME, ["fuzz", "already"], ["3-way", "already"]),
        (SAME, ["already", "not"], ["3-way", "already"]),
        (SAME, ["offsets", "3-way"], ["offsets", "already"]),
        (append("util/short.c", "other;\n", "int x;"), ["clean", "clean"], ["clean", "not"]),
        (append("util/short.c", "other;\n", "int x;"), ["already", "fuzz"], ["already", "fuzz"]),
    ],
)
def test_what_git_am_does_counts_more_than_a_trial(apply, monkeypatch, second, trials, kinds):
    """The second patch changes nothing, or git am stops at it."""
    fits = [PatchFit(kind=kind, exact=True, details=("hunk 1",)) for kind in trials]
    monkeypatch.setattr(module, "fit_patches", lambda *_, **__: fits)
    placed = apply(numbered(1, good(), "one"), numbered(2, second, "two"))
    assert placed.fits == tuple(
        Fit(pin="tiny", patch=number, kind=kind, exact=True, details=("hunk 1",))
        for number, kind in enumerate(kinds, start=1)
    )


@pytest.fixture
def other(tree, layout, monkeypatch):
    """The tree of the pin ``other``; the pin ``gone`` is not available."""
    made = replace(tree, pin=msgspec.structs.replace(tree.pin, name="other"))

    def find_pin(at, name):
        assert at is layout
        return name

    def fetch(pin, at, reporter):
        assert (at, isinstance(reporter, Recorder)) == (layout, True)
        if pin == "gone":
            raise FetchError("no network", "plug it in")
        return f"source of {pin}"

    def import_source(source, at, reporter):
        assert (source, at) == ("source of other", layout)
        assert isinstance(reporter, Recorder)
        return made

    for name, fake in (("find_pin", find_pin), ("fetch", fetch), ("import_source", import_source)):
        monkeypatch.setattr(module, name, fake)
    return made


def test_series_is_tried_on_further_pins(tree, other, layout, monkeypatch):
    tried = []

    def spy(path, start, diffs, *, also, moved):
        tried.append((path, start, [len(changes) for _, changes in diffs], also))
        assert moved == {}
        return fit_patches(path, start, diffs, also=also)

    monkeypatch.setattr(module, "fit_patches", spy)
    reporter = Recorder()
    mails = series(*pair())
    placed = place(mails, tree, "pristine", ("gone", "other", "tiny"), layout, reporter)
    assert [(fit.pin, fit.patch, fit.kind, fit.details) for fit in placed.fits] == [
        ("tiny", 1, "clean", ()),
        ("tiny", 2, "clean", ()),
        ("gone", 1, "unknown", ("no network",)),
        ("gone", 2, "unknown", ("no network",)),
        ("other", 1, "clean", ()),
        ("other", 2, "clean", ()),
    ]
    both = [tree.path, other.path]
    assert sorted(tried) == sorted((one.path, one.pristine, [1, 1], both) for one in (tree, other))
    assert len(placed.judged.fits) == 2, "those of the own pin"
    assert reporter.updates[:3] == [(0, 3, "tiny"), (1, 3, "gone"), (2, 3, "other")]
    assert "trying each patch on each pin" in reporter.lines
    assert any("gone" in line and "no network" in line for line in reporter.lines)
    tried.clear()
    place(mails, tree, "base", ("other",), layout, Recorder())
    assert {start for _, start, _, _ in tried} == {start_of(one, "base") for one in (tree, other)}
    tried.clear()
    elsewhere = []
    monkeypatch.setattr(
        module, "find_moves", lambda files, there, places: elsewhere.append((there, places)) or {}
    )
    base = start_of(tree, "base")
    place(mails, tree, "pristine", ("other",), layout, Recorder(), onto=base)
    assert {start for _, start, _, _ in tried} == {base, other.pristine}
    assert elsewhere == [((other.path, other.pristine), [(tree.path, base)])]


def test_details_and_exactness_of_a_fit_are_kept(apply, tree):
    blob = Git(repository=tree.path).read("rev-parse", "pristine:util/short.c").strip()
    placed = apply(good().replace(b"index 1234567", f"index {blob[:12]}".encode()))
    assert [(fit.kind, fit.exact) for fit in placed.fits] == [("clean", True)]
    assert [(fit.kind, fit.exact) for fit in placed.judged.fits] == [("clean", True)]
    moved = append("util/long.c", "", "int x;").replace(
        b"@@ -1,0 +1,1 @@\n+int x;\n",
        b"@@ -2,4 +2,5 @@\n static int line_7;\n static int line_8;\n+int x;\n static int line_9;\n"
        b" static int line_10;\n",
    )
    placed = apply(moved)
    ((row,), (own,)) = placed.fits, placed.judged.fits
    assert (row.kind, own.kind) == ("offsets", "offsets")
    assert row.details == own.details != ()
