"""From a validated series to mails: refusals, marks, and content."""

import email
import email.policy
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.authoring.history import reroll
from harness.errors import ProvenanceError, SubmitError
from harness.series import load_series
from harness.submit import write as module
from harness.submit.prepare import prepare
from harness.submit.write import outgoing_folder
from tests.unit.authoring.conftest import change, patch
from tests.unit.programs import write_program
from tests.unit.submit.support import PERSON, declare, finding, validate

pytestmark = pytest.mark.slow


def have_send_email():
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return (Path(found) / "git-send-email").exists()


def mail(folder, number):
    (path,) = folder.glob(f"*{number:04d}-*.patch")
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def item(done, rule):
    (found,) = [one for one in done.checklist if one.rule == rule]
    return found.verdict, found.evidence


def test_series_without_a_clean_result_for_its_bytes_is_refused(layout, tree, folder, reporter):
    def refused():
        with pytest.raises(SubmitError) as caught:
            prepare(layout, tree, "mine", reporter)
        assert not (layout.build / "outgoing").exists()
        return caught.value

    assert refused().remedy == "run `nox -s validate -- -Dseries=mine -Dpin=tiny`"
    validate(layout, tree, "mine")
    cover = folder / "0000-cover-letter.patch"
    cover.write_text(cover.read_text() + "One word more.\n")
    assert "is for other bytes" in refused().cause
    validate(layout, tree, "mine", complete=False)
    assert "did not complete" in refused().cause
    validate(layout, tree, "mine", finding("dco-missing"), finding("body-wrap"))
    error = refused()
    assert "1 errors" in error.cause
    assert error.details == ("patch 1: body-wrap: body-wrap is wrong",)
    validate(layout, tree, "mine", verdict="build")
    assert "verdict build" in refused().cause
    validate(layout, tree, "mine", base_commit="0" * 40)
    assert "neither base nor pristine" in refused().cause
    validate(layout, tree, "mine", pin="other")
    assert "another pin: other" in refused().cause
    (layout.results / "validate.json").write_text("{}")
    assert "cannot read" in refused().cause


def test_unsigned_series_is_prepared_and_marked(layout, tree, folder, reporter):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    warnings = [finding(rule, "warning") for rule in ("subject-length", "file-spdx", "version-tag")]
    validate(layout, tree, "mine", finding("dco-missing"), *warnings)
    done = prepare(layout, tree, "mine", reporter)
    assert not done.ready
    assert {one.rule for one in done.reasons} == {"no-declaration", "sign-off"}
    out = outgoing_folder(layout, "mine", 1)
    files = sorted(out.glob("*.patch"))
    assert [path.name[:4] for path in files] == ["0000", "0001", "0002"]
    for path in files:
        head = path.read_bytes().partition(b"\n\n")[0].decode()
        assert "Subject: [*** SUBJECT HERE *** NOT READY TO SEND, PATCH " in head
        assert "X-Not-Ready-To-Send: no person has declared" in head
        assert "\nTo:" not in head
        assert "\nCc:" not in head
    for name in ("checklist.txt", "cover.txt", "recipients.txt", "send.txt"):
        assert (out / name).read_text().startswith("mine-v1: NOT READY TO SEND\n")
    commands = [
        line for line in (out / "send.txt").read_text().splitlines() if line.startswith(("git", "b4"))
    ]
    assert [line.split()[1] for line in commands] == ["send-email", "switch", "am"]
    assert "--dry-run" in commands[0]
    assert "NOT READY TO SEND" in (out / "checklist.md").read_text().splitlines()[0]
    assert not re.search(r"^Signed-off-by", (out / "series.mbox").read_text(), re.MULTILINE)
    assert item(done, "Every patch has the author's Signed-off-by")[0] == "no"
    assert item(done, "Subject and body follow the conventions") == ("no", "patch 1: subject-length is wrong")
    assert item(done, "Patches are inline text") == ("yes", "each mail is a single plain text")
    assert item(done, "nox -s validate reports nothing else") == ("no", "patch 1: file-spdx is wrong")
    assert json.loads((out / "outgoing.json").read_text())["ready"] is False
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    # The same bytes give the same mails.
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    prepare(layout, tree, "mine", reporter)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert not list(out.parent.glob(".*"))


