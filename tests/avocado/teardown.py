"""Time the teardown of guests that differ only in their QEMU. The code is in harness/teardown.

``nox -s teardown`` runs this test, gives it its cells of the matrix, and reads the whiteboard.
"""

from pathlib import Path

import msgspec
from avocado import Test

from harness.teardown.cpu import adopt_orphans
from harness.teardown.model import Cell
from harness.teardown.parent_death import exit_with
from harness.teardown.sample import take_samples


class Teardown(Test):
    """Start, populate and end one guest after another, and wait until its memory is free."""

    def test(self):
        """Write the samples to the whiteboard as JSON, with any outcomes."""
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
