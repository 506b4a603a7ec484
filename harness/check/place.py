"""A series → the commits that it becomes on a pin, and how each patch fits each of the pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.check.model import Fit
from harness.check.subject import Judged, JudgedPatch
from harness.errors import ApplyError, HarnessError
from harness.layout import Layout
from harness.progress import Reporter
from harness.series import Input, series_of
from harness.source import fetch, find_pin
from harness.tree import Tree, apply_series, import_source
from harness.tree.fit import PatchFit, fit_patches
from harness.tree.git import Git


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A series on its pin. ``error`` is set when it does not apply there; its commits are then missing."""

    judged: Judged
    fits: tuple[Fit, ...]
    error: ApplyError | None


def base_of(found: Input, asked: str) -> str:
    """Which state of the tree ``found`` is put on: ``base`` or ``pristine``.

    ``base`` lacks a feature that upstream has (qemu-src/pins.toml): right for series that bring it again, as
    those below ``patches/`` do, and wrong for everybody else's.
    """
    if asked != "auto":
        return asked
    return found.metadata.base or ("base" if found.is_ours else "pristine")


def place(  # noqa: PLR0917 - the stages' products
    found: Input,
    tree: Tree,
    base: str,
    others: Sequence[str],
    layout: Layout,
    reporter: Reporter,
    *,
    source: Path | None = None,
) -> Placed:
    """Put ``found`` on ``tree`` and try it on the pins ``others``. ``source`` are the base's files.

    Raises TreeError, BusyError, StorageError: never because of what the series holds.
    """
    start = tree.base if base == "base" else tree.pristine
    fits = _matrix(found, tree, base, others, layout, reporter)
    sound = [number for number, mail in enumerate(found.patches, start=1) if mail.is_sound]
    series, tip, error = series_of(found), start, None
    commits: dict[int, tuple[str, str]] = {}
    git = Git(repository=tree.path)
    if series is not None:
        try:
            tip = apply_series(tree, series, layout, reporter, onto=start).commit
            commits = _commits(git, start, tip, sound, [patch.subject for patch in series.patches])
        except ApplyError as problem:
            error = problem
    patches = tuple(
        JudgedPatch(
            number=number,
            mail=mail,
            commit=commits.get(number, ("", ""))[0],
            parent=commits.get(number, ("", ""))[1],
        )
        for number, mail in enumerate(found.patches, start=1)
    )
    here = tuple(
        PatchFit(kind=fit.kind, exact=fit.exact, details=fit.details)
        for fit in fits
        if fit.pin == tree.pin.name and fit.kind != "unknown"
    )
    judged = Judged(
        input=found,
        patches=patches,
        pin=tree.pin.name,
        origin=tree.digest,
        git=git,
        base=start,
        tip=tip,
        source=source,
        fits=here,
    )
    return Placed(judged=judged, fits=fits, error=error)


def _commits(
    git: Git, base: str, tip: str, numbers: Sequence[int], subjects: Sequence[str]
) -> dict[int, tuple[str, str]]:
    """Commit and parent of each patch. One that changes nothing has none: git am leaves it out."""
    lines = git.read("log", "--reverse", "--format=%H %P%x09%s", f"{base}..{tip}").splitlines()
    whole = len(lines) == len(numbers)
    found: dict[int, tuple[str, str]] = {}
    for number, subject in zip(numbers, subjects, strict=True):
        ids, _, said = lines[len(found)].partition("\t") if len(found) < len(lines) else ("", "", "")
        if whole or " ".join(said.split()) == subject:
            commit, _, parent = ids.partition(" ")
            found[number] = (commit, parent)
    return found


def _matrix(  # noqa: PLR0917 - as place
    found: Input, tree: Tree, base: str, others: Sequence[str], layout: Layout, reporter: Reporter
) -> tuple[Fit, ...]:
    sound = [(number, mail) for number, mail in enumerate(found.patches, start=1) if mail.is_sound]
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
            start = one.base if base == "base" else one.pristine
            diffs = [(mail.diff, mail.changes) for _, mail in sound]
            fits = fit_patches(one.path, start, diffs, also=known)
            rows += [
                Fit(pin=name, patch=number, kind=fit.kind, exact=fit.exact, details=fit.details)
                for (number, _), fit in zip(sound, fits, strict=True)
            ]
    return tuple(rows)


def _other(name: str, layout: Layout, reporter: Reporter) -> Tree | str:
    """Another pin's tree, or why it could not be had: the series is not to be judged by that."""
    try:
        return import_source(fetch(find_pin(layout, name), layout, reporter), layout, reporter)
    except HarnessError as error:
        reporter.warn(f"pin {name} could not be had: {error.cause}")
        return error.cause
