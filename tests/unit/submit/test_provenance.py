"""Declarations of origin, statements that contradict them, and recipients."""

import contextlib
import dataclasses
import datetime
import itertools
import re

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.authoring.tags import read_records
from harness.errors import OptionError, ProvenanceError
from harness.series import load_series
from harness.submit.policy import UPSTREAM, Policy, find_policy
from harness.submit.provenance import (
    Declaration,
    Identity,
    git_identity,
    judge,
    read_declaration,
    series_patch_ids,
    sign_off_line,
    unanswered,
    write_form,
)
from harness.submit.recipients import find_recipients, read_settings
from harness.tree import apply_series
from harness.tree.git import Git
from tests.unit.submit.support import PERSON, declare

TODAY = datetime.date(2026, 1, 3)


def reasons(layout, tree):
    series = load_series(layout, "mine")
    git, declaration = Git(repository=tree.path), read_declaration(series.folder)
    found = judge(git, series, declaration, find_policy(tree, layout), today=TODAY)
    return [(one.rule, one.text) for one in found]


def test_form_without_answers_is_not_a_declaration(layout, tree, folder):
    policy = find_policy(tree, layout)
    assert policy.source == UPSTREAM
    assert "DECLINE" in policy.quote[0]
    series = load_series(layout, "mine")
    path = write_form(Git(repository=tree.path), series, policy)
    form = read_declaration(folder)
    assert form is not None
    assert set(unanswered(form)) == {
        *("person", "date", "written-by", "tools", "generated", "derived-from", "licence", "policy-read")
    }
    assert [rule for rule, _ in reasons(layout, tree)] == ["incomplete"]
    with pytest.raises(ProvenanceError, match="unanswered questions: person"):
        sign_off_line(series, form, Identity(name="A", email="a@b.org"))
    with pytest.raises(ProvenanceError, match="already exists"):
        write_form(Git(repository=tree.path), series, policy)
    assert (form.policy, form.policy_sha256) == (policy.source, policy.sha256)
    assert form.patches == series_patch_ids(Git(repository=tree.path), series)
    assert list(form.patches.values()) == [one.subject for one in series.patches]
    assert path == folder / "provenance.toml"
    text = path.read_text()
    for key, answer in (
        ('person = "?"', f'person = "{PERSON}"'),
        ('date = "?"', 'date = "2026-01-02"'),
        ('written-by = ["?"]', f'written-by = ["{PERSON}"]'),
        ('tools = ["?"]', "tools = []"),
        ('generated = "?"', 'generated = "no"'),
        ('derived-from = "?"', 'derived-from = "none"'),
        ('licence = "?"', 'licence = "GPL-2.0-or-later"'),
        ('policy-read = "?"', 'policy-read = "yes"'),
    ):
        assert text.count(key) == 1
        text = text.replace(key, answer)
    path.write_text(text)
    assert reasons(layout, tree) == []


@pytest.mark.parametrize(
    ("answers", "rule", "text"),
    [
        ({"generated": "yes"}, "generated", "AI"),
        ({"tools": ["GitHub Copilot"]}, "generated", "Copilot"),
        ({"tools": ["coccinelle"]}, "", ""),
        ({"policy-read": "no"}, "policy", "not read"),
        ({"policy-sha256": "0" * 64, "policy": "an older one"}, "policy", f"an older one.*{UPSTREAM}"),
        ({"date": "2026-13-02"}, "date", "2026-13-02"),
        ({"date": "2026-02-01"}, "date", "2026-02-01"),
        ({"licence": "GPL-3.0-only"}, "licence", "GPL-3.0-only"),
        ({"licence": "Beerware"}, "licence", "Beerware"),
        ({"generated": "maybe"}, "incomplete", ""),
        ({"written-by": ["me"]}, "incomplete", ""),
        ({"patches": {}}, "changed", ""),
        *(
            ({"person": person}, "person", person)
            for person in (
                "qemu bot <bot@qemu-test.org>",
                "QEMU Maintainers <list@qemu-test.org>",
                "A B <noreply@qemu-test.org>",
                "Root <a@qemu-test.org>",
                "A B <a@localhost>",
                "Unknown <a@qemu-test.org>",
                "Nobody <a@qemu-test.org>",
                "A B <a@b.invalid>",
            )
        ),
    ],
)
def test_unacceptable_answer_is_a_reason_not_to_send(layout, tree, folder, *, answers, rule, text):
    declare(layout, tree, "mine", **answers)
    found = reasons(layout, tree)
    assert {one for one, _ in found} == ({rule} if rule else set())
    assert all(re.search(text, words) for _, words in found)


