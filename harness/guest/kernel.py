"""Find Linux kernels for guests: from packages, which are verified and not installed, or of this machine.

A meta package, such as linux-image-s390x, depends on the newest kernel of its suite, whose name contains the
number of the ABI. So the meta package is fetched first, to find the name. The dependencies of a kernel
package (kmod, initramfs-tools) are not fetched, because only its image is booted.
"""

import contextlib
import hashlib
import lzma
import os
import platform
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import FetchError, StorageError
from harness.guest.model import architecture_of
from harness.jsonfile import write_bytes
from harness.layout import Layout
from harness.platforms import distribution, table
from harness.progress import Reporter
from harness.source.packages import fetch_packages

DEBIAN = "debian"
_REAL = re.compile(r"linux-image-\d[a-z0-9.+~-]*")
_IMAGE = re.compile(r"(?:\./)?boot/(vmlinuz-\d[A-Za-z0-9.+~_-]*)")


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Kernel image that QEMU can boot with ``-kernel``. ``release`` is the output of ``uname -r`` in it.

    ``package`` is empty if the image is installed on this machine.
    """

    image: Path
    release: str
    package: str


def fetch_kernel(layout: Layout, reporter: Reporter, target: str) -> Kernel:
    """Return a kernel for guests of ``target``: of the machine's distribution if it has one, else Debian's.

    With apt it is that of a package, which is fetched unless it is in the cache, so all machines of a suite
    boot the same one. Otherwise, or without network, it is an image that is installed on this machine.

    Raises OptionError (no kernel for the target), FetchError (no network, unknown or damaged package, or it
    has no image), VerifyError, StorageError.
    """
    here = distribution()
    native = architecture_of(target).name == platform.machine()
    if not native:
        return _from_package(layout, reporter, target, DEBIAN)
    if not here.uses_apt:
        return installed_kernel() or _from_package(layout, reporter, target, DEBIAN)
    try:
        return _from_package(layout, reporter, target, here.family)
    except FetchError as error:
        if (found := installed_kernel()) is None:
            raise
        reporter.note(f"guests boot {found.image}: {error.cause}")
        return found


def installed_kernel(root: Path = Path("/"), running: str = "") -> Kernel | None:
    """Return the running kernel's image below ``root``, else that of the newest one that can be read.

    Fedora and others have it in /lib/modules; /boot is readable for all users on some distributions only.
    """
    release = running or platform.release()
    found: dict[str, Path] = {}
    for image in (*root.glob("boot/vmlinuz-*"), *root.glob("lib/modules/*/vmlinuz")):
        name = image.parent.name if image.name == "vmlinuz" else image.name.removeprefix("vmlinuz-")
        if os.access(image, os.R_OK) and image.is_file() and "rescue" not in name:
            found[name] = image
    if not found:
        return None

    def rank(name: str) -> tuple[bool, list[int]]:
        return name == release, [int(number) for number in re.findall(r"\d+", name)]

    best = max(found, key=rank)
    return Kernel(image=found[best], release=best, package="")


def _from_package(layout: Layout, reporter: Reporter, target: str, family: str) -> Kernel:
    wanted = architecture_of(target)
    meta = table().families[family].kernels[wanted.name]

    def get(name: str, *, fresh: bool = False) -> Path:
        return fetch_packages(layout, reporter, [name], architecture=wanted.debian, fresh=fresh)[name]

    package = real_package(get(meta))
    try:
        deb = get(package)
    except FetchError as error:
        # The mirror may no longer have the kernel of the cached meta package.
        newer = real_package(get(meta, fresh=True))
        if newer == package:
            raise
        reporter.note(f"{package} is no longer available ({error.cause}); using {newer}")
        package, deb = newer, get(newer)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()[:16]
    image = extract_image(deb, layout.cache / "kernels" / digest)
    return Kernel(image=image, release=image.name.removeprefix("vmlinuz-"), package=package)


def real_package(meta: Path) -> str:
    """Return the kernel package that the meta package ``meta`` depends on. Raises FetchError."""
    from debian.deb822 import PkgRelation  # noqa: PLC0415

    with _opened(meta) as deb:
        depends = str(deb.debcontrol().get("Depends", ""))
    names = [relation["name"] for either in PkgRelation.parse_relations(depends) for relation in either]
    found = next((name for name in names if _REAL.fullmatch(name)), None)
    if found is None:
        raise FetchError(
            f"{meta.name} depends on no kernel (Depends: {depends or 'empty'})", "report it with the package"
        )
    return str(found)


def extract_image(deb: Path, folder: Path) -> Path:
    """Extract the ``boot/vmlinuz-*`` of ``deb`` into ``folder``. Raises FetchError, StorageError."""
    existing = sorted(folder.glob("vmlinuz-*"))
    if existing:
        return existing[0]
    name, content = _read_image(deb)
    write_bytes(folder / name, content)
    return folder / name


def _read_image(deb: Path) -> tuple[str, bytes]:
    """Return name and bytes of the image. Reading stops there, because the modules take 100 MB."""
    with _opened(deb) as package:
        for member in package.data.tgz():
            found = _IMAGE.fullmatch(str(member.name))
            if found and member.isfile():
                return found[1], package.data.tgz().extractfile(member).read()
    raise FetchError(f"{deb.name} has no boot/vmlinuz-*", "report it with the package")


@contextlib.contextmanager
def _opened(deb: Path) -> Iterator[Any]:
    """Open ``deb`` with python-debian; convert its errors to FetchError."""
    from debian.arfile import ArError  # noqa: PLC0415
    from debian.debfile import DebFile  # noqa: PLC0415

    broken = (ArError, OSError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError, KeyError)
    try:
        with deb.open("rb") as stream, DebFile(fileobj=stream) as package:
            yield package
    except broken as error:
        if isinstance(error, OSError) and error.errno is not None:  # python-debian's own have no number
            raise StorageError(f"cannot read {deb}: {error}", "check the disk and the permissions") from error
        raise FetchError(
            f"{deb.name} is damaged: {error or type(error).__name__}", f"remove {deb} and run again"
        ) from error
