"""Time the teardown of guests that differ in their QEMU alone. Thin: all it does is in harness/teardown.

Run by ``nox -s teardown``, which gives each test its cells of the matrix and reads the whiteboard.
"""

from pathlib import Path

import msgspec
from avocado import Test

from harness.teardown.cpu import adopt_orphans
from harness.teardown.model import Cell
from harness.teardown.parent_death import exit_with
from harness.teardown.sample import take_samples


class Teardown(Test):
    """Guest after guest: started, populated, ended, watched until its memory is back."""

    def test(self):
        """The whiteboard holds the samples as JSON, whatever their outcomes."""
        exit_with(int(self.params.get("driver")))
        adopt_orphans()
        cells = msgspec.json.decode(self.params.get("cells"), type=tuple[Cell, ...])
        samples = take_samples(cells, folder=Path(self.outputdir))
        self.whiteboard = msgspec.json.encode(samples).decode()
        for sample in samples:
            if sample.outcome == "failed":
                self.fail(f"{sample.variant}: {sample.reason}")
        for sample in samples:
            if sample.outcome == "cancelled":
                self.cancel(sample.reason)
