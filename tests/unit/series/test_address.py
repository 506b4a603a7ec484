"""Addresses with links, and their parts."""

import pytest

from harness.series.address import parse_address, without_mailto


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A <a@b<mailto:a@b>>", "A <a@b>"),
        ("A <a@b <mailto:c@d>> and more", "A <a@b> and more"),
        ("A <a@b><mailto:a@b>", "A <a@b>"),
        ("a@b<mailto:a@b>", "<a@b>"),
        ("A<Mailto:a@b>", "A <a@b>"),
        ("A [mailto:a@b]", "A <a@b>"),
        ("A a@b [MAILTO:a@b]", "A <a@b>"),
        ("A <a@b>, B <b@c<mailto:b@c>>", "A <a@b>, B <b@c>"),
        ("A <a@b>", "A <a@b>"),
        ("mailto:a@b", "mailto:a@b"),
    ],
)
def test_links_are_removed(text, plain):
    assert without_mailto(text) == plain


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("R <r@e.org> # comment", "R <r@e.org>"),
        ("R <r@e.org> (comment) [x]", "R <r@e.org>"),
        ("Doe, J <j@e.org>", "Doe, J <j@e.org>"),
        ('"Doe, J" <j@e.org>', "Doe, J <j@e.org>"),
    ],
)
def test_person_of_a_trailer_is_read(text, written):
    assert str(parse_address(text)) == written