def answered(**answers):
    """A complete declaration; keyword arguments replace answers."""
    values = {
        "person": PERSON,
        "date": "2026-01-02",
        "written_by": (PERSON,),
        "tools": (),
        "generated": "no",
        "derived_from": "none",
        "licence": "MIT",
        "policy": "a policy",
        "policy_sha256": "0",
        "policy_read": "yes",
        "patches": {},
    }
    return Declaration(**{**values, **answers})


@pytest.mark.parametrize(
    ("answers", "keys"),
    [
        ({}, ()),
        ({"generated": "yes", "policy_read": "no", "tools": ("coccinelle", "?")}, ()),
        ({"person": ""}, ("person",)),
        ({"person": "Test Person"}, ("person",)),
        ({"person": "person@qemu-test.org"}, ("person",)),
        ({"person": "A <a@b> or B <b@b>"}, ("person",)),
        ({"date": "2 January 2026"}, ("date",)),
        ({"date": "2026-1-2"}, ("date",)),
        ({"written_by": ()}, ("written-by",)),
        ({"written_by": ("?",)}, ("written-by",)),
        ({"written_by": (PERSON, "me")}, ("written-by",)),
        ({"tools": ("",)}, ("tools",)),
        ({"generated": "a little"}, ("generated",)),
        ({"policy_read": "maybe"}, ("policy-read",)),
        ({"derived_from": "", "licence": "?"}, ("derived-from", "licence")),
        ({"person": "?", "written_by": ("",), "policy_read": ""}, ("person", "written-by", "policy-read")),
    ],
)
def test_unanswered_and_unclear_questions_are_listed_once(answers, keys):
    assert unanswered(answered(**answers)) == keys


def test_declaration_may_be_dated_tomorrow_elsewhere(layout, tree, folder):
    """It is already tomorrow in some time zone."""
    declare(layout, tree, "mine", date="2026-01-04")
    assert reasons(layout, tree) == []
    declare(layout, tree, "mine", date="2026-01-05")
    ((rule, text),) = reasons(layout, tree)
    assert rule == "date"
    assert "2026-01-05" in text


def test_missing_incomplete_and_outdated_declarations_name_the_places(layout, tree, folder):
    ((rule, text),) = reasons(layout, tree)
    assert (rule, "mine" in text) == ("no-declaration", True)
    declare(layout, tree, "mine", date="soon", licence="?")
    ((_, text),) = reasons(layout, tree)
    assert "provenance.toml" in text
    assert "licence, date" in text
    declare(layout, tree, "mine", patches={})
    subjects = [one.subject for one in load_series(layout, "mine").patches]
    for (_, text), subject in zip(reasons(layout, tree), subjects, strict=True):
        assert subject in text


def test_declined_content_is_reported_with_the_policy(layout, tree, folder):
    declare(layout, tree, "mine", generated="yes", tools=["Copilot"])
    toml, path = folder / "series.toml", folder / "0001-first.patch"
    toml.write_text(toml.read_text() + '[origin]\nwritten-by = "a model"\ngenerated = true\n')
    path.write_text(path.read_text().replace("Because of", "Assisted-by: Claude\n\nBecause of"))
    series, policy = load_series(layout, "mine"), find_policy(tree, layout)
    git, declaration = Git(repository=tree.path), read_declaration(folder)
    found = judge(git, series, declaration, policy, today=TODAY)
    assert [(one.rule, one.quote) for one in found] == [("generated", policy.quote)] * 4


@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ("GPL-2.0-or-later", ""),
        ("MIT", ""),
        ("GPL-3.0-only", "util/n\u00fc.c"),
        ("Proprietary", "util/n\u00fc.c"),
    ],
)
def test_licence_of_a_new_file_is_checked(layout, tree, folder, licence, reason):
    path = folder / "0002-second.patch"
    data = path.read_bytes().decode()
    path.write_bytes(data.replace("Identifier: GPL-2.0-or-later", f"Identifier: {licence}").encode())
    declare(layout, tree, "mine")
    found = reasons(layout, tree)
    assert [rule for rule, _ in found] == (["licence"] if reason else [])
    assert all(reason in text and licence in text for _, text in found)


