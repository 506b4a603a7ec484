"""Fetch and verify single Debian packages with the isolated apt, and unpack them without installing.

Dependencies are not resolved: firmware and kernels need none. harness.source.closure resolves them.
"""

import contextlib
import functools
import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.errors import FetchError, HarnessError, StorageError
from harness.jsonfile import load, write_json
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, run
from harness.progress import Reporter
from harness.source.apt import AptState, open_state
from harness.source.files import cached, verify
from harness.source.machine_apt import archive_of, default_suite

# `uname -m` → Debian's name, from Debian's "Supported architectures" page.
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

FILE = "resolved.json"
SHOWN = 4
"""Maximum number of packages that the title of a download step lists by name."""


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One package file, as resolved by apt. ``file`` is its name in the pool, which includes the version."""

    file: str
    sha256: str


def fetch_packages(
    layout: Layout,
    reporter: Reporter,
    packages: Collection[str],
    *,
    architecture: str = "",
    fresh: bool = False,
) -> dict[str, Path]:
    """Fetch packages: name → path of the ``.deb`` in the cache.

    ``architecture`` is Debian's name; the default is that of this machine. Resolved versions are stored, so a
    second run does not need the network; ``fresh`` resolves them again.

    Raises FetchError (unknown package, no network), VerifyError, BusyError, StorageError.
    """
    architecture = architecture or native_architecture()
    check_names(packages)
    wanted = sorted(set(packages))
    native = architecture == native_architecture()
    suite = default_suite(native=native)
    folder = layout.downloads / "debs" / f"{suite}-{architecture}"
    with locked(folder, f"the packages of {suite} ({architecture})", reporter):
        known = load(folder / FILE, dict[str, Deb]) or {}
        missing = [
            name
            for name in wanted
            if fresh
            or name not in known
            or not cached(folder / known[name].file, known[name].sha256, what=name, reporter=reporter)
        ]
        if missing:
            state = open_state(layout, archive_of(suite, native=native), suite, architecture)
            with locked(state.folder, f"the apt state of {suite}", reporter):
                if fresh:
                    state.update(reporter)
                resolved = with_index(state, reporter, lambda: _download(state, missing, folder, reporter))
            known = {**known, **resolved}
            write_json(folder / FILE, dict(sorted(known.items())))
        return {name: folder / known[name].file for name in wanted}


def check_names(packages: Iterable[str]) -> None:
    """Raise FetchError for an invalid package name (Debian Policy, 5.6.7), such as an option."""
    for name in packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise FetchError(f"{name!r} is not a valid name of a Debian package", "correct the name")


def unpack_packages(
    debs: Iterable[Path], folder: Path, *, finish: Callable[[Path], None] | None = None
) -> Path:
    """Unpack packages together into ``folder`` (dpkg-deb(1) -x), which is created atomically.

    No maintainer script is run. ``finish`` may change the unpacked files before ``folder`` is created. An
    existing ``folder`` is not changed, so use one name for each set of packages. Raises StorageError or
    FetchError (a damaged package).
    """
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for deb in debs:
            run(["dpkg-deb", "-x", deb, temporary], timeout_s=600, error=functools.partial(_damaged, deb))
        if finish is not None:
            finish(temporary)
        with contextlib.suppress(FileExistsError):
            temporary.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # otherwise a concurrent run has unpacked the same packages
            raise StorageError(f"cannot unpack into {folder}: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def native_architecture() -> str:
    """Return Debian's name for this machine's architecture."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def resolve(output: str, names: Collection[str]) -> dict[str, tuple[str, Deb]]:
    """Parse the output of ``apt-get download --print-uris``: name → (file name that apt writes, Deb).

    Raises FetchError if a package has no line.
    """
    found: dict[str, tuple[str, Deb]] = {}
    for line in output.splitlines():
        match = re.fullmatch(r"'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})", line.strip())
        if match:
            name = match[1].partition("_")[0]
            found[name] = (match[1], Deb(file=unquote(match[1]).replace("/", "_"), sha256=match[2]))
    absent = sorted(set(names) - set(found))
    if absent:
        raise FetchError(
            f"apt does not know package {' '.join(absent)}", "check the suite and the architecture"
        )
    return found


def with_index(state: AptState, reporter: Reporter, fetch: Callable[[], dict[str, Deb]]) -> dict[str, Deb]:
    """Call ``fetch`` with an index of packages; if it fails, once more with a new one. Raises FetchError."""
    if not state.has_index:
        state.update(reporter)
    try:
        return fetch()
    except FetchError:
        state.update(reporter)  # the index may be out of date
        return fetch()


def _download(state: AptState, names: list[str], folder: Path, reporter: Reporter) -> dict[str, Deb]:
    resolved = print_uris(state, names)
    download(state, names, resolved, folder, reporter)
    return {name: resolved[name][1] for name in names}


def print_uris(state: AptState, words: Sequence[str]) -> dict[str, tuple[str, Deb]]:
    """Resolve ``words`` (``NAME`` or ``NAME=VERSION``) without a download; see ``resolve``."""
    ended = state.run(["apt-get", "download", "--print-uris", *words])
    return resolve(ended.output, [word.partition("=")[0] for word in words])


def download(
    state: AptState,
    words: Sequence[str],
    resolved: dict[str, tuple[str, Deb]],
    folder: Path,
    reporter: Reporter,
) -> None:
    """Download ``words`` (``NAME`` or ``NAME=VERSION``) into ``folder``; ``resolved`` describes them.

    apt verifies the files by its signed index, the harness by the digests of ``resolved``. Raises FetchError,
    VerifyError, StorageError.
    """
    names = [word.partition("=")[0] for word in words]
    what = " ".join(names) if len(names) <= SHOWN else f"{len(names)} packages"
    partial = folder / ".part"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with reporter.step(f"fetching {what} ({state.suite}, {state.architecture})") as step:
            state.run(["apt-get", "download", *words], cwd=partial, step=step)
        for name in names:
            apt_name, deb = resolved[name]
            got = next((partial / file for file in (apt_name, deb.file) if (partial / file).is_file()), None)
            if got is None:
                raise FetchError(f"apt-get download did not download {name}", "run again")
            verify(got, deb.sha256, name=folder / deb.file)
            got.replace(folder / deb.file)
    except OSError as error:
        raise StorageError(f"cannot store packages in {folder}: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _damaged(deb: Path, ended: Finished) -> HarnessError:
    last = (ended.output.strip().splitlines() or ["no reason given"])[-1]
    return FetchError(f"{deb.name} cannot be unpacked: {last}", f"remove {deb} and run again")
