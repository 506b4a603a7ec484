"""The base class of behaviour tests (docs/behaviour.md). Only processes of avocado import this module."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.behaviour.model import Better, Metric, Setup
from harness.guest.machine import Machine, start
from harness.teardown.sample import guest_of
from harness.teardown.testcase import HarnessTest


class BehaviourTest(HarnessTest):
    """A test of QEMU's behaviour. Its methods ``test_*`` fail with ``self.fail`` or an exception.

    ``binary`` is the QEMU to test, ``feature`` the arguments that enable the feature of the series in it.
    """

    def setUp(self) -> None:
        super().setUp()
        self._setup = self.task(Setup)
        self._metrics: list[Metric] = []
        self._guests = 0

    def tearDown(self) -> None:
        self.write(self._metrics)

    @property
    def binary(self) -> Path:
        return Path(self._setup.subject.path)

    @property
    def variant(self) -> str:
        """The name of the binary's variant, such as base or patched."""
        return self._setup.subject.variant

    @property
    def feature(self) -> tuple[str, ...]:
        return self._setup.subject.options

    @contextlib.contextmanager
    def guest(self, *arguments: str, **changes: Any) -> Iterator[Machine]:
        """Start a guest of the options of the run and yield it when it is ready; it ends with the block.

        ``arguments`` are further arguments of QEMU. ``changes`` replace fields of harness.guest.model.Guest:
        ``memory_mib``, ``backend``, ``pages``, ``payload`` … Raises GuestError if it does not become ready.
        """
        guests = self._setup.guests
        payload = changes.pop("payload", next(iter(guests)))
        if payload not in guests:
            self.cancel(f"payload {payload} is not prepared: add -Dpayload={payload}")
        guest = guest_of(guests[payload])
        guest = dataclasses.replace(guest, **({"options": (*guest.options, *arguments)} | changes))
        self._guests += 1
        log = Path(self.outputdir) / f"qemu-{self._guests}.log"
        with start(guest, log=log, timeout_s=guests[payload].timeout_s) as machine:
            yield machine

    def metric(self, name: str, value: float, *, unit: str, better: Better) -> None:
        """Record a figure. It is compared between the binaries, under ``name``.

        Raises ValueError or msgspec.ValidationError for what is no Metric.
        """
        if not math.isfinite(value):
            raise ValueError(f"the metric {name} is {value}")
        if any(one.name == name for one in self._metrics):
            raise ValueError(f"the metric {name} is recorded twice")
        fields = {"name": name, "value": float(value), "unit": unit, "better": better}
        self._metrics.append(msgspec.convert(fields, Metric))
