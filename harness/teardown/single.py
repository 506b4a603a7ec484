"""Keep one guest running, for manual use."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.bench import Bench, Subject
from harness.build import find_binary
from harness.errors import GuestError
from harness.guest.machine import Machine, start
from harness.guest.memory import memory_shortage
from harness.guest.model import Guest
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter
from harness.teardown.watch import find_sharers
from harness.tree.facts import teardown_arguments


@dataclass(frozen=True, kw_only=True)
class SingleGuest:
    """A guest that is ready, and the processes that share its memory."""

    machine: Machine
    sharers: tuple[int, ...]

    def describe(self) -> tuple[str, ...]:
        """Return lines with pids, memory and logs of the guest."""
        guest = self.machine.guest
        helpers = " ".join(str(pid) for pid in self.sharers) or "none"
        console = self.machine.console
        return (
            f"QEMU {self.machine.pid}: {guest.target}, {guest.accel}",
            f"resident memory: {self.machine.populated_mib} MiB",
            f"processes that share its memory: {helpers}",
            f"log: {self.machine.child.log}",
            *((f"console: {console.log}",) if console else ()),
        )


@contextlib.contextmanager
def single_guest(
    layout: Layout,
    options: Options,
    variant: str,
    target: str,
    reporter: Reporter,
    *,
    tree: str,
    label: str,
) -> Iterator[SingleGuest]:
    """Run the first guest that ``options`` describe, until the block ends.

    Its binary is the build of ``variant`` in the folder ``label`` of the tree named ``tree``. Raises
    NothingBuiltError, GuestError (it does not start, or does not fit into memory), FetchError.
    """
    kind = {"profile": options.profile, "devices": options.devices}
    binary = find_binary(layout, tree, label, target, **kind, given=options.given)
    payload, memory_mib = options.payload[0], options.memory_mib[0]
    words = teardown_arguments(layout.build_root(tree, label) / "src")
    subject = Subject(variant=variant, target=target, path=str(binary), options=words)
    bench = Bench(
        layout=layout, options=options, reporter=reporter, subjects=(subject,), seed=0, payloads=(payload,)
    )
    accel, boot = bench.accels[target, payload], bench.boots.get(target)
    reason = memory_shortage(memory_mib, payload, accel.name)
    if reason is not None:
        raise GuestError(f"the guest does not fit: it {reason}", "choose a smaller size with -Dmemory=")
    guest = Guest(
        binary=binary,
        target=target,
        memory_mib=memory_mib,
        backend=options.backends[0],
        pages=options.pages[0],
        accel=accel.name,
        payload=payload,
        firmware=bench.firmware.folders,
        options=words,
        kernel=boot.kernel if boot else None,
        initrd=boot.initrd if boot else None,
    )
    with start(guest, log=layout.logs / "guest.log", timeout_s=options.timeout) as machine:
        yield SingleGuest(machine=machine, sharers=find_sharers(machine.pid))
