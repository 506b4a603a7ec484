"""A layout and a checkout of the fake QEMU."""

import pytest

from tests.unit.build.support import make_checkout, make_layout


@pytest.fixture
def layout(tmp_path):
    return make_layout(tmp_path)


@pytest.fixture
def checkout(layout):
    return make_checkout(layout)
