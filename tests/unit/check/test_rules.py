"""Every rule: a series where it fires, and that it keeps silent on the one that has no fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.check import FAMILIES, RULES, Finding, choose_rules, run_checks
from harness.check.checkpatch import read_output
from harness.check.docs import renew
from harness.check.files import is_covered, read_patterns
from harness.check.options import read_options
from harness.check.place import Placed
from harness.check.provenance import policy_quote, says_generated
from harness.check.reading import FAULTS
from harness.errors import OptionError
from harness.progress import Silent
from tests.unit.check.support import (
    COMMANDS,
    MAINTAINERS,
    ONE,
    OPTIONS,
    SIGNED,
    SPDX,
    append,
    cover,
    good,
    new_file,
    pair,
)

# Real processes or git, by the dozen: nox -s tests has the time for them.
pytestmark = pytest.mark.slow

Judge = Callable[..., tuple[Finding, ...]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Mails that a rule fires on once; in a folder, if so wished."""

    rule: str
    mails: Sequence[bytes]
    patch: int = 1
    folder: bool = False


LONG = "word " * 20
MOVED = "".join(f"-static int line_{number};\n" for number in range(1, 41))
MIX = (
    "diff --git a/util/long.c b/util/long.c\n--- a/util/long.c\n+++ b/util/long.c\n@@ -1,80 +1,60 @@\n"
    + MOVED
    + "".join(f" static int line_{number};\n" for number in range(41, 81))
    + "".join(f"+int other_{number};\n" for number in range(20))
    + ONE.format(line="int short_two;").replace("@@ -1 +1,2 @@", "@@ -1 +1,42 @@")
    + MOVED.replace("-", "+")
)
BINARY = (
    "diff --git a/util/b.bin b/util/b.bin\nnew file mode 100644\nindex 000..e69de29\nGIT binary patch\n"
    "literal 3\nKcmZQzWM=>X002M#0Av6F\n\nliteral 0\nHcmV?d00001\n\n"
)
CRLF = append("util/short.c", "int short_one;\n", "int cr;\r")

