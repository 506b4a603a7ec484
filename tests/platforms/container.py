"""The README's two commands in a container of the Containerfile."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from shutil import which

from tests.platforms.root import Ran, Root, network_settings, run_logged

PROGRAM = "podman"


def container(root: Root, log: Path) -> Iterator[tuple[str, Ran, str]]:
    """Build the Containerfile on an image made of ``root``, and run both commands in it.

    Yields what was run, how it ended, and the text that its output contains if it succeeded. No registry is
    asked. Containers share the machine's network; they, the images and the volume are removed at the end.
    """
    name = f"localhost/qemu-harness-{root.release}-{os.getpid()}"
    checkout = root.path / "home" / "developer" / "qemu-harness"
    settings = [f"--env={key}={value}" for key, value in network_settings().items()]

    # crun refuses a machine that has both versions of control groups.
    program = [PROGRAM, *(["--runtime=runc"] if which("runc") else [])]

    def podman(*words: str) -> Ran:
        return run_logged([*program, *words], f"{PROGRAM} {words[0]}", os.environ, log)

    base, volume = f"{name}-base", f"qemu-harness-{root.release}-{os.getpid()}"
    # The defaults are above what some machines permit, which podman then cannot raise.
    files = min(getrlimit(RLIMIT_NOFILE)[1], 20_000)
    limits = [f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=4096:4096"]
    start = ["run", "--rm", "--network=host", *limits, "--device=/dev/kvm", *settings]
    start += [f"--volume={volume}:/cache", name]
    packed = ["sh", "-c", 'tar -C "$1" --exclude=./home -c . | "$2" import - "$3"', "pack"]
    try:
        packed += [str(root.path), PROGRAM, base]
        yield "base image", run_logged(packed, f"{PROGRAM} import", os.environ, log), ""
        build = ["build", "--network=host", f"--build-arg=BASE={base}", *settings, f"--tag={name}"]
        yield "podman build", podman(*build, str(checkout)), ""
        quick = ["-s", "teardown", "--", "-Dpreset=quick", "-Drounds=1", "-Drestart=none"]
        yield "first command in the container", podman(*start, *quick), "report.html"
        tests = podman("run", "--privileged", *start[1:], "-s", "tests")  # tests trace processes
        yield "second command in the container", tests, " passed"
    finally:
        for words in (["rmi", "--force", name, base], ["volume", "rm", "--force", volume]):
            subprocess.run([PROGRAM, *words], check=False, capture_output=True)
