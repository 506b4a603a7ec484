"""A series on top of the ones that it requires, from the same mails or from a clone."""

import pytest

from harness.check import run_checks
from harness.check.place import place
from harness.check.registry import RULES
from harness.check.required import NOT_FOUND, Start, put_on_required
from harness.progress import Silent
from harness.series import message_id_of, read_input
from harness.source.fetch import NO_PIN, fetch
from harness.tree import import_source
from harness.tree.git import Git
from tests.unit.check.support import RELEASE, append, cover, good, judged
from tests.unit.conftest import RELEASE as TINY
from tests.unit.repositories import git, write_files
from tests.unit.series.mails import mbox

SHORT = "int short_one;\n"


def series(name, *texts, before=SHORT, requires="", version=1):
    """A cover letter, ``<name>-1@e.org``, and a patch for each line of ``texts``, ``<name>-2@e.org`` etc."""
    tag = "PATCH" if version == 1 else f"PATCH v{version}"
    head = f"[{tag} 0/{len(texts)}] util: {name}"
    based = "".join(f"Based-on: {one}\n" for one in requires.split(", ") if one)
    mails = [cover(subject=head, ident=f"{name}-1@e.org", message=f"Needed.\n\n{based}")]
    for number, text in enumerate(texts, start=1):
        mail = append("util/short.c", before, text)
        subject = f"[{tag} {number}/{len(texts)}] util: {name} {number}"
        above = f"<{name}-{number + 1}@e.org>\nIn-Reply-To: <{name}-1@e.org>\nReferences: <{name}-1@e.org>"
        mails.append(
            mail.replace(b"[PATCH] util: add a second one", subject.encode()).replace(
                b"<1@example.org>", above.encode()
            )
        )
        before += f"{text}\n"
    return mails


@pytest.fixture
def read(layout, tmp_path):
    def read_mails(*mails):
        (tmp_path / "thread.mbox").write_bytes(mbox(*mails))
        return read_input(layout, str(tmp_path / "thread.mbox"))

    return read_mails


def put(found, tree, layout, onto=""):
    return put_on_required(found, tree, onto or tree.pristine, layout, Silent())


def titles(tree, commit, since=""):
    log = Git(repository=tree.path).read(
        "log", "--reverse", "--format=%s", f"{since or tree.pristine}..{commit}"
    )
    return log.splitlines()


BASE = series("base", "int one;", "int two;")
AFTER = SHORT + "int one;\nint two;\n"


