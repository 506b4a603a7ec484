"""Find every required program and library; install the packages that are missing if permitted.

The packages and the package manager are those of the machine's distribution (harness/platforms.toml).

If nothing is missing, this is fast: PATH is searched in this process, and one pkg-config and one compiler
call check all libraries and headers. Versions and owning packages are queried only for the table.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.ahead import Job, ahead
from harness.build.needs import Requirement, requirements
from harness.build.owners import Owner, owners
from harness.errors import MissingError
from harness.layout import Layout
from harness.options import Options
from harness.platforms import distribution, why_absent
from harness.process import Finished, run
from harness.progress import Reporter

__all__ = ["Requirement", "RequirementStatus", "check", "ensure", "requirements"]

INSTALL_LIMIT_S = 1800.0
PACKAGE_GRACE_S = 120.0
"""Seconds for the package manager to finish a package after SIGTERM; SIGKILL would break the system."""


@dataclass(frozen=True, kw_only=True)
class RequirementStatus:
    """One line of the doctor's table."""

    name: str
    kind: str
    found: bool
    version: str
    """Empty if it was not queried or is unknown."""
    origin: str
    """Path with the package that owns it, or the harness's Python environment."""
    needed_by: str
    package: str
    """Packages of the distribution that provide it, separated by spaces; for kind ``python``, PyPI's."""


def check(needs: Iterable[Requirement], *, versions: bool = False) -> tuple[RequirementStatus, ...]:
    """Return the status of each of ``needs``; with ``versions``, including version and owner (up to 1 s)."""
    wanted = tuple(needs)
    found = _find(wanted)
    known = _versions(wanted, found) if versions else {}
    owned = _owners(wanted, found) if versions else {}
    rows = []
    for need in wanted:
        owner = owned.get(need.name)
        rows.append(
            RequirementStatus(
                name=need.name,
                kind=need.kind,
                found=need.name in found,
                version=known.get(need.name) or (owner.version if owner else ""),
                origin=found.get(need.name, "") + (f" ({owner.package})" if owner else ""),
                needed_by=need.needed_by,
                package=need.package,
            )
        )
    return tuple(rows)


def ensure(
    layout: Layout,
    options: Options | None,
    reporter: Reporter,
    *,
    stages: tuple[str, ...] | None = None,
    meanwhile: Sequence[Job] = (),
) -> None:
    """Install missing requirements as root or through passwordless sudo. Run ``meanwhile`` during that time.

    Raises MissingError, whose remedy is one command line of the distribution, if the installation is not
    permitted, the distribution is unknown or has no package, or a requirement is still missing.
    """
    needs = requirements(options, stages)
    if missing := [row for row in check(needs) if not row.found]:
        _install(missing, layout, reporter, meanwhile)
        if still := [row for row in check(needs) if not row.found]:
            raise _missing(still, "its package does not contain it", layout.logs / "doctor.log")


def ensure_libraries(needs: Sequence[Requirement], layout: Layout, reporter: Reporter) -> None:
    """Install those of ``needs`` that are missing, as far as that is possible; otherwise warn."""
    missing = [row for row in check(needs) if not row.found]
    groups = [missing] if missing else []
    while groups:
        group = groups.pop()
        try:
            _install(group, layout, reporter)
        except MissingError as error:
            if len(group) > 1:  # one of them may be unknown to this release
                groups += [[row] for row in group]
            else:
                reporter.warn(f"{error.cause}; {error.remedy}")


def _find(needs: Sequence[Requirement]) -> dict[str, str]:
    """Return the location of each requirement that is installed, by name."""
    found = {need.name: place for need in needs if (place := _place(need))}
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


def _place(need: Requirement) -> str:
    """Return the location of ``need``, of a kind that is looked up singly; empty if it is not installed."""
    if need.kind == "program":
        path = shutil.which(need.name) or ""
        return path if _is_at_least(path, need.minimum) else ""
    if need.kind == "file":
        return need.name if Path(need.name).is_file() else ""
    if need.kind == "python":
        try:
            importlib.metadata.distribution(need.name)
        except importlib.metadata.PackageNotFoundError:
            return ""
        return sys.prefix
    if need.kind == "module" and (spec := importlib.util.find_spec(need.name)):
        return str(Path(spec.origin or "").parent)
    if need.kind == "archive" and shutil.which("gcc"):
        answer = run(["gcc", f"-print-file-name={need.name}"], check=False, timeout_s=60).output.strip()
        return os.path.realpath(answer) if "/" in answer else ""  # gcc(1) repeats a name that it lacks
    return ""


def _is_at_least(path: str, minimum: str) -> bool:
    """Return whether the program ``path`` has at least the version ``minimum``, if there is one."""
    if not path or not minimum:
        return True
    texts = (_program_version(path), minimum)
    one, other = (tuple(map(int, re.findall(r"\d+", text.partition("-")[0]))) for text in texts)
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
    return versions


