"""Claims about clients, judged on the rows of a run. This module does no I/O.

Medians of one interleaved run are compared: with the option and without it. The reference is base if present.
"""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

from harness.bench.subject import REFERENCES
from harness.clients.model import CLIENTS, CONTROLLED, REFUSED, Claim, ClientRow
from harness.figures import format_seconds, shown

AT_ONCE = 0.25
"""Limit of QEMU's exit with the option, as a share of its exit without it."""
NOTIFIED_AT_ONCE = 0.5
"""The same for the notification of the client, which includes the client's own work."""
MEASURABLE_S = 0.1
"""Shorter references are not used: on a busy machine, scheduling takes as long."""
LIBVIRT_STEP_S = 0.25
"""libvirt polls every 200 ms for the exit of a QEMU that it ended (virProcessKillPainfullyDelay)."""
LIBVIRT_RETRIES_S = 1.0 + 2 * LIBVIRT_STEP_S
"""libvirt tries 5 times, every 200 ms, to remove a domain's cgroup, then gives up (qemuProcessStop)."""
WAITED = 0.9
"""Share of the time until the memory is freed that a client which waits for it must have waited."""


def judge(rows: Sequence[ClientRow]) -> tuple[Claim, ...]:
    """Judge all claims. A claim without rows is cancelled."""
    good = [row for row in rows if row.outcome == "ok"]
    return (
        _claim("every guest starts and ends, and its end is reported", _failures(rows), rows),
        _claim("one process shares QEMU's memory with the option, none without", _helpers(good), good),
        _claim("a domain of the same name starts at once", _restarts(good), _of(good, _is_destroy)),
        _claim(
            "QEMU itself exits at once with the option",
            _late(good, "exit_s", _is_alone, lambda without: AT_ONCE * without),
            _compared(good, "exit_s", _is_alone),
        ),
        _claim(
            "a client that waits for QEMU is notified at once",
            _late(good, "told_s", _is_prompt, lambda without: NOTIFIED_AT_ONCE * without),
            _compared(good, "told_s", _is_prompt),
        ),
        _claim(
            "libvirt reports shut off no later than without the option",
            _late(good, "told_s", _is_shut_off, lambda without: without + LIBVIRT_STEP_S),
            _of(good, _is_shut_off),
        ),
        _claim(
            "with a cgroup, libvirt waits for the helper, but at most 1 s",
            _late_controlled(good),
            _of(rows, _is_controlled),
        ),
        _claim(
            "a QEMU without the option is refused, with its message",
            _failures(_of(rows, _is_refused)),
            _of(rows, _is_refused),
        ),
        _claim(
            "a client that waits for the last process is notified when the memory is freed",
            _early_notifications(good),
            _of(good, lambda row: CLIENTS[row.client].waits),
        ),
    )


def median_of(rows: Iterable[ClientRow], name: str) -> float | None:
    """Return the median of a field or moment over the good rows that have it, in seconds."""
    values = []
    for row in rows:
        value = getattr(row, name) if hasattr(row, name) else row.moments.get(name)
        if row.outcome == "ok" and value is not None:
            values.append(value)
    return statistics.median(values) if values else None


def place(row: ClientRow) -> tuple[str, str, str, int]:
    """Return the fields that must be equal in compared rows: client, target, backend, memory."""
    return row.client, row.target, row.backend, row.memory_mib


def _claim(name: str, faults: Iterator[str], concerned: Sequence[ClientRow]) -> Claim:
    problems = list(faults)
    if problems:
        return Claim(name=name, outcome="fail", reason=shown(problems))
    if all(row.outcome == "cancelled" for row in concerned):
        reason = (
            concerned[0].reason if concerned else "no such client was measured, or all guests were too small"
        )
        return Claim(name=name, outcome="cancel", reason=reason)
    return Claim(name=name, outcome="pass")


def _of(rows: Sequence[ClientRow], which: Callable[[ClientRow], bool]) -> list[ClientRow]:
    return [row for row in rows if which(row)]


def _is_destroy(row: ClientRow) -> bool:
    return row.client == "libvirt destroy"


def _is_shut_off(row: ClientRow) -> bool:
    return CLIENTS[row.client].group == "libvirt" and not _is_refused(row)


def _is_controlled(row: ClientRow) -> bool:
    return row.client == CONTROLLED


def _is_refused(row: ClientRow) -> bool:
    return row.client == REFUSED


def _is_alone(row: ClientRow) -> bool:
    return CLIENTS[row.client].alone


def _is_prompt(row: ClientRow) -> bool:
    client = CLIENTS[row.client]
    return client.alone and not client.waits and not client.early and not client.is_libvirt


def _name(row: ClientRow) -> str:
    return f"{row.client} {row.label} {row.memory_mib} MiB {row.backend}"


def _failures(rows: Sequence[ClientRow]) -> Iterator[str]:
    yield from (f"{_name(row)}: {row.reason}" for row in rows if row.outcome == "failed")


def _helpers(rows: Sequence[ClientRow]) -> Iterator[str]:
    for row in rows:
        if row.client != REFUSED and row.helpers != int(row.option):
            yield f"{_name(row)}: {row.helpers} processes shared QEMU's memory"


def _restarts(rows: Sequence[ClientRow]) -> Iterator[str]:
    for row in rows:
        if _is_destroy(row) and "restart_s" not in row.moments:
            yield f"{_name(row)}: the domain was not started again"


def _pairs(
    rows: Sequence[ClientRow], name: str, which: Callable[[ClientRow], bool]
) -> Iterator[tuple[ClientRow, float, float]]:
    """Yield a row with the option, its median, and that of its reference: base, or without the option."""
    chosen = _of(rows, which)
    for key in dict.fromkeys((*place(row), row.label) for row in chosen if row.option):
        here = [row for row in chosen if place(row) == key[:4]]
        mine = [row for row in here if row.label == key[4]]
        without = [row for row in here if not row.option]
        named = [row for row in without if row.variant in REFERENCES]
        theirs = median_of(named or without, name)
        own = median_of(mine, name)
        if theirs is not None and own is not None and theirs >= MEASURABLE_S:
            yield mine[0], own, theirs


def _compared(rows: Sequence[ClientRow], name: str, which: Callable[[ClientRow], bool]) -> list[ClientRow]:
    return [row for row, _, _ in _pairs(rows, name, which)]


def _late(
    rows: Sequence[ClientRow],
    name: str,
    which: Callable[[ClientRow], bool],
    limit: Callable[[float], float],
) -> Iterator[str]:
    """Yield a line for each median that exceeds the ``limit`` for that of the reference."""
    for row, own, theirs in _pairs(rows, name, which):
        if own > limit(theirs):
            yield f"{_name(row)}: {format_seconds(own)}, without the option {format_seconds(theirs)}"


def _late_controlled(rows: Sequence[ClientRow]) -> Iterator[str]:
    for row in filter(_is_controlled, rows):
        if row.told_s is not None and row.exit_s is not None and row.told_s > row.exit_s + LIBVIRT_RETRIES_S:
            yield f"{_name(row)}: {format_seconds(row.told_s)}, QEMU's exit {format_seconds(row.exit_s)}"


def _early_notifications(rows: Sequence[ClientRow]) -> Iterator[str]:
    for row in rows:
        if row.told_s is None or row.back_s is None or not CLIENTS[row.client].waits:
            continue
        if row.told_s < WAITED * row.back_s:
            notified, freed = format_seconds(row.told_s), format_seconds(row.back_s)
            yield f"{_name(row)}: notified after {notified}, memory freed after {freed}"
