"""The compilation database of a build: the commands that compiled its objects."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

NAME = "compile_commands.json"


class CompileCommand(msgspec.Struct, frozen=True):
    """An entry of a compilation database (clang's JSON Compilation Database Format)."""

    directory: str
    command: str
    file: str
    output: str

    @property
    def source(self) -> str:
        """The source in the tree: the harness and QEMU's own scripts build in different folders."""
        return re.sub(r"^(?:\.\./)+(?:src/)?", "", self.file)


def read_database(folder: Path) -> list[CompileCommand]:
    """Read the database of a build folder. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode((folder / NAME).read_bytes(), type=list[CompileCommand])


def without_outputs(words: Sequence[str]) -> list[str]:
    """Return a compiler's command without its output and the options for dependency files."""
    kept, rest = [], iter(words)
    for word in rest:
        if word in ("-o", "-MF", "-MQ"):
            next(rest, None)
        elif word != "-MD":
            kept.append(word)
    return kept
