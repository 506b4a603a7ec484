"""Machines that commands can be run on: by ssh(1), or a container of podman(1) on this one."""

from __future__ import annotations

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
    """A machine. ``name`` is how the user calls it."""

    @property
    def name(self) -> str: ...

    def open(self) -> contextlib.AbstractContextManager[None]:
        """Make it ready; what was made for it is gone afterwards."""

    def argv(self, command: Sequence[str]) -> list[str]:
        """What runs ``command`` there, with our standard input, output and status."""


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """A machine that ``ssh NAME`` reaches without a password. ``program`` is ssh itself, with its options."""

    name: str
    program: tuple[str, ...] = ("ssh",)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Nothing to make: each command is a connection. Raises MissingError, RemoteError."""
        if shutil.which(self.program[0]) is None:
            raise MissingError(f"{self.program[0]} is not installed", "install the package openssh-client")
        ended = run_on(self, ["true"], timeout_s=2 * CONNECT_S, check=False)
        if ended.returncode != 0:
            raise RemoteError(
                f"{self.name} cannot be reached: {_last(ended)}",
                f"see that this works without a question: {shlex.join([*self.program, self.name, 'true'])}",
            )
        yield

    def argv(self, command: Sequence[str]) -> list[str]:
        """A connection that asks for nothing, and notices in two minutes that the other end is gone."""
        return [
            *self.program,
            *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}"),
            *("-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=3"),
            *("-T", self.name, "--", shlex.join(command)),
        ]


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of an image, on this machine. ``shared`` is a folder that both see: locks are in there."""

    name: str
    shared: Path
    container: str

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """A container that lives as long as its standard input is open. Raises MissingError, RemoteError."""
        if shutil.which("podman") is None:
            raise MissingError("podman is not installed", "install the package podman")
        words = ["podman", "run", "--rm", "--interactive", "--init", "--name", self.container]
        # What timing needs is refused to containers unless asked for: kcmp(2), ptrace(2) of what is timed.
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
                said = child.stderr.read().decode("utf-8", "replace") if child.stderr else ""
                raise RemoteError(
                    f"no container of {self.name}: {_one_line(said)}",
                    "see that this works: podman run --rm " + shlex.quote(self.name) + " true",
                )
            if run_on(self, ["true"], timeout_s=30, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise RemoteError(f"a container of {self.name} does not come up", "try podman run by hand")

    def argv(self, command: Sequence[str]) -> list[str]:
        """A command beside the container's own."""
        return ["podman", "exec", "--interactive", self.container, *command]


def choose_hosts(options: Options, shared: Path) -> tuple[RemoteHost, ...]:
    """The hosts that ``-Dspawner=`` and ``-Dspawner_hosts=`` ask for; none for ``process``.

    ``shared`` is the cache, which containers share. Raises OptionError.
    """
    if options.spawner == "process":
        if options.spawner_hosts:
            raise OptionError("-Dspawner_hosts= needs a spawner", "pass -Dspawner=remote or podman too")
        return ()
    if not options.spawner_hosts:
        what = "machines, as ssh takes them" if options.spawner == "remote" else "images"
        raise OptionError(f"-Dspawner={options.spawner}: on which?", f"name {what}: -Dspawner_hosts=")
    for name in options.spawner_hosts:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@:/%+-]*", name):
            raise OptionError(f"-Dspawner_hosts: {name!r} is no name", "name it as ssh or podman does")
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
    """Run ``command`` on ``host`` to its end. Raises RemoteError with what it said, and what run raises."""

    def failed(ended: Finished) -> HarnessError:
        return RemoteError(
            f"{host.name}: {command[0]} ended with status {ended.returncode}: {_last(ended)}",
            "docs/measuring.md says what a host needs",
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
    return lines[-1] if lines else "it said nothing"
