"""Hosts that run commands: machines reached by ssh(1), and podman(1) containers on this machine."""

import contextlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from harness.errors import HarnessError, MissingError, OptionError, RemoteError
from harness.options import Options
from harness.process import Finished, clean_environment, end_group, run

CONNECT_S = 20


class RemoteHost(Protocol):
    """A host. ``name`` is the value that the user specified."""

    @property
    def name(self) -> str: ...

    def open(self) -> contextlib.AbstractContextManager[None]:
        """Prepare the host for the block and release it afterwards."""

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the local command that runs ``command`` on the host, with this one's streams and status."""


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """A machine that ``ssh NAME`` reaches without a password. ``program`` is ssh with its options."""

    name: str
    program: tuple[str, ...] = ("ssh",)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Check the connection; each command opens its own. Raises MissingError, RemoteError."""
        if shutil.which(self.program[0]) is None:
            raise MissingError(f"{self.program[0]} is not installed", "install the package openssh-client")
        ended = run_on(self, ["true"], timeout_s=2 * CONNECT_S, check=False)
        if ended.returncode != 0:
            raise RemoteError(
                f"{self.name} cannot be reached: {_last(ended)}",
                "make this command work without a prompt: " + shlex.join([*self.program, self.name, "true"]),
            )
        yield

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return a connection that never prompts and that detects a lost host after two minutes."""
        return [
            *self.program,
            *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}"),
            *("-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=3"),
            *("-T", self.name, "--", shlex.join(command)),
        ]


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of an image on this machine. ``shared`` is a folder that is mounted in it, for locks."""

    name: str
    shared: Path
    container: str

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Run the container until its standard input is closed. Raises MissingError, RemoteError."""
        if shutil.which("podman") is None:
            raise MissingError("podman is not installed", "install the package podman")
        words = ["podman", "run", "--rm", "--interactive", "--init", "--name", self.container]
        # Timing needs kcmp(2) and ptrace(2), which containers do not permit by default.
        words += ["--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined", "--pids-limit=-1"]
        if Path("/dev/kvm").exists():
            words += ["--device=/dev/kvm"]
        words += ["--volume", f"{self.shared}:{self.shared}", "--entrypoint", "cat", self.name]
        with subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            start_new_session=True,
        ) as child:
            try:
                self._wait_for(child)
                yield
            finally:
                with contextlib.suppress(HarnessError):
                    run(["podman", "rm", "--force", "--time=5", self.container], check=False, timeout_s=60)
                end_group(child)

    def _wait_for(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if child.poll() is not None:
                output = child.stderr.read().decode("utf-8", "replace") if child.stderr else ""
                raise RemoteError(
                    f"cannot start a container of {self.name}: {_one_line(output)}",
                    f"make this command work: podman run --rm {shlex.quote(self.name)} true",
                )
            if run_on(self, ["true"], timeout_s=30, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise RemoteError(
            f"a container of {self.name} did not start in time",
            f"make this command work: podman run --rm {shlex.quote(self.name)} true",
        )

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs in the existing container."""
        return ["podman", "exec", "--interactive", self.container, *command]


def choose_hosts(options: Options, shared: Path) -> tuple[RemoteHost, ...]:
    """Return the hosts of ``-Dspawner=`` and ``-Dspawner_hosts=``; none for ``process``.

    ``shared`` is the cache, which containers share. Raises OptionError.
    """
    if options.spawner == "process":
        if options.spawner_hosts:
            raise OptionError(
                "-Dspawner_hosts= requires a spawner for other hosts",
                "pass -Dspawner=remote or -Dspawner=podman too",
            )
        return ()
    if not options.spawner_hosts:
        kind = "ssh destinations" if options.spawner == "remote" else "container images"
        raise OptionError(f"-Dspawner={options.spawner} requires hosts", f"pass {kind} with -Dspawner_hosts=")
    for name in options.spawner_hosts:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@:/%+-]*", name):
            raise OptionError(
                f"-Dspawner_hosts: {name!r} is not a valid name", "specify an ssh destination or an image"
            )
    if options.spawner == "podman":
        return tuple(
            Container(
                name=name, shared=shared, container=f"qemu-harness-{os.getpid()}-{secrets.token_hex(4)}"
            )
            for name in options.spawner_hosts
        )
    program = tuple(shlex.split(options.spawner_ssh)) or ("ssh",)
    return tuple(Ssh(name=name, program=program) for name in options.spawner_hosts)


def run_on(
    host: RemoteHost,
    command: Sequence[str],
    *,
    stdin: bytes | BinaryIO | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    merge_stderr: bool = True,
) -> Finished:
    """Run ``command`` on ``host``. Raises RemoteError with its output, and the errors of ``process.run``."""

    def failed(ended: Finished) -> HarnessError:
        return RemoteError(
            f"{host.name}: {command[0]} ended with status {ended.returncode}: {_last(ended)}",
            "check the requirements of hosts in docs/measuring.md",
            details=tuple(ended.output.splitlines()[-10:]),
            log=log,
        )

    return run(
        host.argv(command),
        stdin=stdin,
        timeout_s=timeout_s,
        check=check,
        error=failed,
        log=log,
        on_line=on_line,
        merge_stderr=merge_stderr,
        grace_s=100.0,
    )


def _last(ended: Finished) -> str:
    return _one_line(ended.output) or f"status {ended.returncode}"


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