def test_declared_and_signed_series_is_ready(layout, tree, folder, reporter):
    validate(layout, tree, "mine", finding("dco-missing"))
    with pytest.raises(ProvenanceError, match="no person has declared"):
        prepare(layout, tree, "mine", reporter, sign_off=True)
    declare(layout, tree, "mine")
    assert {one.rule for one in prepare(layout, tree, "mine", reporter).reasons} == {"sign-off"}
    done = prepare(layout, tree, "mine", reporter, sign_off=True)
    assert done.reasons == ()
    out = outgoing_folder(layout, "mine", 1)
    cover, first, second = (mail(out, number) for number in (0, 1, 2))
    subjects = [str(one["Subject"])[:11] for one in (cover, first, second)]
    assert subjects == ["[PATCH 0/2]", "[PATCH 1/2]", "[PATCH 2/2]"]
    assert str(second["Subject"]).endswith("of a header in a mail")
    assert str(first["From"]) == PERSON
    assert cover["In-Reply-To"] is None
    assert {str(one["In-Reply-To"]) for one in (first, second)} == {str(cover["Message-Id"])}
    assert len({str(one["Message-Id"]) for one in (cover, first, second)}) == 3
    for one in (cover, first, second):
        assert str(one["To"]) == "qemu-devel@nongnu.org"
        assert (
            str(one["Cc"])
            == "Paula Posix <paula@posix.qemu-test.org>, Uta \u00dcber <uta@util.qemu-test.org>"
        )
        assert "X-Not-Ready-To-Send" not in one
    for one in (first, second):
        message = one.get_content().partition("\n---\n")[0]
        assert message.count(f"Signed-off-by: {PERSON}") == 1
    assert second.get_content().startswith(
        f"Why.\n\nReported-by: R\u00e4 <r@example.org>\nSigned-off-by: {PERSON}\n---\n"
    )
    text = cover.get_content()
    assert text.startswith("Why \u00e4ll this.\n\nFrom now on it is so.\n\nHow to test:\n\nLook at it.\n\n")
    assert "Test Person (2):\n  os-posix: change number 1\n" in text
    assert " 3 files changed, " in text
    assert "The patches apply to QEMU 1.2.3" in text
    assert b"\n>From now on" not in (out / "0000-cover-letter.patch").read_bytes()
    recipients = (out / "recipients.txt").read_text()
    assert "Cc: Uta \u00dcber <uta@util.qemu-test.org>\n    reviewer:Utilities, patch 2\n" in recipients
    assert "Udo <noreply@users.example.com>: " in recipients
    assert (
        load_series(layout, "mine").patches[0].message
        == "From: Test Person <person@qemu-test.org>\n\nBecause of \u00e4."
    )
    if have_send_email():
        assert item(done, "git send-email accepts the files") == (
            "yes",
            "git send-email --dry-run accepts 3 mails",
        )
    # A patch that differs from the declared one is not ready, although it is signed.
    patch = folder / "0001-first.patch"
    patch.write_text(patch.read_text().replace("+new\n", "+newer\n"))
    validate(layout, tree, "mine", finding("dco-missing"))
    assert {one.rule for one in prepare(layout, tree, "mine", reporter, sign_off=True).reasons} == {"changed"}


