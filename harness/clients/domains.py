"""Trials of one domain: destroy it, start it again at once under its name, power it off."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.clients.domain import domain_xml
from harness.clients.model import REFUSED, ClientRow, Trial, row_of
from harness.clients.moments import (
    NS,
    ExitWatch,
    check_populated,
    find_qemu,
    stuck_words,
    watched,
    watching,
)
from harness.clients.session import SHUT_OFF, STOPPED, Session
from harness.errors import GuestError, LibvirtError
from harness.guest.model import architecture_of
from harness.properties.poweroff import boot_sector, s390x_image
from harness.teardown.meter import Meter

IMAGE, SERIAL = "/var/lib/libvirt/power-off.img", "/run/serial"
"""Paths in the namespaces of libvirtd."""
BOOT_LIMIT_S = 60.0


def try_domain(
    session: Session, trial: Trial, meter: Meter, *, firmware: Sequence[Path]
) -> tuple[ClientRow, ...]:
    """Return a row for each client of ``trial``. They share one domain, which is removed afterwards.

    If this raises (LibvirtError, GuestError), the domain may remain and requests may be unanswered. The
    caller must then end the session.
    """
    name = _name(trial)
    pc = architecture_of(trial.binary.target).name == "x86_64"
    image = session.namespaces.folder / IMAGE[1:]
    image.write_bytes(boot_sector() if pc else s390x_image())
    xml = domain_xml(
        trial,
        name,
        version=session.version,
        firmware=firmware,
        threads=len(os.sched_getaffinity(0)),
        image=IMAGE,
        serial=SERIAL,
    )
    session.ask("define", xml=xml)
    rows: list[ClientRow] = []
    session.ask("create", name=name)
    for client in trial.clients:
        if client == "libvirt power-off":
            rows.append(_power_off(session, trial, name, meter, has_serial=pc))
        else:
            rows.append(_destroy(session, trial, client, name, meter))
    if session.ask("state", name=name).value != SHUT_OFF:
        session.ask("destroy", name=name)
    session.ask("undefine", name=name)
    return tuple(rows)


def _name(trial: Trial) -> str:
    """Return the name of the domain. libvirt accepts no slash and no line break."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"harness-{trial.binary.variant}-{trial.turn}")


def try_refused(session: Session, trial: Trial, *, firmware: Sequence[Path]) -> ClientRow:
    """Return the row of a domain that libvirt must not start. Raises LibvirtError if it cannot be defined."""
    name, option = _name(trial), trial.binary.options[0]
    session.ask("define", xml=domain_xml(trial, name, version=session.version, firmware=firmware))
    began = time.monotonic_ns()
    try:
        session.ask("create", name=name)
        reason = f"libvirt started a QEMU without {option}"
        session.ask("destroy", name=name)
    except LibvirtError as error:
        reason = "" if f"{option}: invalid option" in error.cause else error.cause
    notified = round((time.monotonic_ns() - began) * NS, 6)
    session.ask("undefine", name=name)
    return row_of(trial, REFUSED, told_s=notified, **_outcome(reason))


@contextlib.contextmanager
def _running(session: Session, trial: Trial) -> Iterator[ExitWatch]:
    """Watch the QEMU of the domain. Raises GuestError if its memory is not populated."""
    pid = find_qemu(session.child.pid, Path(trial.binary.path))
    check_populated(pid, trial.memory_mib, "domain")
    with watching(pid) as watch:
        yield watch


