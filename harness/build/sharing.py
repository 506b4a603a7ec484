"""Distribute compiling to other machines."""

from harness.options import Options
from harness.process import find_program


def sharing_variables(options: Options) -> dict[str, str]:
    """Return environment variables for a shared remote cache, and for distcc, which ccache starts.

    See ccache(1), "remote_storage" and "prefix_command", and distcc(1), "Host specifications". They do not
    change the compiled files, so they are not part of the fingerprint. Raises MissingError.
    """
    environment: dict[str, str] = {}
    if options.ccache_remote:
        # The second name is for ccache before 4.7.
        environment |= dict.fromkeys(
            ("CCACHE_REMOTE_STORAGE", "CCACHE_SECONDARY_STORAGE"), options.ccache_remote
        )
    if options.distcc:
        program = find_program("distcc", needed_by="-Ddistcc=", package="distcc")
        environment |= {"CCACHE_PREFIX": str(program), "DISTCC_HOSTS": options.distcc}
    return environment
