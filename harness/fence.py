"""Around programs that run a stranger's code: what they can see, reach and use up.

A ``Fence`` puts something in front of a command line. Behind bubblewrap (bwrap(1)) a program has no network,
sees of the user's files the sources (read-only), its build folder and a compiler cache of its own, and what
it started ends with it. Control groups bound processes and memory, where they can be made; prlimit(1) bounds
each file, and harness.diskwatch the sum of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import diskwatch
from harness.errors import HarnessError, MissingError
from harness.layout import Layout
from harness.process import run
from harness.progress import Reporter

GIB = 1024**3
PROCESSES = 2048
MEMORY_BYTES = 12 * GIB
FILE_BYTES = 2 * GIB
"""The largest file that may be written: a binary with its debug information has 100 MiB."""
DISK_BYTES = 32 * GIB
"""The most that the build folder and the compiler cache may hold; two targets of QEMU 7.2 take 0.3 GiB."""
TEMPORARY_BYTES = 2 * GIB
SEED_BYTES = 2 * GIB
"""A shared compiler cache that is no larger is copied; a series begins with an empty one otherwise."""
_ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "passwd",
    "group",
    "nsswitch.conf",
    "localtime",
)
_PASSED = re.compile(
    r"PATH|LANG|LANGUAGE|LC_[A-Z]+|TERM|TZ|CC|CXX|AR|NM|LD|SOURCE_DATE_EPOCH"
    r"|(?:C|CXX|CPP|LD)FLAGS|PKG_CONFIG[A-Z_]*|PYTHON[A-Z]*|VIRTUAL_ENV|(?:CCACHE|DISTCC)_[A-Z_]+"
)
"""Variables of ours that a build may need. Others may hold what is nobody's business: tokens of a CI, say."""
_TEMPORARY = "/tmp"  # noqa: S108 - in there, not here
_CGROUPS = Path("/sys/fs/cgroup")


class Fence(Protocol):
    """Something that programs are started behind."""

    @property
    def name(self) -> str:
        """Its name for the results."""

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:
        """``argv`` to be run in ``folder``, with what keeps it apart in front."""


@dataclass(frozen=True)
class _Open:
    """No fence at all."""

    name: str = "none"

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        return tuple(argv)


NO_FENCE: Fence = _Open()


@dataclass(frozen=True, kw_only=True)
class Bubblewrap:
    """bubblewrap, with control groups around it. ``readable`` are further folders that may be read."""

    readable: tuple[Path, ...]
    shared_cache: Path
    groups: tuple[Path, ...] = ()
    name: str = "bwrap"

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:
        """``argv`` in ``folder``, which it may write; ``src`` beside it is read-only, ``ccache`` its own."""
        cache, source = folder.parent / "ccache", folder.parent / "src"
        _seed(self.shared_cache, cache)
        words = [
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]
        words += ["--ro-bind", "/usr", "/usr"]
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            top = Path("/") / name
            if top.is_symlink():
                words += ["--symlink", str(top.readlink()), str(top)]
            elif top.is_dir():
                words += ["--ro-bind", str(top), str(top)]
        for name in _ETC:
            words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        words += ["--size", str(TEMPORARY_BYTES), "--tmpfs", _TEMPORARY, "--dir", f"{_TEMPORARY}/home"]
        for path in self.readable:
            words += ["--ro-bind-try", str(path), str(path)]
        words += ["--ro-bind-try", str(source), str(source)]
        for path in (folder, cache):
            words += ["--bind", str(path), str(path)]
        variables = {"HOME": f"{_TEMPORARY}/home", "TMPDIR": _TEMPORARY, "CCACHE_DIR": str(cache)}
        for variable, value in variables.items():
            words += ["--setenv", variable, value]
        for variable in os.environ:
            if variable not in variables and not _PASSED.fullmatch(variable):
                words += ["--unsetenv", variable]
        words += ["--chdir", str(folder), "--"]
        limits = ("prlimit", f"--fsize={FILE_BYTES}", "--core=0", f"--nproc={PROCESSES}", "--")
        watch = (sys.executable, "-I", diskwatch.__file__, str(DISK_BYTES), str(folder), str(cache), "--")
        return (*watch, *_enter(self.groups), *words, *limits, *argv)


