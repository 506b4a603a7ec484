"""Apply a series to a tree, and try each of its patches on further pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.check.model import Fit
from harness.check.subject import Judged, JudgedPatch
from harness.errors import ApplyError, HarnessError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Input, series_of
from harness.source import fetch, find_pin
from harness.tree import Tree, apply_series, import_source, start_of
from harness.tree.apply import is_range_on
from harness.tree.fit import PatchFit, fit_patches
from harness.tree.git import Git


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A series on its tree. If it does not apply, ``error`` is set and its patches have no commits."""

    judged: Judged
    fits: tuple[Fit, ...]
    error: ApplyError | None


def base_of(series: Input, asked: str) -> str:
    """Return the state of the tree that ``series`` is applied to: ``base`` or ``pristine``.

    That is what -Dbase= or series.toml names, by default the unchanged tree. ``base`` lacks a feature of
    upstream (qemu-src/pins.toml), which the project's own series adds again.
    """
    return asked if asked != "auto" else series.metadata.base or "pristine"


def place(  # noqa: PLR0917 - the results of earlier stages
    series: Input,
    tree: Tree,
    base: str,
    others: Sequence[str],
    layout: Layout,
    reporter: Reporter,
    *,
    onto: str = "",
    source: Path | None = None,
    required: Mapping[str, str] | None = None,
) -> Placed:
    """Apply ``series`` to the state ``base`` of ``tree`` or to its commit ``onto``; try the pins ``others``.

    ``source`` contains the files of that state or commit; ``required`` is that of Judged.

    A series that does not apply is a result, not an exception. Raises TreeError, BusyError, StorageError.
    """
    start = onto or start_of(tree, base, reporter)
    fits = _matrix(series, tree, base, start, others, layout, reporter)
    sound = [number for number, mail in enumerate(series.patches, start=1) if mail.is_sound]
    applicable, tip, error = series_of(series), start, None
    commits: dict[int, tuple[str, str]] = {}
    git = Git(repository=tree.path)
    if applicable is not None:
        try:
            tip = apply_series(tree, applicable, layout, reporter, onto=start).commit
            if is_range_on(git, applicable, start):
                parents = (start, *series.commits)
                commits = {number: (series.commits[number - 1], parents[number - 1]) for number in sound}
            else:
                commits = _commits(git, start, tip, sound, [patch.subject for patch in applicable.patches])
        except ApplyError as failure:
            error = failure
    patches = []
    for number, mail in enumerate(series.patches, start=1):
        commit, parent = commits.get(number, ("", ""))
        patches.append(JudgedPatch(number=number, mail=mail, commit=commit, parent=parent))
    here = tuple(
        PatchFit(kind=fit.kind, exact=fit.exact, details=fit.details)
        for fit in fits
        if fit.pin == tree.pin.name and fit.kind != "unknown"
    )
    judged = Judged(
        input=series,
        patches=tuple(patches),
        pin=tree.pin.name,
        origin=tree.digest,
        git=git,
        base=start,
        tip=tip,
        source=source,
        fits=here,
        required=required or {},
    )
    return Placed(judged=judged, fits=fits, error=error)


def _commits(
    git: Git, base: str, tip: str, numbers: Sequence[int], subjects: Sequence[str]
) -> dict[int, tuple[str, str]]:
    """Return commit and parent of each patch that has a commit: ``git am`` skips one that changes nothing."""
    lines = git.read("log", "--reverse", "--format=%H %P %s", f"{base}..{tip}").splitlines()
    commits: dict[int, tuple[str, str]] = {}
    for number, subject in zip(numbers, subjects, strict=True):
        if len(commits) == len(lines):
            break
        commit, parent, title = lines[len(commits)].split(" ", 2)
        if len(lines) == len(numbers) or " ".join(title.split()) == subject:
            commits[number] = (commit, parent)
    return commits


def _matrix(  # noqa: PLR0917 - as in place
    series: Input,
    tree: Tree,
    base: str,
    onto: str,
    others: Sequence[str],
    layout: Layout,
    reporter: Reporter,
) -> tuple[Fit, ...]:
    sound = [(number, mail) for number, mail in enumerate(series.patches, start=1) if mail.is_sound]
    if not sound:
        return ()
    trees: dict[str, Tree | str] = {tree.pin.name: tree}
    for name in others:
        if name not in trees:
            trees[name] = _other(name, layout, reporter)
    known = [one.path for one in trees.values() if isinstance(one, Tree)]
    rows: list[Fit] = []
    with reporter.step("trying each patch on each pin") as step:
        for at, (name, one) in enumerate(trees.items()):
            step.update(at, len(trees), name)
            if isinstance(one, str):
                rows += [Fit(pin=name, patch=number, kind="unknown", details=(one,)) for number, _ in sound]
                continue
            reduced = base == "base" and one.pin.unmerge
            start = onto if one is tree else start_of(one, "base" if reduced else "pristine", reporter)
            diffs = [(mail.diff, mail.changes) for _, mail in sound]
            fits = fit_patches(one.path, start, diffs, also=known)
            rows += [
                Fit(pin=name, patch=number, kind=fit.kind, exact=fit.exact, details=fit.details)
                for (number, _), fit in zip(sound, fits, strict=True)
            ]
    return tuple(rows)


def _other(name: str, layout: Layout, reporter: Reporter) -> Tree | str:
    """Return the tree of the pin ``name``, or the reason why it is not available."""
    try:
        return import_source(fetch(find_pin(layout, name), layout, reporter), layout, reporter)
    except HarnessError as error:
        reporter.warn(f"pin {name} is not available: {error.cause}")
        return error.cause
