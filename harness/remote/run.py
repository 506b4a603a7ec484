"""A run of ``teardown`` on hosts: send, prepare, run, fetch; all hosts at once, each by itself.

avocado's own spawners for other hosts are not used: its remote one looks each 0.1 s with pgrep(1) on the host
whether a task is alive, while guests are timed there, needs a way back to a server here, and leaves the
sending of binaries to the user; its podman one fetches Python eggs from the network for each task. So the
whole stage is moved, and avocado runs its tests on the host, by its spawner for processes, as it does here.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import platform
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from harness.bench import Subject
from harness.errors import HarnessError, InterruptedRunError, RemoteError
from harness.layout import Layout, safe_name
from harness.options import Options
from harness.process import Finished
from harness.progress import Reporter
from harness.remote.bundle import binary_words, gate_files, pack_assets, pack_code
from harness.remote.hosts import RemoteHost, run_on
from harness.remote.prepare import read_stamp

PREPARE_S = 900.0
COPY_S = 900.0
LOCAL = (
    "spawner",
    "spawner_hosts",
    "spawner_ssh",
    "variants",
    "hosts",
    "pin",
    "series",
    "source",
    "targets",
    "profile",
    "gate",
    "jobs",
    "ccache",
    "ccache_remote",
    "distcc",
)
"""Options that are about building, or about which machine; the others are the host's to keep."""


@dataclass(frozen=True, kw_only=True)
class RemoteRun:
    """What came of one host. ``layout`` says where its files are; ``error`` why there are none."""

    host: str
    layout: Layout
    returncode: int = 0
    error: HarnessError | None = None


def layout_of(layout: Layout, host: str) -> Layout:
    """Where a host's results and logs go: ``build/spawned/<host>``."""
    return replace(layout, build=layout.build / "spawned" / safe_name(host.translate(_SAFE).strip("-.")))


_SAFE = str.maketrans(dict.fromkeys("/:@%", "-"))


def run_remote(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    hosts: Sequence[RemoteHost],
    reporter: Reporter,
) -> tuple[RemoteRun, ...]:
    """Time ``subjects`` on each of ``hosts``. What goes wrong on one does not stop the others."""
    code = pack_code(layout, subjects, gate_files(options.gate, layout.root))
    assets, leashes = pack_assets(layout), _Leashes()

    def one(host: RemoteHost) -> RemoteRun:
        own = layout_of(layout, host.name)
        try:
            with host.open():
                ended = _on_host(host, own, options, subjects, code, assets, reporter, leashes)
        except HarnessError as error:
            return RemoteRun(host=host.name, layout=own, error=error)
        return RemoteRun(host=host.name, layout=own, returncode=ended.returncode)

    if len(hosts) == 1:  # in this thread, which signals interrupt
        return (one(hosts[0]),)
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        runs = [pool.submit(one, host) for host in hosts]
        try:
            return tuple(run.result() for run in runs)
        except BaseException:
            leashes.drop()  # the pool waits for its threads, and they for their hosts
            raise


def _on_host(  # noqa: PLR0917 - the whole of one host
    host: RemoteHost,
    own: Layout,
    options: Options,
    subjects: Sequence[Subject],
    code: bytes,
    assets: bytes,
    reporter: Reporter,
    leashes: _Leashes,
) -> Finished:
    log = own.logs / "remote.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    (own.results / "teardown.json").unlink(missing_ok=True)
    machine = _ask(host, "uname -m")
    mine = [one for one in subjects if machine == (platform.machine() if one.host == "native" else one.host)]
    if not mine:
        raise RemoteError(
            f"{host.name} is a {machine}, and nothing was built for that",
            f"build for it too, if the harness can: -Dhosts=native,{machine}",
        )
    home = _folder(host, 'printf %s "${QEMU_HARNESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qemu-harness}"')
    root = home / "remote" / f"{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with reporter.step(f"{host.name}: sending {(len(code) + len(assets)) / 2**20:.0f} MiB"):
            _unpack(host, code, str(root), log)
            _unpack(host, assets, str(home), log, keep=True)
        with reporter.step(f"{host.name}: preparing Python"):
            python = _python(host, root, home, log)
        words = [python, "-m", "harness", "--root", str(root), "teardown", "--no-build"]
        words += binary_words(mine, str(root))
        words += [word for word in options.given if word[2:].partition("=")[0] not in LOCAL]
        if options.gate:
            words.append(f"-Dgate=gates/{Path(options.gate).name}")
        path = f"{PurePosixPath(python).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = [f"PYTHONPATH={root}", f"QEMU_HARNESS_CACHE={home}", f"PATH={path}"]
        with reporter.step(f"{host.name}: timing guests"), leashes.attach() as leash:
            ended = run_on(
                host,
                ["env", *environment, "python3", "-I", f"{root}/harness/remote/leash.py", str(root), *words],
                stdin=leash,
                check=False,
                log=log,
                on_line=lambda line: reporter.note(f"{host.name}: {line}") if line.strip() else None,
            )
        _fetch(host, root, own, log, ended)
        return ended
    finally:
        with contextlib.suppress(HarnessError):
            run_on(host, ["rm", "-rf", str(root)], timeout_s=60, check=False)


