"""Find every required program and library; install missing Debian packages if permitted.

If nothing is missing, this is fast: PATH is searched in this process, and one pkg-config and one compiler
call check all libraries and headers. Versions and owning packages are queried only for the table.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build.needs import Requirement, requirements
from harness.errors import MissingError
from harness.layout import Layout
from harness.options import Options
from harness.process import Finished, run
from harness.progress import Reporter

__all__ = ["Requirement", "RequirementStatus", "check", "ensure", "requirements"]

INSTALL_LIMIT_S = 1800.0
DPKG_GRACE_S = 120.0
"""Seconds for dpkg to finish its current package after SIGTERM; SIGKILL would leave the system broken."""


@dataclass(frozen=True, kw_only=True)
class RequirementStatus:
    """One line of the doctor's table."""

    name: str
    kind: str
    found: bool
    version: str
    """Empty if it was not queried or is unknown."""
    origin: str
    """Path with the Debian package that owns it, or the harness's Python environment."""
    needed_by: str
    package: str
    """Debian package that provides it; for kind ``python``, PyPI package."""


def check(needs: Iterable[Requirement], *, versions: bool = False) -> tuple[RequirementStatus, ...]:
    """Return the status of each of ``needs``; with ``versions``, including version and owner (up to 1 s)."""
    wanted = tuple(needs)
    found = _find(wanted)
    known = _versions(wanted, found) if versions else {}
    owners = _owners(wanted, found) if versions else {}
    return tuple(
        RequirementStatus(
            name=need.name,
            kind=need.kind,
            found=need.name in found,
            version=known.get(need.name, ""),
            origin=" ".join(word for word in (found.get(need.name, ""), owners.get(need.name, "")) if word),
            needed_by=need.needed_by,
            package=need.package,
        )
        for need in wanted
    )


def ensure(
    layout: Layout,
    options: Options | None,
    reporter: Reporter,
    *,
    stages: tuple[str, ...] | None = None,
    versions: bool = False,
) -> tuple[RequirementStatus, ...]:
    """Install missing requirements as root or through passwordless sudo; return the status of all.

    Raises MissingError, whose remedy is one command line, if the installation is not permitted, the system is
    not Debian, or a requirement is still missing.
    """
    needs = requirements(options, stages)
    rows = check(needs)
    missing = [row for row in rows if not row.found]
    if missing:
        _install(missing, layout, reporter)
        rows = check(needs)
        still = [row for row in rows if not row.found]
        if still:
            raise _missing(still, "its package does not contain it", layout.logs / "doctor.log")
    return check(needs, versions=True) if versions else rows


def ensure_libraries(needs: Sequence[Requirement], layout: Layout, reporter: Reporter) -> None:
    """Install those of ``needs`` that are missing, as far as that is possible; otherwise warn."""
    missing = [row for row in check(needs) if not row.found]
    groups = [missing] if missing else []
    while groups:
        group = groups.pop()
        try:
            _install(group, layout, reporter)
        except MissingError as error:
            if len(group) > 1:  # one of them may be unknown to this release of Debian
                groups += [[row] for row in group]
            else:
                reporter.warn(f"{error.cause}; {error.remedy}")


def _find(needs: Sequence[Requirement]) -> dict[str, str]:
    """Return the location of each requirement that is installed, by name."""
    found: dict[str, str] = {}
    for need in needs:
        if need.kind == "program":
            path = shutil.which(need.name)
            if path and (not need.minimum or _is_at_least(_program_version(path), need.minimum)):
                found[need.name] = path
        elif need.kind == "file":
            if Path(need.name).is_file():
                found[need.name] = need.name
        elif need.kind == "python":
            try:
                importlib.metadata.distribution(need.name)
                found[need.name] = sys.prefix
            except importlib.metadata.PackageNotFoundError:
                pass
        elif need.kind == "module" and (spec := importlib.util.find_spec(need.name)):
            found[need.name] = str(Path(spec.origin or "").parent)
    modules = [need for need in needs if need.kind == "pkg-config"]
    if modules and shutil.which("pkg-config"):
        if _pkg_config(modules):
            found |= {need.name: "pkg-config" for need in modules}
        else:
            found |= {need.name: "pkg-config" for need in modules if _pkg_config([need])}
    headers = [need for need in needs if need.kind == "header"]
    if headers and shutil.which("gcc"):
        found |= _headers(headers)
    return found


def _is_at_least(version: str, minimum: str) -> bool:
    one, other = (tuple(map(int, re.findall(r"\d+", text.partition("-")[0]))) for text in (version, minimum))
    return one >= other


def _pkg_config(needs: Sequence[Requirement]) -> bool:
    words = [f"{need.name} >= {need.minimum}" if need.minimum else need.name for need in needs]
    return run(["pkg-config", "--exists", *words], check=False, timeout_s=60).returncode == 0


def _headers(needs: Sequence[Requirement]) -> dict[str, str]:
    """Return the headers that gcc finds, by one call: -M stops at a missing one, __has_include does not."""
    source = "".join(f"#if __has_include(<{need.name}>)\n#include <{need.name}>\n#endif\n" for need in needs)
    ended = run(
        ["gcc", "-E", "-x", "c", "-"], stdin=source.encode(), merge_stderr=False, check=False, timeout_s=60
    )
    paths = set(re.findall(r'^# \d+ "([^"]+)"', ended.output, re.MULTILINE))
    return {need.name: path for need in needs for path in sorted(paths) if path.endswith(f"/{need.name}")}


