"""Plan the commands that build a checkout. This module runs nothing and does not inspect the machine.

The switches of the tree's configure are in configure.py, hosts in hosts.py.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.build.configure import Configure
from harness.build.devices import ALL, GUESTS, NO_DEVICES, SETS, device_switches
from harness.build.devices import SWITCHES as DEVICE_SWITCHES
from harness.build.hosts import HOSTS, Host
from harness.build.result import Command
from harness.build.sysroot import Sysroot
from harness.errors import OptionError
from harness.layout import Layout
from harness.process import shell_quote

PASSED_ON = ("CFLAGS", "CPPFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "LD_LIBRARY_PATH")
"""Variables of the user's environment that change a build; their values are part of the fingerprint."""

SANITIZE_SWITCHES = ("--disable-werror",)
"""Instrumentation causes more warnings of gcc, and a git checkout is built with -Werror by default."""

SANITIZE_FLAGS = ("-fsanitize=address", "-fsanitize=undefined")
"""Flags that compiler commands must contain: 7.2's configure silently omits sanitizers it cannot use."""

SANITIZE_ENV = {"ASAN_OPTIONS": "detect_leaks=0"}
"""QEMU does not free memory when it exits, even after ``--version``, so LeakSanitizer would always fail."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Programs that a build uses."""

    compiler: Path
    compiler_version: str
    ninja: Path
    meson: Path
    meson_version: str
    python: Path
    """Python that can import meson."""
    python_digest: str
    """Digest of the version and packages of ``python``."""
    ccache: Path | None = None
    features: tuple[str, ...] = ()
    """Switches of features whose library is installed for the host, as in OPTIONAL."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What a build has beyond the binaries of its targets in the usual configuration."""

    switches: tuple[str, ...] = ()
    """Further switches of configure, such as ``--enable-curl``."""
    default_features: bool = False
    """Whether every feature is on whose library is found."""
    goals: tuple[str, ...] = ()
    """Further goals of ninja, such as ``qemu-img``."""
    compiler: str = "gcc"
    """Another compiler has a build folder of its own."""
    exact: bool = False
    """Whether targets that were configured earlier in the folder are given up."""


NO_EXTRA = Extra()
DEPEND = {"CCACHE_DEPEND": "1"}
"""ccache(1), "The depend mode": files that are not in the cache are not preprocessed in addition, which takes
a quarter of the time. Files that include changed headers are compiled again, even if what they include is the
same in the end; trace points would change many headers with the variant's path."""
NO_DEBUG = "--disable-debug-info"
LEFT_OUT = {
    NO_DEVICES: "devices that timed guests do not use and trace points (-Ddevices=all)",
    NO_DEBUG: "debug information (-Ddebug=true)",
}


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Request for a build, independent of the machine's tools."""

    tree: str
    label: str
    commit: str
    version: str
    source: Path
    configure: Configure
    configure_digest: str
    """Digest of the files that configure reads and that ninja does not watch."""
    targets: tuple[str, ...]
    host: str = "native"
    profile: str = "release"
    rust: bool = False
    devices: str = ALL
    """GUESTS or ALL of harness.build.devices."""
    debug: bool = False
    sysroot: Sysroot | None = None
    """Libraries of a cross-built host."""
    jobs: int = 1
    extra: Extra = NO_EXTRA


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """Commands of one build. ``fingerprint`` is a digest of all inputs of configure except the targets."""

    folder: Path
    source: Path
    targets: tuple[str, ...]
    configure: tuple[str, ...]
    ninja: tuple[str, ...]
    env: dict[str, str]
    fingerprint: str
    machine: str
    """Required machine in the binaries' ELF header; empty for native binaries, which are run instead."""
    path: tuple[Path, ...]
    """Folders that are added at the beginning of PATH."""
    tools: tuple[Path, ...]
    """Programs whose path build.ninja contains."""
    demanded: tuple[str, ...] = ()
    """Texts that build.ninja must contain."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What QEMU's defaults would add, and the option that adds it."""
        return tuple(text for switch, text in LEFT_OUT.items() if switch in self.configure)

    def binary(self, target: str) -> Path:
        """Return the path of the binary of ``target``."""
        return self.folder / binary_name(target)

    def commands(self) -> tuple[Command, ...]:
        """Return both commands for build.json."""
        return tuple(
            Command(
                purpose=purpose,
                folder=str(self.folder),
                env=dict(self.env),
                argv=argv,
                shell=f"cd {shlex.quote(str(self.folder))} && PATH="
                + ":".join(shlex.quote(str(folder)) for folder in self.path)
                + ":$PATH "
                + "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(self.env.items()))
                + shell_quote(argv),
            )
            for purpose, argv in (("configure", self.configure), ("compile", self.ninja))
        )


