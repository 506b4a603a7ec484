"""Around programs that run a stranger's code: what they can see, reach and use up.

``Fence`` is what stages take and know nothing of; ``harness.fence.bubblewrap`` makes one (bwrap(1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Fence(Protocol):
    """Something that programs are started behind."""

    @property
    def name(self) -> str:
        """Its name for the results."""

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:
        """``argv`` to be run in ``folder``, with what keeps it apart in front."""


@dataclass(frozen=True)
class _Open:
    """No fence at all."""

    name: str = "none"

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        return tuple(argv)


NO_FENCE: Fence = _Open()