@pytest.mark.parametrize(
    "requires",
    ["<base-1@e.org>", "base-1@e.org", "<base-3@e.org> (two)", "https://lore.kernel.org/r/base-1@e.org/"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_required_series_of_the_same_mailbox_is_applied_first(read, tree, layout, *, requires, order):
    found = read(*[*BASE, *series("top", "int top;", before=AFTER, requires=requires)][::order])
    assert found.version.cover.message_id == "top-1@e.org"
    start = put(found, tree, layout)
    assert titles(tree, start.commit) == ["util: base 1", "util: base 2"]
    assert dict(start.required) == {requires: ""}
    placed = place(found, tree, "series", (), layout, Silent(), onto=start.commit, required=start.required)
    assert placed.error is None
    assert titles(tree, placed.judged.tip, start.commit) == ["util: top 1"]
    assert "input-base" not in {one.rule for one in run_checks(placed.judged, frozenset(RULES), Silent())}


def test_higher_version_of_a_required_series_is_not_taken_for_the_series(read):
    base = series("base", "int one;", version=3)
    found = read(*base, *series("top", "int top;", requires="<base-1@e.org>"))
    assert found.version.cover.message_id == "top-1@e.org"


@pytest.mark.parametrize(
    ("below_middle", "below_top"),
    [("<base-1@e.org>", "<middle-1@e.org>, <base-1@e.org>"), ("", "<base-1@e.org>, <middle-1@e.org>")],
)
def test_required_series_are_below_in_their_order(read, tree, layout, below_middle, below_top):
    middle = series("middle", "int middle;", before=AFTER, requires=below_middle)
    top = series("top", "int top;", before=f"{AFTER}int middle;\n", requires=below_top)
    start = put(read(*top, *middle, *BASE), tree, layout)
    assert titles(tree, start.commit) == ["util: base 1", "util: base 2", "util: middle 1"]
    assert set(start.required.values()) == {""}


def test_series_that_require_each_other_end(read, tree, layout):
    one = series("one", "int one;", requires="<two-1@e.org>")
    two = series("two", "int two;", before=SHORT, requires="<one-1@e.org>")
    start = put(read(*one, *two), tree, layout)
    assert len(start.required) == 2


def test_missing_and_unfitting_series_are_findings(read, tree, layout, files):
    odd = series("odd", "int odd;", before="int other;\n")
    found = read(*odd, *series("top", "int top;", requires="<gone-1@e.org>, <odd-1@e.org>, master"))
    start = put(found, tree, layout)
    assert start.commit == tree.pristine
    placed = place(found, tree, "pristine", (), layout, Silent(), source=files, required=start.required)
    notes = [one.message for one in run_checks(placed.judged, frozenset({"input-base"}), Silent())]
    assert notes[0] == f"the series requires <gone-1@e.org>, {NOT_FOUND}"
    assert notes[1].startswith("the series requires <odd-1@e.org>, which does not apply: patch 1/1")
    assert notes[2] == f"the series requires master, {NOT_FOUND}"


def test_requirement_is_read_from_series_toml_and_encoded_mails():
    for coding in ("base64", "quoted-printable", "8bit"):
        name = f"{'a' * 80}@e.org"
        text = f"Why.\n\nBased-on: <{name}>\n"
        coded = cover(message=text, coding=coding, subject="[PATCH 0/1] util: x")
        found = judged(coded, good(subject="[PATCH 1/1] util: x")).input
        assert found.based_on == (f"<{name}>",), coding
    assert message_id_of("the master branch") == ""


# A clone


@pytest.fixture
def clone(tmp_path):
    """master, and the branch ``queue`` with a series that a maintainer applied from mails."""
    folder = write_files(tmp_path / "clone", TINY | RELEASE)
    git(folder, "init", "-q", "-b", "master")
    git(folder, "add", "-f", ".")
    git(folder, "commit", "-qm", "QEMU 1.2.3")
    git(folder, "checkout", "-qb", "queue")
    for number, line in enumerate(("Message-Id: <{}>", "Link: https://lore.kernel.org/r/{}"), start=2):
        name = f"20230101.1-{number}-a@e.org"
        git(folder, "commit", "-qm", f"util: {number}\n\n{line.format(name)}", "--allow-empty")
    git(folder, "commit", "-qm", "util: other\n\nMessage-Id: <20230101.1-9-b@e.org>", "--allow-empty")
    git(folder, "checkout", "-q", "master")
    return folder


@pytest.mark.parametrize(
    ("mail", "last"),
    [
        ("20230101.1-1-a@e.org", "queue~1"),
        ("20230101.1-2-a@e.org", "queue~1"),
        ("20230101.1-9-b@e.org", "queue"),
    ],
)
def test_required_series_is_found_in_the_clone_by_any_of_its_mails(read, layout, clone, mail, last):
    """The cover letter is in no commit. A mail of another series with a similar id is not taken."""
    found = read(*series("top", "int top;", requires=f"<{mail}>"))
    tree = import_source(fetch(NO_PIN, layout, Silent(), local=str(clone)), layout, Silent())
    start = put(found, tree, layout)
    assert start == Start(commit=git(clone, "rev-parse", last), required={f"<{mail}>": ""})
    at = import_source(fetch(NO_PIN, layout, Silent(), local=f"{clone}@queue"), layout, Silent())
    assert put(found, at, layout) == Start(commit=at.pristine, required={f"<{mail}>": ""}), "it contains it"


def test_required_series_on_another_branch_of_the_clone_is_reported(read, layout, clone):
    git(clone, "commit", "-qm", "master goes on", "--allow-empty")
    found = read(*series("top", "int top;", requires="<20230101.1-1-a@e.org>, <20230101.1-1-c@e.org>"))
    tree = import_source(fetch(NO_PIN, layout, Silent(), local=str(clone)), layout, Silent())
    start = put(found, tree, layout)
    assert start.commit == tree.pristine
    assert list(start.required.values()) == ["which is on another branch of the clone", NOT_FOUND]


def test_commits_of_a_range_are_used_as_they_are(layout, clone):
    git(clone, "checkout", "-qb", "topic")
    for number in (1, 2):
        (clone / "util" / "short.c").write_text(f"int short_{number};\n")
        git(clone, "commit", "-qam", f"util: {number}", "--date=2020-01-01T00:00:00Z")
    tree = import_source(fetch(NO_PIN, layout, Silent(), local=str(clone)), layout, Silent())
    found = read_input(layout, "topic", clone=str(clone))
    one, two = git(clone, "rev-parse", "topic~1"), git(clone, "rev-parse", "topic")
    reporter = Silent()
    placed = place(found, tree, "series", (), layout, reporter, onto=found.base_commit)
    assert any(line.endswith(f"apply to commit {found.base_commit[:12]}") for line in reporter.lines)
    base = git(clone, "rev-parse", "master")
    assert [(patch.commit, patch.parent) for patch in placed.judged.patches] == [(one, base), (two, one)]
    assert (placed.judged.tip, [fit.kind for fit in placed.fits]) == (two, ["clean", "clean"])
    elsewhere = place(found, tree, "series", (), layout, Silent(), onto=git(clone, "rev-parse", "queue"))
    assert elsewhere.judged.tip not in (two, elsewhere.judged.base), "applied to another commit: created anew"