CASES = (
    Case(rule="input-missing", mails=[pair()[0], pair()[1]], patch=0),
    Case(rule="input-duplicate", mails=[*pair(), pair()[1]], patch=0),
    Case(rule="input-order", mails=pair()[::-1], patch=0),
    Case(rule="input-left-out", mails=[good(), good(subject="[PATCH v2] util: x", ident="3@e.org")], patch=0),
    Case(rule="input-pull", mails=[good(subject="[PULL 1/1] util: add it")], patch=0),
    Case(rule="input-rfc", mails=[good(subject="[RFC PATCH] util: add it")], patch=0),
    Case(
        rule="input-trailer",
        mails=[
            good(),
            good(
                subject="Re: x",
                diff="",
                above="1@example.org",
                ident="r@e.org",
                body="Reviewed-by: R <r@e.org>",
            ),
        ],
    ),
    Case(rule="input-base", mails=[cover(message=f"Both.\n\nbase-commit: {'1' * 40}"), *pair()[1:]], patch=0),
    Case(rule="input-binary", mails=[good(diff=BINARY)]),
    Case(
        rule="input-no-content",
        mails=[
            good(
                diff="diff --git a/util/b.bin b/util/b.bin\nnew file mode 100644\nindex 000..e69de29\n"
                "Binary files /dev/null and b/util/b.bin differ\n"
            )
        ],
    ),
    Case(
        rule="input-mode",
        mails=[good(diff="diff --git a/util/short.c b/util/short.c\nold mode 100644\nnew mode 100755\n")],
    ),
    Case(rule="input-no-headers", mails=[b"words\n\n" + ONE.format(line="int x;").encode()]),
    Case(rule="input-no-author", mails=[good(sender="nobody")]),
    Case(
        rule="input-charset",
        mails=[good(line="int x; // \xfc", charset="latin-1").replace(b"latin-1", b"UTF-8")],
    ),
    Case(rule="input-crlf", mails=[good(newline=b"\r\n")]),
    Case(
        rule="input-flowed",
        mails=[
            good(
                headers="MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8; format=flowed\n",
                diff=ONE.format(line="int short_two;").replace("\n int", "\n  int"),
            )
        ],
    ),
    Case(rule="input-html", mails=[good(headers="Content-Type: text/html\n")]),
    Case(
        rule="input-multipart",
        mails=[
            good(
                headers="MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n",
                message=f"--b\nContent-Type: text/plain\n\n{SIGNED}\n--b\nContent-Type: text/x-patch\n\n"
                f"{ONE.format(line='int x;')}\n--b--\n",
                diff="",
            )
        ],
    ),
    Case(rule="input-not-git", mails=[good(diff=ONE.format(line="int x;").partition("100644\n")[2])]),
    Case(rule="input-damaged", mails=[good(diff=ONE.format(line="int\nx;"))]),
    Case(rule="input-empty", mails=[good(diff="")]),
    Case(
        rule="apply-offsets",
        mails=[
            append("util/long.c", "", "int x;").replace(
                b"@@ -1,0 +1,1 @@\n+int x;\n",
                b"@@ -2,4 +2,5 @@\n static int line_7;\n static int line_8;\n+int x;\n static int line_9;\n"
                b" static int line_10;\n",
            )
        ],
    ),
    Case(
        rule="apply-fuzz",
        mails=[
            append("util/long.c", "", "int x;").replace(
                b"@@ -1,0 +1,1 @@\n+int x;\n",
                b"@@ -7,6 +7,7 @@\n static int not_7;\n static int line_8;\n static int line_9;\n+int x;\n"
                b" static int line_10;\n static int line_11;\n static int line_12;\n",
            )
        ],
    ),
    Case(rule="apply-fails", mails=[append("util/short.c", "int something_else;\n", "int x;")]),
    Case(rule="apply-nothing", mails=[new_file("util/short.c", "int short_one;")]),
    Case(rule="dco-missing", mails=[good(signed="")]),
    Case(rule="dco-malformed", mails=[good(signed="Signed-of-by: A U Thor <a@example.org>")]),
    Case(rule="dco-author", mails=[good(signed="Signed-off-by: B <b@example.org>")]),
    Case(rule="dco-co-author", mails=[good(signed=f"Co-developed-by: B <b@example.org>\n{SIGNED}")]),
    Case(rule="dco-mangled", mails=[good(sender="A U Thor via <qemu-devel@nongnu.org>")]),
    Case(rule="provenance-generated", mails=[good(signed=f"Assisted-by: Some LLM\n{SIGNED}")]),
    Case(
        rule="provenance-cherry-pick",
        mails=[good(signed=f"(cherry picked from commit {'1' * 40})\n{SIGNED}")],
    ),
    Case(rule="subject-prefix", mails=[good(subject="[PATCH] add a second one")]),
    Case(rule="subject-length", mails=[good(subject=f"[PATCH] util: {LONG.strip()}")]),
    Case(rule="subject-dot", mails=[good(subject="[PATCH] util: add it.")]),
    Case(rule="body-missing", mails=[good(body="")]),
    Case(rule="body-wrap", mails=[good(body=LONG)]),
    Case(rule="body-alone", mails=[good(body="As said in the cover letter, it is needed.")]),
    Case(rule="body-fixes", mails=[good(signed=f'Fixes: 1234567 ("x")\n{SIGNED}')]),
    Case(rule="body-changelog", mails=[good(body="Needed.\n\nChanges in v2:\n- more")]),
    Case(rule="cover-missing", mails=pair()[1:], patch=0),
    Case(rule="cover-blank", mails=[cover(message="*** BLURB HERE ***"), *pair()[1:]], patch=0),
    Case(
        rule="version-tag",
        mails=[cover(subject="[PATCH 0/3] util: two"), *pair()[1:]],
        patch=0,
        folder=True,
    ),
    Case(rule="version-changelog", mails=[good(subject="[PATCH v2] util: add it")], patch=0),
    Case(rule="file-spdx", mails=[new_file("util/new.c", "int x;")]),
    Case(
        rule="file-boilerplate",
        mails=[new_file("util/new.c", SPDX, "/* GNU General Public License as published */")],
    ),
    Case(rule="file-maintainers", mails=[new_file("hw/new.c", SPDX)]),
    Case(rule="file-mode", mails=[new_file("util/new.c", SPDX, mode="100755")]),
    Case(
        rule="option-help",
        mails=[append("qemu-options.hx", OPTIONS, 'DEF("new", 0, N, "", ALL)', "SRST", "``-new``", "ERST")],
    ),
    Case(rule="option-manual", mails=[append("qemu-options.hx", OPTIONS, 'DEF("new", 0, N, "-new", ALL)')]),
    Case(rule="motion-mixed", mails=[good(diff=MIX)]),
    Case(rule="whitespace-trailing", mails=[good(line="int x; ")]),
    Case(rule="whitespace-space-tab", mails=[good(line=" \tint x;")]),
    Case(rule="whitespace-end", mails=[good(line="")]),
    Case(rule="whitespace-cr", mails=[CRLF]),
    Case(rule="checkpatch-error", mails=[good(line="int BRACE;")]),
    Case(rule="checkpatch-warning", mails=[good(line="int LONG;")]),
    Case(rule="checkpatch-failed", mails=[good(line="int CRASH;")]),
)
APPLIED = {rule for rule in RULES if rule.startswith(("apply-", "option-", "checkpatch-"))} | {
    "file-maintainers",
    "whitespace-end",
}
"""Rules that look at the commits which the patches become."""
ELSEWHERE = {"apply-3way"}
"""Rules that have a test of their own below."""


