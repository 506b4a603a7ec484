"""What will be run to build a checkout. Nothing here runs anything or looks at the machine.

Releases and hosts are data: a new release that configures alike needs no line, one that does not needs a
``Dialect``; hosts are in hosts.py.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.build.hosts import HOSTS, Host
from harness.build.result import Command
from harness.build.sysroot import Sysroot
from harness.errors import ConfigureError, OptionError
from harness.layout import Layout
from harness.process import shell_quote

PASSED_ON = ("CFLAGS", "CPPFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "LD_LIBRARY_PATH")
"""Variables of the user's environment that change a build; what they hold is part of the fingerprint."""

SWITCHES = (
    "--without-default-features",
    "--enable-system",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-seccomp",
    "--enable-fdt=system",
    "--disable-docs",
    "--disable-install-blobs",
)
"""Only what guests need: a quarter of QEMU's default compile steps."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How QEMU's configure is spoken to, from release ``since`` on."""

    since: tuple[int, int]
    switches: tuple[str, ...]
    meson_switch: bool
    """True: ``--meson=`` names a meson. False: ``--python=`` names a Python that has one."""
    sanitize: tuple[str, ...]
    """What switches the address and undefined behaviour sanitizers on."""


DIALECTS = (
    # 7.2 takes --meson or --python, not both (configure, "Meson not found"); with a .git beside the
    # sources it would fetch submodules, whose content the archives carry.
    Dialect(
        since=(7, 2),
        switches=("--with-git-submodules=ignore",),
        meson_switch=True,
        # Its test for UBSan reads uninitialized memory, of which gcc 12 warns, and goes on without UBSan.
        sanitize=("--enable-sanitizers", "--extra-cflags=-Wno-maybe-uninitialized"),
    ),
    # 8.1 began to make a Python environment of its own, nested in the one that --python names
    # (python/scripts/mkvenv.py), and dropped --meson. --disable-download keeps it off the network.
    Dialect(
        since=(8, 1),
        switches=("--disable-download",),
        meson_switch=False,
        sanitize=("--enable-sanitizers",),
    ),
    # 9.2 has a switch for each sanitizer (meson_options.txt).
    Dialect(
        since=(9, 2),
        switches=("--disable-download",),
        meson_switch=False,
        sanitize=("--enable-asan", "--enable-ubsan"),
    ),
)

SANITIZE_SWITCHES = ("--disable-werror",)
"""gcc warns of more when it instruments, and a checkout of git builds with -Werror by default."""

SANITIZE_FLAGS = ("-fsanitize=address", "-fsanitize=undefined")
"""What compiler commands must hold then: configure of 7.2 leaves out silently what it thinks impossible."""

