"""Find or create the harness's Python environment on another machine. This file imports nothing of it.

    python3 -I prepare.py BUNDLE CACHE PYTHON STAMP

The last line of output is the interpreter's path. PYTHON is the interpreter on the sending machine. If it
exists here too, for example on a shared file system, and its environment has the same STAMP, it is used.
Otherwise a virtual environment is created below CACHE with the versions of BUNDLE/constraints.txt, and kept.
"""

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

KEPT = 2
"""Number of older environments that are kept, because another run may use them."""


def main(bundle: Path, cache: Path, sender: Path, stamp: str) -> int:
    """Print the interpreter and return 0, or print the reason to standard error and return 1."""
    if stamp and read_stamp(sender.parents[1]) == stamp:
        sys.stdout.write(f"{sender}\n")
        return 0
    project, pinned = bundle / "pyproject.toml", bundle / "constraints.txt"
    needed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    wanted = hashlib.sha256(f"{sys.version} {needed} {pinned.read_text(encoding='utf-8')}".encode())
    place = cache / "remote-environments" / wanted.hexdigest()[:16]
    python = place / "bin" / "python"
    if not (place / "complete").is_file():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Created in its final place, because the programs of an environment contain its path.
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
    """Return the digests of folder, Python and packages that noxfile.py stored in an environment, or ""."""
    try:
        return " ".join(path.read_text(encoding="utf-8") for path in sorted(prefix.glob("installed*")))
    except OSError:
        return ""


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs with whatever Python a host has
        sys.stderr.write(f"Python {sys.version.split()[0]} is too old: 3.11 or newer is required\n")
        sys.exit(1)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
