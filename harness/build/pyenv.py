"""Create Python environments for builds whose configure requires installed packages."""

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import FetchError, MissingError
from harness.jsonfile import storing
from harness.layout import Layout
from harness.lock import locked
from harness.process import run
from harness.progress import Reporter

MESON = "meson==1.8.5"
"""For releases whose configure needs meson in its Python and names no version: 8.1."""
HASHES = {
    MESON: ("15ab2cca08271bc055bc33a4929b7c58f15ad67df4c1fa65dc223e822b882bef",),
    "pycotap==1.3.1": ("1c3a25b3ff89e48f4e00f1f71dbbc1642b4f65c65d416524d07e73492fff25ea",),
}
"""SHA-256 of PyPI's wheels. If a requirement is not listed, only versions are checked."""

READY = "harness-ready"


def environment_digest(requirements: Sequence[str]) -> str:
    """Return the name of an environment: a digest of its packages and its base Python."""
    base = getattr(sys, "_base_executable", sys.executable)
    facts = json.dumps([sorted(requirements), sys.version, str(Path(base).resolve())])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def ensure_environment(requirements: Sequence[str], layout: Layout, reporter: Reporter) -> Path:
    """Return the Python of an environment with exactly ``requirements``; create it if necessary.

    An existing environment does not need the network. Raises FetchError (PyPI cannot be reached, or a digest
    differs), MissingError (no pip), StorageError.
    """
    wanted = tuple(requirements)
    folder = layout.cache / "pyenvs" / environment_digest(requirements)
    python = folder / "bin" / "python3"
    if _is_ready(folder, python):
        return python
    with locked(folder, "the build's Python environment", reporter):
        if _is_ready(folder, python):
            return python
        with reporter.step(f"install {' '.join(wanted)} for configure"):
            _make(folder, python, wanted, layout)
    return python


def _is_ready(folder: Path, python: Path) -> bool:
    return (folder / READY).is_file() and python.exists()


def _make(folder: Path, python: Path, wanted: Sequence[str], layout: Layout) -> None:
    """Create the environment in place, because it cannot be moved; write READY last."""
    if importlib.util.find_spec("pip") is None:
        raise MissingError(
            "configure requires PyPI packages, and the harness's Python environment has no pip",
            f"run: {sys.executable} -m ensurepip (package python3-venv)",
        )
    log = layout.logs / "pyenv.log"
    if folder.exists():
        shutil.rmtree(folder)
    run([sys.executable, "-m", "venv", "--without-pip", folder], log=log)
    hashed = all(requirement in HASHES for requirement in wanted)
    lines = [
        requirement + "".join(f" --hash=sha256:{digest}" for digest in HASHES.get(requirement, ()) if hashed)
        for requirement in wanted
    ]
    with storing(f"write to {folder}"):
        (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(
        [
            *(sys.executable, "-m", "pip", "--python", python),
            *("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
            *(("--require-hashes",) if hashed else ()),
            *("--requirement", folder / "requirements.txt"),
        ],
        log=log,
        timeout_s=600,
        error=lambda ended: FetchError(
            f"pip cannot install {' '.join(wanted)}",
            "check the connection to PyPI, or set pip's index-url, and run again",
            details=tuple(line for line in ended.output.splitlines() if "ERROR" in line)[:5],
            log=log,
        ),
    )
    (folder / READY).write_text(" ".join(wanted) + "\n", encoding="utf-8")
