"""Run the slices: start a driver for each, receive its rows, and compare memory before and after."""

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from harness.bench import Bench, Subject
from harness.cycles.memory import PREFIX, GroupMeter
from harness.cycles.model import DriverJob
from harness.cycles.runner import run_driver
from harness.errors import LoadError
from harness.guest.group import make_group
from harness.guest.memory import available_mib
from harness.layout import Layout
from harness.load.model import LoadJob, LoadPlan, LoadRow, Remains, Slice
from harness.load.plan import LANES, RESERVE_MIB, share
from harness.machine import number_in

MIB = 1024 * 1024


def run_load(bench: Bench, plans: Sequence[LoadPlan], *, on_slice: Callable[[Slice], None]) -> None:
    """Run each plan with each subject of ``bench``, slice by slice, in an order drawn from its seed.

    -Dtimeout= limits the start and the end of a guest. Calls ``on_slice`` with each finished slice. Raises
    LoadError if a driver fails, and the errors of harness.process.run.
    """
    number = 0
    for plan in (plan for plan in plans if plan.guests):
        for index in range(plan.slices):
            order = list(bench.subjects)
            random.Random(f"{bench.seed}/{plan.kind}/{index}").shuffle(order)  # noqa: S311 - an order, not a secret
            for subject in order:
                number += 1
                title = f"{plan.kind} {index + 1} of {plan.slices}: {subject.variant}"
                with bench.reporter.step(title) as step:
                    load = _job(bench, subject, plan, index)
                    on_slice(_run_slice(bench.layout, load, number, step.update))


def _job(bench: Bench, subject: Subject, plan: LoadPlan, index: int) -> LoadJob:
    """Return the job of the driver for slice ``index``, from 0, of ``plan``."""
    folder = bench.layout.build / "load" / subject.variant
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return LoadJob(
        job=DriverJob(
            variant=subject.variant,
            binaries=((subject.target, subject.path, tuple(map(str, bench.firmware.folders))),),
            options=subject.options,
            cycles=(),
            lanes=min(LANES, plan.guests),
            limit_s=float(bench.options.timeout),
            folder=str(folder),
        ),
        plan=plan,
        accel=bench.running_accel(subject.target),
        seconds=plan.seconds / plan.slices,
        restarts=share(plan.restarts, plan.slices, index),
        seed=f"{bench.seed}/{index}",
    )


def _run_slice(layout: Layout, load: LoadJob, number: int, update: Callable[[int, int, str], None]) -> Slice:
    job, kind = load.job, load.plan.kind
    log = layout.logs / f"load-{job.variant}.log"
    rows: list[LoadRow] = []
    remains: list[Remains] = []
    began = time.monotonic()

    def take(line: str) -> None:
        with contextlib.suppress(msgspec.MsgspecError):  # a traceback is in the log
            remains.append(msgspec.json.decode(line, type=Remains))
            return
        with contextlib.suppress(msgspec.MsgspecError):
            rows.append(msgspec.json.decode(line, type=LoadRow))
        failed = sum(bool(row.failure) for row in rows)
        text = f"{len(rows)} ends" + (f", {failed} failures" if failed else "")
        if load.restarts:
            update(min(len(rows), load.restarts), load.restarts, text)
        else:
            update(min(int(time.monotonic() - began), int(load.seconds)), max(1, int(load.seconds)), text)

    with make_group(PREFIX) as group:
        _limit(group)
        meter = GroupMeter(group)
        run_driver("load", job, load, group, take, log=log, error=LoadError)
        memory, kills = meter.verdict(job.variant), oom_kills(group)
    if len(remains) != job.lanes:
        raise LoadError(f"the load of {job.variant} did not complete", "report it with the log", log=log)
    return Slice(
        variant=job.variant,
        kind=kind,
        number=number,
        accel=load.accel,
        wall_s=round(time.monotonic() - began, 3),
        memory=memory,
        oom_kills=kills,
        remains=tuple(remains),
        rows=tuple(rows),
    )


def _limit(group: Path | None) -> None:
    """Limit ``group`` to the free memory, so that a shortage ends guests and no other processes."""
    for name in ("memory.limit_in_bytes", "memory.max"):
        if group is not None and (group / name).exists():
            with contextlib.suppress(OSError):
                (group / name).write_text(str((available_mib() - RESERVE_MIB // 2) * MIB), encoding="ascii")


def oom_kills(group: Path | None) -> int:
    """Return the number of processes of ``group`` that the kernel killed because memory ran out; 0 if
    unknown.

    It is in memory.oom_control (version 1) or memory.events (cgroups(7)).
    """
    for name in ("memory.oom_control", "memory.events"):
        if group is not None and (group / name).exists():
            return number_in(group / name, r"^oom_kill (\d+)$")
    return 0
