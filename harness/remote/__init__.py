"""Guests on other machines: what was built here travels to a host, and the same harness times it there.

Takes subjects of harness.teardown; gives each host's teardown.json, as if the run had been made there.
"""

from harness.remote.hosts import Container, RemoteHost, Ssh, choose_hosts
from harness.remote.run import RemoteRun, run_remote

__all__ = ["Container", "RemoteHost", "RemoteRun", "Ssh", "choose_hosts", "run_remote"]