def _enter(groups: Sequence[Path]) -> tuple[str, ...]:
    """A prefix that puts itself, and with it all that it starts, into control groups (cgroups(7))."""
    if not groups:
        return ()
    script = (
        'n=$1; shift; while [ $n -gt 0 ]; do echo $$ > "$1/cgroup.procs"; shift; n=$((n-1)); done; exec "$@"'
    )
    return ("sh", "-c", script, "fence", str(len(groups)), *map(str, groups))


def _seed(shared: Path, cache: Path) -> None:
    """A cache of its own, begun as a copy of the shared one, which stays out of reach."""
    if cache.is_dir():
        return
    aside = cache.with_name(".ccache.new")
    shutil.rmtree(aside, ignore_errors=True)
    size = sum(path.stat().st_size for path in shared.rglob("*") if path.is_file()) if shared.is_dir() else 0
    if 0 < size <= SEED_BYTES:
        # Others may be using it: what goes away meanwhile is left out.
        with contextlib.suppress(shutil.Error):
            shutil.copytree(shared, aside, ignore_dangling_symlinks=True)
    else:
        aside.mkdir(parents=True)
    aside.rename(cache)


@contextlib.contextmanager
def open_fence(layout: Layout, mode: str, reporter: Reporter) -> Iterator[Fence]:
    """The fence that ``-Disolation=`` asks for: ``auto`` takes bubblewrap where it works, and says where not.

    Raises MissingError for ``bwrap`` where it does not work.
    """
    if mode == "none":
        yield NO_FENCE
        return
    with contextlib.ExitStack() as stack:
        groups = tuple(stack.enter_context(_groups()))
        prefixes = tuple(dict.fromkeys(Path(path) for path in (sys.prefix, sys.base_prefix)))
        fence = Bubblewrap(
            readable=(*prefixes, layout.cache / "pyenvs", layout.cache / "sysroots"),
            shared_cache=layout.ccache,
            groups=groups,
        )
        if reason := _does_not_work(fence, layout):
            if mode == "bwrap":
                raise MissingError(
                    f"bubblewrap does not work here: {reason}",
                    "install the package bubblewrap and allow user namespaces, or pass -Disolation=none",
                )
            reporter.warn(f"the series' code is not kept apart from this machine: {reason}")
            yield NO_FENCE
            return
        if not groups:
            reporter.warn("no control groups can be made: processes and memory of the series are not bounded")
        yield fence


def _does_not_work(fence: Bubblewrap, layout: Layout) -> str:
    if shutil.which("bwrap") is None:
        return "bwrap is not installed"
    place = layout.build / "fence-test" / "build"
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place.parent / "ccache").mkdir(exist_ok=True)
        ended = run(fence.wrap((sys.executable, "-c", "print(6 * 7)"), place), check=False, timeout_s=60)
    except (HarnessError, OSError) as error:
        return str(error)
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)
    lines = ended.output.strip().splitlines()
    return "" if lines[-1:] == ["42"] else (lines[-1] if lines else f"status {ended.returncode}")


@contextlib.contextmanager
def _groups() -> Iterator[list[Path]]:
    """Control groups that bound processes and memory, of version 1 or 2; none where they cannot be made."""
    name = f"qemu-harness-fence-{os.getpid()}-{secrets.token_hex(3)}"
    wanted: tuple[tuple[Path, dict[str, int]], ...] = (
        (_CGROUPS / "pids" / name, {"pids.max": PROCESSES}),
        (_CGROUPS / "memory" / name, {"memory.limit_in_bytes": MEMORY_BYTES}),
    )
    if (_CGROUPS / "cgroup.controllers").is_file():
        wanted = ((_CGROUPS / name, {"pids.max": PROCESSES, "memory.max": MEMORY_BYTES}),)
    made: list[Path] = []
    for group, limits in wanted:
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for key, value in limits.items():
                (group / key).write_text(str(value), encoding="ascii")
            made.append(group)
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
    try:
        yield made
    finally:
        for group in made:
            _remove(group)


def _remove(group: Path) -> None:
    """End what is still in ``group`` (it was started behind the fence) and remove it."""
    deadline = time.monotonic() + 5
    while group.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            for word in (group / "cgroup.procs").read_text(encoding="ascii").split():
                os.kill(int(word), signal.SIGKILL)
        try:
            group.rmdir()  # a group whose last process is just ending is busy
        except OSError:
            time.sleep(0.05)
