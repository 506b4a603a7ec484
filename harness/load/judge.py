"""Summarize slices, and judge their leftovers. This module does no I/O."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from harness.load.model import LoadRow, Slice, Summary

REASONS = 5
"""Maximum number of different failures that are listed."""


def summarize(slices: Sequence[Slice]) -> tuple[Summary, ...]:
    """Return a summary for each kind and binary, crowd first, then by name."""
    keys = dict.fromkeys((part.kind, part.variant) for part in slices)
    return tuple(
        _summary([part for part in slices if (part.kind, part.variant) == key])
        for key in sorted(keys, key=lambda key: (key[0] != "crowd", key[1]))
    )


def _summary(slices: Sequence[Slice]) -> Summary:
    rows = [row for part in slices for row in part.rows]
    remains = [each for part in slices for each in part.remains]
    worst = max((part.memory for part in slices), key=lambda memory: memory.lost_mib - memory.tolerance_mib)
    left = [process for each in remains for process in each.left]
    zombies = [process for each in remains for process in each.zombies]
    fds = sum(max(0, each.fds_after - each.fds_before) for each in remains)
    kills = sum(part.oom_kills for part in slices)
    failures = Counter(row.failure for row in rows if row.failure)
    reasons = [
        *(f"{count} processes remain: {name}" for name, count in Counter(left).most_common(REASONS)),
        *(
            f"{count} zombies while QEMU was running: {name}"
            for name, count in Counter(zombies).most_common(REASONS)
        ),
        *([f"{fds} file descriptors were left open"] if fds else []),
        *([f"{worst.lost_mib} MiB were not freed"] if worst.leaked else []),
        *([f"{kills} processes were killed because memory ran out"] if kills else []),
        *(f"{count} times: {failure}" for failure, count in failures.most_common(REASONS)),
    ]
    return Summary(
        variant=slices[0].variant,
        kind=slices[0].kind,
        wall_s=round(sum(part.wall_s for part in slices), 3),
        exits=sum(row.exit_s is not None for row in rows),
        reclaims=sum(row.reclaim_s is not None for row in rows),
        restarts=sum(row.restart_s is not None for row in rows),
        failures=sum(failures.values()),
        exit_s=_median(row.exit_s for row in rows),
        reclaim_s=_median(row.reclaim_s for row in rows),
        restart_s=_median(row.restart_s for row in rows),
        overlaps=sum(overlaps(row) for row in rows),
        helpers=sum(row.helpers for row in rows),
        qemu_cpu_s=round(sum(row.qemu_cpu_s for row in rows), 3),
        helper_cpu_s=round(sum(row.helper_cpu_s for row in rows), 3),
        processes=len(left),
        zombies=len(zombies),
        fds=fds,
        lost_mib=worst.lost_mib,
        peak_mib=max(part.memory.peak_mib for part in slices),
        oom_kills=kills,
        outcome="fail" if reasons else "pass",
        reasons=tuple(reasons),
    )


def overlaps(row: LoadRow) -> bool:
    """Return whether the next guest was ready before the memory of the previous one was freed."""
    return row.restart_s is not None and (row.reclaim_s is None or row.restart_s < row.reclaim_s)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 6) if known else None
