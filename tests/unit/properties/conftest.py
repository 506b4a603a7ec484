"""A bench with a fake QEMU."""

import ctypes

import pytest

from harness.properties.bench import Bench
from harness.teardown import cpu

from ..guest.support import fake_binary
from .support import make_binary, make_task


@pytest.fixture
def make_bench(tmp_path):
    """A function that returns a bench with a fake QEMU, or with the program ``path``."""

    def make(*words, path=None, **fields):
        binary = make_binary(path=path) if path else make_binary(path=fake_binary(tmp_path), words=words)
        return Bench(make_task(binary=binary, **fields), work=tmp_path, logs=tmp_path)

    yield make
    ctypes.CDLL(None).prctl(cpu.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
