"""A run's results for tests: two targets, base, pristine and patched, sizes that grow, a floor, restarts."""

import functools

import numpy

from harness.machine import host_facts
from harness.teardown.results import AccelFacts, TeardownResults
from harness.teardown.slopes import fit_slopes
from harness.teardown.statistics import compare

from ..teardown.support import make_sample

SIZES = (256, 1024, 4096)


@functools.cache  # many tests begin with the same samples, and the intervals of a run take 0.1 s
def analysed(samples):
    return {"comparisons": compare(samples), "slopes": fit_slopes(samples)}


def make_results(samples, **fields):
    samples = tuple(samples)
    return TeardownResults(
        **{
            "command": "nox -s teardown -- -Dmemory=1G -Dseed=5",
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:02:00+00:00",
            "complete": True,
            "host": host_facts(),
            "options": {"memory_mib": (1024,)},
            "binaries": (),
            "accels": (AccelFacts(target="x86_64-softmmu", name="tcg", reason="asked for"),),
            "rows": samples,
            **analysed(samples),
            **fields,
        }
    )


def realistic(variants=("base", "pristine+option", "patched"), rounds=6, exit_ms=0.7, reclaim=1.0, **fields):
    """base takes 30 ms a GiB; pristine gives memory back a second later; patched ``reclaim`` times base."""
    draw = numpy.random.default_rng(11)

    def noisy(milliseconds):
        return float(milliseconds / 1000 * numpy.exp(draw.normal(0, 0.03)))

    samples = []
    for turn in range(1, rounds + 1):
        for size in SIZES:
            whole = 3 + 30 * size / 1024
            figures = {
                "base": (whole, None),
                "pristine+option": (0.8, 1000 + whole),
                "patched": (exit_ms, whole * reclaim),
            }
            for variant in variants:
                ended, back = figures[variant]
                ended, back = noisy(ended), None if back is None else noisy(back)
                where = {"variant": variant, "memory_mib": size, "round": turn, **fields}
                samples.append(make_sample(ended, back, threads=4, **where))
                if size == SIZES[-1]:
                    samples.append(make_sample(ended, back, kind="restart", restart_s=ended + 0.5, **where))
        for kind, threads in (("floor", 4), ("overhead", 1)):
            samples.append(
                make_sample(
                    noisy(0.1), variant=kind, kind=kind, memory_mib=0, threads=threads, target="none",
                    round=turn,
                )
            )  # fmt: skip
    return samples
