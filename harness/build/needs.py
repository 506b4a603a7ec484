"""List every program and library that the harness requires."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from harness.build.hosts import HOSTS, Host
from harness.options import Options
from harness.platforms import Distribution, distribution, packages_of

Kind = Literal["program", "pkg-config", "header", "archive", "python", "module", "file"]


def _always(_options: Options | None) -> bool:
    return True


def _with_ccache(options: Options | None) -> bool:
    return options is None or options.ccache


def _distributing(options: Options | None) -> bool:
    return options is not None and bool(options.distcc)


def _rusty(options: Options | None) -> bool:
    return options is not None and options.rust


def _with_clang(options: Options | None) -> bool:
    return options is not None and "clang" in options.compilers


def _sanitizing(options: Options | None) -> bool:
    return options is not None and options.profile == "sanitize"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One program or library.

    Kinds: ``program`` on PATH, ``pkg-config`` module, C ``header``, static library (``archive``) of the
    compiler, ``python`` distribution in the harness's environment, ``module`` of Python's standard library,
    ``file`` by its absolute path.
    """

    name: str
    kind: Kind
    package: str = ""
    """Packages of the distribution that provide it, from platforms.toml; for kind ``python``, PyPI's."""
    needed_by: str
    """Stage or option that needs it, for the table."""
    stages: tuple[str, ...]
    minimum: str = ""
    when: Callable[[Options | None], bool] = _always
    unpacks: bool = False
    """Whether it handles Debian's packages: those of the machine's own archive, or of another machine."""


def _emulating(target: str) -> Callable[[Options | None], bool]:
    """Return a condition: guests of ``target`` are run."""
    return lambda options: options is not None and target in options.targets


def _for_host(host: Host) -> Callable[[Options | None], bool]:
    """Return a condition: QEMU, or the init of guests that run Linux, is built for ``host``."""
    guest = platform.machine() != host.name

    def needed(options: Options | None) -> bool:
        if options is None:
            return False
        linux = guest and options.payload != ("paused",) and host.target in options.targets
        return linux or host.name in options.hosts

    return needed


BUILD, FETCH = ("build",), ("fetch",)
GUEST = ("guest",)
CLIENTS = ("clients",)
INSTALLED = ("installed",)
USUAL = ("fetch", "tree", "build", "guest")
"""Default stages. Requirements of a single session, such as clients, are installed for that session only."""

REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(name="git", kind="program", needed_by="stage tree", stages=("tree",)),
    Requirement(
        name="setpriv",
        kind="program",
        needed_by="all stages: ending processes",
        stages=("fetch", "tree", "build", "guest"),
    ),
    Requirement(
        name="apt-get",
        kind="program",
        needed_by="stages fetch and guest: Debian sources, firmware",
        stages=("fetch", "guest"),
        unpacks=True,
    ),
    Requirement(
        name="dpkg-deb", kind="program", needed_by="stage guest: firmware", stages=GUEST, unpacks=True
    ),
    Requirement(name="gpgv", kind="program", needed_by="stage fetch: signatures", stages=FETCH),
    Requirement(name="xz", kind="program", needed_by="stage fetch: Debian sources", stages=FETCH),
    Requirement(name="gcc", kind="program", needed_by="stage build", stages=BUILD),
    Requirement(name="clang", kind="program", needed_by="-Dcompilers=clang", stages=BUILD, when=_with_clang),
    Requirement(name="ar", kind="program", needed_by="stage build", stages=BUILD),
    Requirement(name="make", kind="program", needed_by="stage build: configure of 7.2", stages=BUILD),
    Requirement(name="pkg-config", kind="program", needed_by="stage build", stages=BUILD),
    Requirement(name="bzip2", kind="program", needed_by="stage build: x86_64-softmmu", stages=BUILD),
    # Debian's archives of 10.2 and later lack pc-bios/dtb/*.dtb; meson stops without their compiler.
    Requirement(name="dtc", kind="program", needed_by="stage build: device trees of 10.2", stages=BUILD),
    Requirement(name="perl", kind="program", needed_by="stage build: generated text", stages=BUILD),
    Requirement(name="ccache", kind="program", needed_by="-Dccache=true", stages=BUILD, when=_with_ccache),
    Requirement(name="distcc", kind="program", needed_by="-Ddistcc=", stages=BUILD, when=_distributing),
    # The minimum versions are those of QEMU 10.2 (meson.build). Debian 12 has them in rustc-web only.
    Requirement(
        name="rustc",
        kind="program",
        needed_by="-Drust=true: 1.83 or later",
        stages=BUILD,
        minimum="1.83.0",
        when=_rusty,
    ),
    Requirement(
        name="bindgen",
        kind="program",
        needed_by="-Drust=true: 0.60 or later",
        stages=BUILD,
        minimum="0.60.0",
        when=_rusty,
    ),
    Requirement(
        name="libc.a",
        kind="archive",
        needed_by="-Dpayload=linux",
        stages=BUILD,
        when=lambda options: options is not None and options.payload != ("paused",),
    ),
    Requirement(name="stdio.h", kind="header", needed_by="stage build", stages=BUILD),
    # Part of gcc's own package, with the runtime libraries; 7.2's configure silently builds without them.
    Requirement(
        name="sanitizer/asan_interface.h",
        kind="header",
        needed_by="-Dprofile=sanitize",
        stages=BUILD,
        when=_sanitizing,
    ),
    # Bookworm's libfdt-dev has no pkg-config file.
    Requirement(name="libfdt.h", kind="header", needed_by="stage build: device trees", stages=BUILD),
    # The minimum versions are those of QEMU 10.0 (meson.build), which are at least those of 7.2.
    Requirement(name="glib-2.0", kind="pkg-config", needed_by="stage build", stages=BUILD, minimum="2.66.0"),
    Requirement(name="pixman-1", kind="pkg-config", needed_by="stage build", stages=BUILD, minimum="0.21.8"),
    Requirement(
        name="libseccomp", kind="pkg-config", needed_by="stage build: -sandbox", stages=BUILD, minimum="2.3.0"
    ),
    Requirement(name="zlib", kind="pkg-config", needed_by="stage build", stages=BUILD),
    Requirement(name="meson", kind="python", package="meson", needed_by="options, stage build", stages=BUILD),
    Requirement(name="ninja", kind="python", package="ninja", needed_by="stage build", stages=BUILD),
    Requirement(
        name="avocado-framework",
        kind="python",
        package="avocado-framework",
        needed_by="stage teardown",
        stages=GUEST,
    ),
    Requirement(name="qemu.qmp", kind="python", package="qemu.qmp", needed_by="stage guest", stages=GUEST),
    # configure of 8.1 and later creates an environment with pip (python/scripts/mkvenv.py, check_ensurepip).
    Requirement(
        name="ensurepip",
        kind="module",
        needed_by="-Dpin=10.0: configure creates an environment",
        stages=BUILD,
        when=lambda options: options is not None and options.pin not in ("7.2", "5.2"),
    ),
    Requirement(name="libvirtd", kind="program", needed_by="clients: libvirt", stages=CLIENTS),
    *(
        Requirement(
            name=f"qemu-system-{architecture}",
            kind="program",
            needed_by="-Dpreset=installed",
            stages=INSTALLED,
            when=_emulating(f"{architecture}-softmmu"),
        )
        for architecture in ("x86_64", "s390x")
    ),
    # The client of libvirtd runs under Debian's Python, because the binding is built for it.
    Requirement(
        name="/usr/lib/python3/dist-packages/libvirt.py",
        kind="file",
        needed_by="clients: libvirt",
        stages=CLIENTS,
    ),
    Requirement(name="bwrap", kind="program", needed_by="clients: libvirt, bwrap", stages=CLIENTS),
    *(
        Requirement(
            name=f"{host.cross_prefix}{tool}",
            kind="program",
            needed_by=f"-Dhosts={host.name}, -Dpayload=linux for {host.target}",
            stages=BUILD,
            when=_for_host(host),
        )
        for host in HOSTS.values()
        if host.is_cross
        for tool in ("gcc", "strip")
    ),
)


def _takes_other_machines(options: Options | None) -> bool:
    """Whether libraries or kernels of another architecture are fetched, which are Debian's."""
    if options is None:
        return False
    foreign = {host.target for host in HOSTS.values() if host.is_cross and host.name != platform.machine()}
    linux = options.payload != ("paused",) and bool(foreign.intersection(options.targets))
    return linux or any(HOSTS[name].is_cross for name in options.hosts)


def provided(need: Requirement, where: Distribution) -> Requirement:
    """Return ``need`` with its packages in the distribution ``where``; an unknown one is taken for Debian."""
    if need.package:
        return need
    known = where if where.facts else Distribution(family="debian")
    packages = packages_of(need.name, known, module=need.kind == "pkg-config")
    return replace(need, package=" ".join(packages))


def requirements(
    options: Options | None = None,
    stages: tuple[str, ...] | None = None,
    *,
    where: Distribution | None = None,
) -> tuple[Requirement, ...]:
    """Return the requirements of ``options`` in any of ``stages`` (default: USUAL), as ``where`` has them."""
    here = where or distribution()
    return tuple(
        provided(need, here)
        for need in REQUIREMENTS
        if need.when(options)
        and set(USUAL if stages is None else stages).intersection(need.stages)
        and (not need.unpacks or here.uses_apt or _takes_other_machines(options))
    )
