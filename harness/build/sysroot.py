"""Create a sysroot of Debian libraries for a cross compiler, and the settings that make tools use it.

Nothing is installed. An isolated apt with an empty package status resolves the packages, so the machine's own
packages have no effect. They are unpacked into the cache. The name of a sysroot is a digest of its packages.
"""

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
from harness.source.closure import fetch_closure
from harness.source.packages import Deb, unpack_packages

MADE = 1
"""Version of the code that creates sysroots. Increase it if the same packages would give another sysroot."""


@dataclass(frozen=True, kw_only=True)
class Sysroot:
    """Root folder of a host's libraries."""

    path: Path
    host: Host

    @property
    def library_folders(self) -> tuple[Path, ...]:
        """Folders of Debian's shared libraries (Debian Policy, 9.1.1, "Multiarch")."""
        triplet = self.host.triplet
        return tuple(self.path / top / triplet for top in ("usr/lib", "lib"))

    @property
    def flag(self) -> str:
        """Option of compiler and linker (gcc(1))."""
        return f"--sysroot={self.path}"

    @property
    def pkg_config(self) -> dict[str, str]:
        """Variables that make pkg-config(1) search only this sysroot."""
        folders = (self.path / "usr/lib" / self.host.triplet / "pkgconfig", self.path / "usr/share/pkgconfig")
        return {
            # Without it, QEMU's configure requires s390x-linux-gnu-pkg-config.
            "PKG_CONFIG": "pkg-config",
            "PKG_CONFIG_LIBDIR": os.pathsep.join(map(str, folders)),
            "PKG_CONFIG_SYSROOT_DIR": str(self.path),
            "PKG_CONFIG_PATH": "",
        }


def ensure_sysroot(host: Host, layout: Layout, reporter: Reporter) -> Sysroot:
    """Return the sysroot of ``host``; create it if it is not in the cache.

    Raises FetchError (unknown or damaged package, no network), VerifyError, BusyError, StorageError.
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
    """Return a digest of a set of packages that does not depend on their order."""
    lines = sorted(f"{name}={deb.file}={deb.sha256}" for name, deb in debs.items())
    return hashlib.sha256("\n".join([str(MADE), *lines]).encode()).hexdigest()[:16]


def repair_links(root: Path) -> None:
    """Rewrite symbolic links below ``root`` to resolve as if ``root`` were ``/``.

    Absolute targets, and relative targets that leave ``root``, become relative targets below it (the parent
    of ``/`` is ``/``: path_resolution(7)). Dangling links stay dangling. Raises FetchError if the target of a
    link passes through another link to a place outside of ``root``.
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
        inside = _inside(link.parent.relative_to(root), target)
        wanted = os.path.relpath(root / inside, link.parent)
        if target.startswith("/") or _climbs(link.parent.relative_to(root), target):
            link.unlink()
            link.symlink_to(wanted)
    for link in links:  # after all links are rewritten
        end = Path(os.path.realpath(link))
        if end != root and root not in end.parents:
            raise FetchError(
                f"the link {link.relative_to(root)} of a package points outside of the sysroot, to {end}",
                "report it with the version of the package",
            )


def _inside(folder: Path, target: str) -> Path:
    """Return ``target`` of a link in ``folder`` relative to the root, where ``..`` has no effect."""
    parts: list[str] = [] if target.startswith("/") else list(folder.parts)
    for part in Path(target).parts:
        if part == "..":
            parts = parts[:-1]
        elif part not in ("/", "."):
            parts.append(part)
    return Path(*parts)


def _climbs(folder: Path, target: str) -> bool:
    """Return whether a relative ``target`` of a link in ``folder`` leaves the root."""
    depth = len(folder.parts)
    for part in Path(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def cross_file(sysroot: Sysroot) -> str:
    """Return meson's cross file for the project's C programs (meson manual, "Cross compilation").

    The compiler and its flags are those of the build of QEMU.
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
    """Quote ``text`` as a string of meson's language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
