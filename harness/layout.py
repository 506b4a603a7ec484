"""Paths inside the checkout, and in the cache outside it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harness.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one checkout. ``cache`` is shared by all checkouts of the user."""

    root: Path
    build: Path
    trees: Path
    cache: Path

    @property
    def pins_file(self) -> Path:
        return self.root / "qemu-src" / "pins.toml"

    @property
    def patches(self) -> Path:
        return self.root / "patches"

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


def find_layout(root: Path | None = None) -> Layout:
    """Return the layout of the checkout at ``root``, or of the one around the working folder or this package.

    ``QEMU_HARNESS_BUILD``, ``QEMU_HARNESS_TREES`` and ``QEMU_HARNESS_CACHE`` move build folder, trees and
    cache (for a read-only checkout). Raises OptionError if no checkout is found.
    """
    here = Path.cwd()
    candidates = [root] if root else [here, *here.parents, Path(__file__).resolve().parent.parent]
    for candidate in candidates:
        if (candidate / "qemu-src" / "pins.toml").is_file() and (candidate / "meson_options.txt").is_file():
            top = candidate.resolve()
            break
    else:
        raise OptionError(
            "no checkout of the harness found: qemu-src/pins.toml and meson_options.txt are missing",
            "run inside a checkout, or pass --root DIR",
        )
    cache = os.environ.get("QEMU_HARNESS_CACHE")
    return Layout(
        root=top,
        build=Path(os.environ.get("QEMU_HARNESS_BUILD") or top / "build").absolute(),
        trees=Path(os.environ.get("QEMU_HARNESS_TREES") or top / "qemu-src" / "trees").absolute(),
        cache=Path(cache).absolute() if cache else platformdirs.user_cache_path("qemu-harness"),
    )
