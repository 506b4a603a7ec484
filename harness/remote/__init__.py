"""Time guests on other machines: copy binaries and harness to a host, run ``teardown`` there, fetch results.

The input is the subjects of a run. The output is a teardown.json for each host.
"""
