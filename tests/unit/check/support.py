"""Patches for the tiny release: one without findings, and ways to change it."""

import contextlib
from types import SimpleNamespace

from harness.check import Judged, JudgedPatch
from harness.progress import Silent
from harness.series import Input, find_thread, read_mail
from harness.series.series import SeriesFile
from tests.unit.series.mails import patch

CHECKPATCH = r"""
use strict; use warnings;
my $file = $ARGV[-1]; open(my $in, '<', $file) or die; my ($n, $name) = (0, '');
while (my $line = <$in>) {
    $n++; chomp $line;
    $name = $1 if $line =~ m{^\+\+\+ b/(.*)};
    print "ERROR: open brace is wrong\n#$n: FILE: $name:7:\n$line\n\n" if $line =~ /^\+.*BRACE/;
    print "WARNING: line over 80\n#$n: FILE: $name:8:\n$line\n\n" if $line =~ /^\+.*LONG/;
    print "ERROR: trailing whitespace\n#$n: FILE: $name:9:\n$line\n\n" if $line =~ /^\+.* $/;
    exit 77 if $line =~ /^\+.*CRASH/;
}
exit 1;
"""
MAINTAINERS = """\
Maintainers
-----------
M: is the mail address

Tiny
M: T <t@example.org>
F: util/
F: tests/*.c
X: util/foreign/

THE REST
L: list
F: *
F: */
"""
OPTIONS = """\
HXCOMM a comment
DEF("old", 0, QEMU_OPTION_old,
    "-old            is old\\n", QEMU_ARCH_ALL)
SRST
``-old``
    Is old.
ERST
"""
COMMANDS = """\
    {
        .name       = "old",
        .args_type  = "",
    },
SRST
``old``
  Is old.
ERST
"""
RELEASE: dict[str, str] = {
    "scripts/checkpatch.pl": CHECKPATCH,
    "MAINTAINERS": MAINTAINERS,
    "qemu-options.hx": OPTIONS,
    "hmp-commands.hx": COMMANDS,
    "util/long.c": "".join(f"static int line_{number};\n" for number in range(1, 81)),
    "util/short.c": "int short_one;\n",
    "util/crlf.c": "one\r\ntwo\r\n",
}
ONE = """\
diff --git a/util/short.c b/util/short.c
index 1234567..89abcde 100644
--- a/util/short.c
+++ b/util/short.c
@@ -1 +1,2 @@
 int short_one;
+{line}
"""
NEW = (
    "diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n"
)
SIGNED = "Signed-off-by: A U Thor <a@example.org>"
WHY = "The second one is needed, because the first one is taken."
SPDX = "/* SPDX-License-Identifier: GPL-2.0-or-later */"


def good(**changes):
    """A patch without findings. ``changes``: ``body``, ``signed``, ``line`` or arguments of ``patch``."""
    body = changes.pop("body", WHY)
    signed = changes.pop("signed", SIGNED)
    line = changes.pop("line", "int short_two;")
    values = {
        "subject": "[PATCH] util: add a second one",
        "message": f"{body}\n\n{signed}".strip(),
        "diff": ONE.format(line=line),
        "notes": " util/short.c | 1 +\n",
    }
    return patch(**(values | changes))


def new_diff(path, *lines, mode="100644"):
    """A diff that adds a file."""
    head = NEW.format(path=path, mode=mode, count=len(lines))
    return head + "".join(f"+{line}\n" for line in lines)


def new_file(path, *lines, mode="100644"):
    """A patch that adds a file."""
    return good(diff=new_diff(path, *lines, mode=mode))


def append(path, before, *lines):
    """A patch that appends ``lines`` to the file at ``path`` whose text is ``before``."""
    old = before.split("\n")[:-1]
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    hunk = f"@@ -1,{len(old)} +1,{len(old) + len(lines)} @@\n"
    return good(
        diff=head + hunk + "".join(f" {line}\n" for line in old) + "".join(f"+{line}\n" for line in lines)
    )


def cover(**changes):
    """The cover letter of a series of two patches."""
    values = {
        "subject": "[PATCH 0/2] util: two of them",
        "message": "Both are needed.",
        "diff": "",
        "ident": "0@example.org",
    }
    return patch(**(values | changes))


def pair(tag="PATCH", **changes):
    """A series of a cover letter and two patches, without findings."""
    two = append(
        "util/long.c", "".join(f"static int line_{number};\n" for number in range(1, 81)), "int more;"
    )
    above = {"above": "0@example.org"}
    return [
        cover(subject=f"[{tag} 0/2] util: two of them", **changes),
        good(subject=f"[{tag} 1/2] util: add a second one", **above),
        two.replace(b"[PATCH] util: add a second one", f"[{tag} 2/2] util: add more".encode()).replace(
            b"<1@example.org>", b"<2@example.org>\nIn-Reply-To: <0@example.org>"
        ),
    ]


class Repository:
    """A fake of a git repository with ``files`` by commit and path, such as ``c0:MAINTAINERS``."""

    def __init__(self, files):
        self.files = files

    def run(self, *words, check, merge_stderr):
        *command, name = words
        assert command == ["cat-file", "blob"]
        assert (check, merge_stderr) == (False, False), "a missing file is no error"
        found = name in self.files
        return SimpleNamespace(returncode=0 if found else 128, output=self.files.get(name, "fatal: no file"))


def judged(*mails, files=None, metadata=None, **fields):
    """A series that applies: its patches have the commits ``c1``, ``c2`` … on the base ``c0``.

    ``files`` are the contents of the repository, see Repository.
    """
    read = tuple(read_mail(mail, f"mail {number}") for number, mail in enumerate(mails, 1))
    series = Input(
        kind="mailbox",
        source="x",
        name="x",
        mails=read,
        thread=find_thread(read),
        metadata=metadata or SeriesFile(title="x"),
    )
    patches = tuple(
        JudgedPatch(number=number, mail=mail, commit=f"c{number}", parent=f"c{number - 1}")
        for number, mail in enumerate(series.patches, 1)
    )
    values = {
        "input": series,
        "patches": patches,
        "pin": "7.2",
        "git": Repository(files or {}),
        "base": "c0",
        "tip": f"c{len(patches)}",
    }
    return Judged(**(values | fields))


class Recorder(Silent):
    """Also records the progress of each step, in ``updates``."""

    def __init__(self):
        super().__init__()
        self.updates: list[tuple[float, float | None, str]] = []

    @contextlib.contextmanager
    def step(self, title):
        self.lines.append(title)
        yield self

    def update(self, done, total=None, text=""):
        self.updates.append((done, total, text))
