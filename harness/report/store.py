"""Errors of stored results that cannot be rendered."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StorageError


@contextlib.contextmanager
def made_from(path: Path) -> Iterator[None]:
    """Wrap code that processes the stored results in ``path``.

    Raises StorageError if the code fails on values of the right types that no run produces, such as an
    infinite latency or a negative size. A file from an untrusted source may contain them.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise StorageError(
            f"{path} has values that no run produces: {type(error).__name__}: {' '.join(str(error).split())}",
            "run it again",
        ) from error
