import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import OptionError
from harness.series.metadata import SeriesFile, is_address, parse_series_file, read_series_file

FULL = """
title = "Faster teardown"
pins = ["7.2"]
version = 3
prefix = "for-8.0"
branch = "Staging/S390_x.2"
profile = "s390"
to = ["qemu-devel@nongnu.org"]
cc = ["J\u00fcrgen <j@example.org>"]
base-commit = "0123456789abcdef0123456789abcdef01234567"
based-on = ["<20221212.1@example.org>"]
test-plan = "Run it."
[without]
"gone@example.org" = "bounces"
[[recipients]]
address = "qemu-s390x@nongnu.org"
reason = "touches the machine"
paths = ["target/s390x/*"]
[changes.v2]
series = ["rebased"]
[changes.v3]
patches = { "util: a thing" = ["renamed", "shorter"] }
[origin]
written-by = "a person"
"""
PATH = Path("series.toml")


def test_all_keys_are_read():
    metadata = parse_series_file(FULL.encode(), PATH)
    assert metadata.subject_prefix == "PATCH for-8.0"
    assert metadata.branch == "Staging/S390_x.2"
    assert metadata.recipients[0].paths == ("target/s390x/*",)
    assert metadata.recipients[0].header == "cc"
    assert metadata.without == {"gone@example.org": "bounces"}
    assert metadata.versions_with_changes == (3, 2)
    assert metadata.changes_of(3).patches["util: a thing"] == ("renamed", "shorter")
    assert metadata.changes_of(9).series == ()
    assert not metadata.origin.generated


@pytest.mark.parametrize(
    ("prefix", "subject"),
    [
        ("PATCH", "PATCH"),
        ("RFC", "RFC PATCH"),
        ("for-8.0", "PATCH for-8.0"),
        ("RFC for-8.0", "RFC PATCH for-8.0"),
        ("PATCH RFC", "PATCH RFC"),
    ],
)
def test_prefix_becomes_the_subject_prefix_of_git(prefix, subject):
    assert parse_series_file(f'title = "T"\nprefix = "{prefix}"'.encode(), PATH).subject_prefix == subject


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "title"),
        ('title = " "', "title: is not one line"),
        ('title = "a\\nb"', "title: is not one line"),
        ('title = "T"\nversion = 0', "version"),
        ('title = "T"\nprefix = "a]b"', "prefix"),
        ('title = "T"\nbase_commit = "x"', "base_commit"),
        ('title = "T"\nbase-commit = "v7.2.0"', "base-commit: is not a full"),
        ('title = "T"\nbased-on = ["here"]', "not a Message-Id"),
        ('title = "T"\nto = ["qemu-devel"]', "'qemu-devel' is not a mail address"),
        ('title = "T"\ncc = ["a@b\\r\\nBcc: c@d"]', "not a mail address"),
        ('title = "T"\n[changes.v2]\nseries = ["x"]', "changes.v2: is not a version"),
        ('title = "T"\n[changes.v1]\nseries = ["x"]', "changes.v1: is not a version"),
        ('title = "T"\n[[recipients]]\naddress = "a@b.org"', "reason"),
        ('title = "T"\nbranch = "a b"', "branch"),
        ('title = "T" x', "cannot read"),
    ],
)
def test_invalid_value_is_refused_with_its_key(text, cause):
    with pytest.raises(OptionError) as error:
        parse_series_file(text.encode(), PATH)
    assert cause in error.value.cause
    assert "\n" not in error.value.cause


@given(st.binary(max_size=60))
def test_arbitrary_bytes_give_metadata_or_an_option_error(data):
    for text in (data, b'title = "T"\nprefix = "' + data + b'"'):
        try:
            parse_series_file(text, PATH)
        except OptionError as error:
            assert error.code == 2


def test_title_without_the_file_is_the_name_of_the_folder(tmp_path):
    assert read_series_file(tmp_path).title == tmp_path.name
    (tmp_path / "series.toml").mkdir()
    with pytest.raises(OptionError, match="cannot read"):
        read_series_file(tmp_path)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a@b.org", True),
        ("A B <a@b.org>", True),
        ("A B <a@b.org", False),
        ("a b@c", False),
        ("<a@b>", True),
        ("a@b, c@d", False),
        ("j\u00fcrgen@example.org", False),
        ("J\u00fcrgen <j@example.org>", True),
    ],
)
def test_mail_address_is_recognised(text, good):
    assert is_address(text) is good


def test_docs_explain_every_key():
    text = (Path(__file__).parents[3] / "docs" / "series.md").read_text(encoding="utf-8")
    section = text.split("\n## series.toml\n")[1].split("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    keys = {name.strip("[]").partition(".")[0] for cell in firsts for name in re.findall(r"`([^`]+)`", cell)}
    assert keys == set(SeriesFile.__struct_encode_fields__)
