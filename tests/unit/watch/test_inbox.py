"""What is new in an inbox: each mail once, whatever was moved, rewritten or cut meanwhile."""

import os
import shutil
import time

import pytest

from harness.errors import OptionError
from harness.watch import inbox as module
from harness.watch.inbox import Cursor, kind_of, places_of, read_new
from tests.unit.series.mails import mbox, patch
from tests.unit.watch.inboxes import git, write_archive, write_maildir, write_mbox

ONE, TWO, THREE, FOUR = (patch(f"[PATCH] util: {at}", ident=f"{at}@example.org") for at in range(1, 5))
WRITERS = {"mailbox": write_mbox, "maildir": write_maildir, "archive": write_archive}


class Reader:
    """Reads an inbox as the watch does: with what it remembers of the last time."""

    def __init__(self, path):
        self.path, self.cursor, self.seen = path, Cursor(), set[str]()
        self.known = set()
        self.skipped = []
        self.count = 0
        """Mails that were read, known ones included."""

    def new(self, since=""):
        mails = []
        for batch in read_new(self.path, self.cursor, self.seen, since):
            mails += [mail for mail in batch.mails if mail not in self.known]
            self.count += len(batch.mails)
            self.known |= set(batch.mails)
            self.cursor = batch.cursor
            self.seen |= set(batch.names)
            self.skipped += batch.skipped
        return mails


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path / "inbox")


@pytest.mark.parametrize("kind", WRITERS)
def test_only_what_is_new_is_read(reader, kind):
    write = WRITERS[kind]
    write(reader.path, [ONE, TWO])
    assert kind_of(reader.path) == kind
    assert reader.new() == [ONE, TWO]
    assert reader.new() == []
    write(reader.path, [THREE], *([2] if kind == "maildir" else []))
    assert reader.new() == [THREE]
    assert all(place.is_dir() for place in places_of(reader.path))


@pytest.mark.parametrize("kind", WRITERS)
def test_too_large_mail_is_skipped_and_named(reader, kind, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2000)
    large = patch(message="x" * 3000)
    write = WRITERS[kind]
    write(reader.path, [ONE, large, TWO])
    assert reader.new() == [ONE, TWO]
    assert len(reader.skipped) == 1


@pytest.mark.parametrize("kind", WRITERS)
def test_many_mails_come_in_batches(reader, kind, monkeypatch):
    monkeypatch.setattr(module, "_BATCH_MAILS", 2)
    monkeypatch.setattr(module, "_PIECE", 1500)
    mails = [patch(f"[PATCH] util: {at}", ident=f"{at}@example.org") for at in range(7)]
    write = WRITERS[kind]
    write(reader.path, mails)
    sizes = [len(batch.mails) for batch in read_new(reader.path, Cursor(), set())]
    assert len(sizes) > 2
    assert reader.new() == mails


def test_mailbox_that_was_rewritten_is_read_again(reader):
    write_mbox(reader.path, [ONE, TWO, THREE])
    assert reader.new() == [ONE, TWO, THREE]
    reader.path.write_bytes(mbox(TWO, THREE))  # a mail program removed the first one
    write_mbox(reader.path, [FOUR])
    assert reader.new() == [FOUR]
    reader.path.write_bytes(b"")
    assert reader.new() == []
    write_mbox(reader.path, [patch("[PATCH] short", message="x")])
    assert len(reader.new()) == 1


def test_incomplete_last_mail_of_a_mailbox_waits(reader, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    data = mbox(ONE, TWO)
    reader.path.write_bytes(data[:-300])
    assert reader.new() == [ONE]
    reader.path.write_bytes(data)
    os.utime(reader.path, (1, 1))
    assert reader.new() == [TWO]


def test_mail_that_was_completed_later_is_read_again(reader):
    data = mbox(ONE, TWO)
    reader.path.write_bytes(data[:-300])
    os.utime(reader.path, (1, 1))
    assert [len(mail) for mail in reader.new()] == [len(ONE), len(TWO) - 299]
    reader.path.write_bytes(data)
    os.utime(reader.path, (1, 1))
    assert reader.new() == [TWO]


def test_mail_larger_than_a_piece_does_not_hide_the_next(reader, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 2048)
    write_mbox(reader.path, [ONE, patch(message="x\n" * 4000), TWO])
    assert reader.new() == [ONE, TWO]
    assert len(reader.skipped) > 0
    assert reader.new() == []


def test_mail_of_a_maildir_that_was_read_by_a_person_is_not_new(reader):
    write_maildir(reader.path, [ONE, TWO])
    assert len(reader.new()) == 2
    for path in list((reader.path / "new").iterdir()):
        path.rename(reader.path / "cur" / f"{path.name}:2,S")
    assert reader.new() == []
    assert reader.count == 2


def test_only_files_of_a_maildir_are_read(reader, tmp_path):
    write_maildir(reader.path, [ONE])
    secret = tmp_path / "secret"
    secret.write_bytes(TWO)
    (reader.path / "new" / "2.link").symlink_to(secret)
    os.mkfifo(reader.path / "new" / "3.fifo")
    (reader.path / "new" / "4.folder").mkdir()
    (reader.path / "new" / os.fsdecode(b"5.\xff")).write_bytes(THREE)
    assert sorted(reader.new()) == sorted([ONE, THREE])
    assert reader.new() == []


def test_each_epoch_of_an_archive_is_read(reader):
    write_archive(reader.path, [ONE])
    assert reader.new() == [ONE]
    write_archive(reader.path, [TWO], epoch=1)
    write_archive(reader.path, [THREE])
    git(reader.path / "git", "init", "--quiet", "--bare", "2.git")  # just begun
    assert sorted(reader.new()) == sorted([TWO, THREE])


def test_archive_whose_history_was_rewritten_is_read_again(reader):
    write_archive(reader.path, [ONE, TWO])
    assert reader.new() == [ONE, TWO]
    shutil.rmtree(reader.path)
    write_archive(reader.path, [TWO, THREE])
    assert reader.new() == [THREE]


@pytest.mark.parametrize("kind", ["maildir", "archive"])
def test_older_mails_are_left_out_once(reader, kind):
    write = WRITERS[kind]
    write(reader.path, [ONE])
    for path in (reader.path / "new").glob("*"):
        os.utime(path, (1, 1))
    assert reader.new(since="2030-01-01") == []


def test_what_is_no_inbox_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"\x1f\x8b compressed")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty", "missing"):
        with pytest.raises(OptionError, match=r"is no (inbox|mailbox)"):
            Reader(tmp_path / name).new()
