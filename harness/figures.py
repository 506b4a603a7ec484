"""Formatting of figures in all outputs."""

from collections.abc import Iterable, Sequence

NONE = "\N{EN DASH}"


def format_seconds(seconds: float | None) -> str:
    """Format seconds with three significant digits, in ms below one second, at most to the microsecond."""
    if seconds is None:
        return NONE
    value, unit = (seconds, "s") if abs(seconds) >= 0.9995 else (seconds * 1000, "ms")
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2 if abs(value) >= 0.0995 else 3
    return f"{value:.{digits}f} {unit}"


def format_duration(seconds: float) -> str:
    """Format a duration for people: seconds below two minutes, then minutes, then hours."""
    if seconds < 119.5:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 sample``, ``2 samples``."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def ranges_of(numbers: Iterable[int]) -> list[str]:
    """Return ``numbers`` as ranges: ``3-5``, ``9``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in ranges]


def shown(texts: Sequence[object], most: int = 1) -> str:
    """Join the first ``most`` texts, and count the others: ``a, b and 3 more``, ``a (and 3 more)``."""
    left = len(texts) - most
    more = f" and {left} more" if most > 1 else f" (and {left} more)"
    return ", ".join(map(str, texts[:most])) + (more if left > 0 else "")


def format_ratio(ratio: float | None) -> str:
    """Format a ratio, with two significant digits if it is small."""
    if ratio is None:
        return NONE
    return f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}"


def format_slope(ms_per_gib: float | None) -> str:
    """Format milliseconds per GiB with three significant digits, without a minus sign before zero."""
    if ms_per_gib is None:
        return NONE
    digits = 0 if abs(ms_per_gib) >= 99.95 else 1 if abs(ms_per_gib) >= 9.995 else 2
    text = f"{ms_per_gib:.{digits}f}"
    return text.removeprefix("-") if not float(text) else text
