"""Find or make the Python that the harness runs with on another machine: a program of its own.

    python3 -I prepare.py BUNDLE CACHE OURS STAMP

Prints the interpreter's path as its last line. OURS is the one on the machine that sent this: if it is here
too, with the same STAMP beside it (a shared file system, say), it is taken as it is. Else a virtual
environment is made below CACHE, with the versions of BUNDLE/constraints.txt, and kept for later runs.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

KEPT = 2
"""Environments of older versions that are not removed yet: another run may use them."""


def main(bundle: Path, cache: Path, ours: Path, stamp: str) -> int:
    """0 when there is an interpreter, 1 when there is none; the reason is on standard error."""
    if stamp and read_stamp(ours.parents[1]) == stamp:
        sys.stdout.write(f"{ours}\n")
        return 0
    project, pinned = bundle / "pyproject.toml", bundle / "constraints.txt"
    needed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    wanted = hashlib.sha256(f"{sys.version} {needed} {pinned.read_text(encoding='utf-8')}".encode())
    place = cache / "remote-environments" / wanted.hexdigest()[:16]
    python = place / "bin" / "python"
    if not (place / "complete").is_file():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        # In its own place: programs of an environment hold the path that they were made at.
        for words in (
            [sys.executable, "-m", "venv", str(place)],
            [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(pinned), *needed],
        ):
            ended = subprocess.run(words, capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                sys.stderr.write(f"{ended.stdout[-500:]}{ended.stderr[-1500:]}\n")
                return 1
        (place / "complete").touch()
        others = sorted(
            (path for path in place.parent.iterdir() if path != place), key=lambda path: path.stat().st_mtime
        )
        for path in others[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)
    sys.stdout.write(f"{python}\n")
    return 0


def read_stamp(prefix: Path) -> str:
    """What an environment made by noxfile.py says of itself: digests of its folder, Python and packages."""
    try:
        return " ".join(path.read_text(encoding="utf-8") for path in sorted(prefix.glob("installed*")))
    except OSError:
        return ""


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs with whatever Python a host has
        sys.stderr.write(f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed\n")
        sys.exit(1)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