SANITIZE_ENV = {"ASAN_OPTIONS": "detect_leaks=0"}
"""QEMU frees nothing at its end, not even after ``--version``: LeakSanitizer would fail each program."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The programs that a build uses, found once."""

    compiler: Path
    compiler_version: str
    ninja: Path
    meson: Path
    meson_version: str
    python: Path
    """A Python that can import meson."""
    python_digest: str
    """Changes when ``python`` has other packages."""
    ccache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What is to be built, free of anything that this machine decides."""

    tree: str
    label: str
    commit: str
    version: str
    source: Path
    configure_digest: str
    """Digest of the files that configuring reads and ninja does not watch."""
    targets: tuple[str, ...]
    host: str = "native"
    profile: str = "release"
    sysroot: Sysroot | None = None
    """The libraries of a host that is not this machine."""
    jobs: int = 1


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """The commands of one build. ``fingerprint`` stands for all that configuring depends on but targets."""

    folder: Path
    source: Path
    targets: tuple[str, ...]
    configure: tuple[str, ...]
    ninja: tuple[str, ...]
    env: dict[str, str]
    fingerprint: str
    machine: str
    """What the binaries' ELF header must say; empty when they run here and can be asked themselves."""
    path: tuple[Path, ...]
    """Folders that come first on PATH."""
    tools: tuple[Path, ...]
    """Programs that build.ninja will name by their path."""
    demanded: tuple[str, ...] = ()
    """What must be in the build.ninja that configure makes."""

    def binary(self, target: str) -> Path:
        """Where ``target``'s binary will be."""
        return self.folder / binary_name(target)

    def commands(self) -> tuple[Command, ...]:
        """Both commands, for the record."""
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
    """The plan of ``request``. ``environ`` is the user's environment.

    Raises OptionError for an unknown host, ConfigureError for a release whose configure is not spoken.
    """
    if request.host not in HOSTS:
        raise OptionError(f"-Dhosts: there is no host {request.host!r}", f"known are: {' '.join(HOSTS)}")
    host = HOSTS[request.host]
    dialect = find_dialect(request.version)
    root = layout.build_root(request.tree, request.label)
    folder = root / folder_name(host.name, request.profile)
    sanitize = request.profile == "sanitize"
    compiler = f"{tools.ccache} {tools.compiler}" if tools.ccache else str(tools.compiler)
    switches = (
        *SWITCHES,
        *dialect.switches,
        *((*dialect.sanitize, *SANITIZE_SWITCHES) if sanitize else ()),
        *host.switches,
        *_cross_switches(host, request.sysroot),
        f"--cc={compiler}",
        *((f"--host-cc={compiler}",) if not host.cross_prefix else ()),
        # Says in `--version` which variant runs, and keeps QEMU from asking git, whose answer would
        # recompile files at each commit (scripts/qemu-version.sh).
        f"--with-pkgversion=harness-{request.label}{'-sanitize' if sanitize else ''}",
    )
    # Not part of the fingerprint: another environment with the same versions is no reason to configure.
    own_tools = (
        f"--meson={tools.meson}" if dialect.meson_switch else f"--python={tools.python}",
        f"--ninja={tools.ninja}",
    )
    env = {
        **(SANITIZE_ENV if sanitize else {}),
        **(request.sysroot.pkg_config if request.sysroot else {}),
        **(_ccache_environment(layout, root, folder) if tools.ccache else {}),
    }
    named = (
        switches,
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
        # A relative path: the sources lie the same way from each variant's build, see Layout.build_root.
        configure=("../src/configure", *switches, *own_tools, f"--target-list={','.join(request.targets)}"),
        ninja=(str(tools.ninja), f"-j{request.jobs}", *(binary_name(target) for target in request.targets)),
        env=env,
        fingerprint=hashlib.sha256(json.dumps(named).encode()).hexdigest(),
        machine=host.machine,
        path=(tools.python.parent,),
        tools=(tools.python, tools.meson),
        demanded=SANITIZE_FLAGS if sanitize else (),
    )


def find_dialect(version: str) -> Dialect:
    """How to speak to the configure of release ``version``. Raises ConfigureError when nobody here can."""
    words = version.split(".")
    number = (int(words[0]), int(words[1])) if len(words) > 1 and all(map(str.isdigit, words[:2])) else (0, 0)
    spoken = [dialect for dialect in DIALECTS if dialect.since <= number]
    if not spoken:
        oldest = ".".join(map(str, DIALECTS[0].since))
        raise ConfigureError(
            f"QEMU {version} cannot be configured: its switches differ from those of {oldest} and later",
            "choose another pin with -Dpin=",
        )
    return max(spoken, key=lambda dialect: dialect.since)


def folder_name(host: str, profile: str) -> str:
    """The build folder beside ``src``: a profile has one of its own, and disturbs no other build."""
    return host if profile == "release" else f"{host}-{profile}"


def binary_name(target: str) -> str:
    """``x86_64-softmmu`` → ``qemu-system-x86_64``."""
    return f"qemu-system-{target.removesuffix('-softmmu')}"


def _cross_switches(host: Host, sysroot: Sysroot | None) -> tuple[str, ...]:
    """What makes configure build for ``host``. Its tools are found by their prefix, its libraries below
    ``sysroot``; programs that run during the build are made by this machine's ``cc``."""
    if sysroot is None:
        return ()
    return (
        f"--cross-prefix={host.cross_prefix}",
        f"--extra-cflags={sysroot.flag}",
        f"--extra-ldflags={sysroot.flag}",
    )


def _ccache_environment(layout: Layout, root: Path, folder: Path) -> dict[str, str]:
    """Settings that let variants share results (ccache(1), "Sharing a local cache").

    Paths below ``root`` are hashed relative to the build folder, and the folder itself, which debug
    information names, is not hashed: gdb shows the sources of the variant that compiled a file first.
    The compiler is known by its bytes, so that a cache can move between machines.
    """
    return {
        "CCACHE_DIR": str(layout.ccache),
        "CCACHE_BASEDIR": str(root),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_COMPILERCHECK": "content",
        "CCACHE_MAXSIZE": "5G",
        # Generated headers are only seconds old; ninja orders them before their users, so that their
        # bytes, which are hashed all the same, decide.
        "CCACHE_SLOPPINESS": "include_file_mtime,include_file_ctime",
        "CCACHE_STATSLOG": str(folder / "ccache-stats.log"),
    }
