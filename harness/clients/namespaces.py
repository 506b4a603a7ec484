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

# libvirt looks up the user libvirt-qemu before it reads the configured one (qemuStateInitialize).
FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "libvirt-qemu:x:64055:64055:libvirt:/var/lib/libvirt:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nkvm:x:106:\nlibvirt-qemu:x:64055:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/libvirt/qemu.conf": (
        'user = "root"\n'
        'group = "root"\n'
        "dynamic_ownership = 0\n"
        "remember_owner = 0\n"
        'security_driver = "none"\n'
        "cgroup_controllers = []\n"
        "namespaces = []\n"
        'stdio_handler = "file"\n'
        "hugetlbfs_mount = []\n"
    ),
    "etc/libvirt/libvirtd.conf": (
        'auth_unix_rw = "none"\n'
        'auth_unix_ro = "none"\n'
        'unix_sock_group = "root"\n'
        'unix_sock_rw_perms = "0700"\n'
        'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"\n'
        # Otherwise libvirt runs a program that reads the UUID of the firmware from /dev/mem.
        'host_uuid = "9d0d1b3c-5cf1-4ab9-8a4b-2f6d5b7f4a11"\n'
    ),
}
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
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("controllers = []", f"controllers = [{controllers}]"), encoding="ascii")
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
