"""Find the packages that own files, by dpkg or rpm."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from harness.process import run


@dataclass(frozen=True, kw_only=True)
class Owner:
    """An installed package."""

    package: str
    version: str


def owners(paths: Iterable[str]) -> dict[str, Owner]:
    """Return the package that owns each of ``paths``; those without one are left out."""
    wanted = tuple(dict.fromkeys(paths))
    if not wanted:
        return {}
    if shutil.which("dpkg-query") and (found := _by_dpkg(wanted)):
        return found
    return _by_rpm(wanted) if shutil.which("rpm") else {}


def _by_dpkg(wanted: tuple[str, ...]) -> dict[str, Owner]:
    # /bin and /usr/bin are one folder since Debian 12, and dpkg lists some files below /bin.
    asked = sorted({path for given in wanted for path in (given, given.removeprefix("/usr"))})
    known: dict[str, str] = {}
    for line in _lines("dpkg-query", "-S", *asked):
        package, separator, path = line.partition(": ")
        if separator and " " not in package:  # not a line "diversion by …"
            known[path] = package.partition(":")[0]
    packages = {path: known.get(path) or known.get(path.removeprefix("/usr"), "") for path in wanted}
    names = sorted(set(packages.values()) - {""})
    shown = _lines("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names) if names else []
    versions = dict(line.split(" ", 1) for line in shown if " " in line)
    return {
        path: Owner(package=name, version=versions.get(name, "")) for path, name in packages.items() if name
    }


def _by_rpm(wanted: tuple[str, ...]) -> dict[str, Owner]:
    """rpm(8) answers in the order of its arguments, for a file without a package with a sentence."""
    lines = _lines("rpm", "-q", "-f", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n", *wanted)
    found = {}
    for path, line in zip(wanted, lines, strict=False):
        if len(words := line.split()) == 2:
            found[path] = Owner(package=words[0], version=words[1])
    return found


def _lines(*words: str) -> list[str]:
    return run(words, merge_stderr=False, check=False, timeout_s=60).output.splitlines()