def test_origin_stated_by_the_series_itself_counts(layout, tree, folder):
    declare(layout, tree, "mine")
    toml = folder / "series.toml"
    plain = toml.read_text()
    toml.write_text(
        plain + '[origin]\nwritten-by = "a language model"\ngenerated = true\nderived-from = "a book"\n'
    )
    generated, derived = reasons(layout, tree)
    assert (generated[0], derived[0]) == ("generated", "derived")
    assert "a language model" in generated[1]
    assert "a book" in derived[1]
    toml.write_text(plain + '[origin]\nwritten-by = "a person"\n')
    assert reasons(layout, tree) == []


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("0001-first.patch", "Assisted-by: Claude\n\nBecause of"),
        ("0000-cover-letter.patch", "Written with Claude. Why"),
    ],
)
def test_statement_in_a_mail_counts(layout, tree, folder, file, statement):
    declare(layout, tree, "mine")
    assert reasons(layout, tree) == []
    path = folder / file
    path.write_text(re.sub("Because of|Why", statement, path.read_text()))
    ((rule, reason),) = reasons(layout, tree)
    assert rule == "generated"
    assert ("cover letter" if file.startswith("0000") else file) in reason
    assert "Claude" in reason


def test_only_the_person_who_declared_signs_off(layout, tree, folder):
    declare(layout, tree, "mine")
    series, declaration = load_series(layout, "mine"), read_declaration(folder)
    identity = git_identity(folder)
    assert sign_off_line(series, declaration, identity) == f"Signed-off-by: {PERSON}"
    with pytest.raises(ProvenanceError, match=f"{PERSON}.*git's identity is Other <person@qemu-test.org>"):
        sign_off_line(series, declaration, Identity(name="Other", email="person@qemu-test.org"))
    for bad in (Identity(name="", email="a@b"), Identity(name="A", email="")):
        with pytest.raises(ProvenanceError, match=r"user\.email is not set"):
            sign_off_line(series, declaration, bad)
    with pytest.raises(ProvenanceError, match="mine") as error:
        sign_off_line(series, None, identity)
    assert "series declare mine" in error.value.remedy
    with pytest.raises(ProvenanceError, match=r"mine/provenance\.toml.*: date, licence$"):
        sign_off_line(series, answered(date="?", licence=""), identity)


def test_declaration_that_cannot_be_read_is_refused_by_name(folder):
    assert read_declaration(folder) is None
    path = folder / "provenance.toml"
    for text in ('person = "x"\n', "[[\n"):
        path.write_text(text)
        with pytest.raises(ProvenanceError, match=r"mine/provenance\.toml") as error:
            read_declaration(folder)
        assert "series declare mine" in error.value.remedy
    path.unlink()
    path.mkdir()
    with pytest.raises(ProvenanceError, match=r"mine/provenance\.toml"):
        read_declaration(folder)


def test_identity_is_that_of_git(folder, tmp_path):
    assert str(git_identity(folder)) == PERSON
    (tmp_path / "home" / ".gitconfig").write_text("[user]\nname = A  B\n")
    assert git_identity(folder) == Identity(name="A  B", email="")


def test_form_quotes_subjects_for_toml(layout, tree, folder):
    subject = 'util: say "caf\u00e9" \\ more'
    path = folder / "0001-first.patch"
    path.write_text(re.sub(r"Subject: .*", lambda _: f"Subject: [PATCH 1/2] {subject}", path.read_text()))
    policy = Policy(text="x", source='a "policy"')
    write_form(Git(repository=tree.path), load_series(layout, "mine"), policy)
    form = read_declaration(folder)
    assert (form.policy, form.policy_sha256) == (policy.source, policy.sha256)
    assert next(iter(form.patches.values())) == subject
    with pytest.raises(ProvenanceError, match=r"mine/provenance\.toml"):
        write_form(Git(repository=tree.path), load_series(layout, "mine"), policy)