def make_plan(request: BuildRequest, tools: Tools, layout: Layout, environ: Mapping[str, str]) -> BuildPlan:
    """Return the plan of ``request``. ``environ`` is the user's environment.

    Raises OptionError (unknown host, no Rust), ConfigureError for a release that is not supported.
    """
    if request.host not in HOSTS:
        raise OptionError(f"-Dhosts: unknown host {request.host!r}", f"known hosts: {' '.join(HOSTS)}")
    host, configure = HOSTS[request.host], request.configure
    root = layout.build_root(request.tree, request.label)
    folder = root / folder_name(host.name, request.profile, request.extra.compiler, request.devices)
    sanitize = request.profile == "sanitize"
    compiler = f"{tools.ccache} {tools.compiler}" if tools.ccache else str(tools.compiler)
    switches = (
        *configure.switches(default_features=request.extra.default_features),
        *(switch for switch in tools.features if configure.knows(switch)),
        *request.extra.switches,
        *((*configure.sanitize, *SANITIZE_SWITCHES) if sanitize else ()),
        *(configure.rust() if request.rust else ()),
        *(DEVICE_SWITCHES if request.devices == GUESTS else ()),
        # A tenth of the time of a build. A sanitizer names lines of the sources.
        *((NO_DEBUG,) if configure.knows(NO_DEBUG) and not (request.debug or sanitize) else ()),
        *host.switches,
        *_cross_switches(host, request.sysroot),
        f"--cc={compiler}",
        *((f"--host-cc={compiler}",) if not host.cross_prefix else ()),
        # Shows the variant in `--version`. Without it QEMU asks git, and files are compiled again at each
        # commit (scripts/qemu-version.sh).
        f"--with-pkgversion=harness-{request.label}{'-sanitize' if sanitize else ''}",
    )
    # Not part of the fingerprint: an environment with the same versions does not require a new configure.
    own_tools = (
        f"--meson={tools.meson}" if configure.takes_meson else f"--python={tools.python}",
        f"--ninja={tools.ninja}",
    )
    env = {
        **(SANITIZE_ENV if sanitize else {}),
        **(request.sysroot.pkg_config if request.sysroot else {}),
        **(_ccache_environment(layout, root, folder) if tools.ccache else {}),
        **(DEPEND if tools.ccache and request.devices == GUESTS else {}),
    }
    named = (
        switches,
        *([SETS] if request.devices == GUESTS else []),
        sorted(env.items()),
        {name: environ.get(name, "") for name in PASSED_ON},
        request.version,
        request.configure_digest,
        str(tools.compiler),
        tools.compiler_version,
        tools.meson_version,
        tools.python_digest,
    )
    return BuildPlan(
        folder=folder,
        source=request.source,
        targets=request.targets,
        # The relative path of the sources is the same in each variant's build folder (Layout.build_root).
        configure=("../src/configure", *switches, *own_tools, *_target_list(request)),
        ninja=(str(tools.ninja), f"-j{request.jobs}", *_goals(request)),
        env=env,
        fingerprint=hashlib.sha256(json.dumps(named).encode()).hexdigest(),
        machine=host.machine,
        path=(tools.python.parent,),
        tools=(tools.python, *((tools.meson,) if configure.takes_meson else ())),
        demanded=SANITIZE_FLAGS if sanitize else (),
    )


def _target_list(request: BuildRequest) -> tuple[str, ...]:
    """Return the switches for the targets; without any, configure takes all that the tree has."""
    if not request.targets:
        return ()
    devices = device_switches(request.targets) if request.devices == GUESTS else ()
    return (f"--target-list={','.join(request.targets)}", *devices)


def _goals(request: BuildRequest) -> tuple[str, ...]:
    return (*map(binary_name, request.targets), *request.extra.goals)


def folder_name(host: str, profile: str, compiler: str = "gcc", devices: str = ALL) -> str:
    """Return the name of the build folder next to ``src``.

    Each profile, compiler and choice of devices has a separate one.
    """
    usual = {"release", "gcc", ALL}
    return "-".join((host, *(word for word in (profile, compiler, devices) if word not in usual)))


def binary_name(target: str) -> str:
    """Convert ``x86_64-softmmu`` to ``qemu-system-x86_64``, and ``arm-linux-user`` to ``qemu-arm``."""
    if target.endswith("-linux-user"):
        return f"qemu-{target.removesuffix('-linux-user')}"
    return f"qemu-system-{target.removesuffix('-softmmu')}"


def target_name(binary: str) -> str:
    """Convert ``qemu-system-x86_64`` to ``x86_64-softmmu``, and ``qemu-arm`` to ``arm-linux-user``."""
    system = binary.removeprefix("qemu-system-")
    return f"{system}-softmmu" if system != binary else f"{binary.removeprefix('qemu-')}-linux-user"


def _cross_switches(host: Host, sysroot: Sysroot | None) -> tuple[str, ...]:
    """Return the switches for a cross build: prefix of the tools, and the sysroot with the libraries.

    Programs that run during the build are compiled by this machine's ``cc``.
    """
    if sysroot is None:
        return ()
    return (
        f"--cross-prefix={host.cross_prefix}",
        f"--extra-cflags={sysroot.flag}",
        f"--extra-ldflags={sysroot.flag}",
    )


def _ccache_environment(layout: Layout, root: Path, folder: Path) -> dict[str, str]:
    """Return settings that let variants share compiled files (ccache(1), "Sharing a local cache").

    Paths below ``root`` are hashed relative to the build folder. The build folder, which is part of debug
    information, is not hashed: gdb shows the sources of the variant that compiled a file first. The compiler
    is identified by its bytes, so that a cache can be used on several machines.
    """
    return {
        "CCACHE_DIR": str(layout.ccache),
        "CCACHE_BASEDIR": str(root),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_COMPILERCHECK": "content",
        "CCACHE_MAXSIZE": "5G",
        # Generated headers are only seconds old. Ignoring that is safe: ninja generates them before their
        # users are compiled, and ccache still hashes their bytes.
        "CCACHE_SLOPPINESS": "include_file_mtime,include_file_ctime",
        "CCACHE_STATSLOG": str(folder / "ccache-stats.log"),
    }
