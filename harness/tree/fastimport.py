"""Import entries as one commit through ``git fast-import``, which writes a pack and no other file.

git-fast-import(1) describes the stream. It stores blobs unchanged: the attributes and ignore files of the
release have no effect.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

from harness.errors import TreeError
from harness.progress import Step
from harness.tree.content import TreeEntry
from harness.tree.git import EMAIL, EPOCH, NAME, Git
from harness.tree.paths import through

REF = "refs/tags/import"
MESSAGE = "import\n"


def import_entries(git: Git, entries: Iterator[TreeEntry], step: Step) -> None:
    """Commit ``entries`` as the only commit of REF.

    Raises the errors of ``entries``, and TreeError for entries that contradict each other.
    """
    read_end, write_end = os.pipe()
    writer = _Writer(entries, write_end, step)
    writer.start()
    try:
        with open(read_end, "rb") as source:  # noqa: PTH123 - a descriptor
            git.run(
                # git keeps the pack of a small source too, instead of a file for each object.
                *("-c", "pack.compression=1", "-c", "fastimport.unpackLimit=0"),
                *("fast-import", "--quiet", "--force", "--done"),
                *("--depth=0", "--date-format=raw"),
                stdin=source,
                error=lambda ended: TreeError(
                    "git fast-import failed",
                    "correct the problem shown above, and run again",
                    details=tuple(ended.output.splitlines()[:6]),
                ),
            )
    except TreeError:
        writer.join()
        if writer.failure is not None:
            raise writer.failure from None  # the cause; git only reports that the stream ended early
        raise
    finally:
        writer.join()


class _Writer(threading.Thread):
    """Thread that reads the entries and writes the stream into the pipe to git."""

    def __init__(self, entries: Iterator[TreeEntry], pipe: int, step: Step) -> None:
        super().__init__(name="fast-import", daemon=True)
        self._entries, self._pipe, self._step = entries, pipe, step
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with open(self._pipe, "wb", buffering=1 << 20) as stream:  # noqa: PTH123 - a descriptor
                # If an entry fails, the final command "done" is missing, so git fails and stores nothing.
                self._write(stream)
        except BrokenPipeError:
            pass  # git has ended and reports its own error
        except Exception as error:  # noqa: BLE001 - raised again by the waiting thread
            self.failure = error

    def _write(self, stream: BinaryIO) -> None:
        marks: dict[str, int] = {}
        files: dict[str, tuple[str, int]] = {}
        for count, entry in enumerate(self._entries, start=1):
            if entry.data is None:
                if entry.same_as not in marks:
                    raise TreeError(
                        f"{entry.path} is a hard link to {entry.same_as}, which does not precede it",
                        "use a source that you trust",
                    )
                marks[entry.path] = marks[entry.same_as]
            else:
                marks[entry.path] = count
                stream.write(b"blob\nmark :%d\ndata %d\n" % (count, len(entry.data)))
                stream.write(entry.data)
                stream.write(b"\n")
            files[entry.path] = (entry.mode, marks[entry.path])
            if count % 500 == 0:
                self._step.update(count, text=entry.path)
        self._commit(stream, files)

    def _commit(self, stream: BinaryIO, files: dict[str, tuple[str, int]]) -> None:
        folders = {path.rpartition("/")[0] for path in files}
        for path in sorted(folders):
            parent = path if path in files else through(path, files)
            if parent:
                raise TreeError(
                    f"the source is refused: {path!r} contains files, but {parent!r} is not a folder",
                    "use a source that you trust",
                )
        who = f"committer {NAME} <{EMAIL}> {EPOCH} +0000"
        stream.write(f"commit {REF}\n{who}\ndata {len(MESSAGE)}\n{MESSAGE}\n".encode())
        for path in sorted(files):
            mode, mark = files[path]
            quoted = path.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            stream.write(b'M %s :%d "%s"\n' % (mode.encode(), mark, quoted))
        stream.write(b"done\n")
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
