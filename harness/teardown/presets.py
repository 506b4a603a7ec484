"""``-Dpreset=``: how much of the matrix is timed, and in what time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.options import Options

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"memory_mib": (256, 1024), "budget_s": 60},
    "default": {},
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
"""What a preset sets, by field of Options; ``default`` is what meson_options.txt says."""


def apply_preset(options: Options) -> Options:
    """``options`` with what its preset sets; what was given on the command line stays."""
    names = {field: field.removesuffix("_mib").removesuffix("_s") for field in PRESETS[options.preset]}
    return dataclasses.replace(
        options,
        **{field: value for field, value in PRESETS[options.preset].items() if not options.has(names[field])},
    )
