"""A sysroot of Debian's libraries for a cross compiler, and the words that make tools use it.

Nothing is installed: packages are resolved by an isolated apt with an empty package status, so that versions
of this machine's own packages do not matter, and unpacked into the cache. A sysroot is named by its content.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.build.hosts import Host
from harness.errors import FetchError
from harness.layout import Layout
from harness.lock import locked
from harness.progress import Reporter
from harness.source import Deb, fetch_closure, unpack_packages

MADE = 1
"""Raised when sysroots are made differently from the same packages."""


@dataclass(frozen=True, kw_only=True)
class Sysroot:
    """The root folder of a host's libraries."""

    path: Path
    host: Host

    @property
    def library_folders(self) -> tuple[Path, ...]:
        """Where Debian puts shared libraries (Debian Policy, 9.1.1, "Multiarch")."""
        triplet = self.host.triplet
        return tuple(self.path / top / triplet for top in ("usr/lib", "lib"))

    @property
    def flag(self) -> str:
        """For compiler and linker (gcc(1))."""
        return f"--sysroot={self.path}"

    @property
    def pkg_config(self) -> dict[str, str]:
        """Variables that make pkg-config(1) look here and nowhere else."""
        folders = (self.path / "usr/lib" / self.host.triplet / "pkgconfig", self.path / "usr/share/pkgconfig")
        return {
            # Without it, QEMU's configure asks for s390x-linux-gnu-pkg-config.
            "PKG_CONFIG": "pkg-config",
            "PKG_CONFIG_LIBDIR": os.pathsep.join(map(str, folders)),
            "PKG_CONFIG_SYSROOT_DIR": str(self.path),
            "PKG_CONFIG_PATH": "",
        }


def ensure_sysroot(host: Host, layout: Layout, reporter: Reporter) -> Sysroot:
    """The sysroot of ``host``, made if it is not in the cache.

    Raises FetchError (no such package, no network, a damaged package), VerifyError, BusyError, StorageError.
    """
    debs = fetch_closure(layout, reporter, host.libraries, architecture=host.debian)
    key = content_key({name: deb for name, (deb, _) in debs.items()})
    place = layout.cache / "sysroots" / f"{host.name}-{key}"
    if not place.is_dir():
        with (
            locked(place, f"the sysroot of {host.name}", reporter),
            reporter.step(f"sysroot of {host.name}: {len(debs)} packages"),
        ):
            unpack_packages([path for _, path in debs.values()], place, finish=repair_links)
    return Sysroot(path=place, host=host)


def content_key(debs: Mapping[str, Deb]) -> str:
    """A name for a set of packages: the same for the same bytes, in whatever order."""
    lines = sorted(f"{name}={deb.file}={deb.sha256}" for name, deb in debs.items())
    return hashlib.sha256("\n".join([str(MADE), *lines]).encode()).hexdigest()[:16]


def repair_links(root: Path) -> None:
    """Make symbolic links below ``root`` mean what they would mean if ``root`` were ``/``.

    Absolute targets, and relative ones that climb above ``root``, are rewritten as relative ones below it
    (above ``/`` is ``/``: path_resolution(7)). A link whose target is not there stays so: it dangles inside.
    Raises FetchError when a link's target passes through another link that leads out of ``root``.
    """
    root = root.resolve()
    links = [
        Path(folder) / name
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
        if (Path(folder) / name).is_symlink()
    ]
    for link in links:
        target = str(link.readlink())
        meant = _inside(link.parent.relative_to(root), target)
        wanted = os.path.relpath(root / meant, link.parent)
        if target.startswith("/") or _climbs(link.parent.relative_to(root), target):
            link.unlink()
            link.symlink_to(wanted)
    for link in links:  # all are mended: what still leads out is no work of ours
        end = Path(os.path.realpath(link))
        if end != root and root not in end.parents:
            raise FetchError(
                f"the packages' link {link.relative_to(root)} leads out of the sysroot, to {end}",
                "report it with the package's version",
            )


def _inside(folder: Path, target: str) -> Path:
    """``target`` of a link in ``folder``, relative to the root, ``..`` at the root staying there."""
    parts: list[str] = [] if target.startswith("/") else list(folder.parts)
    for part in Path(target).parts:
        if part == "..":
            parts = parts[:-1]
        elif part not in ("/", "."):
            parts.append(part)
    return Path(*parts)


def _climbs(folder: Path, target: str) -> bool:
    """Whether a relative ``target`` of a link in ``folder`` passes above the root."""
    depth = len(folder.parts)
    for part in Path(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def cross_file(sysroot: Sysroot) -> str:
    """The text of meson's cross file for our own C (meson manual, "Cross compilation").

    Its compiler's words are those that QEMU is built with, from the same data.
    """
    host = sysroot.host
    flag = _quote(sysroot.flag)
    tools = {"c": "gcc", "ar": "ar", "strip": "strip"}
    binaries = "".join(
        f"{name} = {_quote(shutil.which(host.cross_prefix + tool) or host.cross_prefix + tool)}\n"
        for name, tool in tools.items()
    )
    return (
        f"[binaries]\n{binaries}pkg-config = 'pkg-config'\n\n"
        f"[properties]\nsys_root = {_quote(str(sysroot.path))}\n"
        f"pkg_config_libdir = {_quote(sysroot.pkg_config['PKG_CONFIG_LIBDIR'])}\n\n"
        f"[built-in options]\nc_args = [{flag}]\nc_link_args = [{flag}]\n\n"
        f"[host_machine]\nsystem = 'linux'\ncpu_family = {_quote(host.cpu_family)}\n"
        f"cpu = {_quote(host.cpu_family)}\nendian = {_quote(host.endian)}\n"
    )


def _quote(text: str) -> str:
    """``text`` as a string of meson's language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
