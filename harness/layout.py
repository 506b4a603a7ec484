"""Paths inside the checkout or the folder of an installed harness, and in the cache outside it."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harness.errors import OptionError

SHIPPED = "shipped"
"""Folder of the installed package with the files of a checkout (pyproject.toml, force-include)."""
QEMU_FILES = ("VERSION", "configure", "meson.build", "qemu-options.hx")
"""Files at the top of QEMU's sources."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one checkout. ``cache`` is shared by all checkouts of the user.

    An installed harness has no checkout: ``root`` is a folder in the user's state folder instead, and the
    files that a checkout contains are in ``shipped``, below the package.
    """

    root: Path
    build: Path
    trees: Path
    cache: Path
    shipped: Path | None = None
    clone: Path | None = None
    """The QEMU clone that the command was started in."""

    @property
    def files(self) -> Path:
        """The folder with the project's files: pins, options, patches, avocado tests."""
        return self.shipped or self.root

    @property
    def start(self) -> Path:
        """The folder that relative paths of options start from."""
        return Path.cwd() if self.shipped else self.root

    @property
    def pins_file(self) -> Path:
        return self.files / "qemu-src" / "pins.toml"

    @property
    def patches(self) -> Path:
        return self.root / "patches"

    def series(self, name: str) -> Path:
        """The folder of the series ``name``: the user's, or the one that an installed harness contains."""
        own, shipped = self.patches / name, self.files / "patches" / name
        return shipped if shipped.is_dir() and not own.is_dir() else own

    @property
    def results(self) -> Path:
        return self.build / "results"

    @property
    def logs(self) -> Path:
        return self.build / "logs"

    @property
    def downloads(self) -> Path:
        return self.cache / "downloads"

    @property
    def ccache(self) -> Path:
        return self.cache / "ccache"

    @property
    def checkout_lock(self) -> Path:
        """Lock of the run that writes to this checkout; outside it, so that cleaning does not remove it."""
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return self.locks / f"checkout-{digest}"

    @property
    def measuring_lock(self) -> Path:
        """Lock of the run that times guests: two at once would disturb each other."""
        return self.locks / "measuring"

    @property
    def locks(self) -> Path:
        return self.cache / "locks"

    def tree(self, name: str) -> Path:
        """The git repository of a pin (or of a local source)."""
        return self.trees / safe_name(name)

    def build_root(self, tree: str, label: str) -> Path:
        """Folder of one variant of a tree: its sources in ``src``, and one build folder for each host.

        ``label`` is ``pristine``, ``base`` or ``patched-<series>``. Sources and build have the
        same relative path in every variant. Compiler commands are therefore identical, and ccache can share
        results (ccache(1), "Sharing a local cache").
        """
        return self.build / safe_name(tree) / safe_name(label)


def label_of(variant: str, series: str) -> str:
    """Return the name of a variant's folder; for ``patched`` with the name of ``series`` (a name or path)."""
    return f"patched-{Path(series).name}" if variant == "patched" else variant


def safe_name(name: str) -> str:
    """Return ``name`` if it is a safe path component. Raises OptionError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise OptionError(
            f"{name!r} cannot be used as a folder name", "use letters, digits, dot, plus, dash, underscore"
        )
    return name


def safe_part(name: str) -> str:
    """``name`` with each character that a folder's name must not have replaced by a dash."""
    return re.sub(r"[^A-Za-z0-9._+-]", "-", name).lstrip("-._+") or "tree"


def shipped_files() -> Path:
    """Return the folder with the project's files: the checkout, or a folder of an installed package."""
    package = Path(__file__).resolve().parent
    return package.parent if _is_checkout(package.parent) else package / SHIPPED


def find_layout(root: Path | None = None) -> Layout:
    """Return the layout of the checkout at ``root``, or of the one around the working folder or this package.

    An installed harness gets a folder of its own for each QEMU clone that it is started in, in the user's
    state folder. ``QEMU_HARNESS_BUILD``, ``QEMU_HARNESS_TREES`` and ``QEMU_HARNESS_CACHE`` move build folder,
    trees and cache (for a read-only checkout). Raises OptionError if ``root`` is no checkout, the package
    is incomplete, or the working folder is gone.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        raise OptionError("the working folder was removed", "change to a folder that exists") from error
    files = shipped_files()
    around = [root] if root else [here, *here.parents]
    checkout = next((folder.resolve() for folder in around if _is_checkout(folder)), None)
    clone = None
    if checkout is None and root is None and _is_checkout(files):
        clone = next((folder for folder in around if _is_qemu_clone(folder)), None)
        if files.name != SHIPPED:
            checkout = files
    elif checkout is None:
        raise OptionError(
            "no checkout of the harness found: qemu-src/pins.toml and meson_options.txt are missing",
            "run inside a checkout, or pass --root DIR",
        )
    top = checkout or platformdirs.user_state_path("qemu-harness") / _workspace(clone)
    cache = os.environ.get("QEMU_HARNESS_CACHE")
    trees = top / "qemu-src" / "trees" if checkout else top / "trees"
    return Layout(
        root=top,
        build=Path(os.environ.get("QEMU_HARNESS_BUILD") or top / "build").absolute(),
        trees=Path(os.environ.get("QEMU_HARNESS_TREES") or trees).absolute(),
        cache=Path(cache).absolute() if cache else platformdirs.user_cache_path("qemu-harness"),
        shipped=None if checkout else files,
        clone=clone,
    )


def _workspace(clone: Path | None) -> str:
    """Return the name of an installed harness's folder for ``clone``."""
    if clone is None:
        return "default"
    return f"{safe_part(clone.name)}-{hashlib.sha256(os.fsencode(clone)).hexdigest()[:8]}"


def _is_checkout(folder: Path) -> bool:
    return (folder / "qemu-src" / "pins.toml").is_file() and (folder / "meson_options.txt").is_file()


def _is_qemu_clone(folder: Path) -> bool:
    return (folder / ".git").exists() and all((folder / name).is_file() for name in QEMU_FILES)
