"""Check one property of one binary. The code is in harness/properties.

``nox -s properties`` runs this test, gives it its task, and reads the whiteboard. The expected outcomes of
each variant are below. A test fails if the outcome differs, even if the outcome is a pass.
"""

from pathlib import Path

from harness.bench.subject import REFERENCES
from harness.properties.checks import check
from harness.properties.model import ROWS, Task
from harness.teardown.testcase import HarnessTest

EXPECTED = {
    # The series has every property.
    "patched": dict.fromkeys(ROWS, "pass"),
    # Upstream's implementation in the release.
    "pristine+option": {
        1: "pass",
        2: "fail",  # polls for QEMU's exit once a second
        3: "fail",  # created before the forks of -daemonize: its parent has ended
        4: "fail",  # runs as root, so QEMU as user nobody cannot signal it: it never learns of QEMU's exit
        5: "fail",  # keeps running as root; created before the filter is installed
        6: "fail",  # none with -daemonize
        7: "fail",  # ignores the result of clone()
        8: "fail",  # created when the option is parsed
        9: "fail",  # becomes a zombie without a message
        10: "fail",  # is in QEMU's process group
        11: "fail",  # keeps descriptors above the limit, and without /proc; and polls
        12: "fail",  # calls snprintf, opendir, sleep, sigaction
        13: "fail",  # does not detect execve as the end of its parent
        14: "pass",
        15: "pass",
        16: "pass",
        17: "fail",  # keeps the working directory of QEMU
        18: "pass",
    },
    # Without the feature, the exit takes as long as the teardown, and there is no helper to check.
    **dict.fromkeys(REFERENCES, dict.fromkeys(ROWS, "cancel") | {1: "fail"}),
}


class Properties(HarnessTest):
    """One row of the table of properties, on one binary.

    :avocado: enable
    """

    def test(self):
        """Write the row to the whiteboard as JSON, with any outcome."""
        task = self.task(Task)
        expected = EXPECTED.get(task.binary.variant, {}).get(task.row, "")
        row = check(task, folder=Path(self.outputdir), expected=expected)
        self.write(row)
        if row.is_surprise:
            self.fail(f"{row.outcome} instead of {expected}: {row.reason}")
        if row.outcome == "cancel":
            self.cancel(row.reason)
