"""Read examples of one target that are chosen by what they reach: a program, run by guided.py.

    python -m tests.fuzz.explorer TARGET SCRATCH CORPUS SUMMARY SEED SECONDS LIBFUZZER-OPTION...

atheris (https://github.com/google/atheris) has to be there before the harness's modules are, since it counts
where they go by changing them as they are imported. libFuzzer ends the program, and nothing is unwound then:
who runs it makes the folders, and removes them.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

import atheris
import hypothesis
from hypothesis import Phase

with atheris.instrument_imports(include=["harness"], enable_loader_override=False):
    from harness.errors import HarnessError
    from tests.fuzz.runner import choose_targets, layout_in, settings_for

SEEDS = 200
"""Examples of hypothesis that a corpus begins with."""
SEEDED = "seeded"
"""Beside the corpus, when all of them are there."""
TELL_EACH = 20


def main(words: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    name, scratch, corpus, summary, seed, seconds, *options = words
    (target,) = choose_targets([name])
    layout, folder = layout_in(Path(scratch)), Path(corpus)
    counts = [0, 0]

    def keep(data: bytes) -> None:
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)

    def tell() -> None:
        Path(summary).write_text(f"{counts[0]} {counts[1]}", encoding="ascii")

    def read(data: bytes) -> None:
        # libFuzzer reads all of the corpus before it looks at its clock.
        if time.monotonic() > end:
            tell()
            os._exit(0)
        counts[0] += 1
        try:
            target.check(layout, data)
        except HarnessError:
            counts[1] += 1
        finally:
            if counts[0] % TELL_EACH == 0:
                tell()

    seeded = folder.with_name(f"{folder.name}.{SEEDED}")
    if not seeded.exists():
        settings = settings_for(SEEDS, Phase.generate)
        hypothesis.seed(int(seed))(settings(hypothesis.given(target.examples(layout))(keep)))()
        seeded.touch()
    end = time.monotonic() + float(seconds)
    atheris.Setup([sys.argv[0], f"-seed={int(seed) % 2**31}", *options, corpus], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
