"""Packages with their dependencies, resolved by apt for an empty system of any architecture.

The resolved names, files and digests are stored, so a second run gets the same set without the network.
"""

import re
from collections.abc import Collection
from pathlib import Path

from harness.errors import FetchError
from harness.jsonfile import load, write_json
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Reporter
from harness.source.apt import AptState, open_state
from harness.source.files import cached
from harness.source.machine_apt import archive_of, default_suite
from harness.source.packages import Deb, check_names, download, native_architecture, print_uris, with_index

FILE = "closures.json"


def fetch_closure(
    layout: Layout, reporter: Reporter, packages: Collection[str], *, architecture: str
) -> dict[str, tuple[Deb, Path]]:
    """Fetch ``packages`` and their dependencies: name → (Deb, path of the ``.deb`` in the cache).

    Recommended packages are not included. Raises FetchError (unknown package, conflicting packages, no
    network), VerifyError, BusyError, StorageError.
    """
    native = architecture == native_architecture()
    suite = default_suite(native=native)
    check_names(packages)
    key = " ".join(sorted(set(packages)))
    folder = layout.downloads / "debs" / f"{suite}-{architecture}"
    with locked(folder, f"the packages of {suite} ({architecture})", reporter):
        known = load(folder / FILE, dict[str, dict[str, Deb]]) or {}
        debs = known.get(key, {})
        if not debs or _absent(debs, folder, reporter):
            state = open_state(layout, archive_of(suite, native=native), suite, architecture)
            with locked(state.folder, f"the apt state of {suite}", reporter):
                debs = with_index(state, reporter, lambda: _fetch(state, key.split(), folder, reporter))
            write_json(folder / FILE, {**known, key: debs})
        return {name: (deb, folder / deb.file) for name, deb in sorted(debs.items())}


def chosen(output: str) -> tuple[str, ...]:
    """Parse ``Inst NAME (VERSION …)`` lines of ``apt-get install --simulate`` into ``NAME=VERSION``."""
    pairs = re.findall(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) ", output, re.MULTILINE)
    return tuple(sorted(f"{name.partition(':')[0]}={version}" for name, version in pairs))


def _fetch(state: AptState, packages: list[str], folder: Path, reporter: Reporter) -> dict[str, Deb]:
    words = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
    picked = chosen(state.run(words).output)
    if not picked:
        raise FetchError(
            f"apt selected no package for {' '.join(packages)}", "check the suite and the architecture"
        )
    resolved = print_uris(state, picked)
    absent = _absent({name: deb for name, (_, deb) in resolved.items()}, folder, reporter)
    if absent:
        wanted = [word for word in picked if word.partition("=")[0] in absent]
        download(state, wanted, resolved, folder, reporter)
    return {name: deb for name, (_, deb) in resolved.items()}


def _absent(debs: dict[str, Deb], folder: Path, reporter: Reporter) -> set[str]:
    return {
        name
        for name, deb in debs.items()
        if not cached(folder / deb.file, deb.sha256, what=name, reporter=reporter)
    }
