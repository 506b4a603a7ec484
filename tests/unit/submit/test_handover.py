"""Run the commands of send.txt unchanged in a shell, in a clone of the tree."""

import email
import email.policy
import os
import re
import shutil
import subprocess

import pytest

from harness.submit.write import outgoing_folder
from tests.unit.programs import write_program
from tests.unit.submit.test_submit import have_send_email

pytestmark = pytest.mark.slow


def step(out, number):
    """Return the commands of part ``number`` of send.txt, with the tag ``base`` as base."""
    text = (out / "send.txt").read_text()
    found = re.search(rf"^# {number}\. .*\n((?:[^#\n].*\n)+)", text, re.MULTILINE)
    assert found is not None, text
    return found[1].replace("BASE", "base")


def shell(clone, commands):
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": ""},
    )
    assert ended.returncode == 0, f"{commands}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


@pytest.fixture
def out(layout, prepared):
    """Prepare a folder of mails that are ready to send."""
    assert prepared().ready
    return outgoing_folder(layout, "mine", 1)


@pytest.fixture
def clone(tree, out, tmp_path):
    """Clone the tree and create the branch with the patches by step 2."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(tree.path), str(clone)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "-b", "master", "base"], cwd=clone, check=True)
    shell(clone, step(out, 2))
    log = shell(clone, "git log --format=%an:%s base..HEAD").splitlines()
    assert [line.partition(":")[0] for line in log] == ["Test Person", "Test Person"]
    assert log[1] == "Test Person:os-posix: change number 1"
    return clone


@pytest.mark.skipif(not have_send_email(), reason="git send-email is not installed (git-email)")
def test_git_send_email_accepts_the_files(out, clone):
    dry = step(out, 1).splitlines()[0]
    assert " --dry-run " in dry
    output = shell(clone, dry)
    assert len(re.findall(r"^Dry-OK|^Dry-Sent", output, re.MULTILINE)) == 3
    assert len(set(re.findall(r"^Message-Id: (.*)$", output, re.MULTILINE | re.IGNORECASE))) == 3


@pytest.mark.skipif(shutil.which("b4") is None, reason="b4 is not installed")
def test_b4_generates_the_same_mails(out, clone):
    output = shell(clone, step(out, 3))
    assert output.count("DRYRUN: message follows") == 3
    assert len(re.findall(r"^\s*\| Subject: .*PATCH", output, re.MULTILINE)) == 3
    assert output.count("uta@util.qemu-test.org") == 3
    assert "qemu-devel@nongnu.org" in output
    assert "paula@posix.qemu-test.org" in output
    assert "From now on it is so." in output


@pytest.mark.skipif(
    shutil.which("git-publish") is None or not have_send_email(), reason="git-publish is not installed"
)
def test_git_publish_generates_the_same_mails(out, clone, tmp_path):
    received = tmp_path / "received"
    received.mkdir()
    server = write_program(tmp_path / "server", f'cat > "$(mktemp {received}/XXXXXX)"')
    commands = step(out, 4)
    assert " /bin/true\n" in commands
    shell(clone, commands.replace(" /bin/true\n", f" {server}\n"))
    mails = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in received.iterdir()
    ]
    assert sorted(str(mail["Subject"])[7:10] for mail in mails) == ["0/2", "1/2", "2/2"]
    for mail in mails:
        assert "qemu-devel@nongnu.org" in str(mail["To"])
        assert "paula@posix.qemu-test.org" in str(mail["Cc"])
    (cover,) = [mail for mail in mails if "0/2" in str(mail["Subject"])]
    assert str(cover["Subject"]) == "[PATCH 0/2] M\u00efne"
    assert "How to test:" in cover.get_content()
