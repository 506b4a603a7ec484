"""The command submit: the checks before any work, the output files, and the end of the command."""

import json

import pytest

from harness.authoring.tags import StaleTag
from harness.errors import NotReadyError, OptionError, ProvenanceError, SubmitError
from harness.progress import Silent
from harness.source.fetch import NO_PIN, fetch
from harness.submit.facts import ChecklistItem
from harness.submit.provenance import Reason
from harness.submit.record import Outgoing, Sent
from harness.submit.write import outgoing_folder
from harness.tree import import_source
from tests.structs import filled
from tests.unit import conftest as unit
from tests.unit.commands import support
from tests.unit.commands.support import is_locked
from tests.unit.repositories import make_repository
from tests.unit.submit import conftest as submitting
from tests.unit.submit.support import declare, finding, validate

# Fixtures of other packages. The stand-in for QEMU is not needed here.
layout, fetched = unit.layout, support.fetched
folder, made_tree, person, tree = (
    submitting.folder,
    submitting.made_tree,
    submitting.person,
    submitting.tree,
)
MINE = "-Dseries=mine"
ORDER = ["load_series", "read_input", "read_validated", "tree_of", "prepare"]


@pytest.fixture
def story(calls, fetched):
    """Watch the functions that submit calls, in the modules from which it imports them."""
    for place in (
        "harness.series.load_series",
        "harness.series.read_input",
        "harness.submit.validated.read_validated",
        "harness.submit.prepare.prepare",
    ):
        calls.spy(place)
    return calls


def outgoing(*reasons, stale=()):
    """Return the record of a preparation; it is ready if there are no ``reasons``."""
    return filled(
        Outgoing,
        folder="/build/outgoing/mine-v3",
        series="mine",
        version=3,
        ready=not reasons,
        reasons=tuple(Reason(rule="generated", text=text) for text in reasons),
        mails=(Sent.of("v3-0001-x.patch", b"mail", "1@qemu-test.org"),),
        stale=stale,
        checklist=(ChecklistItem(section="x", rule="It is tested", verdict="yes", evidence="it is"),),
    )


@pytest.fixture
def prepared(story, layout, tree, folder, monkeypatch):
    """Validate the series, and let prepare return what a test adds to this list."""
    validate(layout, tree, "mine", finding("dco-missing"))
    results = []
    story.spy("harness.submit.prepare.prepare", lambda *_, **__: results[-1])
    return results


@pytest.mark.slow
def test_ready_series_is_written_and_ends_with_0(run, story, fetched, layout, tree, folder):
    validate(layout, tree, "mine", finding("dco-missing"))
    declare(layout, tree, "mine")
    ended = run("submit", MINE, "--sign-off")
    assert (ended.code, ended.error) == (0, None)
    assert story.made == ORDER
    assert fetched.locked == [True]
    out = outgoing_folder(layout, "mine", 1)
    assert ended.out.startswith("mine-v1: ready, as far as a program can judge; a person sends it\n")
    assert ended.out.endswith(
        f"\n\n{out}: 3 mails; recipients.txt, checklist.html, send.txt, outgoing.json\n"
    )
    assert "Every patch has the author's Signed-off-by" in ended.out
    assert json.loads((out / "outgoing.json").read_text())["ready"] is True
    assert {"0000-cover-letter.patch", "recipients.txt", "checklist.html", "send.txt"} <= {
        path.name for path in out.iterdir()
    }
    assert (out / "series.mbox").read_text().count("\nSigned-off-by: Test Person ") == 2


@pytest.mark.slow
def test_series_that_is_not_ready_is_written_and_ends_with_28(run, story, layout, tree, folder):
    validate(layout, tree, "mine", finding("dco-missing"))
    ended = run("submit", MINE)
    assert isinstance(ended.error, NotReadyError)
    assert ended.code == 28
    assert ended.error.cause.startswith("mine-v1 is not ready to send: no person has declared its origin")
    assert ended.error.details == ("no patch has a Signed-off-by of its author; only a person can add it",)
    assert story.made == ORDER
    out = outgoing_folder(layout, "mine", 1)
    assert ended.out.startswith("mine-v1: NOT READY TO SEND\n  no person has declared its origin")
    assert f"{out}: 3 mails" in ended.out
    assert json.loads((out / "outgoing.json").read_text())["ready"] is False
    assert "\nSigned-off-by: " not in (out / "series.mbox").read_text()


def test_reasons_not_to_send_are_the_error(run, prepared, layout):
    prepared.append(outgoing("written by a program", "nothing signed", "no list"))
    ended = run("submit", MINE)
    assert isinstance(ended.error, NotReadyError)
    assert ended.error.cause == "mine-v3 is not ready to send: written by a program"
    assert ended.error.details == ("nothing signed", "no list")
    assert not is_locked(layout)
    assert "docs/submit.md" in ended.error.remedy
    assert "mine-v3: NOT READY TO SEND\n  written by a program\n" in ended.out
    assert "[x]  It is tested  it is\n" in ended.out
    assert ended.out.endswith(
        "/build/outgoing/mine-v3: 1 mails; recipients.txt, checklist.html, send.txt, outgoing.json\n"
    )


