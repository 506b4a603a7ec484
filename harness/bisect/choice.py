"""Which commits are built, with which compilers, and what of their findings is reported."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

from harness.build.hosts import HOSTS
from harness.build.plan import Extra
from harness.check import Finding, Judged
from harness.options import Options


def commits_of(judged: Judged, options: Options) -> list[tuple[int, str]]:
    """Return number and id of the commits to build. A single patch is compared with the commit before it."""
    commits = [(patch.number, patch.commit) for patch in judged.patches if patch.commit]
    if options.patches:
        asked = options.patch_numbers
        commits = [one for one in commits if one[0] in asked or one[0] + 1 in asked]
    elif options.bisect == "ends":
        commits = commits[-1:]
    return [(0, judged.base), *commits]


def built_part(judged: Judged, options: Options) -> Judged:
    """Return the part of ``judged`` that is asked for, which ends with the last commit that is built."""
    asked = options.patch_numbers
    patches = tuple(patch for patch in judged.patches if not asked or patch.number in asked)
    return dataclasses.replace(judged, patches=patches, tip=commits_of(judged, options)[-1][1])


def patches_between(judged: Judged, options: Options) -> list[range]:
    """Return the patches that each build after that of the base adds."""
    built = [number for number, _ in commits_of(judged, options)]
    return [range(before + 1, number + 1) for before, number in itertools.pairwise(built)]


def builds_of(options: Options) -> tuple[tuple[str, str], ...]:
    """Return host and compiler of each walk over the commits. Cross compilers are gcc's."""
    return tuple(
        (host, compiler)
        for host in options.hosts
        for compiler in (options.compilers if host == "native" else ("gcc",))
    )


def prefer_hosts(options: Options) -> Options:
    """Return ``options`` with the targets first that KVM runs on the hosts, unless targets are given."""
    if options.has("targets"):
        return options
    own = [HOSTS[host].target for host in options.hosts if HOSTS[host].is_cross]
    first = own if "native" not in options.hosts else []
    return dataclasses.replace(options, targets=tuple(dict.fromkeys((*first, *options.targets))))


def with_compiler(extra: Extra, compiler: str) -> Extra:
    """Return ``extra`` for ``compiler``. The base may cause warnings of another one than gcc."""
    if compiler == "gcc":
        return extra
    return dataclasses.replace(extra, compiler=compiler, switches=(*extra.switches, "--disable-werror"))


def report_once(walks: Iterable[Sequence[Finding]]) -> list[Finding]:
    """Leave out what a later walk reports about a line that an earlier one has reported something about."""
    kept: list[Finding] = []
    known: set[tuple[int, str, int]] = set()
    for findings in walks:
        kept += [one for one in findings if not one.line or (one.patch, one.file, one.line) not in known]
        known |= {(one.patch, one.file, one.line) for one in findings}
    return kept
