"""A small QEMU with MAINTAINERS and tools, an unsigned series, and a person with a git identity."""

import pytest

from harness.submit.prepare import prepare
from tests.unit.authoring.conftest import change, patch
from tests.unit.conftest import copy_tree, import_tiny
from tests.unit.submit.support import PERSON, declare, finding, validate

MAINTAINERS = """\
POSIX
M: Paula Posix <paula@posix.qemu-test.org>
F: os-posix.c

Utilities
M: Udo <noreply@users.example.com>
R: Uta \u00dcber <uta@util.qemu-test.org>
F: util/

All patches CC here
L: qemu-devel@nongnu.org
F: *
"""
GITPUBLISH = """\
[gitpublishprofile "default"]
base = master
to = qemu-devel@nongnu.org
cccmd = scripts/get_maintainer.pl --noroles --norolestats --nogit --nogit-fallback 2>/dev/null
[gitpublishprofile "rfc"]
prefix = RFC PATCH
to = qemu-devel@nongnu.org
cc = rfc@lists.qemu-test.org
cccmd = touch /tmp/never-run; scripts/get_maintainer.pl
"""
# Prints maintainers in the format of the real script with --roles, as far as these tests need it.
SCRIPT = r"""
my $patch = pop @ARGV;
die "unknown argument" if grep { !/^--(nogit|nogit-fallback|roles|norolestats)$/ } @ARGV;
open(my $p, '<', $patch); my $diff = join('', <$p>);
open(my $m, '<', 'MAINTAINERS') or die; my ($name, @who) = ('');
while (<$m>) {
    if (/^([MRL]): (.*)/) { push @who, [$1, $2]; }
    elsif (/^F: (.*)/) {
        (my $f = $1) =~ s/\*//;
        next unless $diff =~ /^diff --git a\/\Q$f\E/m;
        my %role = (M => 'maintainer', R => 'reviewer', L => 'open list');
        print "$_->[1] ($role{$_->[0]}:$name)\n" for @who;
    }
    elsif (/^(\S.*)/) { $name = $1; @who = (); }
}
"""
EXTRA = {
    "MAINTAINERS": MAINTAINERS,
    "scripts/get_maintainer.pl": SCRIPT,
    ".gitpublish": GITPUBLISH,
    "crlf.txt": b"one\r\ntwo\r\nthree\r\n",
    "docs/devel/style.rst": "style\n",
}
CRLF = """\
diff --git a/crlf.txt b/crlf.txt
--- a/crlf.txt
+++ b/crlf.txt
@@ -1,3 +1,3 @@
 one\r
-two\r
+zwei\r
 three\r
diff --git a/util/n\u00fc.c b/util/n\u00fc.c
new file mode 100644
--- /dev/null
+++ b/util/n\u00fc.c
@@ -0,0 +1,2 @@
+/* SPDX-License-Identifier: GPL-2.0-or-later */
+int g\u00fct;
"""
LONG = "util: a subject that is \u00e4 good deal longer than what fits on the line of a header in a mail"


@pytest.fixture(scope="session")
def made_tree(tmp_path_factory):
    return import_tiny(tmp_path_factory.mktemp("submit-tree"), EXTRA)[1]


@pytest.fixture
def tree(made_tree, layout):
    return copy_tree(made_tree, layout)


@pytest.fixture
def person(tmp_path, monkeypatch):
    """Set a test person's git identity, in a separate home folder."""
    home = tmp_path / "home"
    home.mkdir()
    name, _, address = PERSON.partition(" <")
    (home / ".gitconfig").write_text(f"[user]\nname = {name}\nemail = {address.rstrip('>')}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return PERSON


@pytest.fixture
def folder(layout, person):
    """Create two unsigned patches: 8-bit names, a long subject, an in-body From, CRLF."""
    folder = layout.patches / "mine"
    folder.mkdir(parents=True)
    (folder / "series.toml").write_text('title = "M\u00efne"\npins = ["tiny"]\ntest-plan = "Look at it."\n')
    (folder / "0000-cover-letter.patch").write_text(
        f"From 0 Mon Sep 17 00:00:00 2001\nFrom: {person}\nDate: Tue, 20 Dec 2022 12:00:00 +0100\n"
        "Subject: [PATCH 0/2] M\u00efne\n\nWhy \u00e4ll this.\n\nFrom now on it is so.\n"
    )
    (folder / "0001-first.patch").write_text(
        patch(
            1, 2, change(5), author="List <list@nongnu.org>", message=f"From: {person}\n\nBecause of \u00e4."
        )
    )
    (folder / "0002-second.patch").write_text(
        patch(2, 2, CRLF, author=person, subject=LONG, message="Why.\n\nReported-by: R\u00e4 <r@example.org>")
    )
    return folder


@pytest.fixture
def prepared(layout, tree, folder, reporter):
    """A function that validates the series, declares its origin, and prepares it with a sign-off."""

    def make():
        validate(layout, tree, "mine", finding("dco-missing"))
        declare(layout, tree, "mine")
        return prepare(layout, tree, "mine", reporter, sign_off=True)

    return make
