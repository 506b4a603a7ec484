"""Read examples of one target that are chosen by what they reach: a program, run by guided.py.

    python -P explorer.py TARGET ROOT CORPUS SUMMARY LIBFUZZER-OPTION...

atheris (https://github.com/google/atheris) has to be there before the harness's modules are, since it counts
where they go by changing them as they are imported. libFuzzer ends the program.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris
import hypothesis
from hypothesis import HealthCheck, Phase

with atheris.instrument_imports(include=["harness"], enable_loader_override=False):
    from harness.errors import HarnessError
    from harness.fuzz.runner import choose_targets, scratch_layout
    from harness.layout import find_layout

SEEDS = 200
"""Examples of hypothesis that a corpus begins with."""
TELL_EACH = 20


def main(words: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    name, root, corpus, summary, *options = words
    (target,) = choose_targets([name])
    folder = Path(corpus)
    counts = [0, 0]
    with scratch_layout(find_layout(Path(root))) as layout:

        def keep(data: bytes) -> None:
            (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)

        settings = hypothesis.settings(
            max_examples=SEEDS,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=tuple(HealthCheck),
        )
        if not any(folder.iterdir()):
            settings(hypothesis.given(target.examples(layout))(keep))()

        def read(data: bytes) -> None:
            counts[0] += 1
            try:
                target.check(layout, data)
            except HarnessError:
                counts[1] += 1
            finally:
                if counts[0] % TELL_EACH == 0:
                    Path(summary).write_text(f"{counts[0]} {counts[1]}", encoding="ascii")

        atheris.Setup([sys.argv[0], *options, corpus], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
