"""Valid files that fuzzing starts from: those of the project, and mails with every known peculiarity."""

import base64
import quopri
from pathlib import Path

from harness.layout import Layout
from harness.teardown.gates import DEFAULT

DIFF = """\
diff --git a/util/a.c b/util/a.c
index 1234567..89abcde 100644
--- a/util/a.c
+++ b/util/a.c
@@ -1,3 +1,3 @@
 int one;
-int two;
+int zwei; /* h\u00fcbsch */
 int three;
diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+util/a.c
\\ No newline at end of file
diff --git "a/old\\tname" b/new
similarity index 100%
rename from "old\\tname"
rename to new
"""
PATHS = (
    *rb"../outside a/../../outside /etc/passwd .git/hooks/post-checkout .git/config .GIT/x".split(),
    *rb"git~1/config link/../../x link/x .gitmodules ./x a//b a\b . .. b/../../outside a/.git/config".split(),
    *rb'"a/\056\056/x" "b/..\057x"'.split(),
    *(b".git /x", "b/.g\u200cit/config".encode()),
)
"""Paths that a patch must never reach."""
MAIL_TOKENS = (
    *PATHS,
    *(b"diff --git a/x b/x", b"--- a/x\n+++ b/x", b"@@ -1 +1 @@", b"@@ -0,0 +1,99999999999999999999 @@"),
    *(b"rename to ../x", b"rename from x", b"new file mode 120000", b"new file mode 160000", b"deleted file"),
    *(b"GIT binary patch", b"Binary files a/x and b/x differ", b"\\ No newline at end of file", b"\r\n"),
    *(b"=?utf-8?q?=00?=", b"=?x-none?b?!!!?=", b"=?utf-8?b?" + b"A" * 90 + b"?=", b"[PATCH v2 0/3]", b"\xff"),
    *(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", b"Content-Type: message/rfc822\n\n", b"[PATCH]"),
    *(b"Content-Transfer-Encoding: base64", b"Content-Type: text/plain; charset*=utf-8''%00", b'"', b"\0"),
    *(b"charset=zlib", b'Content-Type: text/plain; charset="utf-7"', b"charset=idna", b"charset=undefined"),
    *(b"charset=punycode", b"From x Thu Jan  1 00:00:00 1970\n", b"\n>From ", b"Re: "),
    *(b"[" * 90, b"<" * 90, b"(" * 90),
    *(b"Date: Thu, 99 Foo 99999 99:99:99 +9999", b"References: <a@b> <a@b>", b"In-Reply-To: <1@example.org>"),
    *(b"[hw,v2,1/2]", b"[PATCH v3][2/9]", b"1 of 2", b"[PATCH 0/2]", b"Fwd: ", b"-- >8 --\n", b"NACK\n"),
    *(b"<r@e.org<mailto:r@e.org>>", b"Acked-by: R\n<r@e.org>", b"Interdiff against v1:\n", b"____________\n"),
    *(b"---------- Forwarded message ---------\n", b"+++ b/x.orig", b"In-Reply-To: <7@example.org>"),
)
TOML_TOKENS = (
    *rb""" "../../x" "/etc/passwd" "\u0000" "-x" "" '' [] {} true 1 -1 99999999999999999999 """.split(),
    *rb""" nan inf 1e999 2026-01-01 12:00:00 "\uD800" [a.b] [[a]] "a/../b" ".git/config" """.split(),
    *(b"[" * 3000, b"a.b.c = 1", b'{"a" = {}}', b"\xff", b'"a\\nb"', b'"x"'),
)
JSON_TOKENS = (
    *(b'"x"', b"null", b"-1", b"0", b"1e999", b"NaN", b"[]", b"{}", b"true", b"[" * 3000, b'{"a":' * 3000),
    *(b'"\\ud800"', b'"\\u0000"', b"99999999999999999999999", b'"../../x"', b'"schema": 1', b'"schema": 99'),
)


def mail(
    subject: str, body: str, *, ident: str, above: str = "", coding: str = "8bit", kind: str = ""
) -> bytes:
    """Return a mail; ``above`` is the id of the mail that it answers."""
    raw = body.encode()
    if coding == "base64":
        raw = base64.encodebytes(raw)
    elif coding == "quoted-printable":
        raw = quopri.encodestring(raw)
    head = (
        f"From: A U Thor <a@example.org>\nDate: Tue, 1 Feb 2022 10:00:00 +0100\nSubject: {subject}\n"
        f"Message-Id: <{ident}@example.org>\n"
        + (f"In-Reply-To: <{above}@example.org>\nReferences: <{above}@example.org>\n" if above else "")
        + f"MIME-Version: 1.0\nContent-Type: {kind or 'text/plain; charset=UTF-8'}\n"
        + f"Content-Transfer-Encoding: {coding}\n\n"
    )
    return head.encode() + raw


def mails() -> tuple[bytes, ...]:
    """Return patches in each encoding, multipart, flowed and in other formats; a cover letter; a reply."""
    body = f"Because.\n\nSigned-off-by: A U Thor <a@example.org>\n---\n util/a.c | 2 +-\n\n{DIFF}-- \n2.39\n"
    plain = DIFF.replace("diff --git a/util/a.c b/util/a.c\nindex 1234567..89abcde 100644\n", "")
    parts = f"--b\nContent-Type: text/plain\n\n{body}\n--b\nContent-Type: text/html\n\n<p>\n--b--\n"
    file = f"From: B <b@example.org>\nSubject: [PATCH] util: file\n\n{body}"
    mixed = 'multipart/mixed; boundary="b"'
    return (
        mail("[PATCH v2 1/2] util: count", body, ident="1", above="0"),
        mail("=?utf-8?q?[PATCH]_h=C3=BCbsch?=", body, ident="2", coding="base64"),
        mail("[RFC PATCH 2/2] util: count", body, ident="3", above="0", coding="quoted-printable"),
        mail("[PATCH] flowed", body, ident="4", kind="text/plain; format=flowed; delsp=yes"),
        mail("[PATCH] parts", parts, ident="5", kind=mixed),
        mail("[PATCH] plain", f"Why.\n---\n{plain}", ident="6", kind="text/plain; charset=iso-8859-1"),
        mail(
            "[PATCH] file",
            parts.replace("text/html\n\n<p>", f"text/x-patch\n\n{file}"),
            ident="8",
            kind=mixed,
        ),
        mail(
            "Fwd: it", parts.replace("text/html\n\n<p>", f"message/rfc822\n\n{file}"), ident="9", kind=mixed
        ),
        mail("[PATCH v3 2/2] util: count", body, ident="10", above="3"),
        mail("[PATCH v2 0/2] cover", "What all is about.\n\n util/a.c | 2 +-\n", ident="0"),
        mail("Re: [PATCH v2 1/2] util: count", "> quoted\nReviewed-by: R <r@e.org>\n", ident="7", above="1"),
    )


def mailboxes() -> tuple[bytes, ...]:
    """Return mailboxes of these mails, in and out of order."""
    start = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
    made = mails()
    return (
        b"".join(start + one + b"\n" for one in made),
        b"".join(start + one + b"\n" for one in reversed(made)),
        start + made[-2] + b"\n" + start + made[0] + b"\n" + start + made[-1] + b"\n",
    )


def patches(layout: Layout) -> tuple[bytes, ...]:
    """Return the small patches below ``patches/``, and those of ``mails``."""
    found = (path.read_bytes() for path in sorted(layout.patches.glob("*/0*.patch")))
    return (*mails(), *(data for data in found if len(data) < 12_000))


def toml(layout: Layout, kind: str) -> tuple[bytes, ...]:
    """Return the project's own files of that kind."""
    places: dict[str, list[Path]] = {
        "pins": [layout.pins_file],
        "series": sorted(layout.patches.glob("*/series.toml")),
        "gates": [DEFAULT, *sorted(layout.root.glob(".ci/*.toml"))],
    }
    return tuple(path.read_bytes() for path in places[kind])


FILES = {"util/a.c": "int one;\nint two;\nint three;\n", "old\tname": "x\n", "VERSION": "7.2.0\n"}
"""Files in the tree that ``appliable`` patches change."""


def appliable() -> tuple[bytes, ...]:
    """Return patches that apply to ``FILES``, as input for mutations."""
    added = "".join(
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{text}\n"
        f"\\ No newline at end of file\n"
        for path, mode, text in (("new.c", "100644", "int x;"), ("up/link", "120000", "../VERSION"))
    )
    bodies = (DIFF, added, DIFF.replace("hübsch", "plain"), added.replace("up/link", "down/other"))
    return tuple(
        mail(f"[PATCH] change {number}", f"Because.\n---\n\n{body}-- \n2.39\n", ident=str(number))
        for number, body in enumerate(bodies)
    )
