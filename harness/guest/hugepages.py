"""Reserve huge pages for a guest and release them (Linux, admin-guide/mm/hugetlbpage.rst)."""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from harness.errors import GuestError
from harness.machine import number_in

SETTING = Path("/proc/sys/vm/nr_hugepages")
MEMINFO = Path("/proc/meminfo")


@contextlib.contextmanager
def reserved(mib: int, *, setting: Path = SETTING, meminfo: Path = MEMINFO) -> Iterator[None]:
    """Reserve ``mib`` MiB of huge pages, in addition to the existing ones, while the block runs.

    Raises GuestError if the kernel does not reserve all of them (no permission, fragmented memory); then none
    are kept.
    """
    before = _read(setting)
    size_kib = hugepage_kib(meminfo)
    if before is None or not size_kib:
        raise GuestError("this kernel does not support huge pages", "do not use -Dbackends=hugetlb")
    wanted = before + -(-mib * 1024 // size_kib)
    try:
        try:
            setting.write_text(f"{wanted}\n", encoding="ascii")
        except OSError as error:
            raise GuestError(
                f"cannot reserve huge pages: {error.strerror}",
                "run as root, or do not use -Dbackends=hugetlb",
            ) from error
        got = _read(setting) or 0
        if got < wanted:
            raise GuestError(
                f"the kernel reserved {got - before} of {wanted - before} huge pages",
                "free memory in large blocks, or use a smaller guest",
            )
        yield
    finally:
        with contextlib.suppress(OSError):
            setting.write_text(f"{before}\n", encoding="ascii")


@contextlib.contextmanager
def restored(note: Path, backends: Collection[str], *, setting: Path = SETTING) -> Iterator[None]:
    """Restore the number of huge pages after the block, if one of the ``backends`` of its guests uses them.

    ``note`` stores the number during the block. If a run was killed, the next run restores it from ``note``.
    """
    with contextlib.suppress(OSError, ValueError):
        setting.write_text(f"{int(json.loads(note.read_text(encoding='ascii')))}\n", encoding="ascii")
        note.unlink()
    if "hugetlb" not in backends:  # what changes is of other runs, which may use another cache folder
        yield
        return
    before = _read(setting)
    try:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(before), encoding="ascii")
        yield
    finally:
        if before is not None and _read(setting) != before:
            with contextlib.suppress(OSError):
                setting.write_text(f"{before}\n", encoding="ascii")
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def hugepage_kib(meminfo: Path = MEMINFO) -> int:
    """Return the size of the kernel's default huge page in KiB; 0 if it has none."""
    return number_in(meminfo, r"^Hugepagesize:\s*(\d+)")


def free_hugepages_mib(meminfo: Path = MEMINFO) -> float:
    """Return the MiB of unused huge pages."""
    return number_in(meminfo, r"^HugePages_Free:\s*(\d+)") * hugepage_kib(meminfo) / 1024


def _read(setting: Path) -> int | None:
    try:
        return int(setting.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
