"""Fixtures for the tests of bisect."""

import pytest

from tests.unit.bisect.meson import Meson
from tests.unit.bisect.support import Walk


@pytest.fixture
def walk(layout, monkeypatch):
    return Walk(layout=layout, monkeypatch=monkeypatch)


@pytest.fixture
def meson(tmp_path):
    return Meson(tmp_path)
