"""Builders of mails and mailboxes for the tests."""

import base64
import quopri

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
"""


def patch(
    subject="[PATCH 1/2] util: count",
    *,
    message="Because it counts.\n\nSigned-off-by: A U Thor <a@example.org>",
    diff=DIFF,
    sender="A U Thor <a@example.org>",
    ident="1@example.org",
    above="",
    date="Tue, 1 Feb 2022 10:00:00 +0100",
    notes=" util/a.c | 2 +-\n 1 file changed\n",
    headers="",
    coding="8bit",
    charset="UTF-8",
    newline=b"\n",
):
    """Return a mail. ``above`` is the id of the mail that it answers."""
    separator = f"---\n{notes}\n{diff}-- \n2.39.5\n" if diff else ""
    body = f"{message}\n{separator}".encode(charset, "surrogateescape")
    if coding == "base64":
        body = base64.encodebytes(body)
    elif coding == "quoted-printable":
        body = quopri.encodestring(body)
    head = (
        f"From: {sender}\nDate: {date}\nSubject: {subject}\nMessage-Id: <{ident}>\n"
        + (f"In-Reply-To: <{above}>\nReferences: <{above}>\n" if above else "")
        + (headers or f"MIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n")
        + f"Content-Transfer-Encoding: {coding}\n\n"
    )
    return (head.encode() + body).replace(b"\n", newline)


def mbox(*mails):
    """Join mails into a mailbox (mboxrd)."""
    return b"".join(
        b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + mail.replace(b"\nFrom ", b"\n>From ") + b"\n"
        for mail in mails
    )
