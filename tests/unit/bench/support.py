"""Benches for tests, prepared without downloads and without QEMU."""

from harness.bench import Bench
from harness.guest.accel import Accel
from harness.guest.firmware import Firmware
from harness.progress import Silent


def make_bench(layout, options, subjects=(), *, accels=(), folders=(), reporter=None, seed=1, **fields):
    """Return a bench with the given accelerators (default: TCG for each target), and without boots."""
    bench = Bench(
        layout=layout,
        options=options,
        reporter=reporter or Silent(),
        subjects=tuple(subjects),
        seed=seed,
        payloads=("paused",),
        **fields,
    )
    chosen = accels or [Accel(target=target, name="tcg", reason="") for target in bench.targets]
    vars(bench).update(
        firmware=Firmware(folders=tuple(folders)),
        boots={},
        accels={(accel.target, accel.payload): accel for accel in chosen},
    )
    return bench
