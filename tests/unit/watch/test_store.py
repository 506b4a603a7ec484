"""The database of the watch: what is written is read again, and nothing is half written."""

import sqlite3

import pytest

from harness.errors import StorageError
from harness.validate.reply import reply
from harness.watch.model import Given
from harness.watch.store import SCHEMA, Store
from tests.unit.validate.test_outputs import results
from tests.unit.watch.stores import add_version, contents


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "watch" / "watch.sqlite") as store:
        yield store


def test_series_is_read_as_it_was_written(store):
    first = add_version(store, results=results())
    add_version(store, series=store.series_of(first), number=2, patches=3)
    add_version(store, "another")
    rows = store.all_series()
    assert [(row.title, row.number, row.versions, row.state, row.verdict) for row in rows] == [
        ("another", 1, 1, "queued", ""),
        ("add a device", 2, 2, "queued", ""),
    ]
    found = store.series(store.series_of(first))
    newest, oldest = found.versions
    assert (newest.number, newest.runs, len(newest.contents.patches)) == (2, (), 3)
    assert oldest.contents == contents()
    (run,) = oldest.runs
    assert run.results == results()
    assert (run.verdict, run.seconds, run.state) == (results().verdict, 12.5, "done")
    assert run.errors + run.warnings + run.notes == len(results().findings)
    assert run.results is not None
    assert reply(run.results).startswith("Subject: Re:")
    assert store.series(99) is None


def test_row_has_the_figures_of_the_newest_run(store):
    version = add_version(store, results=results())
    store.finish_run(store.start_run(version, "add a device"), reason="the disk is full")
    (row,) = store.all_series()
    assert (row.state, row.reason, row.verdict, row.given) == ("failed", "the disk is full", "", 1)


def test_change_of_a_series_is_counted(store):
    one, two = add_version(store), add_version(store, "another")
    before = store.counter()
    store.set_state(one, "left out", "--only")
    changed = {row.id: row.changed for row in store.all_series()}
    assert changed[store.series_of(one)] == store.counter() == before + 1
    assert changed[store.series_of(two)] <= before


def test_newer_schema_is_refused_and_left_alone(store):
    store.close()
    database = sqlite3.connect(store.path)
    database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    with pytest.raises(StorageError, match=f"schema {SCHEMA + 1}, this harness knows schemas up to {SCHEMA}"):
        Store(store.path)


@pytest.mark.parametrize("data", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 4096])
def test_damaged_file_is_an_error_with_a_remedy(tmp_path, data):
    path = tmp_path / "watch.sqlite"
    path.write_bytes(data)
    with pytest.raises(StorageError, match="cannot read or write") as refused:
        Store(path)
    assert refused.value.remedy.startswith("restore that file, or rename it")


def test_interrupted_change_leaves_nothing(store):
    def interrupted():
        with store.change():
            add_version(store)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.all_series() == ()
    assert store.counter() == 0


def test_second_reader_sees_what_the_first_wrote(store):
    add_version(store)
    with Store(store.path) as other, store.change():
        add_version(store, "not yet visible")
        assert [row.title for row in other.all_series()] == ["add a device"]


@pytest.mark.parametrize(
    "text", ["\ud800", "a\0b", "\x1b[31mred", "<b>&\"'", "\U0010ffff\u202e", "x" * 100_000]
)
def test_any_text_can_be_stored(store, text):
    given = (Given(patch=0, text=text, sender=text),)
    version = add_version(store, text, given=given, cover=text)
    (row,) = store.all_series()
    found = store.series(store.series_of(version))
    assert found.title == row.title
    assert row.title.isprintable() or "\u202e" in row.title
    assert str(found).encode()
