"""Prepare the boot files of payload ``linux``: Debian's kernel, and an initramfs with one program, init.

The build stage compiles init for the guest's architecture. programs/init.c describes its behaviour.
"""

import platform
from dataclasses import dataclass
from pathlib import Path

from harness.build.hosts import HOSTS
from harness.build.programs import build_programs
from harness.errors import OptionError
from harness.guest.initramfs import CONSOLE, file, write_initramfs
from harness.guest.kernel import fetch_kernel
from harness.guest.model import architecture_of
from harness.layout import Layout
from harness.progress import Reporter
from harness.source.files import sha256_of


@dataclass(frozen=True, kw_only=True)
class Boot:
    """Files for ``-kernel`` and ``-initrd``; ``release`` is the output of ``uname -r`` in the guest."""

    kernel: Path
    initrd: Path
    release: str


def prepare_boot(layout: Layout, reporter: Reporter, target: str) -> Boot:
    """Return kernel and initramfs for guests of ``target``; existing files are used again.

    Raises OptionError (no compiler for the architecture), and the errors of ``fetch_kernel``,
    ``build_programs`` and ``write_initramfs``.
    """
    # Imported here for speed: avocado starts a process for each test, and each imports this stage.
    name = architecture_of(target).name
    host = "native" if name == platform.machine() else name
    if host not in HOSTS:
        raise OptionError(
            f"payload linux: the harness has no compiler for {name} programs on {platform.machine()}",
            "add the architecture to harness/build/hosts.py, or use -Dpayload=paused",
        )
    init = build_programs(layout, reporter, ["init"], host=host)["init"]
    kernel = fetch_kernel(layout, reporter, target)
    initrd = layout.build / "guest" / f"init-{name}-{sha256_of(init)[:16]}.cpio"
    if not initrd.is_file():
        write_initramfs(initrd, [CONSOLE, file("init", init, 0o755)])
    return Boot(kernel=kernel.image, initrd=initrd, release=kernel.release)
