"""Review tags: sender, reviewed diff, and removal; versions of a series."""

import pytest

from harness.authoring.create import import_series
from harness.authoring.history import previous_version, reroll, versions
from harness.authoring.refresh import read_old, refresh
from harness.authoring.status import read_status
from harness.authoring.tags import apply_tags, collect, read_records
from harness.errors import AuthoringError, OptionError
from harness.series import load_series, read_input
from harness.tree.git import Git
from tests.unit.authoring.conftest import git

REPLY = """\
From 1 Mon Sep 17 00:00:00 2001
From: {sender}
Date: Wed, 21 Dec 2022 12:00:00 +0100
Subject: Re: [PATCH {number}/2] os-posix
Message-Id: <reply-{key}@example.org>
In-Reply-To: <{to}@example.org>

On Tuesday, J wrote:
> Signed-off-by: J\u00fcrgen M\u00fcller <jm@example.org>
> Acked-by: Quoted <q@example.org>

{text}

"""


def thread(layout, folder, place, *replies):
    """Write a mailbox of the series in ``folder`` and replies (number of the answered mail, sender, text)."""
    mails = []
    for path in sorted(folder.glob("*.patch")):
        number = int(path.name[:4])
        follows = "" if number == 0 else "In-Reply-To: <m0@example.org>\n"
        head, _, body = path.read_text().partition("\nSubject:")
        mails.append(f"{head}\nMessage-Id: <m{number}@example.org>\n{follows}Subject:{body}\n")
    for key, (number, sender, text) in enumerate(replies):
        mails.append(REPLY.format(number=number, sender=sender, text=text, key=key, to=f"m{number}"))
    box = place / "thread.mbox"
    box.write_text("".join(mails))
    return box


def test_tags_are_collected_with_problems_and_applied_on_request(layout, tree, folder, reporter, tmp_path):
    box = thread(
        layout,
        folder,
        tmp_path,
        ("1", "Rosa <r@example.org>", "Nice.\n\nReviewed-by: Rosa <r@example.org>"),
        ("2", "Rosa <r@example.org>", "Acked-by: Boss <boss@example.org>"),
        ("0", "Tim <t@example.org>", "Tested-by: Tim <t@example.org>"),
    )
    bare, before = Git(repository=tree.path), {p.name: p.read_bytes() for p in folder.iterdir()}
    found = collect(bare, read_old(folder), read_input(layout, str(box)))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before, "collect changed a file"
    problems = {(tag.patch[-1], tag.line): tag.problem for tag in found}
    assert problems == {
        ("1", "Reviewed-by: Rosa <r@example.org>"): "",
        ("1", "Tested-by: Tim <t@example.org>"): "",
        ("2", "Tested-by: Tim <t@example.org>"): "",
        ("2", "Acked-by: Boss <boss@example.org>"): (
            "it was sent by Rosa <r@example.org>, not by the person it names; ask that person"
        ),
    }
    done = apply_tags(bare, folder, read_old(folder), found)
    assert len(done) == 3
    first, second = load_series(layout, "mine").patches
    own = "Signed-off-by: J\u00fcrgen M\u00fcller <jm@example.org>"
    tags = "\n".join((own, "Reviewed-by: Rosa <r@example.org>", "Tested-by: Tim <t@example.org>"))
    assert first.message == f"Because of \u00e4.\n\n{tags}"
    assert second.message.endswith(f"{own}\nTested-by: Tim <t@example.org>")
    assert read_records(folder)[0].message_id == "reply-0@example.org"
    again = collect(bare, read_old(folder), read_input(layout, str(box)))
    assert {tag.problem for tag in again} == {
        "the patch already has it",
        "it was sent by Rosa <r@example.org>, not by the person it names; ask that person",
    }
    assert apply_tags(bare, folder, read_old(folder), again) == ()
    # The record outlives the file: a changed diff loses its tag even without a file that has the tag.
    made = import_series(layout, tree, "mine", None, reporter)
    (made.workspace.path / "util" / "other.c").write_text("int more;\n")
    git(made.workspace.path, "commit", "--quiet", "--all", "--amend", "--no-edit")
    assert len(refresh(made.workspace, folder, tree.pristine, reporter).stale) == 1


def test_tag_for_a_changed_diff_is_not_added(layout, tree, folder, tmp_path):
    box = thread(
        layout, folder, tmp_path, ("1", "R <r@example.org>", "Reviewed-by: R <r@example.org>\nReviewed-by: R")
    )
    first = folder / "0001-first.patch"
    first.write_text(first.read_text().replace("+new\n", "+newer\n"))
    found = collect(Git(repository=tree.path), read_old(folder), read_input(layout, str(box)))
    assert found[0].problem == "the diff has changed since the review; ask for a new review"
    assert all(tag.problem for tag in found)
    first.unlink()
    (gone, *_) = collect(Git(repository=tree.path), read_old(folder), read_input(layout, str(box)))
    assert gone.problem == "the series no longer has a patch with this subject"


def test_reroll_archives_the_whole_version(layout, tree, folder, reporter, tmp_path):
    assert previous_version(folder) is None
    outgoing = tmp_path / "mine-v1"
    outgoing.mkdir()
    (outgoing / "sent.toml").write_text('[message-ids]\n"0001" = "x@example.org"\n')
    before = {path.name: path.read_bytes() for path in folder.glob("*.patch")}
    done = reroll(folder, outgoing)
    assert done.version == 2
    assert {path.name: path.read_bytes() for path in done.kept.glob("*.patch")} == before
    assert (done.kept / "sent.toml").is_file()
    text = (folder / "series.toml").read_text()
    assert text == '# kept\ntitle = "Mine"\npins = ["tiny"]\nversion = 2\n\n[without]\n"a@b.org" = "gone"\n'
    now = {path.name: path.read_bytes() for path in folder.glob("*.patch")}
    assert now == {name: data.replace(b"[PATCH ", b"[PATCH v2 ") for name, data in before.items()}
    assert previous_version(folder) == done.kept
    assert list(versions(folder)) == [1]
    made = import_series(layout, tree, "mine", None, reporter)
    (made.workspace.path / "util" / "other.c").write_text("int more;\n")
    git(made.workspace.path, "commit", "--quiet", "--all", "--amend", "-m", "os-posix: change number 2")
    refresh(made.workspace, folder, tree.pristine, reporter)
    assert b"[PATCH v2 1/2]" in (folder / "0001-first.patch").read_bytes()
    status = read_status(layout, tree, folder)
    assert [row.since for row in status.rows] == ["same", "changed"]
    assert status.kept_versions == (1,)
    assert not status.needs_refresh
    (folder / "series.toml").write_text(text.replace("version = 2", "version = 1"))
    with pytest.raises(AuthoringError, match="version 1 is archived"):
        reroll(folder, outgoing)
    for path in folder.glob("*.patch"):
        path.unlink()
    with pytest.raises(AuthoringError, match="no patches to archive"):
        reroll(folder, outgoing)


def test_invalid_tags_file_is_refused(folder):
    (folder / "tags.toml").write_text("[[tag]]\npatch = 3\n")
    with pytest.raises(OptionError, match=r"cannot read .*tags\.toml"):
        read_records(folder)
