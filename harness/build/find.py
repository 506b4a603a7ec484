"""Find the binary of a build."""

import os
from collections.abc import Sequence
from pathlib import Path

from harness.build.devices import ALL, GUESTS
from harness.build.plan import folder_name
from harness.build.result import FILE_NAME, Build
from harness.errors import NothingBuiltError
from harness.jsonfile import load
from harness.layout import Layout
from harness.process import shell_quote

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
    given: Sequence[str] = (),
) -> Path:
    """Return the path of the built binary of ``target``; of both device sets, that of the last build.

    Raises NothingBuiltError, whose remedy builds it with the options ``given``.
    """
    root = layout.build_root(tree, label)
    folders = [root / folder_name(host, profile, devices=each) for each in CHOICES[devices]]
    builds = [(folder, build) for folder in folders if (build := load(folder / FILE_NAME, Build))]
    built = list(dict.fromkeys(binary.target for _, build in builds for binary in build.binaries))
    variant, targets = label.partition("-")[0], ",".join(dict.fromkeys((*built, target)))
    words = [word for word in given if not word.startswith(("-Dvariants=", "-Dtargets=", "-Dhosts="))]
    words += [f"-Dvariants={variant}", f"-Dtargets={targets}", *([f"-Dhosts={host}"] * (host != "native"))]
    remedy = f"run: nox -s build -- {shell_quote(words)}"
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
    raise NothingBuiltError(f"{tree} {label} has been built for {' '.join(built)}, not for {target}", remedy)
