"""What QEMU's tests show of a series, in lines for a terminal and a mail."""

from collections.abc import Iterator

from harness.check import ValidateResults


def skipped_lines(results: ValidateResults) -> Iterator[str]:
    """Yield a line for each test that was never run to its end, with the reason."""
    ran = {row.name for row in results.tests if row.outcome not in ("skipped", "infrastructure")}
    seen: set[str] = set()
    for row in results.tests:
        if row.outcome == "skipped" and row.name not in ran | seen:
            seen.add(row.name)
            reason = row.reason.removeprefix("skipped: ") or "it gives no reason"
            yield f"test {row.name} skipped: {reason}"


def proof_lines(results: ValidateResults) -> Iterator[str]:
    """Yield a line for each test that the series adds or changes: what it shows of the series."""
    words = {"proves": "fails on the base, passes with the series"}
    for proof in results.proofs:
        reason = f" ({proof.reason})" if proof.reason else ""
        patch = f" of patch {proof.patch}" if proof.patch else ""
        yield f"test {proof.test}{patch}: {words.get(proof.outcome, proof.outcome)}{reason}"