class _Leashes:
    """What runs on hosts hang on: inputs that stay open, and empty, until this process is gone or done."""

    def __init__(self) -> None:
        self._ends: set[int] = set()
        self._dropped = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def attach(self) -> Iterator[BinaryIO]:
        """The input for one. Raises InterruptedRunError when all were dropped before."""
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as stream:
            with self._lock:
                self._ends.add(write)
                if self._dropped:
                    self._close(write)
                    raise InterruptedRunError("stopped before it began", "run the same command again")
            try:
                yield stream
            finally:
                with self._lock:
                    self._close(write)

    def drop(self) -> None:
        """Let all go: their programs end."""
        with self._lock:
            self._dropped = True
            for end in tuple(self._ends):
                self._close(end)

    def _close(self, end: int) -> None:
        if end in self._ends:
            self._ends.remove(end)
            os.close(end)


def _ask(host: RemoteHost, script: str) -> str:
    """The last line: a shell's start-up files may have said something before."""
    lines = run_on(host, ["sh", "-c", script], timeout_s=60, merge_stderr=False).output.split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _folder(host: RemoteHost, script: str) -> PurePosixPath:
    answer = PurePosixPath(_ask(host, script))
    if not answer.is_absolute():
        raise RemoteError(f"{host.name} has no home folder: {answer}", "log in there and see what HOME is")
    return answer


def _unpack(host: RemoteHost, archive: bytes, folder: str, log: Path, *, keep: bool = False) -> None:
    """Unpack into ``folder``; with ``keep`` files that are there stay as they are."""
    words = "--skip-old-files " if keep else ""
    script = f'mkdir -p "$1" && tar -x -z {words}-f - -C "$1"'
    run_on(host, ["sh", "-c", script, "unpack", folder], stdin=archive, timeout_s=COPY_S, log=log)


def _python(host: RemoteHost, root: PurePosixPath, home: PurePosixPath, log: Path) -> str:
    stamp = read_stamp(Path(sys.prefix))
    prepare = f"{root}/harness/remote/prepare.py"
    ended = run_on(
        host,
        ["python3", "-I", prepare, str(root), str(home), sys.executable, stamp],
        timeout_s=PREPARE_S,
        log=log,
        merge_stderr=False,
    )
    return ended.output.strip().splitlines()[-1]


def _fetch(host: RemoteHost, root: PurePosixPath, own: Layout, log: Path, ended: Finished) -> None:
    """The results, whole or not at all. Raises RemoteError when the run left none."""
    came = run_on(
        host,
        ["cat", f"{root}/build/results/teardown.json"],
        timeout_s=COPY_S,
        check=False,
        merge_stderr=False,
    )
    if came.returncode != 0:
        raise RemoteError(
            f"{host.name}: the run ended with status {ended.returncode} and no results",
            "read its last lines and the log",
            details=tuple(ended.output.splitlines()[-10:]),
            log=log,
        )
    own.results.mkdir(parents=True, exist_ok=True)
    aside = own.results / ".teardown.json.new"
    aside.write_text(came.output, encoding="utf-8")
    aside.replace(own.results / "teardown.json")