def _program_version(path: str) -> str:
    """Return the first number with a dot in the output of ``--version``."""
    text = run([path, "--version"], check=False, timeout_s=60).output
    first = re.search(
        r"\d+(\.\d+)+[-.+~\w]*", re.sub(r"\([^)]*\)", "", text.partition("\n")[0])
    ) or re.search(r"\d+(\.\d+)+", text)
    return first[0].rstrip(".") if first else ""


def _owners(needs: Sequence[Requirement], found: dict[str, str]) -> dict[str, Owner]:
    """Return the packages that own what was found; of headers, files and archives with their versions."""
    kinds = ("program", "header", "file", "archive")
    paths = {need.name: found[need.name] for need in needs if need.kind in kinds and need.name in found}
    known = owners(paths.values())
    named = {name: known[path] for name, path in paths.items() if path in known}
    for need in needs:
        if need.kind == "pkg-config" and need.name in found:
            named[need.name] = Owner(package=need.package, version="")
        elif need.kind == "python" and need.name in found:
            named[need.name] = Owner(package="venv", version="")
    return named


def _install(
    missing: Sequence[RequirementStatus], layout: Layout, reporter: Reporter, meanwhile: Sequence[Job] = ()
) -> None:
    """Install the packages of ``missing``, or raise MissingError."""
    if any(row.kind == "python" for row in missing):
        raise _missing(missing, "the harness's Python environment is not complete")
    where = distribution()
    manager = where.manager
    if manager is None:
        raise _missing(missing, f"{where.title} is not in the table of distributions")
    absent = [f"{row.name} ({reason})" for row in missing if (reason := why_absent(row.name, where))]
    if absent:
        raise _missing(missing, f"{where.title} has no package of {', '.join(absent)}")
    if shutil.which(manager.program) is None:
        raise _missing(missing, f"{where.title} has no {manager.program} here")
    become = _become_root()
    if become is None:
        raise _missing(missing, "this user is not root and has no passwordless sudo")
    log = layout.logs / "doctor.log"
    packages = _packages(missing)
    environment = {"LC_ALL": "C.UTF-8", **manager.environment}
    prefix = [*become, "env", *(f"{name}={value}" for name, value in environment.items())]

    def command(line: str) -> list[str]:
        program, *words = line.split()
        return [*prefix, program, *manager.options, *words]

    with ahead(meanwhile, reporter), reporter.step(f"install {' '.join(packages)}") as step:
        done, total = 0, 0

        def follow(line: str) -> None:
            nonlocal done, total
            if (new := re.search(manager.total, line)) and manager.per_package * int(new[1]) != total:
                done, total = 0, manager.per_package * int(new[1])
            if total and re.search(manager.steps, line):
                done += 1
                step.update(min(done, total), total, line.partition(" (")[0])

        def attempt(*, last: bool) -> bool:
            def explain(ended: Finished) -> MissingError:
                errors = tuple(line for line in ended.output.splitlines() if re.search(manager.error, line))
                return _missing(missing, f"{manager.program} cannot install it", log, errors[:5])

            ended = run(
                [*command(manager.install), *packages],
                log=log,
                on_line=follow,
                timeout_s=INSTALL_LIMIT_S,
                check=last or not manager.update,
                error=explain,
                grace_s=PACKAGE_GRACE_S,
            )
            return ended.returncode == 0

        # Update the package lists only if the installation fails: they may be missing or out of date.
        if not attempt(last=False):
            run(command(manager.update), log=log, timeout_s=INSTALL_LIMIT_S, check=False)
            attempt(last=True)


def _become_root() -> list[str] | None:
    """Return the prefix that runs a command as root, or None if that requires a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"], check=False, timeout_s=30).returncode == 0:
        return ["sudo", "-n"]
    return None


def _packages(rows: Iterable[RequirementStatus]) -> list[str]:
    return sorted({name for row in rows if row.kind != "python" for name in row.package.split()})


def _missing(
    rows: Sequence[RequirementStatus], why: str, log: Path | None = None, more: tuple[str, ...] = ()
) -> MissingError:
    """Return an error that lists ``rows`` and whose remedy is one command line."""
    names = ", ".join(row.name for row in rows)
    python = sorted({row.package for row in rows if row.kind == "python"})
    packages, manager = _packages(rows), distribution().manager
    if python:
        remedy = f"run: {sys.executable} -m pip install {' '.join(python)}"
    elif not packages:
        remedy = "install it by other means, or omit the option that needs it"
    elif manager is not None:
        remedy = f"run: {manager.command_line(packages, sudo=os.geteuid() != 0)}"
    else:
        remedy = f"install these packages (names as in Debian): {' '.join(packages)}"
    return MissingError(
        f"missing: {names} ({why})",
        remedy,
        details=(*(f"{row.name}: needed by {row.needed_by}" for row in rows), *more),
        log=log,
    )
