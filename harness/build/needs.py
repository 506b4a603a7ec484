"""List every program and library that the harness requires."""

import platform
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from harness.build.hosts import HOSTS, Host
from harness.options import Options
from harness.platforms import Distribution, distribution, packages_of

Kind = Literal["program", "pkg-config", "header", "archive", "python", "module", "file"]


@dataclass(frozen=True)
class Requirement:
    """One program or library.

    Kinds: ``program`` on PATH, ``pkg-config`` module, C ``header``, static library (``archive``) of the
    compiler, ``python`` distribution in the harness's environment, ``module`` of Python's standard library,
    ``file`` by its absolute path.
    """

    name: str
    kind: Kind
    needed_by: str
    """Stage or option that needs it, for the table."""
    stages: tuple[str, ...]
    _: KW_ONLY
    package: str = ""
    """Packages of the distribution that provide it, from platforms.toml; for kind ``python``, PyPI's."""
    minimum: str = ""
    when: Callable[[Options], bool] | None = None
    """Condition on the options; without options, only ``usual`` ones are needed."""
    usual: bool = False
    unpacks: bool = False
    """Whether it handles Debian's packages: those of the machine's own archive, or of another machine."""

    def applies(self, options: Options | None) -> bool:
        """Return whether it is needed with ``options``."""
        return self.when is None or (self.when(options) if options else self.usual)


def _rusty(options: Options) -> bool:
    return options.rust


def _emulating(target: str) -> Callable[[Options], bool]:
    """Return a condition: guests of ``target`` are run."""
    return lambda options: target in options.targets


def _for_host(host: Host) -> Callable[[Options], bool]:
    """Return a condition: QEMU, or the init of guests that run Linux, is built for ``host``."""
    guest = platform.machine() != host.name

    def needed(options: Options) -> bool:
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
    Requirement("git", "program", "stage tree", ("tree",)),
    Requirement("setpriv", "program", "all stages: ending processes", ("fetch", "tree", "build", "guest")),
    Requirement(
        "apt-get",
        "program",
        "stages fetch and guest: Debian sources, firmware",
        ("fetch", "guest"),
        unpacks=True,
    ),
    Requirement("dpkg-deb", "program", "stage guest: firmware", GUEST, unpacks=True),
    Requirement("gpgv", "program", "stage fetch: signatures", FETCH),
    Requirement("xz", "program", "stage fetch: Debian sources", FETCH),
    Requirement("gcc", "program", "stage build", BUILD),
    Requirement(
        "clang", "program", "-Dcompilers=clang", BUILD, when=lambda options: "clang" in options.compilers
    ),
    Requirement("ar", "program", "stage build", BUILD),
    Requirement("make", "program", "stage build: configure of 7.2", BUILD),
    Requirement("pkg-config", "program", "stage build", BUILD),
    Requirement("bzip2", "program", "stage build: x86_64-softmmu", BUILD),
    # Debian's archives of 10.2 and later lack pc-bios/dtb/*.dtb; meson stops without their compiler.
    Requirement("dtc", "program", "stage build: device trees of 10.2", BUILD),
    Requirement("perl", "program", "stage build: generated text", BUILD),
    Requirement("ccache", "program", "-Dccache=true", BUILD, when=lambda options: options.ccache, usual=True),
    Requirement("distcc", "program", "-Ddistcc=", BUILD, when=lambda options: bool(options.distcc)),
    # The minimum versions are those of QEMU 10.2 (meson.build). Debian 12 has them in rustc-web only.
    *(
        Requirement(name, "program", f"-Drust=true: {oldest} or later", BUILD, minimum=oldest, when=_rusty)
        for name, oldest in (("rustc", "1.83"), ("bindgen", "0.60"))
    ),
    Requirement(
        "libc.a", "archive", "-Dpayload=linux", BUILD, when=lambda options: options.payload != ("paused",)
    ),
    Requirement("stdio.h", "header", "stage build", BUILD),
    # Part of gcc's own package, with the runtime libraries; 7.2's configure silently builds without them.
    Requirement(
        "sanitizer/asan_interface.h",
        "header",
        "-Dprofile=sanitize",
        BUILD,
        when=lambda options: options.profile == "sanitize",
    ),
    # Bookworm's libfdt-dev has no pkg-config file.
    Requirement("libfdt.h", "header", "stage build: device trees", BUILD),
    # The minimum versions are those of QEMU 10.0 (meson.build), which are at least those of 7.2.
    Requirement("glib-2.0", "pkg-config", "stage build", BUILD, minimum="2.66.0"),
    Requirement("pixman-1", "pkg-config", "stage build", BUILD, minimum="0.21.8"),
    Requirement("libseccomp", "pkg-config", "stage build: -sandbox", BUILD, minimum="2.3.0"),
    Requirement("zlib", "pkg-config", "stage build", BUILD),
    Requirement("meson", "python", "options, stage build", BUILD, package="meson"),
    Requirement("ninja", "python", "stage build", BUILD, package="ninja"),
    Requirement("avocado-framework", "python", "stage teardown", GUEST, package="avocado-framework"),
    Requirement("qemu.qmp", "python", "stage guest", GUEST, package="qemu.qmp"),
    # configure of 8.1 and later creates an environment with pip (python/scripts/mkvenv.py, check_ensurepip).
    Requirement(
        "ensurepip",
        "module",
        "-Dpin=10.0: configure creates an environment",
        BUILD,
        when=lambda options: options.pin not in ("7.2", "5.2"),
    ),
    Requirement("libvirtd", "program", "clients: libvirt", CLIENTS),
    *(
        Requirement(
            f"qemu-system-{architecture}",
            "program",
            "-Dpreset=installed",
            INSTALLED,
            when=_emulating(f"{architecture}-softmmu"),
        )
        for architecture in ("x86_64", "s390x")
    ),
    # The client of libvirtd runs under Debian's Python, because the binding is built for it.
    Requirement("/usr/lib/python3/dist-packages/libvirt.py", "file", "clients: libvirt", CLIENTS),
    Requirement("bwrap", "program", "clients: libvirt, bwrap", CLIENTS),
    *(
        Requirement(
            f"{host.cross_prefix}{tool}",
            "program",
            f"-Dhosts={host.name}, -Dpayload=linux for {host.target}",
            BUILD,
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
        if need.applies(options)
        and set(USUAL if stages is None else stages).intersection(need.stages)
        and (not need.unpacks or here.uses_apt or _takes_other_machines(options))
    )
