"""What the builds of a run left out of QEMU's defaults."""

from harness.teardown.results import TeardownResults


def left_out_line(results: TeardownResults) -> str:
    """Return one line that lists what builds of the run left out; empty if nothing is known."""
    texts = dict.fromkeys(text for row in results.binaries for text in row.left_out)
    return f"built without {', '.join(texts)}" if texts else ""
