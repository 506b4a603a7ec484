"""Every rule: a series with a finding of the rule, and series without findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.check import FAMILIES, RULES
from harness.check.reading import FAULTS
from tests.unit.check.support import (
    COMMANDS,
    ONE,
    OPTIONS,
    SIGNED,
    SPDX,
    append,
    cover,
    good,
    new_diff,
    new_file,
    pair,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Mails with one finding of ``rule`` on ``patch``, in a mailbox or in a folder."""

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
    Case(rule="input-excerpt", mails=[pair()[1]], patch=0),
    Case(rule="input-count", mails=[good(), pair()[1]], patch=0, folder=True),
    Case(
        rule="input-reroll",
        mails=[
            *pair(),
            good(subject="[PATCH v2 1/2] util: add one", ident="v2@e.org", above="1@example.org"),
        ],
        patch=0,
    ),
    Case(
        rule="input-nack",
        mails=[good(), good(subject="Re: x", diff="", above="1@example.org", ident="r@e.org", body="NAK.")],
    ),
    Case(rule="input-scissors", mails=[good(body="Hello,\n-- >8 --\nWhy.")]),
    Case(rule="input-trailing", mails=[good().replace(b"-- \n2.39.5\n", b"____________\nthe list\n")]),
    Case(
        rule="input-duplicate", mails=[*pair(), pair()[1].replace(b"<1@example.org>", b"<9@e.org>")], patch=0
    ),
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
    Case(rule="apply-file", mails=[append("util/absent.c", "int x;\n", "int y;")]),
    Case(rule="apply-refused", mails=[good(diff=new_diff("util/link", "../../x", mode="120000"))]),
    Case(
        rule="apply-p0", mails=[good(diff=ONE.format(line="int y;").replace(" a/", " ").replace(" b/", " "))]
    ),
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
        rule="version-tag", mails=[cover(subject="[PATCH 0/3] util: two"), *pair()[1:]], patch=0, folder=True
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
    Case(rule="whitespace-conflict", mails=[good(line=">>>>>>> topic")]),
    Case(rule="script-syntax", mails=[new_file("util/new.py", "def f(:")]),
    Case(rule="checkpatch-error", mails=[good(line="int BRACE;")]),
    Case(rule="checkpatch-warning", mails=[good(line="int LONG;")]),
    Case(rule="checkpatch-failed", mails=[good(line="int CRASH;")]),
)
APPLIED = {rule for rule in RULES if rule.startswith(("apply-", "option-", "checkpatch-"))} | {
    "file-maintainers",
    "whitespace-end",
    "script-syntax",
}
"""Rules that read the commits of the series."""
TESTED_BELOW = {"apply-3way", "fixes-subject", "fixes-unknown", "fixes-wrapped"}
"""Rules with separate tests, below or (on a clone with history) in test_fixes.py."""


def rules(findings):
    return [finding.rule for finding in findings]


def test_correct_series_have_no_findings(check):
    assert check(good()) == ()
    assert check(*pair()) == ()
    assert check(*pair("PATCH v2", message="Both.\n\nChanges since v1: none")) == ()
    assert check(new_file("util/new.c", SPDX, "int x;"), base="base") == ()
    assert check(append("util/crlf.c", "one\r\ntwo\r\n", "three\r")) == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_rule_reports_one_finding(case, request, tmp_path):
    check_case = request.getfixturevalue("check" if case.rule in APPLIED else "check_mails")
    source = ""
    if case.folder:
        source = str(tmp_path / "folder")
        Path(source).mkdir()
        for number, mail in enumerate(case.mails):
            (Path(source) / f"{number:04}-x.patch").write_bytes(mail)
    (finding,) = [one for one in check_case(*case.mails, source=source) if one.rule == case.rule]
    assert finding.patch == case.patch
    assert finding.remedy
    assert "\n" not in finding.message


def test_every_rule_has_a_case():
    built = {rule.id for family in FAMILIES if family.check is None for rule in family.rules}
    assert {case.rule for case in CASES} | TESTED_BELOW | built == set(RULES)
    assert {f"input-{kind}" for kind in FAULTS} <= set(RULES)


def test_findings_have_the_line_of_the_new_file(check_mails):
    (finding,) = check_mails(good(line="int x; "))
    assert (finding.file, finding.line, finding.patch) == ("util/short.c", 2, 1)


def test_equal_findings_are_merged_and_counted(check_mails):
    mail = append("util/short.c", "int short_one;\n", "int a; ", "int b; ", "int c;")
    (finding,) = check_mails(mail)
    assert (finding.rule, finding.line, finding.count) == ("whitespace-trailing", 2, 2)


def change(numbers, first, last, blob):
    """A diff of lines ``first`` to ``last`` of util/long.c that replaces the lines in ``numbers``."""
    lines = []
    for number in range(first, last + 1):
        old = f"static int line_{number};"
        lines += [f"-{old}", f"+{numbers[number]}"] if number in numbers else [f" {old}"]
    count = last - first + 1
    return (
        f"diff --git a/util/long.c b/util/long.c\nindex {blob}..1234567 100644\n--- a/util/long.c\n"
        f"+++ b/util/long.c\n@@ -{first},{count} +{first},{count} @@\n" + "\n".join(lines) + "\n"
    )


def test_three_way_merge_requires_the_blob_and_is_a_finding(apply, check):
    blob = apply(good()).judged.git.read("rev-parse", "pristine:util/long.c")[:12]
    # The second patch was written without the first, which changes a line between its two changes.
    between = good(subject="[PATCH 1/2] util: between", diff=change({42: "int b;"}, 39, 45, blob))
    around = {40: "int a;", 44: "int c;"}
    second = {"subject": "[PATCH 2/2] util: around", "ident": "2@example.org"}
    merged = [between, good(**second, diff=change(around, 37, 47, blob))]
    assert [(fit.kind, fit.exact) for fit in apply(*merged).fits] == [("clean", True), ("3-way", False)]
    assert [(one.rule, one.patch) for one in check(*merged) if one.patch] == [("apply-3way", 2)]
    unknown_blob = [between, good(**second, diff=change(around, 37, 47, "0123456789ab"))]
    placed = apply(*unknown_blob)
    assert [fit.kind for fit in placed.fits] == ["clean", "not"]
    assert "patch 2/2" in placed.error.cause


def test_hunks_without_context_do_not_apply(apply, check):
    head = "diff --git a/util/long.c b/util/long.c\n--- a/util/long.c\n+++ b/util/long.c\n"
    bare = good(diff=f"{head}@@ -40 +40 @@\n-static int line_40;\n+static int forty;\n")
    placed = apply(bare)
    assert [fit.kind for fit in placed.fits] == ["fuzz"]
    assert placed.error is not None
    (finding,) = [one for one in check(bare) if one.rule == "apply-fuzz"]
    assert "no context lines" in finding.message


def test_new_monitor_commands_require_a_manual_text(check):
    lines = ("    {", '        .name       = "new",', "    },")
    findings = check(append("hmp-commands.hx", COMMANDS, *lines))
    assert rules(findings) == ["option-manual"]
    assert check(append("hmp-commands.hx", COMMANDS, *lines, "SRST", "``new``", "ERST")) == ()
