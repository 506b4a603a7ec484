"""Rows and trials for the tests of clients."""

from harness.bench import Subject
from harness.clients.model import Trial, row_of

OPTION = ("-async-teardown",)
BASE = Subject(variant="base", target="x86_64-softmmu", path="/q/base")
PATCHED = Subject(variant="patched", target="x86_64-softmmu", path="/q/patched", options=OPTION, able=True)
WITHOUT = Subject(variant="patched", target="x86_64-softmmu", path="/q/patched", able=True)


def trial(client, binary=PATCHED, *, backend="ram", memory_mib=1024):
    """Return a trial of round 1."""
    return Trial(
        clients=(client,),
        binary=binary,
        memory_mib=memory_mib,
        backend=backend,
        accel="tcg",
        turn=1,
        timeout_s=5.0,
    )


def row(client, binary=PATCHED, **fields):
    """Return a row of a successful run, with ``fields`` replaced."""
    slow = not binary.options
    usual = {
        "helpers": int(not slow),
        "exit_s": 0.1 if slow else 0.001,
        "told_s": 0.1 if slow else 0.002,
        "back_s": 0.1,
        "moments": {"restart_s": 1.0, "create_s": 0.5} if client == "libvirt destroy" else {},
    }
    return row_of(trial(client, binary), client, **(usual | fields))
