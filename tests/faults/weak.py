"""The harness without one of its defences.

A case that always passes proves nothing. Each case therefore also runs on a harness without the corresponding
defence (``nox -s faults -- --weakened``), and has to fail. A weakness is installed at the start of Python, by
sitecustomize (Python's documentation of ``site``), so that all modules of the harness see it.
"""

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.standin import ROOT

WEAKNESS = "QEMU_HARNESS_FAULTS_WEAKNESS"


@dataclass(frozen=True, kw_only=True)
class Weakness:
    """A removed defence, and the case that must notice it.

    ``sign`` is a regular expression for the name and reason of a trial that fails because of *this* weakness.
    Otherwise a trial that fails for another reason (such as a missing compiler) would count.
    """

    name: str
    case: str
    sign: str
    does: str
    put_in: Callable[[], None]


WEAKNESSES: dict[str, Weakness] = {}


def weakness(name: str, case: str, sign: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function in WEAKNESSES; docs/faults.md contains its docstring."""

    def keep(function: Callable[[], None]) -> Callable[[], None]:
        does = " ".join((function.__doc__ or "").split())
        WEAKNESSES[name] = Weakness(name=name, case=case, sign=sign, does=does, put_in=function)
        return function

    return keep


def replace(module: str, name: str, value: object, *, everywhere: bool = True) -> None:
    """Replace an existing attribute by ``value``, also in modules that imported it.

    Raises AttributeError if it does not exist, so that a weakness cannot outlive its defence.
    """
    owner: Any = importlib.import_module(module)
    old = getattr(owner, name)
    setattr(owner, name, value)
    for other, each in list(sys.modules.items()):
        if everywhere and callable(old) and other.startswith("harness.") and getattr(each, name, None) is old:
            setattr(each, name, value)


@weakness("lock-files", "kill", r": status 12: .*\.there")
def _lock_files() -> None:
    """a lock is a file that is created and removed at the end: a killed run leaves it behind"""

    @contextlib.contextmanager
    def locked(path: Path, what: str, _reporter: object, *, timeout_s: float = 0) -> Iterator[None]:
        from harness.errors import BusyError

        file = path.with_name(path.name + ".there")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            raise BusyError(f"{what} is locked by {file}", f"remove it ({timeout_s:.0f} s)") from None
        try:
            yield
        finally:
            file.unlink()

    replace("harness.lock", "locked", locked)


@weakness("no-guard", "kill", "^guard in .*processes remain")
def _no_guard() -> None:
    """the guard ends no process, and the worker does not end with it"""
    replace("harness.guard", "end_descendants", lambda *_: ())
    replace("harness.guard", "PR_SET_PDEATHSIG", 25)  # PR_GET_TSC, which has no effect


@weakness("no-locks", "two-runs", "^in one checkout: ")
def _no_locks() -> None:
    """no run waits for another"""
    replace("harness.lock", "locked", lambda *_, **__: contextlib.nullcontext())


@weakness("full-unnoticed", "disk-full", r"KiB for build.*: status (?!14)")
def _full_unnoticed() -> None:
    """a program that fails because the disk is full is treated like any other failure"""
    replace("harness.process", "disk_is_full", lambda *_: None)


@weakness("endless-patience", "network-gone", "^a server stops sending: .* not contain 'timed out'")
def _endless_patience() -> None:
    """a server that stops sending is waited for forever"""
    replace("harness.source.archive", "STALL_S", 10000.0)


@weakness("downloads-unproven", "bad-downloads", "^download (short|corrupt|swapped): status 0")
def _downloads_unproven() -> None:
    """downloads are not verified"""
    replace("harness.source.files", "verify", lambda *_, **__: None)


@weakness("cache-unproven", "bad-downloads", "^cached .*: the error does not contain 'is damaged'")
def _cache_unproven() -> None:
    """cached files are not verified"""
    replace("harness.source.files", "cached", lambda path, *_, **__: path.is_file())


@weakness("damage-kept", "damage", "^qemu-system-x86_64 (empty|other bytes): status 9")
def _damage_kept() -> None:
    """a damaged binary is not removed before ninja runs"""
    replace("harness.build.binary", "drop_damaged", lambda _: ())


class _AnyDigest(str):
    """Equal to everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _: object) -> bool:
        return True

    def __ne__(self, _: object) -> bool:
        return False


@weakness("binaries-by-size", "damage", "^patched has base's binary: .* differs from build.json")
def _binaries_by_size() -> None:
    """a binary of the right size counts as the recorded one"""
    replace("harness.build.compile", "sha256", lambda _: _AnyDigest(), everywhere=False)


@weakness("clock-trusted", "clock", "the binary was not built from the series")
def _clock_trusted() -> None:
    """files from the future are accepted"""
    replace("harness.build.binary", "is_from_the_future", lambda _: False)


@weakness("decoding-trusted", "bad-input", "status 70: .*DecodeError")
def _decoding_trusted() -> None:
    """files that cannot be decoded are not handled"""
    replace("harness.jsonfile", "UNREADABLE", ())


@weakness("cache-of-anybody", "poisoned-cache", "writable by all: status 0")
def _cache_of_anybody() -> None:
    """the permissions of the cache are not checked"""
    replace("harness.trust", "protect_cache", lambda _: None)


@weakness("endless-logs", "bad-qemu", "-[0-9]+.log has [0-9]+ MiB")
def _endless_logs() -> None:
    """the whole output of QEMU is kept"""
    replace("harness.guest.spawn", "KEPT_BYTES", 1 << 40)


@weakness("patience-with-qemu", "bad-qemu", "^endless, sigterm: row failed: QEMU was not ready")
def _patience_with_qemu() -> None:
    """a QEMU that prints endlessly is waited for"""
    replace("harness.guest.spawn", "FLOOD_BYTES", 1 << 60)


@weakness("streams-trusted", "environment", "^standard output closed: status")
def _streams_trusted() -> None:
    """standard output and standard error are assumed to be open"""
    replace("harness.cli", "_open_standard_streams", lambda: None)


@weakness("paths-trusted", "paths", "^build folder: status 9")
def _paths_trusted() -> None:
    """paths that QEMU's configure rejects are accepted"""
    import re
    from types import SimpleNamespace

    replace("harness.pipeline", "re", SimpleNamespace(search=lambda *_: None, sub=re.sub))


@weakness("width-unknown", "terminal", "^40 columns: a line of [0-9]+ columns")
def _width_unknown() -> None:
    """every terminal is assumed to have 200 columns"""
    from harness.console import LiteralConsole

    wide = functools.partial(LiteralConsole, width=200)
    replace("harness.progress", "LiteralConsole", wide, everywhere=False)  # others inherit from it


def site(folder: Path) -> str:
    """Return a PYTHONPATH that installs the weakness of QEMU_HARNESS_FAULTS_WEAKNESS.

    It is for every Python of a run, because separate processes of the harness start guests.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import contextlib, os\n"
        # The system's Python, which runs configure, does not have the packages of the harness.
        "with contextlib.suppress(ImportError):\n"
        "    from tests.faults.weak import WEAKNESSES\n"
        f"    WEAKNESSES[os.environ[{WEAKNESS!r}]].put_in()\n"
    )
    return f"{folder}{os.pathsep}{ROOT}"
