"""Find the programs that a build uses, and compute the digest of the inputs of configure."""

import hashlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from harness.build.hosts import Host
from harness.build.libraries import installed_features
from harness.build.plan import Tools
from harness.build.pyenv import ensure_environment, environment_digest
from harness.errors import MissingError, TreeError
from harness.layout import Layout
from harness.process import find_program, run
from harness.progress import Reporter

JOB_MIB = 700
"""Memory for one compile job of QEMU: its largest file takes 500 MiB, linking takes 600 MiB."""


def find_tools(
    host: Host,
    requirements: Sequence[str],
    *,
    own_python: bool,
    ccache: bool,
    layout: Layout,
    reporter: Reporter,
    compiler: str = "gcc",
) -> Tools:
    """Return the tools for ``host``. With ``own_python``, meson is from an environment with ``requirements``.

    Raises MissingError, and the errors of ``ensure_environment``.
    """
    own = (
        _compiler(f"{host.cross_prefix}gcc", host.compiler_package)
        if compiler == "gcc"
        else _compiler(compiler, compiler)
    )
    if own_python:
        python = ensure_environment(requirements, layout, reporter)
        meson = python.parent / "meson"
        meson_version = ""  # included in the digest
        digest = environment_digest(requirements)
    else:
        python = Path(sys.executable)
        meson = _beside_python("meson")
        meson_version = importlib.metadata.version("meson")
        digest = sys.version
    return Tools(
        compiler=own,
        compiler_version=first_line([own, "--version"]),
        ninja=_beside_python("ninja"),
        meson=meson,
        meson_version=meson_version,
        python=python,
        python_digest=digest,
        ccache=find_program("ccache", needed_by="-Dccache=true", package="ccache") if ccache else None,
        features=() if host.cross_prefix else installed_features(),
    )


def first_line(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a program and return its first line of output, or an empty string."""
    return next(iter(run(argv, env=env, merge_stderr=False, timeout_s=60).output.splitlines()), "").strip()


def configure_digest(source: Path) -> str:
    """Return a digest of the inputs of configure that build.ninja does not depend on.

    Raises TreeError if ``source`` has no configure script.
    """
    digest = hashlib.sha256()
    for name in ("configure", "scripts/meson-buildoptions.sh", "pythondeps.toml"):
        path = source / name
        if path.is_file():
            digest.update(f"{name}\0".encode() + path.read_bytes())
        elif name == "configure":
            raise TreeError(f"{source} has no configure script", "run `nox -s clean`, then build again")
    return digest.hexdigest()


def job_count(requested: int) -> int:
    """Return ``requested`` or, if it is 0, one job for each usable CPU, limited by available memory."""
    if requested:
        return requested
    fits = psutil.virtual_memory().available // (JOB_MIB * 1024 * 1024)
    return max(1, min(len(os.sched_getaffinity(0)), fits))


def _beside_python(name: str) -> Path:
    """Return a program of the harness's Python environment or, if there is none, of PATH."""
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return beside
    return find_program(name, needed_by="building QEMU", package=f"PyPI's {name} or {name}-build")


def _compiler(name: str, package: str) -> Path:
    """Return the compiler, not a symbolic link to ccache as in Debian's /usr/lib/ccache."""
    folders = [
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if not (Path(folder) / name).resolve().name.startswith("ccache")
    ]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingError(f"{name} is not installed", f"run: nox -s doctor (package {package})")
    return Path(found)
