"""Rules whose findings come from building and running each commit: harness.bisect gives them."""

from __future__ import annotations

from harness.check.model import Rule

CONFIGURE = Rule(
    id="build-configure",
    severity="error",
    summary="configuring fails from this patch on",
    remedy="mend the patch: each commit has to build, so that git bisect can be used",
    source="docs/devel/submitting-a-patch.rst",
)
FAILS = Rule(
    id="build-fails",
    severity="error",
    summary="compiling fails from this patch on",
    remedy="mend the patch: each commit has to build, so that git bisect can be used",
    source="docs/devel/submitting-a-patch.rst",
)
WARNING = Rule(
    id="build-warning",
    severity="error",
    summary="the compiler warns of something new from this patch on; builds from git treat it as an error",
    remedy="mend what it warns of, in that patch",
    source="configure (--enable-werror)",
)
TEST = Rule(
    id="test-fails",
    severity="error",
    summary="a test of QEMU's own fails from this patch on, and does not on the base",
    remedy="mend the patch, or the test in the same patch",
    source="docs/devel/submitting-a-patch.rst",
)
MANUAL_FAILS = Rule(
    id="manual-fails",
    severity="error",
    summary="the manual cannot be made any more",
    remedy="make the documentation (ninja man) and mend what Sphinx says",
    source="docs/meson.build",
)
MANUAL_WARNING = Rule(
    id="manual-warning",
    severity="error",
    summary="Sphinx warns of something new in the manual; builds from git make it an error",
    remedy="make the documentation (ninja man) and mend what Sphinx warns of",
    source="docs/meson.build (werror)",
)
MANUAL_OPTION = Rule(
    id="manual-option",
    severity="error",
    summary="a new option is not in the man page as it is made",
    remedy="see that its SRST … ERST text has it in a definition, and docs/system/invocation.rst reads it",
    source="docs/sphinx/hxtool.py",
)
BEHAVIOUR = Rule(
    id="behaviour-fails",
    severity="error",
    summary="the series does not do what its series.toml has it checked for",
    remedy="see the results of that suite",
)
RULES = (CONFIGURE, FAILS, WARNING, TEST, MANUAL_FAILS, MANUAL_WARNING, MANUAL_OPTION, BEHAVIOUR)
