"""Find the binary of a build."""

import os
from pathlib import Path

from harness.build.devices import ALL, GUESTS
from harness.build.plan import folder_name
from harness.build.result import FILE_NAME, Build
from harness.errors import NothingBuiltError
from harness.jsonfile import load
from harness.layout import Layout

CHOICES = {"auto": (ALL, GUESTS), ALL: (ALL,), GUESTS: (GUESTS,)}


def find_binary(
    layout: Layout,
    tree: str,
    label: str,
    target: str,
    *,
    host: str = "native",
    profile: str = "release",
    devices: str = "auto",
) -> Path:
    """Return the path of the built binary of ``target``; of both device sets, that of the last build.

    Raises NothingBuiltError.
    """
    root = layout.build_root(tree, label)
    folders = [root / folder_name(host, profile, devices=each) for each in CHOICES[devices]]
    builds = [(folder, build) for folder in folders if (build := load(folder / FILE_NAME, Build))]
    special = f"-Dprofile={profile} " * (profile != "release") + f"-Dhosts={host} " * (host != "native")
    remedy = f"run: nox -s build -- {special}".removesuffix(" -- ").rstrip()
    if not builds:
        raise NothingBuiltError(
            f"{tree} {label} has not been built for host {host}, profile {profile}", remedy
        )
    having = [
        (folder, binary) for folder, build in builds for binary in build.binaries if binary.target == target
    ]
    if having:
        folder, binary = max(having, key=lambda pair: (pair[0] / FILE_NAME).stat().st_mtime)
        path = folder / binary.file.name
        if os.access(path, os.X_OK):
            return path
        raise NothingBuiltError(f"{path} does not exist or is not executable", remedy)
    targets = [binary.target for binary in builds[0][1].binaries]
    raise NothingBuiltError(
        f"{tree} {label} has been built for {' '.join(targets)}, not for {target}",
        f"run: nox -s build -- {special}-Dtargets={','.join([*targets, target])}",
    )
