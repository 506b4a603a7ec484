"""clippy and rustfmt on the base and on the last commit of a series that changes Rust code, compared.

Clippy is a goal of the build (meson 1.8 and later). rustfmt finds the style in the rustfmt.toml of the tree.

Source: docs/devel/rust.rst ("Code should pass clippy and be formatted with rustfmt").
"""

import dataclasses
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.compiled import is_rust
from harness.bisect.diagnostics import Diagnostic, read_diagnostics, read_lines
from harness.bisect.qtests import run_ninja
from harness.build import Build
from harness.build.graph import unknown_goals
from harness.check import Finding, Judged, JudgedPatch
from harness.check.building import RUST_CLIPPY, RUST_FORMAT, RUST_UNCHECKED
from harness.process import Finished, run
from harness.progress import Step
from harness.sandbox import Sandbox

LIMIT_S = 600.0
CLIPPY, DRIVER, RUSTFMT = "clippy", "clippy-driver", "rustfmt"
OFF = "Rust is off: -Drust=true compiles, checks and tests it"
NOT_BUILT = "clippy and rustfmt run on a native build of the last commit, which there is not"


@dataclass(frozen=True, kw_only=True)
class RustCheck:
    """The findings of clippy and rustfmt in one commit. ``missing`` names what was not checked, and why."""

    warnings: tuple[Diagnostic, ...] = ()
    unformatted: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()


def rust_files(patches: Iterable[JudgedPatch]) -> dict[str, int]:
    """Return the files of Rust that ``patches`` change, and the last patch that changes each."""
    return {change.path: one.number for one in patches for change in one.changes if is_rust(change.path)}


def check_rust(build: Build, files: Collection[str], sandbox: Sandbox, log: Path, step: Step) -> RustCheck:
    """Run clippy on the build, and rustfmt on those of ``files`` that its sources have.

    ``log`` is overwritten. Raises TimeoutExpiredError.
    """
    log.unlink(missing_ok=True)
    warnings, first = _clippy(build, sandbox, log, step)
    unformatted, second = _rustfmt(build, files, sandbox, log)
    return RustCheck(warnings=warnings, unformatted=unformatted, missing=tuple(filter(None, (first, second))))


def _clippy(build: Build, sandbox: Sandbox, log: Path, step: Step) -> tuple[tuple[Diagnostic, ...], str]:
    if not shutil.which(DRIVER):
        return (), f"{CLIPPY}: {DRIVER} is not installed"
    if unknown_goals(Path(build.folder), [CLIPPY]):
        return (), f"{CLIPPY}: this tree's meson has no goal for it"
    ended = run_ninja(build, [CLIPPY], sandbox, log, step)
    lines = read_lines(log)
    # meson names some sources by absolute paths, those of its copies too.
    tops = re.compile(f"^(?:{re.escape(build.source)}|{re.escape(build.folder)})/")
    found = tuple(dataclasses.replace(one, file=tops.sub("", one.file)) for one in read_diagnostics(lines))
    if any(f"{DRIVER} not found" in line for line in lines):  # meson ends with 0
        return found, f"{CLIPPY}: meson does not find {DRIVER}"
    if ended.returncode != 0 and not found:
        return found, _failed(CLIPPY, ended)
    return found, ""


def _rustfmt(build: Build, files: Collection[str], sandbox: Sandbox, log: Path) -> tuple[frozenset[str], str]:
    source = Path(build.source)
    paths = sorted(path for path in files if path.endswith(".rs") and (source / path).is_file())
    if not paths:
        return frozenset(), ""
    if not (program := shutil.which(RUSTFMT)):
        return frozenset(), f"{RUSTFMT}: it is not installed"
    argv = (program, "--check", "-l", *(str(source / path) for path in paths))
    ended = run(
        sandbox.wrap(argv, Path(build.folder)),
        cwd=Path(build.folder),
        log=log,
        check=False,
        timeout_s=LIMIT_S,
    )
    listed = {line.removeprefix(f"{source}/") for line in ended.output.splitlines()}
    unformatted = frozenset(listed.intersection(paths))
    if ended.returncode != 0 and not any(line.endswith(".rs") for line in listed):
        return unformatted, _failed(RUSTFMT, ended)
    return unformatted, ""


def _failed(program: str, ended: Finished) -> str:
    last = next((line.strip() for line in reversed(ended.output.splitlines()) if line.strip()), "")
    return f"{program}: it ends with status {ended.returncode}: {last}"


def compare_rust(judged: Judged, before: RustCheck, after: RustCheck) -> list[Finding]:
    """Return a finding for each new problem, attributed to the last patch that changes the file."""
    files = rust_files(judged.patches)
    known = {one.key for one in before.warnings}
    findings = [
        RUST_CLIPPY.finding(one.text, patch=files.get(one.file, 0), file=one.file, line=one.line)
        for one in after.warnings
        if one.key not in known
    ]
    findings += [
        RUST_FORMAT.finding("rustfmt would change this file", patch=files[path], file=path)
        for path in sorted(after.unformatted - before.unformatted)
    ]
    return findings


def unchecked(patches: Iterable[JudgedPatch], reasons: Sequence[str]) -> list[Finding]:
    """Return a finding for each of the ``reasons`` why changed Rust code was not checked."""
    last = max(rust_files(patches).values(), default=0)
    return [RUST_UNCHECKED.finding(f"not checked: {reason}", patch=last) for reason in reasons if last]
