"""Time from the start of QEMU until the guest's Linux prints its first line of our init: docs/behaviour.md.

qemu-harness behaviour tests/avocado/boot_time.py -Dpayload=linux -Dmemory=256M
"""

from harness.behaviour.api import BehaviourTest


class BootTime(BehaviourTest):
    """A guest boots, and reports it on its console."""

    def test_console(self):
        """Fail if the guest does not boot; record how long it takes."""
        with self.guest(payload="linux") as machine:
            self.metric("boot", machine.started_s, unit="s", better="lower")
            self.metric("resident", machine.populated_mib, unit="MiB", better="lower")
