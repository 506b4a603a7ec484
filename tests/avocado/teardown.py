"""Time the teardown of one guest. Thin: all it does is in harness/teardown.

Run by ``nox -s teardown``, which gives each test its cell of the matrix and reads the whiteboard.
"""

from pathlib import Path

import msgspec
from avocado import Test

from harness.teardown.model import Cell
from harness.teardown.orphan import end_with
from harness.teardown.sample import take_sample


class Teardown(Test):
    """One guest: started, populated, ended, watched until its memory is back."""

    def test(self):
        """The whiteboard holds the sample as JSON, whatever its outcome."""
        end_with(int(self.params.get("driver")))
        cell = msgspec.json.decode(self.params.get("cell"), type=Cell)
        sample = take_sample(cell, log=Path(self.outputdir) / "qemu.log")
        self.whiteboard = msgspec.json.encode(sample).decode()
        if sample.outcome == "cancelled":
            self.cancel(sample.reason)
        if sample.outcome == "failed":
            self.fail(sample.reason)
