"""Declarations of origin, statements that contradict them, and recipients."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.authoring.tags import read_records
from harness.errors import OptionError, ProvenanceError
from harness.layout import Layout
from harness.progress import Silent
from harness.series import load_series
from harness.submit.policy import UPSTREAM, Policy, find_policy
from harness.submit.provenance import (
    Identity,
    git_identity,
    judge,
    read_declaration,
    sign_off_line,
    unanswered,
    write_form,
)
from harness.submit.recipients import find_recipients, read_settings
from harness.tree import Tree, apply_series
from harness.tree.git import Git
from tests.unit.submit.support import PERSON, declare

TODAY = datetime.date(2026, 1, 3)


def reasons(layout: Layout, tree: Tree) -> list[tuple[str, str]]:
    series = load_series(layout, "mine")
    found = judge(
        Git(repository=tree.path),
        series,
        read_declaration(series.folder),
        find_policy(tree, layout),
        today=TODAY,
    )
    return [(one.rule, one.text) for one in found]


def test_form_without_answers_is_not_a_declaration(layout: Layout, tree: Tree, folder: Path) -> None:
    policy = find_policy(tree, layout)
    assert policy.source == UPSTREAM
    assert "DECLINE" in policy.quote[0]
    series = load_series(layout, "mine")
    path = write_form(Git(repository=tree.path), series, policy)
    form = read_declaration(folder)
    assert form is not None
    assert set(unanswered(form)) == {
        *("person", "date", "written-by", "tools", "generated", "derived-from", "licence", "policy-read"),
    }
    assert [rule for rule, _ in reasons(layout, tree)] == ["incomplete"]
    with pytest.raises(ProvenanceError, match="unanswered questions: person"):
        sign_off_line(series, form, Identity(name="A", email="a@b.org"))
    with pytest.raises(ProvenanceError, match="already exists"):
        write_form(Git(repository=tree.path), series, policy)
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
    ("answers", "rule"),
    [
        ({"generated": "yes"}, "generated"),
        ({"tools": ["GitHub Copilot"]}, "generated"),
        ({"tools": ["coccinelle"]}, ""),
        ({"policy-read": "no"}, "policy"),
        ({"policy-sha256": "0" * 64}, "policy"),
        ({"person": "qemu bot <bot@qemu-test.org>"}, "person"),
        ({"date": "2026-13-02"}, "date"),
        ({"date": "2026-02-01"}, "date"),
        ({"licence": "GPL-3.0-only"}, "licence"),
        ({"generated": "maybe"}, "incomplete"),
        ({"written-by": ["me"]}, "incomplete"),
        ({"patches": {}}, "changed"),
    ],
)
def test_unacceptable_answer_is_a_reason_not_to_send(
    layout: Layout, tree: Tree, folder: Path, answers: dict[str, object], rule: str
) -> None:
    declare(layout, tree, "mine", **answers)
    assert {one for one, _ in reasons(layout, tree)} == ({rule} if rule else set())


def test_origin_stated_by_the_series_itself_counts(layout: Layout, tree: Tree, folder: Path) -> None:
    declare(layout, tree, "mine")
    toml = folder / "series.toml"
    plain = toml.read_text()
    toml.write_text(
        plain + '[origin]\nwritten-by = "a language model"\ngenerated = true\nderived-from = "x"\n'
    )
    assert [rule for rule, _ in reasons(layout, tree)] == ["generated", "derived"]
    toml.write_text(plain)
    path = folder / "0001-first.patch"
    path.write_text(path.read_text().replace("Because of", "Assisted-by: Claude\n\nBecause of"))
    assert [rule for rule, _ in reasons(layout, tree)] == ["generated"]


def test_only_the_person_who_declared_signs_off(layout: Layout, tree: Tree, folder: Path) -> None:
    declare(layout, tree, "mine")
    series, declaration = load_series(layout, "mine"), read_declaration(folder)
    assert sign_off_line(series, declaration, git_identity(folder)) == f"Signed-off-by: {PERSON}"
    with pytest.raises(ProvenanceError, match="git's identity is Other"):
        sign_off_line(series, declaration, Identity(name="Other", email="person@qemu-test.org"))
    with pytest.raises(ProvenanceError, match=r"user\.email is not set"):
        sign_off_line(series, declaration, Identity(name="", email=""))
    (folder / "provenance.toml").write_text('person = "x"\n')
    with pytest.raises(ProvenanceError, match="cannot read"):
        read_declaration(folder)


def test_policy_of_the_tree_takes_precedence(layout: Layout, tree: Tree) -> None:
    text = "Policy\n\nWe DECLINE AI generated content.\n"
    git = Git(repository=tree.path)
    blob = git.read("hash-object", "-w", "--stdin", stdin=text.encode())
    listing = f"100644 blob {blob}\tcode-provenance.rst\n".encode()
    inner = git.read("mktree", stdin=listing)
    devel = git.read("mktree", stdin=f"040000 tree {inner}\tdevel\n".encode())
    top = git.read("mktree", stdin=f"040000 tree {devel}\tdocs\n".encode())
    commit = git.read("commit-tree", top, "-m", "x")
    import dataclasses

    found = find_policy(dataclasses.replace(tree, base=commit), layout)
    assert found == Policy(text=text, source="docs/devel/code-provenance.rst of the tree tiny")
    assert found.quote == ("We DECLINE AI generated content.",)


def test_each_recipient_has_its_reasons(layout: Layout, tree: Tree, folder: Path, reporter: Silent) -> None:
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
    found = find_recipients(git, tree.base, tip, series, reporter, sender="person@qemu-test.org")
    recipients = {one.address: (one.header, one.reasons) for one in found.sent}
    assert recipients == {
        "boss@qemu-test.org": ("to", ("series.toml: asked",)),
        "qemu-devel@nongnu.org": (
            "to",
            (".gitpublish, profile default", "open list:All patches CC here, all patches"),
        ),
        "crlf@lists.qemu-test.org": ("cc", ("series.toml: line ends (crlf.txt)",)),
        "Paula Posix <paula@posix.qemu-test.org>": (
            "cc",
            ("series.toml: cc", "maintainer:POSIX, patch 1"),
        ),
        "Uta \u00dcber <uta@util.qemu-test.org>": ("cc", ("reviewer:Utilities, patch 2",)),
    }
    out = dict(found.left_out)
    assert out["dead@gone.qemu-test.org"] == "series.toml: bounces"
    assert "cannot receive mail (maintainer:Utilities, patch 2)" in out["Udo <noreply@users.example.com>"]


def test_no_command_of_the_tree_is_run(layout: Layout, tree: Tree) -> None:
    git = Git(repository=tree.path)
    rfc = read_settings(git, tree.base, "rfc")
    assert (rfc.to, rfc.cc) == (("qemu-devel@nongnu.org",), ("rfc@lists.qemu-test.org",))
    assert rfc.arguments == ("--nogit", "--nogit-fallback"), "the command is not get_maintainer.pl"
    default = read_settings(git, tree.base, "default")
    assert default.arguments == ("--nogit", "--nogit-fallback")
    assert read_settings(git, tree.base, "other").to == ("qemu-devel@nongnu.org",)


def test_invalid_address_in_series_toml_is_refused(layout: Layout, folder: Path) -> None:
    toml = folder / "series.toml"
    for bad, where in itertools.product(("nobody", "a@b\\r\\nBcc: x@y.org"), ("to", "cc")):
        toml.write_text(f'title = "T"\n{where} = ["{bad}"]\n')
        with pytest.raises(OptionError, match="is not a mail address"):
            load_series(layout, "mine")


@hypothesis.settings(max_examples=30)
@hypothesis.given(st.binary(max_size=60))
def test_arbitrary_bytes_give_a_declaration_or_a_harness_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for text in (data, b'[[tag]]\npatch = "' + data + b'"', b'person = "' + data + b'"'):
        (folder / "provenance.toml").write_bytes(text)
        (folder / "tags.toml").write_bytes(text)
        with contextlib.suppress(ProvenanceError):
            read_declaration(folder)
        with contextlib.suppress(OptionError):
            read_records(folder)
