"""Rules on the Developer's Certificate of Origin."""

import pytest

from harness.check.dco import check
from tests.unit.check.support import SIGNED, good, judged

OTHER = "Signed-off-by: B <b@example.org>"


def messages(signed, **changes):
    findings = list(check(judged(good(signed=signed, **changes))))
    assert {one.patch for one in findings} <= {1}
    return [(one.rule, one.severity, one.message) for one in findings]


def test_sign_off_of_the_author_is_sufficient():
    assert messages(SIGNED) == []
    assert messages(f"{OTHER}\n{SIGNED}") == []
    assert messages(SIGNED.replace("a@", "A@")) == [], "addresses are compared without case"


def test_missing_sign_off_is_an_error():
    assert messages("") == [("dco-missing", "error", "the message has no Signed-off-by")]


@pytest.mark.parametrize(
    "line",
    [
        "Signed-off-by: A U Thor",
        "Signed-off-by: <a@example.org>",
        "Signed-off-by: A U Thor <a at example.org>",
        "Signed-off-By: A U Thor <a@example.org>",
        "  Signed-off-by: A U Thor <a@example.org>",
        "Signed-of-by: A U Thor <a@example.org>",
        "Sign-off-by: A U Thor <a@example.org>",
        "signed off by A U Thor",
    ],
)
def test_malformed_sign_off_is_the_only_error(line):
    assert messages(f"text\n{line}") == [
        ("dco-malformed", "error", f"malformed Signed-off-by: {line.strip()!r}")
    ]
    assert [rule for rule, _, _ in messages(f"text\n{line}\n{SIGNED}")] == ["dco-malformed"]


def test_author_who_has_not_signed_off_is_named():
    ((rule, severity, message),) = messages(f"{OTHER}\nSigned-off-by: C <c@example.org>")
    assert (rule, severity) == ("dco-author", "warning")
    assert "A U Thor <a@example.org>" in message
    assert "B <b@example.org>" in message


def test_sign_off_with_another_address_is_a_note():
    ((rule, severity, message),) = messages("Signed-off-by: a u thor <other@example.org>")
    assert (rule, severity) == ("dco-author", "note")
    assert "A U Thor <a@example.org>" in message


def test_authors_without_a_name_are_not_the_same_person():
    nameless = {"sender": "a@example.org"}
    ((_, severity, _),) = messages(OTHER, **nameless)
    assert severity == "warning"


def test_patch_without_an_author_is_not_compared():
    assert messages(OTHER, sender="nobody") == []


@pytest.mark.parametrize("key", ["Co-developed-by", "Co-authored-by"])
def test_each_co_author_has_to_sign_off(key):
    shared = f"{key}: B <b@example.org>"
    ((rule, severity, message),) = messages(f"{shared}\n{SIGNED}")
    assert (rule, severity) == ("dco-co-author", "warning")
    assert shared in message
    assert messages(f"{shared}\n{OTHER}\n{SIGNED}") == []
    assert messages(f"Reviewed-by: C <c@example.org>\n{SIGNED}") == []


@pytest.mark.parametrize(
    "sender",
    ["A U Thor via <a@example.org>", "A U Thor <qemu-devel@nongnu.org>", "A <qemu-block@nongnu.org>"],
)
def test_author_whose_address_a_list_has_replaced_is_an_error(sender):
    findings = [one for one in messages(SIGNED, sender=sender) if one[0] == "dco-mangled"]
    assert [(severity, sender in message) for _, severity, message in findings] == [("error", True)]
