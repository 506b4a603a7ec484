"""Read the machine and the required libraries of an ELF file (elf(5))."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from harness.errors import StorageError


@dataclass(frozen=True, kw_only=True)
class Elf:
    """ELF header. ``machine`` is pyelftools' name of ``e_machine``; a static program has no interpreter."""

    machine: str
    interpreter: str
    needed: tuple[str, ...]


def read_elf(path: Path) -> Elf | None:
    """Return the ELF header and the DT_NEEDED entries of ``path``; None if it is not a complete ELF file.

    Raises StorageError if the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            interpreter = ""
            needed: tuple[str, ...] = ()
            for segment in file.iter_segments():
                if isinstance(segment, InterpSegment):
                    interpreter = segment.get_interp_name()
                elif isinstance(segment, DynamicSegment):
                    tags: Iterable[Any] = segment.iter_tags("DT_NEEDED")
                    needed = tuple(str(tag.needed) for tag in tags)
            return Elf(machine=str(file["e_machine"]), interpreter=interpreter, needed=needed)
    except (ELFError, ValueError, IndexError):  # the last two: pyelftools on a truncated file
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "check the file's owner") from error


def library_closure(programs: Iterable[Path], folders: Sequence[Path]) -> dict[str, Path]:
    """Return every shared library that ``programs`` need, directly or indirectly: name → file.

    A name is looked up in ``folders`` in order, as ld.so(8) does without paths inside the files. Raises
    StorageError, which names the dependent file, if a library is in none of them.
    """
    found: dict[str, Path] = {}
    queue = [(program, program.name) for program in programs]
    while queue:
        path, name = queue.pop(0)
        elf = read_elf(path)
        for needed in elf.needed if elf else ():
            if needed in found:
                continue
            place = next((folder / needed for folder in folders if (folder / needed).is_file()), None)
            if place is None:
                raise StorageError(
                    f"{name} needs {needed}, which is not in the sysroot",
                    "add its package to LIBRARIES in harness/build/hosts.py",
                )
            found[needed] = place
            queue.append((place, needed))
    return found
