"""Check one property of one binary. Thin: all it does is in harness/properties.

Run by ``nox -s properties``, which gives each test its task and reads the whiteboard. What each variant is
known to do is here: an outcome that is not the expected one fails the test, a pass included.
"""

from pathlib import Path

import msgspec
from avocado import Test

from harness.properties.checks import check
from harness.properties.model import ROWS, Task
from harness.teardown.parent_death import exit_with

EXPECTED = {
    # The series: every property.
    "patched": dict.fromkeys(ROWS, "pass"),
    # Upstream's implementation, as it is in the release.
    "pristine": {
        1: "pass",
        2: "fail",  # polls for QEMU's end once a second
        3: "fail",  # made before the forks of -daemonize: child of a process that is gone
        4: "fail",  # root may not be signalled by nobody: it never learns of QEMU's end
        5: "fail",  # stays root; made before the filter
        6: "fail",  # with -daemonize, none
        7: "fail",  # the result of clone() is not looked at
        8: "fail",  # made when the option is parsed
        9: "fail",  # a zombie, and no word
        10: "fail",  # in QEMU's process group
        11: "fail",  # its descriptors above the limit, and without /proc; and the poll
        12: "fail",  # snprintf, opendir, sleep, sigaction
        13: "fail",  # execve is not the parent's end
        14: "pass",
        15: "pass",
    },
    # No such feature: the exit takes as long as the teardown, and there is no helper to look at.
    "base": dict.fromkeys(ROWS, "cancel") | {1: "fail"},
}


class Properties(Test):
    """One row of the table of properties, on one binary."""

    def test(self):
        """The whiteboard holds the row as JSON, whatever its outcome."""
        exit_with(int(self.params.get("driver")))
        task = msgspec.json.decode(self.params.get("task"), type=Task)
        expected = EXPECTED.get(task.binary.variant, {}).get(task.row, "")
        row = check(task, folder=Path(self.outputdir), expected=expected)
        self.whiteboard = msgspec.json.encode(row).decode()
        if row.is_surprise:
            self.fail(f"{row.outcome} instead of {expected}: {row.reason}")
        if row.outcome == "cancel":
            self.cancel(row.reason)
