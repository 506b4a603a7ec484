"""What a tree's configure knows: its switches and its Python packages, read from the tree."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigureError, OptionError

SCRIPTS = ("configure", "scripts/meson-buildoptions.sh")
"""The switches of configure itself, and those that it generates from meson_options.txt."""
DEPENDENCIES = "pythondeps.toml"
GROUP, RUST_GROUP = "meson", "meson-rust"
"""The packages that configure installs always, and those that it installs for Rust."""
RUST_MESON = "meson==1.9.0"
"""For Rust in a release without RUST_GROUP, which accepts this version too."""

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
"""Features that guests need; this takes a quarter of QEMU's default compile steps."""
OLDEST = (7, 2)
"""The oldest release that is built; patches can be tried on older ones. 5.2's configure, for one, knows no
--without-default-features. A tree that was never released is judged by its switches alone."""
OFFLINE = ("--disable-download", "--with-git-submodules=ignore")
"""No network: the first from 8.1 on. Before that configure fetches submodules if the sources contain .git,
although archives contain their files."""


@dataclass(frozen=True, kw_only=True)
class Configure:
    """The configure script of a tree. ``packages`` are exact Python requirements, without those it brings
    along; ``rust_packages`` are those for a build with Rust."""

    text: str
    packages: tuple[str, ...]
    rust_packages: tuple[str, ...] = ()

    def knows(self, switch: str) -> bool:
        """Return whether configure accepts ``switch``, with or without a value."""
        return re.search(rf"(?<![\w-]){re.escape(switch.partition('=')[0])}(?![\w-])", self.text) is not None

    @property
    def takes_meson(self) -> bool:
        """Whether ``--meson=`` specifies meson; else ``--python=`` specifies a Python that has it."""
        return self.knows("--meson")

    def switches(self, *, default_features: bool = False) -> tuple[str, ...]:
        """Return the switches of every build. With ``default_features``, every feature is on whose library is
        found. Raises ConfigureError for a release with other ones, such as 5.2."""
        unknown = [switch for switch in SWITCHES if not self.knows(switch)]
        if unknown:
            raise ConfigureError(
                f"this release cannot be built: its configure does not know {' '.join(unknown)}",
                "use 7.2 or later; older releases can be fetched, and patches tried on them",
            )
        chosen = SWITCHES[1:] if default_features else SWITCHES
        return (*chosen, *(switch for switch in OFFLINE if self.knows(switch)))

    def rust(self) -> tuple[str, ...]:
        """Return the switches that enable Rust. Raises OptionError for a release without it."""
        if not self.knows("--enable-rust"):
            raise OptionError(
                "-Drust=true: this release has no Rust", "omit the option, or choose 9.2 or later with -Dpin="
            )
        return ("--enable-rust",)

    @property
    def sanitize(self) -> tuple[str, ...]:
        """The switches that enable the address and undefined behaviour sanitizers."""
        if self.knows("--enable-asan"):  # from 9.2 on
            return ("--enable-asan", "--enable-ubsan")
        # 7.2's test for UBSan reads uninitialized memory. gcc 12 warns, the test fails, UBSan is disabled.
        return ("--enable-sanitizers", "--extra-cflags=-Wno-maybe-uninitialized")


def read_configure(source: Path) -> Configure:
    """Read the configure script below ``source``. Raises ConfigureError if there is none."""
    texts = []
    for name in SCRIPTS:
        try:
            texts.append((source / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    if not texts:
        raise ConfigureError(f"{source} has no configure script", "remove the folder and run again")
    packages = _packages(source, GROUP)
    rust = {name: text for name, text in packages.items() if name != "meson"}
    rust |= _packages(source, RUST_GROUP, {"meson": RUST_MESON} if "meson" in packages else {})
    return Configure(
        text="\n".join(texts),
        packages=tuple(sorted(packages.values())),
        rust_packages=tuple(sorted(rust.values())),
    )


def _packages(source: Path, group: str, default: Mapping[str, str] | None = None) -> dict[str, str]:
    """The packages of ``group`` in pythondeps.toml that python/wheels does not contain, else ``default``.

    Each by its name and in the version that the tree installs by itself, so no version has to be declared
    for a release.
    """
    try:
        groups = tomllib.loads((source / DEPENDENCIES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigureError(f"cannot read {source / DEPENDENCIES}: {error}", "correct the file") from error
    if group not in groups:
        return dict(default or {})
    found = {}
    for name, facts in groups[group].items():
        wheels = (source / "python" / "wheels").glob(f"{name.replace('-', '_')}-*.whl")
        if "installed" in facts and not any(wheels):
            found[name] = f"{name}=={facts['installed']}"
        elif "accepted" in facts and "installed" not in facts:
            found[name] = f"{name}{facts['accepted']}"
    return found


def user_targets(source: Path) -> tuple[str, ...]:
    """Return the targets of user emulation that the sources below ``source`` have for Linux."""
    return tuple(sorted(path.stem for path in (source / "configs" / "targets").glob("*-linux-user.mak")))


def base_of_target(source: Path, target: str) -> str:
    """Return the folder below target/ of ``target``, such as ``i386`` for ``x86_64-softmmu``."""
    try:
        text = (source / "configs" / "targets" / f"{target}.mak").read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    named = re.search(r"^TARGET_BASE_ARCH=(\w+)$", text, re.MULTILINE)
    return named[1] if named else target.partition("-")[0]


def is_too_old(name: str) -> bool:
    """Return whether a pin called ``name``, after its release, is older than the oldest one that is built."""
    release = re.match(r"(\d+)\.(\d+)", name)
    return release is not None and (int(release[1]), int(release[2])) < OLDEST


def why_not_built(source: Path) -> str:
    """Return why the sources below ``source`` cannot be built; empty if they can."""
    try:
        read_configure(source).switches()
    except ConfigureError as error:
        return error.cause
    return ""
