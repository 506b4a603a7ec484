"""Faults of the machine and of others, injected into whole runs of the harness; docs/faults.md lists them."""
