"""Build the project's C (guest/programs) with meson: static programs for guests and emulated hosts."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.build.elf import read_elf
from harness.build.hosts import HOSTS
from harness.build.sysroot import cross_file, ensure_sysroot
from harness.errors import CompileError, ConfigureError
from harness.jsonfile import storing
from harness.layout import Layout
from harness.lock import locked
from harness.process import Finished, run
from harness.progress import Reporter

SOURCES = Path(__file__).resolve().parents[1] / "guest" / "programs"
"""A meson project of its own."""
LIMIT_S = 600.0


def build_programs(
    layout: Layout, reporter: Reporter, names: Sequence[str], *, host: str = "native"
) -> dict[str, Path]:
    """Build the programs ``names`` for ``host`` (a key of HOSTS) in ``build/guest/<host>``: name → file.

    Raises ConfigureError, CompileError (with the first error of the compiler), MissingError, StorageError;
    for a cross-built host also the errors of ``ensure_sysroot``.
    """
    folder = layout.build / "guest" / host
    log = layout.logs / f"guest-{host}.log"
    where = HOSTS[host]
    words: tuple[str | Path, ...] = ()
    text = f"# {SOURCES}\n"
    if where.is_cross:
        text += cross_file(ensure_sysroot(where, layout, reporter))
        words = ("--cross-file", folder.with_name(f"{host}.ini"))
    with locked(folder, f"the guest programs for {host}", reporter):
        _remove_unless_current(folder, text)
        if not (folder / "build.ninja").is_file():
            run(
                [*_python("mesonbuild.mesonmain"), "setup", *words, folder, SOURCES],
                log=log,
                timeout_s=LIMIT_S,
                error=lambda ended: ConfigureError(
                    f"meson cannot set up the guest programs for {host}: {_error(ended)}",
                    "run `nox -s doctor`, which lists the requirements",
                    log=log,
                ),
            )
        run(
            [*_python("ninja"), "-C", folder, *names],
            log=log,
            timeout_s=LIMIT_S,
            error=lambda ended: CompileError(
                f"the guest programs for {host} do not compile: {_error(ended)}",
                f"correct the sources below {SOURCES}",
                log=log,
            ),
        )
    programs = {name: folder / name for name in names}
    for name, path in programs.items():
        elf = read_elf(path)
        if elf is None or elf.interpreter or elf.needed:
            raise CompileError(
                f"{name} is not a static program", f"link it with -static in {SOURCES / 'meson.build'}"
            )
    return programs


def _remove_unless_current(folder: Path, text: str) -> None:
    """Remove ``folder`` if its cross file is not ``text``, and write ``text``. Raises StorageError."""
    file = folder.with_name(f"{folder.name}.ini")
    with storing(f"write {file}"):
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            shutil.rmtree(folder, ignore_errors=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def _python(module: str) -> tuple[str, ...]:
    """Return the command of meson or ninja in the harness's environment."""
    return (sys.executable, "-m", module)


def _error(ended: Finished) -> str:
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    return next(
        (line for line in lines if "error:" in line or "ERROR:" in line), (lines or ["no reason"])[-1]
    )