def _versions(needs: Sequence[Requirement], found: dict[str, str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    modules = [need.name for need in needs if need.kind == "pkg-config" and need.name in found]
    if modules:
        lines = run(["pkg-config", "--modversion", *modules], check=False, timeout_s=60).output.split()
        versions |= dict(zip(modules, lines, strict=False))
    for need in needs:
        if need.name not in found:
            continue
        if need.kind == "program":
            versions[need.name] = _program_version(found[need.name])
        elif need.kind == "python":
            versions[need.name] = importlib.metadata.version(need.name)
        elif need.kind == "module":
            versions[need.name] = ".".join(map(str, sys.version_info[:3]))
    headers = [need for need in needs if need.kind == "header" and need.name in found]
    if headers and shutil.which("dpkg-query"):
        asked = [
            "dpkg-query",
            "-W",
            "-f",
            "${binary:Package} ${Version}\n",
            *(need.package for need in headers),
        ]
        for line in run(asked, merge_stderr=False, check=False, timeout_s=60).output.splitlines():
            package, _, version = line.partition(" ")
            versions |= {need.name: version for need in headers if need.package == package.partition(":")[0]}
    return versions


def _program_version(path: str) -> str:
    """Return the first number with a dot in the output of ``--version``."""
    text = run([path, "--version"], check=False, timeout_s=60).output
    first = re.search(
        r"\d+(\.\d+)+[-.+~\w]*", re.sub(r"\([^)]*\)", "", text.partition("\n")[0])
    ) or re.search(r"\d+(\.\d+)+", text)
    return first[0].rstrip(".") if first else ""


def _owners(needs: Sequence[Requirement], found: dict[str, str]) -> dict[str, str]:
    """Return the Debian packages that own the found files, by one dpkg call."""
    paths: dict[str, str] = {}
    for need in needs:
        if need.kind in ("program", "header", "file") and need.name in found:
            paths[need.name] = found[need.name]
    owners = {
        need.name: f"({need.package})" for need in needs if need.kind == "pkg-config" and need.name in found
    }
    owners |= {need.name: "(venv)" for need in needs if need.kind == "python" and need.name in found}
    if not paths or not shutil.which("dpkg-query"):
        return owners
    # /bin and /usr/bin are one folder on Debian 12, and dpkg lists some files below /bin.
    asked = {path for given in paths.values() for path in (given, given.removeprefix("/usr"))}
    output = run(["dpkg-query", "-S", *sorted(asked)], merge_stderr=False, check=False, timeout_s=60).output
    known: dict[str, str] = {}
    for line in output.splitlines():
        package, separator, path = line.partition(": ")
        if separator and " " not in package:  # not a line "diversion by …"
            known[path] = package.partition(":")[0]
    for name, path in paths.items():
        if owner := known.get(path) or known.get(path.removeprefix("/usr")):
            owners[name] = f"({owner})"
    return owners


def _install(missing: Sequence[RequirementStatus], layout: Layout, reporter: Reporter) -> None:
    """Install the Debian packages of ``missing``, or raise MissingError."""
    if any(row.kind == "python" for row in missing):
        raise _missing(missing, "the harness's Python environment is not complete")
    if shutil.which("apt-get") is None:
        raise _missing(missing, "this is not Debian: apt-get is missing")
    become = _become_root()
    if become is None:
        raise _missing(missing, "this user is not root and has no passwordless sudo")
    log = layout.logs / "doctor.log"
    packages = _packages(missing)
    command = [
        *become,
        *("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get"),
        *("-o", "DPkg::Lock::Timeout=300"),
    ]
    with reporter.step(f"install {' '.join(packages)}") as step:
        done, total = 0, 0

        def follow(line: str) -> None:
            nonlocal done, total
            if new := re.match(r"\d+ upgraded, (\d+) newly installed", line):
                total = 2 * int(new[1])
            elif total and line.startswith(("Unpacking ", "Setting up ")):
                done += 1
                step.update(done, total, line.partition(" (")[0])

        def attempt(*, last: bool) -> bool:
            def explain(ended: Finished) -> MissingError:
                errors = tuple(line for line in ended.output.splitlines() if line.startswith("E: "))[:5]
                return _missing(missing, "apt-get cannot install it", log, errors)

            words = [*command, "install", "-y", "--no-install-recommends", *packages]
            ended = run(
                words,
                log=log,
                on_line=follow,
                timeout_s=INSTALL_LIMIT_S,
                check=last,
                error=explain,
                grace_s=DPKG_GRACE_S,
            )
            return ended.returncode == 0

        # Update the package lists only if the installation fails: they may be missing or out of date.
        if not attempt(last=False):
            run([*command, "update"], log=log, timeout_s=INSTALL_LIMIT_S, check=False)
            attempt(last=True)


def _become_root() -> list[str] | None:
    """Return the prefix that runs a command as root, or None if that requires a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"], check=False, timeout_s=30).returncode == 0:
        return ["sudo", "-n"]
    return None


def _packages(rows: Iterable[RequirementStatus]) -> list[str]:
    return sorted({row.package for row in rows if row.kind != "python"})


def _missing(
    rows: Sequence[RequirementStatus], why: str, log: Path | None = None, more: tuple[str, ...] = ()
) -> MissingError:
    """Return an error that lists ``rows`` and whose remedy is one command line."""
    names = ", ".join(row.name for row in rows)
    python = sorted({row.package for row in rows if row.kind == "python"})
    packages = " ".join(_packages(rows))
    if python:
        remedy = f"run: {sys.executable} -m pip install {' '.join(python)}"
    elif shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        install = f"{sudo}apt-get install -y --no-install-recommends {packages}"
        remedy = f"run: {sudo}apt-get update && {install}"
    else:
        remedy = f"install these packages (names as in Debian): {packages}"
    return MissingError(
        f"missing: {names} ({why})",
        remedy,
        details=(*(f"{row.name}: needed by {row.needed_by}" for row in rows), *more),
        log=log,
    )
