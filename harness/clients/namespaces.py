"""Namespaces of the private libvirtd, with a folder that replaces /etc, /run and /var.

bubblewrap (bwrap(1)) creates them. Other files of the machine are read-only, there is no network, and the
system's own libvirt is not accessible. When process 1 of the PID namespace ends, the kernel kills all its
processes (pid_namespaces(7)), including the domains.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LibvirtError

PYTHON = Path("/usr/bin/python3")
"""Debian's Python, for which the binding of libvirt (python3-libvirt) is built."""
BINDING = Path("/usr/lib/python3/dist-packages/libvirt.py")
PROGRAM = Path(__file__).with_name("virt.py")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CGROUPS = "/sys/fs/cgroup"
HIDDEN = ("/etc", "/run", "/var")
VISIBLE_IN_ETC = ("alternatives", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")

ETC = Path(__file__).with_name("etc")
"""Files of ``/etc``. libvirt looks up the user libvirt-qemu before it reads the configured one
(qemuStateInitialize)."""
FOLDERS = ("run", "var/cache", "var/lib/libvirt", "var/log/libvirt", "var/tmp")


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """``folder`` contains ``etc``, ``run`` and ``var`` of the namespaces."""

    folder: Path

    @property
    def log(self) -> Path:
        """The log of libvirtd."""
        return self.folder / "var/log/libvirt/libvirtd.log"


def make_namespaces(folder: Path, *, controllers: str = "") -> Namespaces:
    """Create the files of the namespaces in ``folder``, and remove its former content.

    ``controllers`` are the cgroup controllers that libvirt uses, such as ``"memory"``, including quotes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "var/run").symlink_to("/run")
    shutil.copytree(ETC, folder / "etc", copy_function=shutil.copyfile)
    settings = folder / "etc/libvirt/qemu.conf"
    text = settings.read_text(encoding="ascii")
    settings.write_text(text.replace("controllers = []", f"controllers = [{controllers}]"), encoding="ascii")
    return Namespaces(folder=folder)


def driver_folder(top: Path = Path("/usr/lib")) -> Path:
    """Return the folder of libvirt's drivers. Raises LibvirtError."""
    drivers = sorted(top.glob("*/libvirt/connection-driver/libvirt_driver_qemu.so"))
    if not drivers:
        raise LibvirtError(
            "libvirt's QEMU driver is not installed", "install Debian's package libvirt-daemon-driver-qemu"
        )
    return drivers[0].parent


def namespace_words(
    namespaces: Namespaces, drivers: Path, needed: Iterable[Path], *, talk_fd: int, group: Path | None = None
) -> tuple[str, ...]:
    """Return the command line that runs virt.py in the namespaces, with ``talk_fd`` as its connection.

    The paths in ``needed`` (binaries, firmware) are visible even below a hidden folder. libvirt has only its
    QEMU driver, because those for networks and devices would inspect or change the machine. ``group`` is a
    cgroup with the memory controller (version 1), which libvirt uses as the root of the hierarchy.
    """
    driver = drivers / "libvirt_driver_qemu.so"
    bound = [word for path in _hidden(needed) for word in ("--ro-bind", str(path), str(path))]
    visible = [word for name in VISIBLE_IN_ETC for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")]
    cgroups = ("--unshare-cgroup", "--tmpfs", CGROUPS, "--bind", str(group), f"{CGROUPS}/memory")
    return (
        *("bwrap", "--die-with-parent", "--new-session"),
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"),
        *("--tmpfs", str(drivers), "--ro-bind", str(driver), str(driver)),
        *(word for top in HIDDEN for word in ("--bind", str(namespaces.folder / top[1:]), top)),
        *(cgroups if group is not None else ()),
        *visible,
        *bound,
        *("--setenv", "PATH", PATH, "--setenv", "HOME", "/var/lib/libvirt", "--chdir", "/"),
        *(str(PYTHON), "-I", "-S", str(PROGRAM), str(BINDING.parent), str(talk_fd)),
    )


def _hidden(paths: Iterable[Path]) -> list[Path]:
    """Return those of ``paths`` and virt.py that are below a hidden folder."""
    wanted = dict.fromkeys(path.resolve() for path in (PROGRAM, *paths))
    return [path for path in wanted if any(path.is_relative_to(top) for top in HIDDEN)]
