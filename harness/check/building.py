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
BEHAVIOUR = Rule(
    id="behaviour-fails",
    severity="error",
    summary="the series does not do what its series.toml has it checked for",
    remedy="see the results of that suite",
)
RULES = (CONFIGURE, FAILS, WARNING, TEST, BEHAVIOUR)
