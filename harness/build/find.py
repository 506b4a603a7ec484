"""Find the binary of a build."""

from __future__ import annotations

import os
from pathlib import Path

from harness.build.plan import folder_name
from harness.build.result import FILE_NAME, Build, load
from harness.errors import NothingBuiltError
from harness.layout import Layout


def find_binary(
    layout: Layout, tree: str, label: str, target: str, *, host: str = "native", profile: str = "release"
) -> Path:
    """Return the path of the built binary of ``target``. Raises NothingBuiltError."""
    folder = layout.build_root(tree, label) / folder_name(host, profile)
    found = load(folder / FILE_NAME, Build)
    special = f"-Dprofile={profile} " * (profile != "release") + f"-Dhosts={host} " * (host != "native")
    remedy = f"run: nox -s build -- {special}".removesuffix(" -- ").rstrip()
    if found is None:
        raise NothingBuiltError(
            f"{tree} {label} has not been built for host {host}, profile {profile}", remedy
        )
    for binary in found.binaries:
        if binary.target == target:
            path = folder / binary.file.name
            if os.access(path, os.X_OK):
                return path
            raise NothingBuiltError(f"{path} does not exist or is not executable", remedy)
    have = " ".join(binary.target for binary in found.binaries)
    raise NothingBuiltError(
        f"{tree} {label} has been built for {have}, not for {target}",
        f"run: nox -s build -- {special}-Dtargets="
        + ",".join([*(binary.target for binary in found.binaries), target]),
    )
