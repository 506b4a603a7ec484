"""The shipped series on the real tree of 7.2: its get_maintainer.pl, .gitpublish and rules.

Needs the tree of ``nox -s build`` in this checkout; downloads nothing.
"""

import dataclasses
import re

import pytest

from harness.layout import find_layout
from harness.source.pin import find_pin
from harness.submit.checklist import RULES
from harness.submit.policy import QUOTED
from harness.submit.prepare import prepare
from harness.submit.recipients import read_settings
from harness.submit.write import outgoing_folder
from harness.tree import Tree
from harness.tree.facts import read_facts
from harness.tree.git import Git
from tests.unit.defaults import ROOT
from tests.unit.submit.support import finding, validate

pytestmark = pytest.mark.slow


@pytest.fixture
def real(tmp_path):
    layout = dataclasses.replace(find_layout(ROOT), build=tmp_path / "build")
    pin, path = find_pin(layout, "7.2"), layout.tree("7.2")
    if not (path / "harness.json").is_file():
        pytest.skip("there is no tree of 7.2 (nox -s build)")
    git = Git(repository=path)
    pristine = git.read("rev-parse", "pristine^{commit}")
    facts = read_facts(git, pristine, "7.2")
    return layout, Tree(path=path, name="7.2", pin=pin, digest=pin.sha256, pristine=pristine, facts=facts)


def test_shipped_series_is_prepared_and_not_ready(real, reporter):
    layout, tree = real
    validate(layout, tree, "async-teardown", finding("dco-missing"))
    done = prepare(layout, tree, "async-teardown", reporter)
    assert not done.ready
    assert {"generated", "no-declaration", "sign-off"} <= {one.rule for one in done.reasons}
    (generated,) = [one for one in done.reasons if one.rule == "generated"]
    assert "DECLINE" in " ".join(generated.quote)
    out = outgoing_folder(layout, "async-teardown", 1)
    for path in out.glob("*.patch"):
        head = path.read_bytes().partition(b"\n\n")[0].decode()
        assert "*** SUBJECT HERE *** NOT READY TO SEND" in head
        assert "language" in head
    sent = {one.address: one for one in done.recipients}
    assert sent["qemu-devel@nongnu.org"].header == "to"
    assert any("Paolo Bonzini" in address for address in sent)
    assert all(one.reasons for one in done.recipients)
    assert any("noreply" in address for address in done.left_out)
    page = (out / "checklist.html").read_text()
    assert "NOT READY TO SEND" in page
    assert "DECLINE any contributions" in page


def test_checklist_covers_every_section_of_the_rules(real):
    _, tree = real
    git = Git(repository=tree.path)
    text = git.run(
        "cat-file", "blob", f"{tree.pristine}:docs/devel/submitting-a-patch.rst", merge_stderr=False
    ).output
    anchors = re.findall(r"^\.\. _([a-z_]+):\n\n[^\n]+\n~~~", text, re.MULTILINE)
    assert len(anchors) > 20
    judged = set(RULES)
    assert set(anchors) - judged == set()
    assert judged <= set(re.findall(r"^\.\. _([a-z_]+):", text, re.MULTILINE))


def test_profiles_of_the_tree_are_read(real):
    _, tree = real
    git = Git(repository=tree.path)
    s390 = read_settings(git, tree.pristine, "s390")
    assert s390.to == ("qemu-devel@nongnu.org",)
    assert s390.cc == ("qemu-s390@nongnu.org",)
    assert s390.arguments == ("--nogit", "--nogit-fallback")
    assert read_settings(git, tree.pristine, "no-such").source == "docs/devel/submitting-a-patch.rst"


def test_quoted_policy_contains_the_keyword_of_the_check():
    assert "DECLINE" in QUOTED
