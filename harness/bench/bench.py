"""The bench: subjects, firmware, accelerators and seed of a run, and the lock on the machine."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench.subject import Subject
from harness.build.hosts import Host
from harness.guest.accel import Accel, probe_accel
from harness.guest.boot import Boot, prepare_boot
from harness.guest.firmware import Firmware, fetch_firmware
from harness.guest.model import LINUX
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options, choose_seed
from harness.progress import Reporter

_PREPARED = ("firmware", "boots", "accels")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything that a run needs to start guests. Firmware, boots and accelerators are prepared when used.

    ``emulators`` are the emulated hosts, each with the QEMU that emulates it. ``payloads`` are the payloads
    of the guests.
    """

    layout: Layout
    options: Options
    reporter: Reporter
    subjects: tuple[Subject, ...]
    seed: int
    payloads: tuple[str, ...]
    emulators: tuple[tuple[Host, Path], ...] = ()

    @property
    def native(self) -> tuple[Subject, ...]:
        """The subjects that run on this machine."""
        return tuple(subject for subject in self.subjects if subject.host == "native")

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets of the subjects that run on this machine, without duplicates."""
        return tuple(dict.fromkeys(subject.target for subject in self.native))

    @functools.cached_property
    def firmware(self) -> Firmware:
        """The firmware of ``targets``. Raises FetchError."""
        binaries = [Path(subject.path) for subject in self.native]
        return fetch_firmware(self.layout, self.reporter, self.targets, binaries)

    @functools.cached_property
    def boots(self) -> Mapping[str, Boot]:
        """Kernel and initramfs by target; empty if no payload runs Linux. Raises as prepare_boot."""
        if not set(LINUX).intersection(self.payloads):
            return {}
        return {target: prepare_boot(self.layout, self.reporter, target) for target in self.targets}

    @functools.cached_property
    def accels(self) -> Mapping[tuple[str, str], Accel]:
        """The accelerator by target and payload, probed with the first binary of the target.

        Raises GuestError, FetchError, and the errors of prepare_boot.
        """
        binaries: dict[str, str] = {}
        for subject in self.native:
            binaries.setdefault(subject.target, subject.path)
        return {
            (target, payload): probe_accel(
                Path(path),
                target,
                self.options.accel,
                self.firmware,
                self.reporter,
                logs=self.layout.logs,
                payload=payload,
                boot=self.boots.get(target),
            )
            for target, path in binaries.items()
            for payload in self.payloads
        }

    def has_kvm(self, target: str) -> bool:
        """Return whether guests of ``target`` run instructions under KVM; a defective KVM never runs any."""
        accel = self.accels[target, "paused"]
        return accel.name == "kvm" and accel.runs

    def running_accel(self, target: str) -> str:
        """Return the accelerator for guests of ``target`` that run instructions, or kvm if it is required."""
        accel = self.accels[target, "paused"]
        return accel.name if accel.runs else self.options.accel.replace("auto", "tcg")

    def with_changes(self, *, options: Options, subjects: Sequence[Subject]) -> Bench:
        """Return this bench with other ``options``, and with ``subjects`` of the same targets.

        It shares firmware, boots and accelerators.
        """
        changed = dataclasses.replace(self, options=options, subjects=tuple(subjects))
        vars(changed).update({name: value for name, value in vars(self).items() if name in _PREPARED})
        return changed


@contextlib.contextmanager
def open_bench(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    reporter: Reporter,
    *,
    payloads: tuple[str, ...] = ("paused",),
    emulators: Sequence[tuple[Host, Path]] = (),
) -> Iterator[Bench]:
    """Open a bench for ``subjects``, and hold the lock on the machine until the block ends.

    Native binaries of a target that is not in ``options.targets`` are excluded. ``options.seed`` 0 draws a
    seed. Raises BusyError and StorageError for the lock.
    """
    seed = choose_seed(options.seed)
    chosen = tuple(one for one in subjects if one.host != "native" or one.target in options.targets)
    with locked(layout.measuring_lock, "the right to time guests on this machine", reporter):
        yield Bench(
            layout=layout,
            options=dataclasses.replace(options, seed=seed),
            reporter=reporter,
            subjects=chosen,
            seed=seed,
            payloads=payloads,
            emulators=tuple(emulators),
        )
