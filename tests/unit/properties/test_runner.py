import os
from pathlib import Path

import msgspec
import pytest

from harness.binaries import NamedBinary
from harness.errors import OptionError, PropertyError
from harness.guest import Firmware
from harness.job import JobEvent
from harness.layout import Layout
from harness.process import Finished
from harness.progress import Silent
from harness.properties import CheckedBinary, Part, named_binaries, runner, subjects
from harness.properties.subjects import words_of

from ..guest.support import fake_binary
from ..teardown.test_scenario import options
from .support import make_binary, make_row

BINARIES = (make_binary("base", words=()), make_binary("patched"))


def test_rows_first_then_binaries_and_base_is_the_reference():
    tasks = runner.plan(
        options(memory_mib=(256, 4096)), BINARIES, (1, 3), Firmware(folders=(Path("/f"),)), {}
    )
    assert [(task.row, task.binary.variant) for task in tasks] == [
        (1, "base"),
        (1, "patched"),
        (3, "base"),
        (3, "patched"),
    ]
    assert {task.reference.variant for task in tasks} == {"base"}
    assert tasks[0].memory_mib == 16384
    smaller = options(memory_mib=(256, 4096), given=("-Dmemory=256M,4G",))
    assert runner.plan(smaller, BINARIES, (1,), Firmware(folders=()), {})[0].memory_mib == 4096
    assert tasks[3].name == "row03-patched-x86_64"
    other = runner.plan(options(), (make_binary(target="s390x-softmmu"),), (1,), Firmware(folders=()), {})
    assert other[0].reference is None


def test_what_other_hosts_gave_goes_to_their_row_and_variant():
    found = (Part(name="s390x: clone", outcome="pass"),)
    tasks = runner.plan(options(), BINARIES, (14, 15), Firmware(folders=()), {"patched": found})
    assert [task.elsewhere for task in tasks] == [(), (), (), found]


def go(monkeypatch, tmp_path, answer):
    def run_plan(layout, test, items, *, timeout_s, on_event):
        for item in items:
            event = answer(item)
            if event is not None:
                on_event(event)
        return Finished(argv=("x",), returncode=8, output="avocado crashed\n", duration_s=0.0)

    monkeypatch.setattr(runner, "run_plan", run_plan)
    monkeypatch.setattr(runner, "fetch_firmware", lambda *_: Firmware(folders=()))
    layout = Layout(root=tmp_path, build=tmp_path / "b", trees=tmp_path / "t", cache=tmp_path / "c")
    seen = []
    rows = runner.run_properties(
        layout, options(), BINARIES, (1,), Silent(), elsewhere={}, on_row=seen.append
    )
    return rows, seen


def test_rows_come_from_whiteboards(monkeypatch, tmp_path):
    made = {1: make_row(1, "base", "fail", "fail"), 2: make_row(1, "patched")}

    def answer(item):
        board = msgspec.json.encode(made[item.index]).decode()
        return JobEvent(index=item.index, status="PASS", whiteboard=board, reason="")

    rows, seen = go(monkeypatch, tmp_path, answer)
    assert list(rows) == seen == list(made.values())


def test_a_row_that_is_lost_has_failed_and_is_a_surprise(monkeypatch, tmp_path):
    def answer(item):
        if item.index == 2:
            return None
        return JobEvent(index=1, status="INTERRUPTED", whiteboard="", reason="Timeout\nreached")

    rows, _ = go(monkeypatch, tmp_path, answer)
    assert [row.outcome for row in rows] == ["fail", "fail"]
    assert rows[0].reason == "the test ended with INTERRUPTED and no result: Timeout reached"
    assert rows[1].reason == "avocado gave no result"
    assert all(row.is_surprise for row in rows)


def test_avocado_that_runs_nothing_is_an_error(monkeypatch, tmp_path):
    with pytest.raises(PropertyError, match="ran no test") as caught:
        go(monkeypatch, tmp_path, lambda _: None)
    assert caught.value.details == ("avocado crashed",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-async-teardown enable asynchronous teardown\n", ("-async-teardown",)),
        (
            "-run-with [async-teardown=on|off][,chroot=dir]\n                Set\n",
            ("-run-with", "async-teardown=on"),
        ),
        ("-run-with [chroot=dir][user=username|uid:gid]\n", ()),
        ("-name x\n see -async-teardown\n", ()),
    ],
)
def test_the_words_are_found_in_the_help(text, words):
    assert words_of(text) == words


def test_named_binaries(monkeypatch, tmp_path):
    monkeypatch.setattr(subjects, "help_of", lambda _: "-async-teardown\n")
    path = tmp_path / "qemu-system-s390x"
    asked = NamedBinary(name="mine", path=path)
    told = NamedBinary(name="other", path=path, words=("-x",))
    assert named_binaries([asked, told], ("base",)) == (
        CheckedBinary(variant="mine", target="s390x-softmmu", path=str(path), words=("-async-teardown",)),
        CheckedBinary(variant="other", target="s390x-softmmu", path=str(path), words=("-x",)),
    )
    with pytest.raises(OptionError, match="also built here"):
        named_binaries([asked], ("mine",))
    with pytest.raises(OptionError, match="what it emulates"):
        named_binaries([NamedBinary(name="mine", path=tmp_path / "kvm")], ())


def test_help_is_asked_of_the_binary_itself(tmp_path):
    binary = fake_binary(tmp_path)
    binary.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    assert subjects.help_of(binary) == "-help\n"
    assert os.access(binary, os.X_OK)
