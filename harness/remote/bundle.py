"""What travels to a host: this harness, the binaries, and what guests boot, as tar archives."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.bench import Subject
from harness.layout import Layout
from harness.teardown.gates import read_gates

CODE = (
    "harness",
    "tests/avocado",
    "meson.build",
    "meson_options.txt",
    "pyproject.toml",
    "constraints.txt",
    "qemu-src/pins.toml",
)
ASSETS = ("downloads/debs", "firmware", "kernels", "options")
"""Parts of the cache, so that a host without a mirror of Debian's can do."""


def pack_code(layout: Layout, subjects: Sequence[Subject], gates: Sequence[Path] = ()) -> bytes:
    """The harness and the binaries; each binary lies where ``binary_word`` says, gates in ``gates/``."""
    return _pack(
        *((layout.root / name, name) for name in CODE),
        *((Path(subject.path).resolve(), place_of(subject)) for subject in subjects),
        *((path, f"gates/{path.name}") for path in gates),
    )


def pack_assets(layout: Layout) -> bytes:
    """What of the cache guests boot from."""
    return _pack(*((layout.cache / name, name) for name in ASSETS if (layout.cache / name).is_dir()))


def place_of(subject: Subject) -> str:
    """Where a binary lies in the bundle: its own file name tells its target, the folder its variant."""
    return f"bin/{subject.variant}/qemu-system-{subject.target.removesuffix('-softmmu')}"


def binary_words(subjects: Iterable[Subject], root: str) -> list[str]:
    """``--binary`` for each subject, in a bundle that was unpacked to ``root``."""
    words = []
    for subject in subjects:
        words += ["--binary", ",".join((f"{subject.variant}={root}/{place_of(subject)}", *subject.options))]
    return words


def gate_files(name: str, root: Path) -> tuple[Path, ...]:
    """The file of ``-Dgate=`` and those that it names; nothing when it is not given. Raises OptionError."""
    if not name:
        return ()
    path = root / name
    return (path, *(path.parent / one for one in read_gates(name, root).recorded))


def _pack(*entries: tuple[Path, str]) -> bytes:
    """A compressed archive of files and folders, each under its name there."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
        for path, name in entries:
            tar.add(path, arcname=name, filter=_plain)
    return made.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Nobody's files: not the names of this machine's users, no compiled Python."""
    if "__pycache__" in member.name or member.name.endswith((".lock", ".pyc")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