def test_second_version_lists_its_changes(layout, folder, prepared):
    review = "Reviewed-by: Rosa <rosa@qemu-test.org>"
    for name in ("0001-first.patch", "0002-second.patch"):
        path = folder / name
        path.write_bytes(path.read_bytes().replace(b"\n---\n", f"\n{review}\n---\n".encode()))
    reroll(folder, outgoing_folder(layout, "mine", 1))
    patch = folder / "0001-first.patch"
    patch.write_text(patch.read_text().replace("+new\n", "+newer\n"))
    text = (folder / "series.toml").read_text() + (
        'based-on = ["<other@example.org>"]\n[changes.v2]\nseries = ["rebased"]\n'
        'patches = { "os-posix: change number 1" = ["newer, after R\u00e4"] }\n'
    )
    (folder / "series.toml").write_text(text)
    done = prepared()
    assert done.ready
    assert [(one.patch, one.line) for one in done.stale] == [("os-posix: change number 1", review)]
    out = outgoing_folder(layout, "mine", 2)
    assert sorted(path.name[:8] for path in out.glob("*.patch")) == ["v2-0000-", "v2-0001-", "v2-0002-"]
    cover, first, second = (mail(out, number) for number in (0, 1, 2))
    assert str(first["Subject"]).startswith("[PATCH v2 1/2] ")
    assert "\n---\nv2:\n- newer, after R\u00e4\n\n os-posix.c | 2 +-" in first.get_content()
    assert review not in first.get_content()
    assert review in second.get_content()
    body = cover.get_content()
    assert (
        "Changes in v2:\n- rebased\n- patch 1, os-posix: change number 1:\n  - newer, after R\u00e4\n" in body
    )
    assert "Based-on: <other@example.org>\n" in body
    assert "Range-diff against v1:\n1:  " in body
    assert "-+newer" in body.replace(" ", "") or "++newer" in body.replace(" ", "")
    assert (out / "range-diff.txt").read_text().startswith("1:  ")
    assert item(done, "Changes of the version are listed outside of the commit messages")[0] == "yes"
    assert item(done, "Review tags apply to the current diffs")[0] == "no"


def test_failed_preparation_keeps_the_previous_files(layout, tree, folder, reporter, monkeypatch):
    validate(layout, tree, "mine", finding("dco-missing"))
    prepare(layout, tree, "mine", reporter)
    out = outgoing_folder(layout, "mine", 1)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def damaged(mails):
        return whole(mails).replace(b"+new\n", b"+other\n")

    whole = module.mailbox
    monkeypatch.setattr(module, "mailbox", damaged)
    with pytest.raises(SubmitError, match="mail of patch 1 results in another tree"):
        prepare(layout, tree, "mine", reporter)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not list(out.parent.glob(".*"))


@pytest.mark.skipif(not have_send_email(), reason="git send-email is not installed (git-email)")
def test_git_send_email_refuses_mails_that_are_not_ready(layout, tree, folder, reporter, tmp_path):
    validate(layout, tree, "mine", finding("dco-missing"))
    done = prepare(layout, tree, "mine", reporter)
    assert item(done, "git send-email accepts the files") == (
        "no",
        "git send-email refuses the files, as intended",
    )
    sent = tmp_path / "sent"
    server = write_program(tmp_path / "server", f"touch {sent}")
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "repo")], check=True)
    for path in sorted(outgoing_folder(layout, "mine", 1).glob("*.patch")):
        words = ["git", "send-email", f"--smtp-server={server}", "--to=x@qemu-test.org", "--confirm=never"]
        ended = subprocess.run(
            [*words, path], cwd=tmp_path / "repo", capture_output=True, text=True, check=False
        )
        assert ended.returncode != 0
        assert "Refusing to send" in ended.stderr
    assert not sent.exists()


def test_one_patch_needs_no_cover_letter(layout, folder, prepared):
    for name in ("0000-cover-letter.patch", "0002-second.patch"):
        (folder / name).unlink()
    done = prepared()
    (one,) = done.mails
    sent = mail(outgoing_folder(layout, "mine", 1), 1)
    assert str(sent["Subject"]) == "[PATCH] os-posix: change number 1"
    assert sent["In-Reply-To"] is None
    assert one.message_id in str(sent["Message-Id"])
    assert item(done, "The series has a cover letter")[0] == "not needed"
    again = f"From: {PERSON}\n\nBecause."
    (folder / "0002-again.patch").write_text(patch(1, 2, change(20), subject="two", message=again))
    assert {why.rule for why in prepared().reasons} == {"cover"}
