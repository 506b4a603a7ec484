"""Send the files to a test mail server; the received series equals the sent one."""

import subprocess

import pytest
from aiosmtpd.controller import Controller

from harness.authoring.branch import read_commits
from harness.authoring.create import import_series
from harness.series import load_series, read_input
from harness.submit.handover import send_email_command
from harness.submit.recipients import Recipients
from harness.submit.write import outgoing_folder
from harness.tree import apply_series
from harness.tree.git import Git
from tests.unit.authoring.conftest import change, patch
from tests.unit.submit.test_submit import have_send_email

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not have_send_email(), reason="git send-email is not installed (git-email)"),
]


class Sink:
    """Accepts every mail and relays none."""

    def __init__(self):
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content))
        return "250 taken"


class AnyPort(Controller):
    """Uses a port that the system chooses, which the controller itself does not support."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def sink():
    handler = Sink()
    controller = AnyPort(handler, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        yield handler, controller.port
    finally:
        controller.stop()


def test_received_series_equals_the_sent_one(layout, tree, folder, reporter, *, tmp_path, sink, prepared):
    handler, port = sink
    third = "\u00dcnal Third <third@qemu-test.org>"
    for path in folder.glob("*.patch"):
        path.write_bytes(path.read_bytes().replace(b"/2]", b"/3]"))
    (folder / "0003-third.patch").write_text(
        patch(3, 3, change(30), author=third, message=f"Why.\n\nFrom now on.\n\nSigned-off-by: {third}")
    )
    done = prepared()
    assert done.ready
    out = outgoing_folder(layout, "mine", 1)
    words = send_email_command(
        [out / one.file for one in done.mails], Recipients(sent=done.recipients), dry=False
    )
    words[words.index("--confirm=always")] = "--confirm=never"
    words[2:2] = ["--smtp-server=127.0.0.1", f"--smtp-server-port={port}"]
    repository = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    ended = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(handler.mails) == 4
    people = {"qemu-devel@nongnu.org", "paula@posix.qemu-test.org"}
    people |= {"uta@util.qemu-test.org", "third@qemu-test.org"}
    assert [set(to) for _, to, _ in handler.mails] == [people] * 4
    assert {sender for sender, _, _ in handler.mails} == {"person@qemu-test.org"}

    # As in an archive: a mailbox in the order of arrival, which need not be that of the numbers.
    box = tmp_path / "arrived.mbox"
    box.write_bytes(
        b"".join(
            b"From x Mon Sep 17 00:00:00 2001\n"
            + data.replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ")
            + b"\n"
            for _, _, data in reversed(handler.mails)
        )
    )
    arrived = read_input(layout, str(box))
    assert [mail.message_id for mail in (arrived.cover, *arrived.patches) if mail] == [
        one.message_id for one in done.mails
    ]
    sent = read_input(layout, str(out))
    assert arrived.cover.message == sent.cover.message
    assert {mail.references for mail in arrived.patches} == {(done.mails[0].message_id,)}
    made = import_series(layout, tree, "again", arrived, reporter)
    git = Git(repository=tree.path)
    outgoing = load_series(layout, str(out))
    meant = apply_series(tree, outgoing, layout, reporter).commit

    def commits(tip):
        read = read_commits(git, tree.pristine, tip)
        return [(one.tree, one.author, one.email, one.message) for one in read]

    assert commits(made.workspace.tip) == commits(meant)
    assert [one[1] for one in commits(meant)] == ["Test Person", "Test Person", "\u00dcnal Third"]
    # The person is the sender; the author is in the body.
    (last,) = [data for _, _, data in handler.mails if b"3/3" in data]
    assert b"\r\nFrom: Test Person <person@qemu-test.org>\r\n" in b"\r\n" + last
    assert last.partition(b"\r\n\r\n")[2].startswith(b"From: ")
