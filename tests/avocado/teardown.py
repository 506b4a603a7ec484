"""Time the teardown of guests that differ only in their QEMU. The code is in harness/teardown.

``nox -s teardown`` runs this test, gives it its cells of the matrix, and reads the whiteboard.
"""

from pathlib import Path

from harness.teardown.model import Cell
from harness.teardown.sample import take_samples
from harness.teardown.testcase import HarnessTest


class Teardown(HarnessTest):
    """Start, populate and end one guest after another, and wait until its memory is free.

    :avocado: enable
    """

    def test(self):
        """Write the samples to the whiteboard as JSON, with any outcomes."""
        samples = take_samples(self.task(tuple[Cell, ...]), folder=Path(self.outputdir))
        self.write(samples)
        for sample in samples:
            if sample.outcome == "failed":
                self.fail(f"{sample.variant}: {sample.reason}")
        for sample in samples:
            if sample.outcome == "cancelled":
                self.cancel(sample.reason)
