"""Compiling that other machines have a part in."""

from __future__ import annotations

from harness.options import Options
from harness.process import find_program


def shared_work(options: Options) -> dict[str, str]:
    """What hands compiling to other machines: a cache that they share, and distcc behind ccache.

    ccache(1), "remote_storage" and "prefix_command"; distcc(1), "Host specifications". It changes nothing of
    what is compiled, so it is no part of what configuring depends on. Raises MissingError.
    """
    environment: dict[str, str] = {}
    if options.ccache_remote:
        # The second name is that of ccache before 4.7.
        environment |= dict.fromkeys(
            ("CCACHE_REMOTE_STORAGE", "CCACHE_SECONDARY_STORAGE"), options.ccache_remote
        )
    if options.distcc:
        program = find_program("distcc", needed_by="-Ddistcc=", package="distcc")
        environment |= {"CCACHE_PREFIX": str(program), "DISTCC_HOSTS": options.distcc}
    return environment
