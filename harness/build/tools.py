"""Find the programs that a build uses, and what of the sources configuring reads unseen by ninja."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from harness.build.hosts import Host
from harness.build.plan import Tools
from harness.build.pyenv import ensure_environment, environment_digest
from harness.errors import MissingError, TreeError
from harness.layout import Layout
from harness.process import find_program, run
from harness.progress import Reporter

JOB_MIB = 700
"""Memory that one compile job of QEMU may need: its largest file takes 500 MiB, a link 600 MiB."""


def find_tools(
    host: Host,
    requirements: Sequence[str],
    *,
    own_python: bool,
    ccache: bool,
    layout: Layout,
    reporter: Reporter,
) -> Tools:
    """The tools for ``host``. With ``own_python``, meson comes from an environment with ``requirements``.

    Raises MissingError; what making that environment raises.
    """
    compiler = _compiler(f"{host.cross_prefix}gcc", host.compiler_package)
    if own_python:
        python = ensure_environment(requirements, layout, reporter)
        meson = python.parent / "meson"
        meson_version = ""  # a part of the digest
        digest = environment_digest(requirements)
    else:
        python = Path(sys.executable)
        meson = _beside_python("meson")
        meson_version = importlib.metadata.version("meson")
        digest = sys.version
    return Tools(
        compiler=compiler,
        compiler_version=first_line([compiler, "--version"]),
        ninja=_beside_python("ninja"),
        meson=meson,
        meson_version=meson_version,
        python=python,
        python_digest=digest,
        ccache=find_program("ccache", needed_by="-Dccache=true", package="ccache") if ccache else None,
    )


def first_line(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """The first line that a program prints; empty when it prints none."""
    return next(iter(run(argv, env=env, merge_stderr=False, timeout_s=60).output.splitlines()), "").strip()


def configure_digest(source: Path) -> str:
    """Digest of what configuring reads and build.ninja does not depend on (meson watches the rest).

    Raises TreeError when ``source`` has no configure script.
    """
    digest = hashlib.sha256()
    for name in ("configure", "scripts/meson-buildoptions.sh", "pythondeps.toml"):
        path = source / name
        if path.is_file():
            digest.update(f"{name}\0".encode() + path.read_bytes())
        elif name == "configure":
            raise TreeError(f"{source} has no configure script", "run: nox -s clean, then build again")
    return digest.hexdigest()


def job_count(asked: int) -> int:
    """Parallel jobs: as asked, else one for each usable CPU, but no more than free memory can hold."""
    if asked:
        return asked
    fits = psutil.virtual_memory().available // (JOB_MIB * 1024 * 1024)
    return max(1, min(len(os.sched_getaffinity(0)), fits))


def _beside_python(name: str) -> Path:
    """A program that came with our Python environment, else one on PATH."""
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return beside
    return find_program(name, needed_by="building QEMU", package=f"PyPI's {name}, else {name}-build")


def _compiler(name: str, package: str) -> Path:
    """The compiler itself: not a symlink to ccache such as Debian's /usr/lib/ccache holds."""
    folders = [
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if not (Path(folder) / name).resolve().name.startswith("ccache")
    ]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingError(f"{name} is not installed", f"run: nox -s doctor (package {package})")
    return Path(found)
