"""Pack the files that a host needs into tar archives: the harness, the binaries, and boot files of guests."""

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.bench import Subject
from harness.layout import SHIPPED, Layout
from harness.teardown.gates import read_gates

CODE = (
    "tests/avocado",
    "meson.build",
    "meson_options.txt",
    "pyproject.toml",
    "constraints.txt",
    "qemu-src/pins.toml",
)
ASSETS = ("downloads/debs", "firmware", "kernels", "options")
"""Parts of the cache that guests need, so that a host needs no Debian mirror."""


def pack_code(layout: Layout, subjects: Sequence[Subject], gates: Sequence[Path] = ()) -> bytes:
    """Pack the harness, the binaries (see ``path_in_bundle``) and the files of gates (in ``gates/``)."""
    return _pack(
        (Path(__file__).resolve().parents[1], "harness"),
        *((layout.files / name, name) for name in CODE),
        *((Path(subject.path).resolve(), path_in_bundle(subject)) for subject in subjects),
        *((path, f"gates/{path.name}") for path in gates),
    )


def pack_assets(layout: Layout) -> bytes:
    """Pack the parts of the cache that guests need."""
    return _pack(*((layout.cache / name, name) for name in ASSETS if (layout.cache / name).is_dir()))


def path_in_bundle(subject: Subject) -> str:
    """Return the path of a binary in the bundle: the folder is the variant, the name contains the target."""
    return f"bin/{subject.variant}/qemu-system-{subject.target.removesuffix('-softmmu')}"


def binary_words(subjects: Iterable[Subject], root: str) -> list[str]:
    """Return arguments ``--binary`` for each subject, for a bundle that is unpacked to ``root``."""
    words = []
    for subject in subjects:
        words += [
            "--binary",
            ",".join((f"{subject.variant}={root}/{path_in_bundle(subject)}", *subject.options)),
        ]
    return words


def gate_files(name: str, root: Path) -> tuple[Path, ...]:
    """Return the file of ``-Dgate=`` and the files that it refers to. Raises OptionError."""
    if not name:
        return ()
    path = root / name
    return (path, *(path.parent / one for one in read_gates(name, root).recorded))


def _pack(*entries: tuple[Path, str]) -> bytes:
    """Return a compressed archive of files and folders, each with its name in the archive."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as tar:
        for path, name in entries:
            tar.add(path, arcname=name, filter=_plain)
    return data.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Remove the owner's name, and skip lock files, compiled Python and what CODE names already."""
    if (
        member.name == f"harness/{SHIPPED}"
        or "__pycache__" in member.name
        or member.name.endswith((".lock", ".pyc"))
    ):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
