"""The libraries and programs that QEMU's optional features need, by the names in its meson.build.

Their packages are in harness/platforms.toml.
"""

from collections.abc import Iterable
from dataclasses import replace

from harness.build.doctor import check
from harness.build.needs import Requirement, provided
from harness.platforms import distribution, table

OPTIONAL = {"--enable-linux-aio": "aio"}
"""Features that every native build has if their library is installed, with its name: aio=native, which row 18
of the properties needs."""
PROGRAMS = ("bison", "dtrace", "flex", "gdbus-codegen")
"""Programs that some targets and features need, such as flex for hexagon."""


def library(name: str, needed_by: str = "") -> Requirement | None:
    """Return the requirement for the library or program ``name``; None if no package of it is known."""
    need = Requirement(name=name, kind="pkg-config", needed_by=needed_by, stages=("features",))
    if name in PROGRAMS:
        need = replace(need, kind="program")
    elif header := table().headers.get(name):
        need = replace(need, kind="header", name=header)
    return provided(need, distribution()) if need.name in table().packages else None


def optional_libraries(needed_by: str = "") -> dict[str, Requirement]:
    """Return the switches of OPTIONAL with their libraries, as far as a package of them is known."""
    known = {switch: library(name, needed_by) for switch, name in OPTIONAL.items()}
    return {switch: need for switch, need in known.items() if need}


def installed_features() -> tuple[str, ...]:
    """Return the switches of OPTIONAL whose library is installed on this machine."""
    needs = optional_libraries()
    return tuple(switch for switch, row in zip(needs, check(needs.values()), strict=True) if row.found)


def missing_packages(names: Iterable[str]) -> tuple[str, ...]:
    """Return the packages of those libraries that are missing; without a known package, their own names."""
    known = {name: library(name) for name in names}
    missing = tuple(row.package for row in check(filter(None, known.values())) if not row.found)
    return tuple(dict.fromkeys(missing or (name for name, need in known.items() if need is None)))
