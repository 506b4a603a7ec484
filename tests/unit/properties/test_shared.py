import contextlib
from types import SimpleNamespace

import pytest

from harness.errors import GuestError
from harness.properties import shared as module
from harness.properties.outcome import Cancelled


@pytest.mark.parametrize(
    ("backend", "free_mib", "error"),
    [("hugetlb", 255, Cancelled), ("hugetlb", 256, GuestError), ("memfd", 0, GuestError)],
)
def test_huge_pages_that_others_took_are_no_fault_of_the_series(monkeypatch, backend, free_mib, error):
    @contextlib.contextmanager
    def start(**_):
        raise GuestError("QEMU ended while it started", "read the log")
        yield

    monkeypatch.setattr(module, "free_hugepages_mib", lambda: free_mib)
    with pytest.raises(error):
        module._check_content(SimpleNamespace(start=start), backend, 256, 15)
