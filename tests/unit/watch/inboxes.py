"""A clone of a tiny QEMU, and the mails of a list about it: 50 series as they occur on qemu-devel.

Among them are re-rolls of every form, replies, broken and hostile mails, and series for other projects.
"""

import os
import subprocess

from tests.unit.check import support
from tests.unit.conftest import RELEASE
from tests.unit.series.mails import mbox, patch

PEOPLE = ("Ann Author", "Bob Builder", "Cem Coder", "Dua Developer", "Eva Engineer")
DEVICES = 40
FILES = {
    **RELEASE,
    **support.RELEASE,
    "Makefile": "all:\n",
    **{f"hw/dev{at}.c": "".join(f"int dev{at}_{line};\n" for line in range(1, 9)) for at in range(DEVICES)},
}
UPSTREAM = "2026-02-01T00:00:00+00:00"
"""Date of the second commit of the clone, which is after the mails."""


def git(folder, *words, date="2026-01-01T00:00:00+00:00", stdin=b""):
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    done = subprocess.run(
        ["git", "-C", folder, *who, *words],
        input=stdin,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
    )
    return done.stdout.decode().strip()


def make_clone(folder):
    """Create the clone: a commit before the mails, and one after them that changes the devices."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=master")
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (folder / "configure").chmod(0o755)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=old")
    move_on(folder)
    return folder


def move_on(folder):
    """Add a commit of a later date, after which the patches no longer apply."""
    for path in (folder / "hw").iterdir():
        path.write_text("int other;\n")
    git(folder, "commit", "--quiet", "--all", "--message=new", date=UPSTREAM)


def device(at, number=1, text=""):
    """Return the diff of patch ``number`` of a series: a line more for the device."""
    lines = []
    for line in range(1, 9):
        lines.append(f" int dev{at}_{line};")
        if line < number:
            lines.append(f" int more{at}_{line};")
        elif line == number:
            lines.append(f"+{text or f'int more{at}_{line};'}")
    path, old = f"hw/dev{at}.c", len(lines) - 1
    return diff(path, f"-1,{old} +1,{old + 1}", *lines)


def diff(path, place, *lines):
    body = "".join(f"{line}\n" for line in lines)
    head = f"diff --git a/{path} b/{path}\nindex 1234567..89abcde 100644\n"
    return f"{head}--- a/{path}\n+++ b/{path}\n@@ {place} @@\n{body}"


def who(at):
    name = PEOPLE[at % len(PEOPLE)]
    return f"{name} <{name.split()[0].lower()}@example.org>"


def date(at):
    return f"Tue, {6 + at // 24:02} Jan 2026 {at % 24:02}:00:00 +0000"


def series(at, patches=2, version=1, tag="PATCH", title="", above="", **changes):
    """Return the mails of series ``at``: patches to device ``at``, and a cover letter above several."""
    title = title or f"hw/dev{at}: improve the device"
    mark = f"{tag} v{version}" if version > 1 else tag
    name = f"{at}-v{version}-"
    head = {"sender": who(at), "date": date(at), **changes}
    signed = f"Signed-off-by: {who(at)}"
    mails = []
    if patches > 1:
        cover = {"diff": "", "message": "All are needed, and the order is that of the device."}
        mails.append(
            patch(
                f"[{mark} 0/{patches}] {title}", ident=f"{name}0@example.org", above=above, **(cover | head)
            )
        )
    for number in range(1, patches + 1):
        count = f" {number}/{patches}" if patches > 1 else ""
        mails.append(
            patch(
                f"[{mark}{count}] {title if patches == 1 else f'hw/dev{at}: part {number}'}",
                ident=f"{name}{number}@example.org",
                above=f"{name}0@example.org" if patches > 1 else above,
                **(
                    {
                        "message": f"The device needs this line, number {number} v{version}.\n\n{signed}",
                        "diff": device(at, number),
                        "notes": f" hw/dev{at}.c | 1 +\n",
                    }
                    | head
                ),
            )
        )
    return mails


def reply(at, number=1, version=1, text="", by=3):
    text = text or f"Looks good.\n\nReviewed-by: {who(by)}"
    return patch(
        f"Re: [PATCH {number}/2] hw/dev{at}: part {number}",
        ident=f"reply-{at}-{number}-{version}-{by}@example.org",
        above=f"{at}-v{version}-{number}@example.org",
        diff="",
        message=text,
        sender=who(by),
        date=date(at),
    )


def without_id(mail):
    return b"".join(line for line in mail.splitlines(keepends=True) if not line.startswith(b"Message-Id:"))


FOREIGN = diff("src/qemu/q.c", "-1 +1,2", " a", "+b")
UNIT = diff("Makefile", "-1 +1,2", " a", "+b")


def fifty():
    """Return the mails of 50 series in the order of their arrival."""
    mails = []
    for at in range(20):  # as most are
        mails += series(at, 1 + at % 3)
    mails += [reply(at) for at in (1, 4, 7, 10, 13)]
    mails.append(reply(16, text="NACK\n\nThis breaks migration.", by=1))
    # Re-rolls: in a thread of their own, in reply, with another title, sent again, of one patch
    for at in (1, 4, 7):
        mails += series(at, 2, version=2)
    mails += series(10, 2, version=2, above="10-v1-0@example.org")
    mails += series(13, 2, version=2, title="hw/dev13: a better title")
    mails += series(2, 3, version=2) + series(2, 3, version=3)
    mails += [mail.replace(b"[PATCH", b"[PATCH RESEND").replace(b"<5-", b"<5r-") for mail in series(5, 3)]
    again = series(8, 3, version=2)[2:3]
    mails += [again[0].replace(b"<8-v2-0@", b"<8-v1-2@")]
    mails += [reply(1, version=2), reply(4, version=2, by=2)]
    # Broken
    mails += series(20, 3)[:3]
    mails += series(21, 3)[1:]
    mails += [series(22, 1)[0].replace(b" int dev22_4;", b"int dev22_4;")]
    mails += series(23, 1, headers="Content-Type: text/html\n")
    mails += [without_id(mail) for mail in series(24, 1)]
    mails += series(25, 2, date="Thu, 01 Jan 1970 00:00:00 +0000")
    mails += series(26, 2, date="Fri, 01 Jan 2099 00:00:00 +0000")
    mails += series(27, 2, date="yesterday at noon")
    mails += series(28, 1, title='<script>alert("x")</script> & more')
    mails += [mail.replace(b"<29-v1-", b"<../../29/") for mail in series(29, 2)]
    mails += list(reversed(series(30, 3)))
    mails += series(31, 2) + series(31, 2)
    mails += [mail.replace(b"Signed-off-by", b"Nobody") for mail in series(32, 2)]
    mails += series(33, 1, diff=device(33, 1, "int BRACE;"))
    mails += series(34, 1, diff=device(34).replace("int dev34_1", "int gone"))
    # On another series, for other projects, and what is no series
    mails += series(35, 1) + series(
        36, 1, message=f"On top.\n\nBased-on: <35-v1-1@example.org>\nSigned-off-by: {who(36)}"
    )
    mails += series(37, 1, tag="PATCH for-10.1") + series(38, 1, tag="RFC PATCH") + series(39, 2, tag="PULL")
    for at in range(40, 48):
        mails += series(at, 1, title=f"hw/dev{at - 40}: another series", diff=device(at - 40))
    mails += series(48, 1, title="qemu: support it", diff=FOREIGN, tag="libvirt PATCH")
    mails += series(49, 1, title="Makefile: add it", diff=UNIT, tag="kvm-unit-tests PATCH")
    mails.append(patch("Re: what do you think?", diff="", ident="talk@example.org", message="Nothing."))
    return mails


def write_mbox(path, mails):
    """Append ``mails`` to a mailbox. Its time is in the past, so that its last mail counts as complete."""
    with path.open("ab") as stream:
        stream.write(mbox(*mails))
    os.utime(path, (1, 1))
    return path


def write_maildir(path, mails, first=0):
    """Deliver ``mails`` to a maildir."""
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True, exist_ok=True)
    for at, mail in enumerate(mails, start=first):
        (path / "new" / f"{1_700_000_000 + at}.M{at}.host").write_bytes(mail)
    return path


def write_archive(path, mails, epoch=0):
    """Append ``mails`` to an epoch of a public-inbox repository."""
    repository = path / "git" / f"{epoch}.git"
    if not repository.is_dir():
        repository.mkdir(parents=True)
        git(repository, "init", "--quiet", "--bare", "--initial-branch=master")
    stream = b""
    for at, mail in enumerate(mails):
        parent = b"from refs/heads/master^0\n" if at == 0 and git(repository, "branch", "--list") else b""
        stream += b"commit refs/heads/master\ncommitter n <e> %d +0000\ndata 1\nx\n" % (1_767_000_000 + at)
        stream += parent + b"M 100644 inline m\ndata %d\n%s\n" % (len(mail), mail)
    git(repository, "fast-import", "--quiet", stdin=stream)
    return path
