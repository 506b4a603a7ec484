"""Single Debian packages, fetched and proven by the isolated apt, and unpacked without installing.

No dependencies are followed: firmware and kernels need none. harness.source.closure follows them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.errors import FetchError, HarnessError, StorageError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, run
from harness.progress import Reporter
from harness.source.apt import AptState, open_state
from harness.source.files import cached, verify
from harness.source.machine_apt import codename, debian_entry

# `uname -m` → Debian's name. Debian's "Supported architectures" page.
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "armv7l": "armhf",
    "i686": "i386",
}

SHOWN = 4
"""So many packages are named on the line that tells of a download."""


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One package file, as apt resolved it. ``file`` is its name in the pool and holds the version."""

    file: str
    sha256: str


def fetch_packages(
    layout: Layout,
    reporter: Reporter,
    packages: Collection[str],
    *,
    suite: str = "",
    architecture: str = "",
    fresh: bool = False,
) -> dict[str, Path]:
    """The ``.deb`` of each package, by name, in the cache.

    ``suite`` and ``architecture`` are Debian's names; by default those of this machine. Versions once
    resolved are remembered, so that a second run asks nothing of the network; ``fresh`` asks all the same.

    Raises FetchError (no such package, no network), VerifyError, BusyError, StorageError.
    """
    suite = suite or codename() or "stable"
    architecture = architecture or native_architecture()
    check_names(packages)
    wanted = sorted(set(packages))
    folder = layout.downloads / "debs" / f"{suite}-{architecture}"
    with locked(folder, f"the packages of {suite} ({architecture})", reporter):
        known = _load(folder)
        missing = [
            name
            for name in wanted
            if fresh
            or name not in known
            or not cached(folder / known[name].file, known[name].sha256, what=name, reporter=reporter)
        ]
        if missing:
            state = open_state(layout, debian_entry(suite=codename()), suite, architecture)
            with locked(state.folder, f"the apt state of {suite}", reporter):
                if fresh:
                    state.update(reporter)
                resolved = _download(state, missing, folder, reporter)
            known = {**known, **resolved}
            _save(folder, known)
        return {name: folder / known[name].file for name in wanted}


def check_names(packages: Iterable[str]) -> None:
    """Raise FetchError for what cannot be a package's name (Debian Policy, 5.6.7), such as an option."""
    for name in packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise FetchError(f"{name!r} is not the name of a Debian package", "mend the name")


def unpack_packages(
    debs: Iterable[Path], folder: Path, *, finish: Callable[[Path], None] | None = None
) -> Path:
    """Unpack package files together into ``folder``, which then appears whole (dpkg-deb(1) -x).

    No maintainer script is run. ``finish`` may change what was unpacked before it appears. An existing
    ``folder`` is left as it is, so give each set of packages a name of its own. Raises StorageError or
    FetchError (a damaged package).
    """
    if folder.is_dir():
        return folder
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        for deb in debs:
            run(
                ["dpkg-deb", "-x", deb, aside],
                timeout_s=600,
                error=functools.partial(_damaged, deb),
            )
        if finish is not None:
            finish(aside)
        with contextlib.suppress(FileExistsError):
            aside.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another run was faster, with the same packages
            raise StorageError(f"cannot unpack into {folder}: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def native_architecture() -> str:
    """Debian's name for this machine's architecture."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def resolve(output: str, names: Collection[str]) -> dict[str, tuple[str, Deb]]:
    """The lines of ``apt-get download --print-uris`` as name → (file name that apt gives it, Deb).

    Raises FetchError when a package has no line.
    """
    found: dict[str, tuple[str, Deb]] = {}
    for line in output.splitlines():
        match = re.fullmatch(r"'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})", line.strip())
        if match:
            name = match[1].partition("_")[0]
            found[name] = (match[1], Deb(file=unquote(match[1]).replace("/", "_"), sha256=match[2]))
    absent = sorted(set(names) - set(found))
    if absent:
        raise FetchError(f"apt knows no package {' '.join(absent)}", "check suite and architecture")
    return found


def _download(state: AptState, names: list[str], folder: Path, reporter: Reporter) -> dict[str, Deb]:
    if not state.has_index:
        state.update(reporter)
    try:
        return _download_once(state, names, folder, reporter)
    except FetchError:
        state.update(reporter)  # the index may be older than the pool, or than the package
        return _download_once(state, names, folder, reporter)


def _download_once(state: AptState, names: list[str], folder: Path, reporter: Reporter) -> dict[str, Deb]:
    resolved = print_uris(state, names)
    download(state, names, resolved, folder, reporter)
    return {name: resolved[name][1] for name in names}


def print_uris(state: AptState, words: Sequence[str]) -> dict[str, tuple[str, Deb]]:
    """What apt would download for ``words`` (``NAME`` or ``NAME=VERSION``); see ``resolve``."""
    asked = state.run(["apt-get", "download", "--print-uris", *words])
    return resolve(asked.output, [word.partition("=")[0] for word in words])


def download(
    state: AptState,
    words: Sequence[str],
    resolved: dict[str, tuple[str, Deb]],
    folder: Path,
    reporter: Reporter,
) -> None:
    """Bring ``words`` (``NAME`` or ``NAME=VERSION``), as ``resolved`` describes them, into ``folder``.

    apt proves them by its signed index, and we by the digest that it gave. Raises FetchError, VerifyError,
    StorageError.
    """
    names = [word.partition("=")[0] for word in words]
    what = " ".join(names) if len(names) <= SHOWN else f"{len(names)} packages"
    aside = folder / ".part"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        with reporter.step(f"fetching {what} ({state.suite}, {state.architecture})") as step:
            state.run(["apt-get", "download", *words], cwd=aside, step=step)
        for name in names:
            apt_name, deb = resolved[name]
            got = next((aside / file for file in (apt_name, deb.file) if (aside / file).is_file()), None)
            if got is None:
                raise FetchError(f"apt-get download did not bring {name}", "run again")
            verify(got, deb.sha256, name=folder / deb.file)
            got.replace(folder / deb.file)
    except OSError as error:
        raise StorageError(f"cannot store packages in {folder}: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _damaged(deb: Path, ended: Finished) -> HarnessError:
    last = (ended.output.strip().splitlines() or ["no reason given"])[-1]
    return FetchError(f"{deb.name} cannot be unpacked: {last}", f"remove {deb} and run again")


def _load(folder: Path) -> dict[str, Deb]:
    try:
        raw = json.loads((folder / "resolved.json").read_text(encoding="utf-8"))
        return {name: Deb(file=item["file"], sha256=item["sha256"]) for name, item in raw.items()}
    except (OSError, *UNREADABLE, KeyError, TypeError, AttributeError):
        return {}


def _save(folder: Path, known: dict[str, Deb]) -> None:
    text = json.dumps({name: {"file": deb.file, "sha256": deb.sha256} for name, deb in sorted(known.items())})
    aside = folder / f".resolved.json.{os.getpid()}"
    try:
        aside.write_text(text + "\n", encoding="utf-8")
        aside.replace(folder / "resolved.json")
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error}", "free some disk space") from error
