"""Run programs that execute untrusted code in a sandbox.

A ``Sandbox`` adds a prefix to a command line. In bubblewrap (bwrap(1)), a program has no network. Of the
user's files, it sees only the sources (read-only), its build folder and a private compiler cache. Its
processes end with it. Control groups, where available, limit processes and memory; prlimit(1) limits the
size of each file, and harness.diskwatch that of all files together.
"""

import contextlib
import dataclasses
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
"""Maximum size of a file; a binary with debug information has 100 MiB."""
DISK_BYTES = 32 * GIB
"""Maximum size of build folder and compiler cache; two targets of QEMU 7.2 take 0.3 GiB."""
TEMPORARY_BYTES = 2 * GIB
SEED_BYTES = 2 * GIB
"""A shared compiler cache up to this size is copied; if it is larger, the private one begins empty."""
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
"""Environment variables that a build may need. Others may contain secrets, such as a CI's tokens."""
_TEMPORARY = "/tmp"  # noqa: S108 - inside the sandbox
_CGROUPS = Path("/sys/fs/cgroup")


class Sandbox(Protocol):
    """A way to confine programs."""

    @property
    def name(self) -> str:
        """Name for the results."""

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:
        """Return the command line that runs ``argv`` in ``folder`` inside the sandbox."""

    def trusting(self) -> "Sandbox":
        """Return the sandbox for code that the user trusts to write to the shared compiler caches."""


@dataclass(frozen=True)
class _Open:
    """No sandbox."""

    name: str = "none"

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        return tuple(argv)

    def trusting(self) -> Sandbox:
        return self


NO_SANDBOX: Sandbox = _Open()