def test_policy_of_the_tree_takes_precedence(layout, tree):
    text = "Policy\n\nWe DECLINE AI generated content.\n"
    git = Git(repository=tree.path)
    blob = git.read("hash-object", "-w", "--stdin", stdin=text.encode())
    listing = f"100644 blob {blob}\tcode-provenance.rst\n".encode()
    inner = git.read("mktree", stdin=listing)
    devel = git.read("mktree", stdin=f"040000 tree {inner}\tdevel\n".encode())
    top = git.read("mktree", stdin=f"040000 tree {devel}\tdocs\n".encode())
    commit = git.read("commit-tree", top, "-m", "x")
    found = find_policy(dataclasses.replace(tree, pristine=commit), layout)
    assert found == Policy(text=text, source="docs/devel/code-provenance.rst of the tree tiny")
    assert found.quote == ("We DECLINE AI generated content.",)


def test_each_recipient_has_its_reasons(layout, tree, folder, reporter):
    toml = folder / "series.toml"
    toml.write_text(
        toml.read_text()
        + 'cc = ["Paula <paula@posix.qemu-test.org>", "dead@gone.qemu-test.org"]\n'
        + '[without]\n"dead@gone.qemu-test.org" = "bounces"\n'
        + '[[recipients]]\naddress = "crlf@lists.qemu-test.org"\nreason = "line ends"\npaths = ["*.txt"]\n'
        + '[[recipients]]\naddress = "never@lists.qemu-test.org"\nreason = "no"\npaths = ["hw/*"]\n'
        + '[[recipients]]\naddress = "boss@qemu-test.org"\nreason = "asked"\nheader = "to"\n'
    )
    series = load_series(layout, "mine")
    git, tip = Git(repository=tree.path), apply_series(tree, series, layout, reporter).commit
    found = find_recipients(git, tree.pristine, tip, series, reporter, sender="person@qemu-test.org")
    recipients = {one.address: (one.header, one.reasons) for one in found.sent}
    assert recipients == {
        "boss@qemu-test.org": ("to", ("series.toml: asked",)),
        "qemu-devel@nongnu.org": (
            "to",
            (".gitpublish, profile default", "open list:All patches CC here, all patches"),
        ),
        "crlf@lists.qemu-test.org": ("cc", ("series.toml: line ends (crlf.txt)",)),
        "Paula Posix <paula@posix.qemu-test.org>": ("cc", ("series.toml: cc", "maintainer:POSIX, patch 1")),
        "Uta \u00dcber <uta@util.qemu-test.org>": ("cc", ("reviewer:Utilities, patch 2",)),
    }
    out = dict(found.left_out)
    assert out["dead@gone.qemu-test.org"] == "series.toml: bounces"
    assert "cannot receive mail (maintainer:Utilities, patch 2)" in out["Udo <noreply@users.example.com>"]


def test_no_command_of_the_tree_is_run(layout, tree):
    git = Git(repository=tree.path)
    rfc = read_settings(git, tree.pristine, "rfc")
    assert (rfc.to, rfc.cc) == (("qemu-devel@nongnu.org",), ("rfc@lists.qemu-test.org",))
    assert rfc.arguments == ("--nogit", "--nogit-fallback"), "the command is not get_maintainer.pl"
    default = read_settings(git, tree.pristine, "default")
    assert default.arguments == ("--nogit", "--nogit-fallback")
    assert read_settings(git, tree.pristine, "other").to == ("qemu-devel@nongnu.org",)


def test_invalid_address_in_series_toml_is_refused(layout, folder):
    toml = folder / "series.toml"
    for bad, where in itertools.product(("nobody", "a@b\\r\\nBcc: x@y.org"), ("to", "cc")):
        toml.write_text(f'title = "T"\n{where} = ["{bad}"]\n')
        with pytest.raises(OptionError, match="is not a mail address"):
            load_series(layout, "mine")


@hypothesis.settings(max_examples=30)
@hypothesis.given(st.binary(max_size=60))
def test_arbitrary_bytes_give_a_declaration_or_a_harness_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    for text in (data, b'[[tag]]\npatch = "' + data + b'"', b'person = "' + data + b'"'):
        (folder / "provenance.toml").write_bytes(text)
        (folder / "tags.toml").write_bytes(text)
        with contextlib.suppress(ProvenanceError):
            read_declaration(folder)
        with contextlib.suppress(OptionError):
            read_records(folder)