def rules(findings: Sequence[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def test_a_series_without_fault_has_no_findings(judge: Judge) -> None:
    assert judge(good()) == ()
    assert judge(*pair()) == ()
    assert judge(*pair("PATCH v2", message="Both.\n\nChanges since v1: none")) == ()
    assert judge(new_file("util/new.c", SPDX, "int x;"), base="base") == ()
    assert judge(append("util/crlf.c", "one\r\ntwo\r\n", "three\r")) == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_rule_fires(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    look = request.getfixturevalue("judge" if case.rule in APPLIED else "glance")
    source = ""
    if case.folder:
        source = str(tmp_path / "folder")
        Path(source).mkdir()
        for number, mail in enumerate(case.mails):
            (Path(source) / f"{number:04}-x.patch").write_bytes(mail)
    found = [finding for finding in look(*case.mails, source=source) if finding.rule == case.rule]
    assert len(found) == 1
    assert found[0].patch == case.patch
    assert found[0].remedy
    assert "\n" not in found[0].message


def test_every_rule_has_a_case_or_a_test() -> None:
    built = {rule.id for family in FAMILIES if family.check is None for rule in family.rules}
    assert {case.rule for case in CASES} | ELSEWHERE | built == set(RULES)
    assert len({rule.id for family in FAMILIES for rule in family.rules}) == sum(
        len(family.rules) for family in FAMILIES
    )
    assert {f"input-{kind}" for kind in FAULTS} <= set(RULES)


def test_the_author_with_another_address_is_only_told(glance: Judge) -> None:
    (found,) = glance(good(signed="Signed-off-by: A U Thor <other@example.org>"))
    assert (found.rule, found.severity) == ("dco-author", "note")


@pytest.mark.parametrize(
    "line",
    [
        'Fixes: 14055ce53c2d ("s390x/tcg: avoid overflows")',
        "Fixes: https://gitlab.com/qemu-project/qemu/-/issues/42",
        "Fixes: CVE-2022-1234",
        "Resolves: https://gitlab.com/qemu-project/qemu/-/issues/42",
    ],
)
def test_good_fixes(line: str, glance: Judge) -> None:
    assert glance(good(signed=f"{line}\n{SIGNED}")) == ()


@pytest.mark.parametrize(
    "title",
    [
        "hw/ppc/spapr: x",
        "target/arm, hw/arm: x",
        "tests/qtest: x",
        'Revert "x"',
        "qemu-options.hx: x",
        "s390x: x",
    ],
)
def test_good_subjects(title: str, glance: Judge) -> None:
    assert glance(good(subject=f"[PATCH] {title}")) == ()


def test_what_must_not_be_wrapped(glance: Judge) -> None:
    quoted = f"  {LONG}\n> {LONG}\nhttps://example.org/{'x' * 80} {LONG}\nReported-by: {LONG}<a@b.c>"
    assert glance(good(body=f"Because:\n{quoted}")) == ()


def test_findings_have_the_line_of_the_new_file(glance: Judge) -> None:
    (found,) = glance(good(line="int x; "))
    assert (found.file, found.line, found.patch) == ("util/short.c", 2, 1)


def test_the_same_finding_is_told_once_with_its_count(glance: Judge) -> None:
    mail = append("util/short.c", "int short_one;\n", "int a; ", "int b; ", "int c;")
    (found,) = glance(mail)
    assert (found.rule, found.count) == ("whitespace-trailing", 2)


def test_checkpatch_keeps_what_other_rules_do_not_find() -> None:
    lines = [
        "ERROR: Missing Signed-off-by: line(s)",
        "",
        "ERROR: trailing whitespace",
        "#3: FILE: a.c:9:",
        "+x ",
    ]
    assert list(read_output(lines, 1, frozenset(RULES))) == []
    kept = list(read_output(lines, 1, choose_rules(["whitespace-trailing"])))
    assert [(one.rule, one.file, one.line, one.snippet) for one in kept] == [
        ("checkpatch-error", "a.c", 9, ("+x ",))
    ]


def change(numbers: dict[int, str], first: int, last: int, blob: str) -> str:
    """A diff that gives lines ``first`` to ``last`` of util/long.c other texts."""
    lines = []
    for number in range(first, last + 1):
        old = f"static int line_{number};"
        lines += [f"-{old}", f"+{numbers[number]}"] if number in numbers else [f" {old}"]
    count = last - first + 1
    return (
        f"diff --git a/util/long.c b/util/long.c\nindex {blob}..1234567 100644\n--- a/util/long.c\n"
        f"+++ b/util/long.c\n@@ -{first},{count} +{first},{count} @@\n" + "\n".join(lines) + "\n"
    )


def test_three_way_needs_the_blob_and_is_told(put: Callable[..., Placed], judge: Judge) -> None:
    blob = put(good()).judged.git.read("rev-parse", "pristine:util/long.c")[:12]
    # The second was made without the first, which changes a line between its two changes.
    between = good(subject="[PATCH 1/2] util: between", diff=change({42: "int b;"}, 39, 45, blob))
    around = {40: "int a;", 44: "int c;"}
    second = {"subject": "[PATCH 2/2] util: around", "ident": "2@example.org"}
    merged = [between, good(**second, diff=change(around, 37, 47, blob))]
    assert [(fit.kind, fit.exact) for fit in put(*merged).fits] == [("clean", True), ("3-way", False)]
    assert [(one.rule, one.patch) for one in judge(*merged) if one.patch] == [("apply-3way", 2)]
    lost = [between, good(**second, diff=change(around, 37, 47, "0123456789ab"))]
    placed = put(*lost)
    assert [fit.kind for fit in placed.fits] == ["clean", "not"]
    assert placed.error is not None
    assert "patch 2/2" in placed.error.cause


def test_hunks_without_context_are_refused_by_git_am_and_told(
    put: Callable[..., Placed], judge: Judge
) -> None:
    head = "diff --git a/util/long.c b/util/long.c\n--- a/util/long.c\n+++ b/util/long.c\n"
    bare = good(diff=f"{head}@@ -40 +40 @@\n-static int line_40;\n+static int forty;\n")
    placed = put(bare)
    assert [fit.kind for fit in placed.fits] == ["fuzz"]
    assert placed.error is not None
    (found,) = [one for one in judge(bare) if one.rule == "apply-fuzz"]
    assert "no lines of context" in found.message


def test_new_monitor_commands_need_a_manual(judge: Judge) -> None:
    lines = ("    {", '        .name       = "new",', "    },")
    found = judge(append("hmp-commands.hx", COMMANDS, *lines))
    assert rules(found) == ["option-manual"]
    assert judge(append("hmp-commands.hx", COMMANDS, *lines, "SRST", "``new``", "ERST")) == ()


def test_aliases_share_the_manual_that_follows() -> None:
    text = 'DEF("a", 0, A, "-a x", ALL)\nDEF("b", 0, B, "-b x", ALL)\nSRST\n``-a`` ``-b``\nERST\n'
    assert [(one.name, "-a" in one.manual, one.help[:2]) for one in read_options(text)] == [
        ("a", True, "-a"),
        ("b", True, "-b"),
    ]


def test_maintainers_patterns() -> None:
    patterns = read_patterns(MAINTAINERS)
    assert (True, "*") not in patterns
    assert is_covered("util/deep/er.c", patterns)
    assert is_covered("tests/a.c", patterns)
    assert not is_covered("tests/deep/a.c", patterns)
    assert not is_covered("README", patterns)
    assert is_covered("docs/a/conf.py", [(True, "docs/*/conf.py")])
    assert is_covered("hw/kvm/x/y.c", [(True, "*/kvm/")])


@pytest.mark.parametrize(
    "text",
    [
        "Assisted-by: Tool",
        "Co-authored-by: Claude <noreply@example.org>",
        "Generated-by: x",
        "It was written by a program,\na language model.",
        "This code was generated with Copilot.",
    ],
)
def test_says_generated(text: str) -> None:
    assert says_generated(text)


@pytest.mark.parametrize(
    "text",
    [
        "Signed-off-by: Claude Shannon <c@example.org>".replace("Claude", "C."),
        "This is generated by scripts/decodetree.py.",
        "The cursor is drawn by the guest.",
        "Reviewed-by: A <a@b.c>",
    ],
)
def test_does_not_say_generated(text: str) -> None:
    assert not says_generated(text)


def test_the_trees_policy_makes_it_an_error_and_is_quoted(
    put: Callable[..., Placed], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = (
        "Use of AI\n~~~~~~~~~\n\n**The policy is to DECLINE any contributions which are\nbelieved to include "
        "content derived from AI.**\n\nOther text on generated files."
    )
    assert policy_quote(policy) == (
        "The policy is to DECLINE any contributions which are believed to include content derived from AI.",
    )
    judged = put(good(signed=f"Assisted-by: x\n{SIGNED}")).judged
    object.__setattr__(judged, "policy", policy)
    (found,) = run_checks(judged, frozenset(RULES), Silent())
    assert (found.rule, found.severity) == ("provenance-generated", "error")
    assert found.snippet == policy_quote(policy)


def test_rules_can_be_switched_off(put: Callable[..., Placed]) -> None:
    judged = put(good(signed="", line="int x; ")).judged
    assert rules(run_checks(judged, choose_rules(["dco-missing"]), Silent())) == ["whitespace-trailing"]
    assert run_checks(judged, choose_rules(["origin", "whitespace", "checkpatch"]), Silent()) == ()
    with pytest.raises(OptionError, match="no rule 'dco-mising'"):
        choose_rules(["dco-mising"])


def test_docs_list_every_rule() -> None:
    text = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")
    assert text == renew(text), "run: python -m harness.check.docs docs/checks.md"
    assert text.count("\n| `") >= len(RULES)
