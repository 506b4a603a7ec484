"""Row 7: QEMU waits for its helper, and says why there is none."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.properties import bpf, status
from harness.properties.bench import Bench, Running, Surrounding
from harness.properties.outcome import Cannot, Miss, Parts, arranged

UNUSED_UID = 61234
READY_TRIES = 5
START_LIMIT_S = 20.0


def ready_or_error(bench: Bench, parts: Parts) -> None:
    """Row 7."""
    bench.require_option()
    with parts.part("ready when the monitor answers"):
        for _ in range(READY_TRIES):
            with bench.start() as running:
                _check_ready(running)
    # Neither close_range() nor /proc: it tries every descriptor there can be.
    slow = Surrounding(no_proc=True, filter=bpf.deny({bpf.NUMBERS["close_range"]: errno.ENOSYS}))
    with parts.part("waits for a helper that is slow to get ready"), arranged():
        for _ in range(READY_TRIES):
            with bench.start(surrounding=slow) as running:
                _check_ready(running)
    with parts.part("clone refused by a filter: EPERM"):
        _expect_error(bench, [Surrounding(filter=_clone_fails(errno.EPERM))], errno.EPERM)
    with parts.part("no memory for clone: ENOMEM"):
        _expect_error(bench, [Surrounding(filter=_clone_fails(errno.ENOMEM))], errno.ENOMEM)
    with parts.part("RLIMIT_NPROC"):
        if os.geteuid() != 0:
            raise Cannot("becoming a user without other processes needs root")
        limits = [Surrounding(uid=UNUSED_UID, processes=number) for number in range(1, 9)]
        _expect_error(bench, limits, errno.EAGAIN)
    with parts.part("limit of the pids control group"), _pids_cgroup() as (folder, limit):
        _expect_error(bench, [Surrounding(cgroup=str(folder))] * 8, errno.EAGAIN, limit=limit)
    with parts.part("no descriptor left: EMFILE"):
        _expect_error(bench, [Surrounding(files=number) for number in range(3, 24)], errno.EMFILE)


def _check_ready(running: Running) -> None:
    """Raise Miss unless the helper has all that it sets up: looked at as soon as the monitor has answered."""
    helper = running.helper()
    name, wanted = status.fields(helper).get("Name"), f"cleanup/{running.pid}"[:15]
    if name != wanted:
        raise Miss(f"the helper is called {name} when the monitor answers, not {wanted}")
    shared = status.shared_descriptors(running.pid, helper)
    if shared:
        raise Miss(f"the helper still has {len(shared)} descriptors of QEMU's when the monitor answers")
    if status.session_of(helper) != helper:
        raise Miss("the helper is in QEMU's session when the monitor answers")


def _clone_fails(code: int) -> tuple[bpf.Insn, ...]:
    try:
        return bpf.on_shared_clone(bpf.ERRNO | code)
    except KeyError as error:
        raise Cannot(f"the number of clone is not known here for {platform.machine()}") from error


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """``state``: told (the error that is wanted), runs (without a helper), or other."""

    state: str
    text: str


def _expect_error(
    bench: Bench, surroundings: list[Surrounding], code: int, *, limit: Path | None = None
) -> None:
    """Raise Miss unless one of ``surroundings`` makes QEMU fail at the helper, with status 1 and the reason.

    They are limits, the tightest first: QEMU fails elsewhere under the first, and under one of them it is the
    helper that cannot be had. ``limit`` is a file that the number of the attempt is written to.
    """
    seen = ""
    for number, surrounding in enumerate(surroundings, start=1):
        if limit is not None:
            limit.write_text(f"{number}\n", encoding="ascii")
        attempt = _attempt(bench, surrounding, code)
        if attempt.state == "told":
            return
        if attempt.state == "prelude":
            raise Cannot(attempt.text)
        if attempt.state == "runs without":
            raise Miss("QEMU starts without a helper and says nothing")
        if attempt.state == "runs":
            break
        seen = attempt.text
    raise Miss(
        f"no error names asynchronous teardown and {os.strerror(code)!r}" + (f": {seen}" if seen else "")
    )


def _attempt(bench: Bench, surrounding: Surrounding, code: int) -> _Attempt:
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(bench.start(surrounding=surrounding))
        except HarnessError as error:
            return _judge(error, code)
        helpers = running.helpers()
        return _Attempt(state="runs" if helpers else "runs without", text="")


def _judge(error: HarnessError, code: int) -> _Attempt:
    said = "\n".join(error.details)
    if "prelude: " in said:
        return _Attempt(state="prelude", text=said.partition("prelude: ")[2].splitlines()[0])
    told = re.search(r"async\w*[ _-]?teardown.*", said, re.IGNORECASE)
    if told and os.strerror(code) in said and "with status 1" in error.cause:
        return _Attempt(state="told", text=told[0])
    return _Attempt(state="other", text=error.cause)


@contextlib.contextmanager
def _pids_cgroup() -> Iterator[tuple[Path, Path]]:
    """A fresh control group with the pids controller, v1 or v2, and its limit. Raises Cannot."""
    top = Path("/sys/fs/cgroup")
    folder = (top / "pids" if (top / "pids").is_dir() else top) / f"properties-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise Cannot(f"no control group can be made: {error.strerror}") from error
    try:
        if not (folder / "pids.max").exists():
            raise Cannot("there is no pids controller here")
        yield folder, folder / "pids.max"
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
