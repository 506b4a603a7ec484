"""Error and power of the verdicts, simulated: ``python -m tests.power`` prints the tables in measuring.md.

``python -m tests.power --svg > docs/images/power.svg`` draws them. Simulated runs have 12 comparisons of one
latency. ``welch`` is the test of earlier versions: Welch's t test of the logarithms. ``fixed`` is that of
harness/teardown/significance.py with -Drounds=, ``adaptive`` the same with all looks; Holm's correction
follows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from harness.teardown.significance import LOOKS, Pair, spent

Array = NDArray[Any]
Noise = Callable[[numpy.random.Generator, tuple[int, int, int]], Array]
COMPARISONS = 12
RUNS = 1000
LEVEL = 0.05
SEED = 19
MOST = 24
"""Samples a side, a look."""
DRIFT = 0.05
"""Standard deviation of a step of the random walk that both sides share, in logarithms."""


def quiet(draw: numpy.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Log-normal, 15 %."""
    return draw.normal(0, 0.15, shape)


def outliers(draw: numpy.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Log-normal, 12 %; one sample in twelve takes 1.5 to 5 times as long."""
    late = numpy.log(draw.uniform(1.5, 5, shape))
    return draw.normal(0, 0.12, shape) + numpy.where(draw.random(shape) < 1 / 12, late, 0)


def loaded(draw: numpy.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Log-normal, 20 %; one sample in three waits for other work, 2 times as long on average, at times 10."""
    return draw.normal(0, 0.2, shape) + numpy.where(
        draw.random(shape) < 1 / 3, draw.exponential(0.7, shape), 0
    )


def uneven(draw: numpy.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Log-normal, 5 % in two comparisons of three, 40 % in the others."""
    wide = numpy.arange(shape[1]) % 3 == 0
    return draw.normal(0, 1, shape) * numpy.where(wide, 0.4, 0.05)[None, :, None]


def two_modes(draw: numpy.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Log-normal, 5 %; every other sample takes 4 times as long. Few samples agree by accident."""
    return draw.normal(0, 0.05, shape) + numpy.log(4) * (draw.random(shape) < 1 / 2)


NOISES: dict[str, Noise] = {
    "quiet": quiet,
    "outliers": outliers,
    "loaded": loaded,
    "uneven": uneven,
    "two modes": two_modes,
}
SIZES = (3, 4, 6, 8, 12, 24)
SHOWN = {"quiet": (5.0, 1.6, 1.25), "outliers": (5.0, 1.6), "loaded": (100.0, 5.0, 1.6)}
"""Noises and factors of the table of power."""


def sides(
    noise: Noise, factor: float, *, runs: int = RUNS, different: int = COMPARISONS
) -> tuple[Array, Array]:
    """Return logarithms of both sides: (runs, comparisons, samples). The first ``different`` ones differ."""
    draw = numpy.random.default_rng(SEED)
    shape = (runs, COMPARISONS, MOST)
    drift = numpy.cumsum(draw.normal(0, DRIFT, (runs, 1, shape[2])), axis=2)
    theirs, ours = (drift + noise(draw, shape) for _ in range(2))
    ours[:, :different] -= numpy.log(factor)
    return theirs, ours


def holm(p: Array) -> Array:
    """Correct p values (runs, comparisons) for the comparisons of their run (statistics.holm, for arrays)."""
    order = numpy.argsort(p, axis=1)
    weights = COMPARISONS - numpy.arange(COMPARISONS)
    stepped = numpy.maximum.accumulate(numpy.take_along_axis(p, order, axis=1) * weights, axis=1)
    corrected = numpy.empty_like(p)
    numpy.put_along_axis(corrected, order, numpy.minimum(stepped, 1), axis=1)
    return corrected


def adaptive(theirs: Array, ours: Array) -> dict[int, Array]:
    """Return whether each comparison has a verdict at that number of samples a side, or had one before."""
    best, earlier, found = numpy.ones(ours.shape[:2]), 0.0, {}
    for size in (look for look in LOOKS if look <= MOST):
        best = numpy.minimum(best, _p(theirs, ours, size) / (spent(size) - earlier))
        earlier, found[size] = spent(size), holm(best) <= LEVEL
    return found


def fixed(theirs: Array, ours: Array) -> dict[int, Array]:
    """Return whether each comparison has a verdict in a run that ends at that number of samples a side."""
    return {size: holm(_p(theirs, ours, size)) <= LEVEL for size in SIZES}


def welch(theirs: Array, ours: Array) -> dict[int, Array]:
    """Return the same by Welch's test."""
    return {
        size: holm(ttest_ind(ours[:, :, :size], theirs[:, :, :size], axis=2, equal_var=False).pvalue) <= LEVEL
        for size in SIZES
    }


def _p(theirs: Array, ours: Array, size: int) -> Array:
    pair = Pair(ours=ours, theirs=theirs).first(size)
    others = [numpy.delete(pair.variance, index, axis=1) for index in range(COMPARISONS)]
    return numpy.asarray(pair.p(numpy.stack([numpy.median(each, axis=1) for each in others], axis=1)))


TESTS = {"Welch": welch, "fixed": fixed, "adaptive": adaptive}


def family_wise(found: dict[int, Array]) -> float:
    """Return the largest share of runs with any verdict, over the numbers of samples."""
    return max(float(verdicts.any(axis=1).mean()) for verdicts in found.values())


def power(found: dict[int, Array]) -> list[float]:
    """Return the share of comparisons with a verdict at each of SIZES."""
    sizes = [max(at for at in found if at <= size) for size in SIZES]
    return [float(found[size].mean()) for size in sizes]


def tables() -> str:
    """Return the tables: runs of equal variants with a verdict, and comparisons of unequal ones with it."""
    lines = ["| noise | " + " | ".join(TESTS) + " |", "|---" * (1 + len(TESTS)) + "|"]
    for name, noise in NOISES.items():
        equal = sides(noise, 1.0, runs=4 * RUNS)
        lines.append(
            f"| {name} | " + " | ".join(f"{family_wise(test(*equal)):.1%}" for test in TESTS.values()) + " |"
        )
    lines += [
        "",
        "| noise | factor | test | " + " | ".join(map(str, SIZES)) + " |",
        "|---" * (3 + len(SIZES)) + "|",
    ]
    for name, factors in SHOWN.items():
        for factor in factors:
            both = sides(NOISES[name], factor)
            for kind, test in TESTS.items():
                shares = " | ".join(f"{share:.0%}" for share in power(test(*both)))
                lines.append(f"| {name} | {factor:g} | {kind} | {shares} |")
    return "\n".join(lines)


def picture() -> Figure:
    """Draw the share of comparisons with a verdict by the number of samples a side."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (name, factors) in zip(figure.subplots(1, len(SHOWN), sharey=True), SHOWN.items(), strict=True):
        for number, factor in enumerate(factors):
            both = sides(NOISES[name], factor)
            for style, (kind, test) in zip((":", "--", "-"), TESTS.items(), strict=True):
                found = test(*both)
                shares = [100 * float(verdicts.mean()) for verdicts in found.values()]
                label = f"factor {factor:g}" if kind == "adaptive" else None
                axes.plot(list(found), shares, style, color=f"C{number}", label=label)
        axes.set_title(name)
        axes.set_xlabel("samples a side")
        axes.grid(visible=True, linewidth=0.4)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("comparisons with a verdict, %")
    return figure


if __name__ == "__main__":
    if "--svg" in sys.argv:
        picture().savefig(sys.stdout.buffer, format="svg", metadata={"Date": None})
    else:
        sys.stdout.write(tables() + "\n")
