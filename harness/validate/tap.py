"""The results as TAP 13 (testanything.org), a test for each point."""

import json

from harness.check import ValidateResults
from harness.validate.points import Point, points


def tap(results: ValidateResults) -> str:
    """Return the stream: version, plan, and a line for each point, with a YAML block for a failure."""
    listed = points(results)
    lines = ["TAP version 13", f"1..{len(listed)}"]
    for number, point in enumerate(listed, start=1):
        lines += _point(number, point)
    if results.verdict == "infrastructure":
        lines.append("Bail out! the series could not be judged completely; this is not its fault")
    return "\n".join(lines) + "\n"


def _point(number: int, point: Point) -> list[str]:
    word = "not ok" if point.outcome == "failed" else "ok"
    name = point.name.replace("#", "\\#")
    skip = (
        f" # SKIP {point.reason.splitlines()[0] if point.reason else 'not run'}"
        if point.outcome == "skipped"
        else ""
    )
    lines = [f"{word} {number} - {point.group}: {name}{skip}"]
    if point.outcome == "failed":
        lines.append("  ---")
        lines.append(f"  duration_ms: {point.seconds * 1000:.0f}")
        lines.append(f"  message: {json.dumps(point.reason, ensure_ascii=False)}")
        lines.append("  ...")
    return lines
