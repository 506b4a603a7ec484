"""``-Dpreset=``: sets of defaults for the matrix and the budget."""

import dataclasses
from typing import Any

from harness.options import Options

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"memory_mib": (256, 1024), "budget_s": 60},
    "default": {},
    # Nothing is built. Two minutes, of which the packages of QEMU take half where they are missing.
    "installed": {"memory_mib": (256, 1024), "budget_s": 60, "restart": "none"},
    "full": {
        "memory_mib": (256, 1024, 4096, 16384),
        "variants": ("base", "pristine", "patched"),
        "backends": ("ram", "memfd"),
        "pages": ("4k", "thp"),
        "triggers": ("sigterm", "sigkill"),
        "restart": "all",
        "budget_s": 3600,
    },
}
"""Preset → fields of Options. ``default`` changes nothing, so the defaults of meson_options.txt apply."""


def apply_preset(options: Options) -> Options:
    """Return ``options`` with the defaults of its preset. Options from the command line keep their values."""
    names = {field: field.removesuffix("_mib").removesuffix("_s") for field in PRESETS[options.preset]}
    return dataclasses.replace(
        options,
        **{field: value for field, value in PRESETS[options.preset].items() if not options.has(names[field])},
    )
