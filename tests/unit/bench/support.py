"""Benches for tests, prepared without downloads and without QEMU."""

from collections.abc import Sequence
from pathlib import Path

from harness.bench import Bench, Subject
from harness.guest import Accel, Firmware
from harness.layout import Layout
from harness.options import Options
from harness.progress import Reporter, Silent


def make_bench(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject] = (),
    *,
    accels: Sequence[Accel] = (),
    folders: Sequence[Path] = (),
    reporter: Reporter | None = None,
    seed: int = 1,
    **fields: object,
) -> Bench:
    """Return a bench with the given accelerators (default: TCG for each target), and without boots."""
    bench = Bench(
        layout=layout,
        options=options,
        reporter=reporter or Silent(),
        subjects=tuple(subjects),
        seed=seed,
        payloads=("paused",),
        **fields,  # type: ignore[arg-type]
    )
    chosen = accels or [Accel(target=target, name="tcg", reason="") for target in bench.targets]
    vars(bench).update(
        firmware=Firmware(folders=tuple(folders)),
        boots={},
        accels={(accel.target, accel.payload): accel for accel in chosen},
    )
    return bench
