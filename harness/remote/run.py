"""Run ``teardown`` on hosts: send, prepare, run, fetch; on all hosts in parallel and independently.

avocado's spawners for other hosts are not suitable. The remote spawner runs pgrep(1) on the host every 0.1 s
while guests are timed, requires a connection back to this machine, and does not copy binaries. The podman
spawner downloads Python eggs for each task. Therefore the whole stage runs on the host, where avocado uses
its process spawner.
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
    *("spawner", "spawner_hosts", "spawner_ssh", "gate"),
    *("pin", "series", "source", "variants", "hosts", "targets"),
    *("profile", "jobs", "ccache", "ccache_remote", "distcc"),
)
"""Options about building and about hosts; the others are passed on to the host."""


@dataclass(frozen=True, kw_only=True)
class RemoteRun:
    """Result of one host. ``layout`` locates its files; ``error`` is why there are none."""

    host: str
    layout: Layout
    returncode: int = 0
    error: HarnessError | None = None


def layout_of(layout: Layout, host: str) -> Layout:
    """Return the layout of a host's results and logs: ``build/spawned/<host>``."""
    return replace(layout, build=layout.build / "spawned" / safe_name(host.translate(_SAFE).strip("-.")))


_SAFE = str.maketrans(dict.fromkeys("/:@%", "-"))


def run_remote(
    layout: Layout,
    options: Options,
    subjects: Sequence[Subject],
    hosts: Sequence[RemoteHost],
    reporter: Reporter,
) -> tuple[RemoteRun, ...]:
    """Time ``subjects`` on each of ``hosts``. A failure of one host does not stop the others."""
    code = pack_code(layout, subjects, gate_files(options.gate, layout.start))
    assets, pipes = pack_assets(layout), _ControlPipes()

    def one(host: RemoteHost) -> RemoteRun:
        own = layout_of(layout, host.name)
        try:
            with host.open():
                ended = _on_host(host, own, options, subjects, code, assets, reporter, pipes)
        except HarnessError as error:
            return RemoteRun(host=host.name, layout=own, error=error)
        return RemoteRun(host=host.name, layout=own, returncode=ended.returncode)

    if len(hosts) == 1:  # in the main thread, which signals interrupt
        return (one(hosts[0]),)
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        runs = [pool.submit(one, host) for host in hosts]
        try:
            return tuple(run.result() for run in runs)
        except BaseException:
            pipes.close()  # otherwise the pool would wait for the runs on all hosts
            raise


def _on_host(  # noqa: PLR0917 - the whole run on one host
    host: RemoteHost,
    own: Layout,
    options: Options,
    subjects: Sequence[Subject],
    code: bytes,
    assets: bytes,
    reporter: Reporter,
    pipes: _ControlPipes,
) -> Finished:
    log = own.logs / "remote.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    (own.results / "teardown.json").unlink(missing_ok=True)
    machine = _ask(host, "uname -m")
    mine = [one for one in subjects if machine == (platform.machine() if one.host == "native" else one.host)]
    if not mine:
        raise RemoteError(
            f"{host.name} is a {machine}, but no binary was built for it",
            f"build for it too, if it is supported: -Dhosts=native,{machine}",
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
        with reporter.step(f"{host.name}: timing guests"), pipes.open() as pipe:
            supervisor = ["python3", "-I", f"{root}/harness/remote/supervisor.py", str(root)]
            ended = run_on(
                host,
                ["env", *environment, *supervisor, *words],
                stdin=pipe,
                check=False,
                log=log,
                on_line=lambda line: reporter.note(f"{host.name}: {line}") if line.strip() else None,
            )
        _fetch(host, root, own, log, ended)
        return ended
    finally:
        with contextlib.suppress(HarnessError):
            run_on(host, ["rm", "-rf", str(root)], timeout_s=60, check=False)


class _ControlPipes:
    """Standard inputs of the supervisors on hosts. They carry no data; closing one ends its run."""

    def __init__(self) -> None:
        self._ends: set[int] = set()
        self._closed = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Provide the read end of a new pipe. Raises InterruptedRunError after ``close``."""
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as stream:
            with self._lock:
                self._ends.add(write)
                if self._closed:
                    self._close(write)
                    raise InterruptedRunError("the run was stopped before it began", "run it again")
            try:
                yield stream
            finally:
                with self._lock:
                    self._close(write)

    def close(self) -> None:
        """Close all pipes, so that all runs end."""
        with self._lock:
            self._closed = True
            for end in tuple(self._ends):
                self._close(end)

    def _close(self, end: int) -> None:
        if end in self._ends:
            self._ends.remove(end)
            os.close(end)


def _ask(host: RemoteHost, script: str) -> str:
    """Return the last line of the script's output; start-up files of the shell may print other lines."""
    lines = run_on(host, ["sh", "-c", script], timeout_s=60, merge_stderr=False).output.split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _folder(host: RemoteHost, script: str) -> PurePosixPath:
    answer = PurePosixPath(_ask(host, script))
    if not answer.is_absolute():
        raise RemoteError(
            f"{host.name} has no absolute path for the cache: {answer}", "set HOME on that host"
        )
    return answer


def _unpack(host: RemoteHost, archive: bytes, folder: str, log: Path, *, keep: bool = False) -> None:
    """Unpack into ``folder``; with ``keep``, existing files are not overwritten."""
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
    """Fetch the results and store them atomically. Raises RemoteError if there are none."""
    copied = run_on(
        host,
        ["cat", f"{root}/build/results/teardown.json"],
        timeout_s=COPY_S,
        check=False,
        merge_stderr=False,
    )
    if copied.returncode != 0:
        raise RemoteError(
            f"{host.name}: the run ended with status {ended.returncode} and no results",
            "read its last lines above and the log",
            details=tuple(ended.output.splitlines()[-10:]),
            log=log,
        )
    own.results.mkdir(parents=True, exist_ok=True)
    temporary = own.results / ".teardown.json.new"
    temporary.write_text(copied.output, encoding="utf-8")
    temporary.replace(own.results / "teardown.json")