def _destroy(session: Session, trial: Trial, client: str, name: str, meter: Meter) -> ClientRow:
    """Call virDomainDestroy and, except for ``libvirt cgroup``, at once virDomainCreate."""
    again = client == "libvirt destroy"
    with _running(session, trial) as watch:
        files, free = files_of(watch.pid), meter.free_mib()
        watch.start(trial.timeout_s)
        session.send("destroy", name=name)
        if again:
            session.send("create", name=name)
        destroyed = session.reply("destroy")
        held = held_mib(meter, trial, free)
        shared = shared_files(watch, files)
        watch.finish()
        created = session.reply("create") if again else None
        stopped = session.event(name, STOPPED, destroyed.began, 5)
    began = destroyed.began
    moments = {}
    if created is not None:
        moments["create_s"] = (created.ended - created.began) * NS
        moments["restart_s"] = (created.ended - began) * NS
    if stopped is not None:
        moments["event_s"] = (stopped.at - began) * NS
    return row_of(
        trial,
        client,
        told_s=round((destroyed.ended - began) * NS, 6),
        held_mib=held,
        moments={name: round(value, 6) for name, value in moments.items()},
        **watched(watch, began),
        **_outcome(_failure(watch, shared, event=stopped is not None)),
    )


def _power_off(session: Session, trial: Trial, name: str, meter: Meter, *, has_serial: bool) -> ClientRow:
    """Run the guest until it is ready, and make it power off."""
    with _running(session, trial) as watch, contextlib.ExitStack() as stack:
        line = stack.enter_context(_serial(session.namespaces.folder / SERIAL[1:])) if has_serial else None
        if line is not None:
            session.ask("resume", name=name)
            try:
                line.recv(1)
            except OSError as error:
                raise GuestError("the guest that should power off did not boot", "read its log") from error
        files, free = files_of(watch.pid), meter.free_mib()
        watch.start(trial.timeout_s)
        began = time.monotonic_ns()
        if line is not None:
            line.sendall(b"x")
        else:
            session.ask("resume", name=name)
        stopped = session.event(name, STOPPED, began, trial.timeout_s)
        held = held_mib(meter, trial, free)
        shared = shared_files(watch, files)
        watch.finish()
    notified = None if stopped is None else round((stopped.at - began) * NS, 6)
    return row_of(
        trial,
        "libvirt power-off",
        told_s=notified,
        held_mib=held,
        **watched(watch, began),
        moments={} if notified is None else {"event_s": notified},
        **_outcome(_failure(watch, shared, event=stopped is not None)),
    )


@contextlib.contextmanager
def _serial(path: Path) -> Iterator[socket.socket]:
    """Connect to the socket of the serial port, relative to its folder because paths of sockets are short."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(BOOT_LIMIT_S)
            line.connect(f"/proc/self/fd/{folder}/{path.name}")
            yield line
    finally:
        os.close(folder)


def files_of(pid: int) -> set[str]:
    """Return the open files, pipes and sockets of a process, as in proc(5); empty if it has ended."""
    files = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names only, read at once
            with contextlib.suppress(OSError):
                files.add(str(Path(f"/proc/{pid}/fd/{name}").readlink()))
    return {name for name in files if not name.startswith(("anon_inode:", "/dev/null"))}


def shared_files(watch: ExitWatch, files: set[str]) -> set[str]:
    """Return those of QEMU's ``files``, such as logs and pipes of libvirt, that a helper still has open."""
    return {name for pid in watch.sharers.values() for name in files_of(pid)} & files


def held_mib(meter: Meter, trial: Trial, free: float) -> float | None:
    """Return the MiB of the guest that are not freed yet; ``free`` is the meter's value while it ran.

    None if the meter is not exact.
    """
    if not meter.exact:
        return None
    return round(min(trial.memory_mib, max(0.0, trial.memory_mib - (meter.free_mib() - free))), 1)


def _failure(watch: ExitWatch, shared: set[str], *, event: bool) -> str:
    if watch.stuck or not event:
        return stuck_words(watch) or "libvirt sent no event STOPPED"
    if shared:
        return f"the helper had {', '.join(sorted(shared))} open when libvirt reported shut off"
    return ""


def _outcome(reason: str) -> dict[str, str]:
    return {"outcome": "failed" if reason else "ok", "reason": reason}