def test_removed_review_tags_are_warned_of(run, prepared):
    stale = StaleTag(patch="util: thing", line="Reviewed-by: R <r@b.org>", reason="the diff changed")
    prepared.append(outgoing(stale=(stale,)))
    ended = run("submit", MINE)
    assert ended.code == 0
    assert ended.lines == ["removed from 'util: thing': Reviewed-by: R <r@b.org>: the diff changed"]


@pytest.mark.parametrize(("words", "sign_off"), [((), False), (("--sign-off",), True)])
def test_sign_off_is_passed_on(run, prepared, story, words, sign_off):
    prepared.append(outgoing())
    assert run("submit", MINE, *words).code == 0
    ((arguments, given),) = story.given["prepare"]
    assert arguments[2] == "mine"
    assert given == {"sign_off": sign_off}


def _validated(layout, tree):
    validate(layout, tree, "mine")


def _other_bytes(layout, tree):
    _validated(layout, tree)
    cover = layout.patches / "mine" / "0000-cover-letter.patch"
    cover.write_text(cover.read_text() + "One more word.\n")


@pytest.mark.parametrize(
    ("words", "setup", "error", "cause"),
    [
        ((MINE,), lambda *_: None, SubmitError, "the series has not been validated"),
        ((MINE,), _other_bytes, SubmitError, "validate.json is for other bytes"),
        ((MINE, "-Dpin=7.2"), _validated, SubmitError, "validate.json is for another pin: tiny"),
        (("-Dseries=mime",), lambda *_: None, OptionError, "there is no series 'mime'"),
        ((MINE, "-Dno-such=1"), lambda *_: None, OptionError, "unknown option -Dno-such"),
    ],
)
def test_refusal_comes_before_any_work(run, story, layout, tree, folder, words, setup, error, cause):
    setup(layout, tree)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ended = run("submit", *words)
    assert type(ended.error) is error
    assert ended.error.cause.startswith(cause) or cause in ended.error.cause
    assert not {"tree_of", "prepare"} & set(story.made)
    assert not layout.locks.exists(), "the checkout was locked"
    assert ended.out == ""
    assert not (layout.build / "outgoing").exists()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_sign_off_without_a_declaration_is_refused(run, story, layout, tree, folder):
    validate(layout, tree, "mine", finding("dco-missing"))
    ended = run("submit", MINE, "--sign-off")
    assert isinstance(ended.error, ProvenanceError)
    assert ended.code == 27
    assert ended.out == ""
    assert not (layout.build / "outgoing").exists()
    assert not is_locked(layout), "the lock is held after a failure"


def test_validation_on_another_base_is_refused(run, story, layout, tree, folder):
    validate(layout, tree, "mine", base_commit="0" * 40)
    run("submit", MINE).fails(SubmitError, "which is neither base nor pristine")
    assert story.made == ORDER
    assert not (layout.build / "outgoing").exists()


@pytest.mark.parametrize(
    ("pins", "words", "pin"),
    [
        ('pins = ["tiny"]', (), "tiny"),
        ('pins = ["other", "7.2"]', (), "7.2"),
        ('pins = ["tiny"]', ("-Dpin=7.2",), "7.2"),
        ("", (), "7.2"),
    ],
)
def test_pin_is_the_given_one_or_that_of_the_series(
    run, prepared, fetched, layout, tree, folder, pins, words, pin
):
    toml = folder / "series.toml"
    toml.write_text(toml.read_text().replace('pins = ["tiny"]', pins))
    validate(layout, tree, "mine", finding("dco-missing"), pin=pin)
    prepared.append(outgoing())
    assert run("submit", MINE, *words).code == 0
    assert fetched.pins == [pin]


@pytest.mark.slow
def test_series_is_submitted_on_the_clone_that_it_was_validated_on(
    run, layout, tmp_path, folder, monkeypatch
):
    """Not on a pin: the tree has the clone's name, and base-commit is the clone's commit."""
    monkeypatch.setattr("harness.options.declared_options", lambda _: support.real_options())
    clone = tmp_path / "qemu"
    make_repository(clone, {**unit.RELEASE, **submitting.EXTRA})
    source = f"-Dsource={clone}"
    early = run("submit", MINE, source)
    assert isinstance(early.error, SubmitError)
    assert early.error.remedy == f"run `nox -s validate -- -Dseries=mine {source}`"
    tree = import_source(fetch(NO_PIN, layout, Silent(), local=str(clone)), layout, Silent())
    validate(layout, tree, "mine", base="series")
    ended = run("submit", MINE, source)
    assert isinstance(ended.error, NotReadyError), ended.error
    cover = (outgoing_folder(layout, "mine", 1) / "0000-cover-letter.patch").read_text()
    assert f"\nbase-commit: {tree.digest}\n" in cover
    gone = run("submit", MINE, f"{source}@HEAD")
    assert isinstance(gone.error, NotReadyError), "the same commit by another name"
