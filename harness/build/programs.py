"""The project's own C (tests/guest), built by meson: static programs for guests and emulated hosts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.build.elf import read_elf
from harness.build.hosts import HOSTS
from harness.build.sysroot import cross_file, ensure_sysroot
from harness.errors import CompileError, ConfigureError, StorageError
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, run
from harness.progress import Reporter

LIMIT_S = 600.0


def build_programs(
    layout: Layout, reporter: Reporter, names: Sequence[str], *, host: str = "native"
) -> dict[str, Path]:
    """The programs called ``names``, compiled for ``host`` (a key of HOSTS) and up to date: name → file.

    They lie in ``build/guest/<host>``. Raises ConfigureError, CompileError (with the first lines of what the
    compiler says), MissingError, StorageError; for another host also what a sysroot's making raises.
    """
    folder = layout.build / "guest" / host
    log = layout.logs / f"guest-{host}.log"
    where = HOSTS[host]
    words: tuple[str | Path, ...] = ()
    text = ""
    if where.is_cross:
        text = cross_file(ensure_sysroot(where, layout, reporter))
        words = ("--cross-file", folder.with_name(f"{host}.ini"))
    with locked(folder, f"the guest programs for {host}", reporter):
        _forget_unless(folder, text)
        if not (folder / "build.ninja").is_file():
            run(
                [*_python("mesonbuild.mesonmain"), "setup", *words, folder, layout.root],
                log=log,
                timeout_s=LIMIT_S,
                error=lambda ended: ConfigureError(
                    f"meson cannot set up the guest programs for {host}: {_error(ended)}",
                    "nox -s doctor lists what is needed",
                    log=log,
                ),
            )
        run(
            [*_python("ninja"), "-C", folder, *(f"tests/guest/{name}" for name in names)],
            log=log,
            timeout_s=LIMIT_S,
            error=lambda ended: CompileError(
                f"the guest programs for {host} do not compile: {_error(ended)}",
                "mend the source below tests/guest",
                log=log,
            ),
        )
    programs = {name: folder / "tests" / "guest" / name for name in names}
    for name, path in programs.items():
        elf = read_elf(path)
        if elf is None or elf.interpreter or elf.needed:
            raise CompileError(
                f"{name} is no static program", "link it with -static in tests/guest/meson.build"
            )
    return programs


def _forget_unless(folder: Path, text: str) -> None:
    """Remove ``folder`` when it was set up with another cross file than ``text``, which is then written."""
    file = folder.with_name(f"{folder.name}.ini")
    try:
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            shutil.rmtree(folder, ignore_errors=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error}", "check its owner and mode") from error


def _python(module: str) -> tuple[str, ...]:
    """meson and ninja of our own environment, wherever its programs are."""
    return (sys.executable, "-m", module)


def _error(ended: Finished) -> str:
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    return next(
        (line for line in lines if "error:" in line or "ERROR:" in line), (lines or ["no reason"])[-1]
    )
