"""Apply a series to a tree, and try each of its patches on further pins."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.check.model import Fit
from harness.check.subject import Judged, JudgedPatch
from harness.errors import ApplyError, HarnessError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Input, series_of
from harness.source.fetch import fetch
from harness.source.pin import find_pin
from harness.tree import Tree, apply_series, import_source, start_of
from harness.tree.apply import commits_of, is_range_on
from harness.tree.fit import PatchFit, fit_patches
from harness.tree.git import Git
from harness.tree.moves import find_moves
from harness.tree.prefix import lacks_prefix, names_of
from harness.tree.safety import Place

NO_PREFIX = "is written for -p0: the names in its diff have no folder such as a/ and b/ in front"


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
    sound = [number for number, mail in enumerate(series.patches, start=1) if mail.is_sound]
    applicable, tip, error = series_of(series), start, None
    commits: dict[int, tuple[str, str]] = {}
    git = Git(repository=tree.path)
    is_range = applicable is not None and is_range_on(git, applicable, start)
    unprefixed = _unprefixed(series, git, start)
    try:
        if applicable is not None:
            if stopped := unprefixed & set(sound):
                place = Place(series=applicable, index=sound.index(min(stopped)))
                raise place.error(NO_PREFIX, "apply it with git am -p0")
            tip = apply_series(tree, applicable, layout, reporter, onto=start).commit
            if is_range:
                parents = (start, *series.commits)
                commits = {number: (series.commits[number - 1], parents[number - 1]) for number in sound}
            else:
                made = commits_of(git, start, tip, applicable.patches)
                commits = {sound[index]: pair for index, pair in made.items()}
    except ApplyError as failure:
        error = failure
    # The trials on other pins take longer, and this is what the user waits for.
    where = f"commit {onto[:12]}" if onto else f"{base} of {tree.pin.name}"
    applied = f"{len(sound)} of {len(series.patches)} patches apply to {where}"
    reporter.note(applied if error is None else error.cause)
    stopped_at = sound[error.patch - 1] if error is not None and error.patch else 0
    fits = tuple(
        fit
        if fit.pin != tree.pin.name
        else msgspec.structs.replace(fit, kind="clean", details=())
        if is_range
        else _agreeing(fit, fit.patch in commits, stopped_at, unprefixed, applied=error is None)
        for fit in _matrix(series, tree, base, start, others, layout, reporter)
    )
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
        error=error,
        stopped_at=stopped_at,
        unprefixed=unprefixed,
    )
    return Placed(judged=judged, fits=fits, error=error)


def _unprefixed(series: Input, git: Git, start: str) -> frozenset[int]:
    """Return the numbers of the patches for ``-p0``."""
    found: set[int] = set()
    paths: frozenset[str] = frozenset()
    for number, mail in enumerate(series.patches, start=1):
        # ``diff`` has a/ and b/, which the reading adds to diffs of other programs.
        names = names_of(mail.diff if mail.coded else mail.data.decode("utf-8", "replace"))
        if names and not paths:
            listed = git.read("ls-tree", "-r", "-z", "--name-only", start).split("\0")
            paths = frozenset(filter(None, listed))
        if lacks_prefix(names, paths):
            found.add(number)
    return frozenset(found)


def _agreeing(
    fit: Fit, has_commit: bool, stopped_at: int, unprefixed: frozenset[int], *, applied: bool
) -> Fit:
    """Return ``fit``, the result of a trial, as git am applied the patch in fact."""
    if fit.patch in unprefixed:
        return msgspec.structs.replace(fit, kind="not", details=(NO_PREFIX,))
    if has_commit and fit.kind in ("not", "fuzz", "already"):
        return msgspec.structs.replace(fit, kind="3-way")
    if applied and not has_commit:
        return msgspec.structs.replace(fit, kind="already")
    if fit.patch == stopped_at and fit.kind != "fuzz":
        return msgspec.structs.replace(fit, kind="not")
    return fit


def _matrix(  # noqa: PLR0917 - as in place
    series: Input, tree: Tree, base: str, onto: str, others: Sequence[str], layout: Layout, reporter: Reporter
) -> tuple[Fit, ...]:
    sound = [(number, mail) for number, mail in enumerate(series.patches, start=1) if mail.is_sound]
    if not sound:
        return ()
    trees: dict[str, Tree | str] = {tree.pin.name: tree}
    for name in others:
        if name not in trees:
            trees[name] = _other(name, layout, reporter)
    starts = {
        name: onto
        if one is tree
        else start_of(one, "base" if base == "base" and one.pin.unmerge else "pristine", reporter)
        for name, one in trees.items()
        if isinstance(one, Tree)
    }
    places = {name: (one.path, starts[name]) for name, one in trees.items() if isinstance(one, Tree)}
    diffs = [(mail.diff, mail.changes) for _, mail in sound]
    olds = {change.old for _, changes in diffs for change in changes if change.old}
    made = {change.new for _, changes in diffs for change in changes if change.new and not change.old}

    def fits_of(name: str) -> list[Fit]:
        one = trees[name]
        if isinstance(one, str):
            return [Fit(pin=name, patch=number, kind="unknown", details=(one,)) for number, _ in sound]
        elsewhere = [place for other, place in places.items() if other != name]
        moved = {} if one is tree else find_moves(olds - made, places[name], elsewhere)
        also = [path for path, _ in places.values()]
        fits = fit_patches(*places[name], diffs, also=also, moved=moved)
        return [
            Fit(pin=name, patch=number, kind=fit.kind, exact=fit.exact, details=fit.details)
            for (number, _), fit in zip(sound, fits, strict=True)
        ]

    rows: list[Fit] = []
    with reporter.step("trying each patch on each pin") as step:
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        try:
            results = pool.map(fits_of, trees)
            for at, name in enumerate(trees):
                step.update(at, len(trees), name)
                rows += next(results)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for the others
    return tuple(rows)


def _other(name: str, layout: Layout, reporter: Reporter) -> Tree | str:
    """Return the tree of the pin ``name``, or the reason why it is not available."""
    try:
        return import_source(fetch(find_pin(layout, name), layout, reporter), layout, reporter)
    except HarnessError as error:
        reporter.warn(f"pin {name} is not available: {error.cause}")
        return error.cause
