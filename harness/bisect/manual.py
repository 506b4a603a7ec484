"""Man pages of the base and of the last commit, built by Sphinx and compared.

Sphinx runs extensions of the tree (docs/sphinx), so it runs in the sandbox (``harness.sandbox``).

Source: sphinx-build(1); docs/meson.build, which builds the man pages with the same builder.
"""

import posixpath
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bisect.diagnostics import Diagnostic, read_lines
from harness.build import Build
from harness.check import Finding, Judged, JudgedPatch
from harness.check.building import MANUAL_FAILS, MANUAL_OPTION, MANUAL_WARNING
from harness.check.options import OPTIONS, read_options
from harness.check.subject import snippet
from harness.process import run
from harness.sandbox import Sandbox

LIMIT_S = 600.0
PROGRAM = "sphinx-build"
PAGE = "qemu.1"
_LINE = re.compile(r"^(\S[^:\s]*):(\d+): (WARNING|ERROR|SEVERE|CRITICAL): (.*)$")


@dataclass(frozen=True, kw_only=True)
class Manual:
    """Output of Sphinx for one commit: ``page`` is qemu(1) without roff escapes, ``last`` the last line."""

    returncode: int
    warnings: tuple[Diagnostic, ...]
    page: str
    last: str


def touches_manual(patches: Iterable[JudgedPatch]) -> bool:
    """Whether ``patches`` change sources of the manual: docs/, .hx files or QAPI schemas."""
    paths = {path for patch in patches for change in patch.changes for path in change.paths}
    return any(
        path.endswith((".hx", ".rst", ".rst.inc")) or path.startswith(("docs/", "qapi/", "qga/qapi"))
        for path in paths
    )


def find_sphinx() -> str:
    """Return the path of Sphinx; empty if it is not installed."""
    return shutil.which(PROGRAM) or ""


def make_manual(program: str, build: Build, sandbox: Sandbox, log: Path) -> Manual:
    """Build the man pages of the commit that is checked out for ``build``; ``log`` is overwritten.

    Raises TimeoutExpiredError.
    """
    folder, source = Path(build.folder), Path(build.source)
    out = folder / "manual-check"
    shutil.rmtree(out, ignore_errors=True)
    log.unlink(missing_ok=True)
    argv = (program, "-q", "-N", "-b", "man", "-d", out / "doctrees", source / "docs", out / "man")
    ended = run(
        sandbox.wrap([str(word) for word in argv], folder),
        cwd=folder,
        env={"CONFDIR": "/etc/qemu", "PYTHONDONTWRITEBYTECODE": "1"},
        log=log,
        check=False,
        timeout_s=LIMIT_S,
    )
    page = out / "man" / PAGE
    text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    lines = read_lines(log)[1:]  # the first line is the command; ended.output is only the end of the log
    return Manual(
        returncode=ended.returncode,
        warnings=read_warnings(lines, source),
        page=re.sub(r"\\f[BIPR]", "", text).replace("\\-", "-"),
        last=lines[-1].strip() if lines else f"status {ended.returncode}",
    )


def read_warnings(lines: Iterable[str], source: Path) -> tuple[Diagnostic, ...]:
    """Return the messages of Sphinx in ``lines`` without duplicates; paths are relative to ``source``."""
    diagnostics: dict[tuple[str, int, str], Diagnostic] = {}
    for line in lines:
        match = _LINE.match(line.rstrip())
        if match is None:
            continue
        path = posixpath.normpath(match[1]).removeprefix(f"{source}/")
        one = Diagnostic(
            file=path, line=int(match[2]), text=match[4], switch="", is_warning=match[3] == "WARNING"
        )
        diagnostics.setdefault((one.file, one.line, one.text), one)
    return tuple(diagnostics.values())


def compare_manuals(judged: Judged, before: Manual, after: Manual) -> tuple[Finding, ...]:
    """Return a finding for each new problem, attributed to the last patch that changes the file."""
    if before.returncode != 0:
        return ()  # the base is broken, so there is nothing to compare with
    if after.returncode != 0:
        return (
            MANUAL_FAILS.finding(
                f"Sphinx ends with status {after.returncode}: {after.last}", snippet=snippet(after.last)
            ),
        )
    known = {one.key for one in before.warnings}
    findings = [
        MANUAL_WARNING.finding(
            one.text, patch=_last_change(judged.patches, one.file), file=one.file, line=one.line
        )
        for one in after.warnings
        if one.key not in known
    ]
    old = {entry.name for entry in read_options(judged.read(judged.base, OPTIONS) or "")}
    findings += [
        MANUAL_OPTION.finding(
            f"-{entry.name} is not in {PAGE}",
            patch=_last_change(judged.patches, OPTIONS),
            file=OPTIONS,
            line=entry.line,
        )
        for entry in read_options(judged.read(judged.tip, OPTIONS) or "")
        if entry.name not in old
        and not re.search(rf"(?<![\w-])-{re.escape(entry.name)}(?![\w-])", after.page)
    ]
    return tuple(findings)


def _last_change(patches: Sequence[JudgedPatch], path: str) -> int:
    return next(
        (
            patch.number
            for patch in reversed(patches)
            if patch.commit and any(path in change.paths for change in patch.changes)
        ),
        0,
    )
