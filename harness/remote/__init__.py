"""Time guests on other machines: copy binaries and harness to a host, run ``teardown`` there, fetch results.

The input is the subjects of a run. The output is a teardown.json for each host.
"""

from harness.remote.hosts import RemoteHost, choose_hosts
from harness.remote.run import run_remote

__all__ = ["RemoteHost", "choose_hosts", "run_remote"]
