"""harness.tree.facts: how a release spells asynchronous teardown, in its help and in its option table."""

import pytest

from harness.tree.facts import feature_words, targets_below, teardown_arguments
from tests.unit.repositories import write_files

OLD, NEW = ("-async-teardown",), ("-run-with", "async-teardown=on")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-async-teardown enable asynchronous teardown\n", OLD),
        ("-run-with [async-teardown=on|off][,chroot=dir]\n                Set\n", NEW),
        ("-async-teardown x\n-run-with [async-teardown=on|off]\n", NEW),
        ("-run-with [chroot=dir][user=username|uid:gid]\n", ()),
        ("-name x\n see -async-teardown\n", ()),
    ],
)
def test_feature_is_recognized_in_the_help(text, words):
    assert feature_words(text) == words


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('DEF("async-teardown", 0, X,\n    "-async-teardown\\n"\n    "    say\\n",\n    ALL)\n', OLD),
        ('DEF("run-with", HAS_ARG, X,\n    "-run-with [async-teardown=on|off][,chroot=dir]\\n"\n', NEW),
        ('DEF("run-with", HAS_ARG, X,\n    "-run-with [chroot=dir]\\n"\n', ()),
        ("SRST\n``-async-teardown``\n    Say, or ``-run-with async-teardown=on``.\nERST\n", ()),
    ],
)
def test_feature_is_recognized_in_an_option_table(table, words, tmp_path):
    (tmp_path / "qemu-options.hx").write_text(table, encoding="utf-8")
    assert teardown_arguments(tmp_path) == words


def test_sources_without_an_option_table_lack_the_feature(tmp_path):
    assert teardown_arguments(tmp_path) == ()


def test_targets_are_those_of_the_checkout(tmp_path):
    names = {"targets/a-softmmu.mak": "", "targets/b-linux-user.mak": "", "devices/c-softmmu/default.mak": ""}
    write_files(tmp_path / "configs", names)
    assert targets_below(tmp_path) == ("a-softmmu",)
    assert targets_below(tmp_path / "none") == ()
