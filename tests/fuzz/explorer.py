"""Fuzz one target with examples that are chosen by code coverage: a program, run by guided.py.

    python -m tests.fuzz.explorer TARGET SCRATCH CORPUS SUMMARY SEED SECONDS LIBFUZZER-OPTION...

atheris (https://github.com/google/atheris) has to be imported before the modules of the harness, because it
instruments them at import. libFuzzer ends the program without unwinding, so the caller creates and removes
the folders.
"""

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
"""Number of examples of hypothesis in a new corpus."""
SEEDED = "seeded"
"""Marker file next to the corpus; it exists if the corpus is complete."""
REPORT_EACH = 20


def main(words: list[str]) -> None:
    """Run the fuzzer. Never returns: libFuzzer ends the process."""
    name, scratch, corpus, summary, seed, seconds, *options = words
    (target,) = choose_targets([name])
    layout, folder = layout_in(Path(scratch)), Path(corpus)
    counts = [0, 0]

    def keep(data: bytes) -> None:
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)

    def report() -> None:
        Path(summary).write_text(f"{counts[0]} {counts[1]}", encoding="ascii")

    def read(data: bytes) -> None:
        # libFuzzer reads the whole corpus before it checks the time.
        if time.monotonic() > end:
            report()
            os._exit(0)
        counts[0] += 1
        try:
            target.check(layout, data)
        except HarnessError:
            counts[1] += 1
        finally:
            if counts[0] % REPORT_EACH == 0:
                report()

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