@dataclass(frozen=True, kw_only=True)
class Bubblewrap:
    """bubblewrap in control groups. ``readable`` are additional folders that programs may read."""

    readable: tuple[Path, ...]
    shared_cache: Path
    groups: tuple[Path, ...] = ()
    rustup: Path | None = None
    """The folder of rustup's toolchains, if rustc is one of them."""
    name: str = "bwrap"
    trusts: bool = False

    def trusting(self) -> Sandbox:
        """Return a sandbox with the shared compiler cache, and the network for ``-Dccache_remote=``."""
        return dataclasses.replace(self, trusts=True)

    def wrap(self, argv: Sequence[str], folder: Path) -> tuple[str, ...]:
        """Run ``argv`` in ``folder``, which is writable, as is ``../ccache``; ``../src`` is read-only."""
        cache, source = folder.parent / "ccache", folder.parent / "src"
        if self.trusts:
            cache = self.shared_cache
            cache.mkdir(parents=True, exist_ok=True)
        else:
            _seed(self.shared_cache, cache)
        words = [
            "bwrap",
            "--unshare-all",
            *(["--share-net"] if self.trusts else []),
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
        if lock := _lock_of_meson(source):
            words += ["--bind", str(lock), str(lock)]
        for path in (folder, cache):
            words += ["--bind", str(path), str(path)]
        variables = {"HOME": f"{_TEMPORARY}/home", "TMPDIR": _TEMPORARY, "CCACHE_DIR": str(cache)}
        variables |= {"RUSTUP_HOME": str(self.rustup)} if self.rustup else {}  # default: in the user's home
        for variable, value in variables.items():
            words += ["--setenv", variable, value]
        for variable in os.environ:
            if variable not in variables and not _PASSED.fullmatch(variable):
                words += ["--unsetenv", variable]
        words += ["--chdir", str(folder), "--"]
        limits = ("prlimit", f"--fsize={FILE_BYTES}", "--core=0", f"--nproc={PROCESSES}", "--")
        watch = (sys.executable, "-I", diskwatch.__file__, str(DISK_BYTES), str(folder), str(cache), "--")
        return (*watch, *_enter(self.groups), *words, *limits, *argv)


def _lock_of_meson(source: Path) -> Path | None:
    """Return the empty file that meson 1.8 and later lock and write to, and without which they stop."""
    lock = source / "subprojects" / ".wraplock"
    if not lock.parent.is_dir() or lock.parent.is_symlink():
        return None
    with contextlib.suppress(OSError):
        # The sources are those of the series: a link would make another file writable.
        os.close(os.open(lock, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644))
        return lock if lock.is_file() and not lock.stat().st_size else None
    return None


def _enter(groups: Sequence[Path]) -> tuple[str, ...]:
    """Return a prefix that moves itself, and thus the command, into control groups (cgroups(7))."""
    if not groups:
        return ()
    script = (
        'n=$1; shift; while [ $n -gt 0 ]; do echo $$ > "$1/cgroup.procs"; shift; n=$((n-1)); done; exec "$@"'
    )
    return ("sh", "-c", script, "sandbox", str(len(groups)), *map(str, groups))


def _seed(shared: Path, cache: Path) -> None:
    """Create the private compiler cache as a copy of the shared one, which the program cannot access."""
    if cache.is_dir():
        return
    temporary = cache.with_name(".ccache.new")
    shutil.rmtree(temporary, ignore_errors=True)
    size = sum(path.stat().st_size for path in shared.rglob("*") if path.is_file()) if shared.is_dir() else 0
    if 0 < size <= SEED_BYTES:
        # Other runs may use the cache: files that disappear during the copy are skipped.
        with contextlib.suppress(shutil.Error):
            shutil.copytree(shared, temporary, ignore_dangling_symlinks=True)
    else:
        temporary.mkdir(parents=True)
    temporary.rename(cache)


@contextlib.contextmanager
def open_sandbox(layout: Layout, mode: str, reporter: Reporter) -> Iterator[Sandbox]:
    """Provide the sandbox of ``-Disolation=``; ``auto`` uses bubblewrap, or warns if it does not work.

    Raises MissingError if ``bwrap`` is requested and does not work.
    """
    if mode == "none":
        yield NO_SANDBOX
        return
    with contextlib.ExitStack() as stack:
        groups = tuple(stack.enter_context(_groups()))
        prefixes = tuple(dict.fromkeys(Path(path) for path in (sys.prefix, sys.base_prefix)))
        rustup, programs = _rustup()
        sandbox = Bubblewrap(
            readable=(*prefixes, layout.cache / "pyenvs", layout.cache / "sysroots", *programs),
            shared_cache=layout.ccache,
            groups=groups,
            rustup=rustup,
        )
        if reason := _does_not_work(sandbox, layout):
            if mode == "bwrap":
                raise MissingError(
                    f"bubblewrap does not work here: {reason}",
                    "install the package bubblewrap, and allow user namespaces",
                )
            reporter.warn(f"the code of the series runs without a sandbox: {reason}")
            yield NO_SANDBOX
            return
        if not groups:
            reporter.warn("cannot create control groups: processes and memory of the series are not limited")
        yield sandbox


def _rustup() -> tuple[Path | None, tuple[Path, ...]]:
    """Return the folder of rustup's toolchains, and all that its rustc on PATH needs; None without it."""
    rustc = shutil.which("rustc")
    home = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    if rustc is None or not Path(rustc).with_name("rustup").exists() or not home.is_dir():
        return None, ()
    return home, (Path(rustc).parent, home)


def _does_not_work(sandbox: Bubblewrap, layout: Layout) -> str:
    if shutil.which("bwrap") is None:
        return "bwrap is not installed"
    folder = layout.build / "sandbox-test" / "build"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "ccache").mkdir(exist_ok=True)
        ended = run(sandbox.wrap((sys.executable, "-c", "print(6 * 7)"), folder), check=False, timeout_s=60)
    except (HarnessError, OSError) as error:
        return str(error)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
    lines = ended.output.strip().splitlines()
    return "" if lines[-1:] == ["42"] else (lines[-1] if lines else f"status {ended.returncode}")


@contextlib.contextmanager
def _groups() -> Iterator[list[Path]]:
    """Provide control groups (version 1 or 2) that limit processes and memory; none if not permitted."""
    name = f"qemu-harness-sandbox-{os.getpid()}-{secrets.token_hex(3)}"
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
    """Kill the processes that remain in ``group`` (all are of the sandbox), and remove it."""
    deadline = time.monotonic() + 5
    while group.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            for word in (group / "cgroup.procs").read_text(encoding="ascii").split():
                os.kill(int(word), signal.SIGKILL)
        try:
            group.rmdir()  # the group is busy until its last process has ended
        except OSError:
            time.sleep(0.05)
