"""Rules on the build and tests of each commit. ``harness.bisect`` and the suites report their findings."""

from harness.check.model import Rule

CONFIGURE = Rule(
    id="build-configure",
    severity="error",
    summary="configure fails from this patch on",
    remedy="fix the patch: git bisect requires that each commit builds",
    source="docs/devel/submitting-a-patch.rst",
)
FAILS = Rule(
    id="build-fails",
    severity="error",
    summary="compilation fails from this patch on",
    remedy="fix the patch: git bisect requires that each commit builds",
    source="docs/devel/submitting-a-patch.rst",
)
WARNING = Rule(
    id="build-warning",
    severity="error",
    summary="the compiler reports a new warning from this patch on; builds from git treat warnings as errors",
    remedy="fix the cause of the warning in that patch",
    source="configure (--enable-werror)",
)
NOT_COMPILED = Rule(
    id="build-not-compiled",
    severity="warning",
    summary="no build compiled a source file that the series changes, or a changed header with at least half "
    "of the sources that include it",
    remedy="compile the file where it can be compiled before you send the series",
)
LEFT_OUT = Rule(
    id="lines-not-compiled",
    severity="note",
    summary="added lines of a compiled file that the preprocessor left out of every build; if it is all "
    "of them, build-not-compiled",
    remedy="compile them where their condition holds: another target, operating system or library",
    source="GCC manual, Preprocessor Output",
)
TEST = Rule(
    id="test-fails",
    severity="error",
    summary="one of QEMU's own tests passes on the base and fails from this patch on (a warning if it failed "
    "once on the base too)",
    remedy="fix the patch, or adapt the test in the same patch",
    source="docs/devel/submitting-a-patch.rst",
)
VMSTATE = Rule(
    id="migration-breaks",
    severity="warning",
    summary="guests cannot migrate from the base: the state of a device differs (a note if it is gone)",
    remedy="keep the stream: raise version_id, use a subsection, or VMSTATE_UNUSED for a removed field",
    source="docs/devel/migration/main.rst; scripts/vmstate-static-checker.py",
)
VMSTATE_BACK = Rule(
    id="migration-backward",
    severity="note",
    summary="guests cannot migrate to the base: the state of a device has something new",
    remedy="if a machine type of a release is affected, send what is new only from newer ones",
    source="docs/devel/migration/main.rst; scripts/vmstate-static-checker.py",
)
PROVES_NOTHING = Rule(
    id="test-proves-nothing",
    severity="note",
    summary="a test that the series adds or changes passes without the rest of the series too (a warning if "
    "the message claims to test the fix)",
    remedy="change the test so that it fails without the fix, or say in the message what it is for",
    source="docs/devel/submitting-a-patch.rst",
)
NOT_RUN = Rule(
    id="lines-not-run",
    severity="note",
    summary="added lines that none of the chosen tests ran (-Dcoverage=true)",
    remedy="consider a test that runs these lines",
    source="gcov(1)",
)
RUST_UNCHECKED = Rule(
    id="rust-not-checked",
    severity="warning",
    summary="the series changes Rust code that was not compiled, checked or tested as QEMU's CI does",
    remedy="run again with -Drust=true, rustc, bindgen, clippy and rustfmt",
    source="docs/devel/rust.rst",
)
RUST_CLIPPY = Rule(
    id="rust-clippy",
    severity="warning",
    summary="clippy reports a new warning or error in Rust code",
    remedy="fix it, or allow the lint where that is right: ninja clippy",
    source="docs/devel/rust.rst",
)
RUST_FORMAT = Rule(
    id="rust-format",
    severity="warning",
    summary="Rust code is not formatted with rustfmt",
    remedy="format it: ninja rustfmt, with a nightly rustfmt",
    source="docs/devel/rust.rst",
)
MANUAL_FAILS = Rule(
    id="manual-fails",
    severity="error",
    summary="Sphinx cannot build the manual any more",
    remedy="build the documentation (ninja man) and fix the errors that Sphinx reports",
    source="docs/meson.build",
)
MANUAL_WARNING = Rule(
    id="manual-warning",
    severity="error",
    summary="Sphinx reports a new warning in the manual; builds from git treat warnings as errors",
    remedy="build the documentation (ninja man) and fix the cause of the warning",
    source="docs/meson.build (werror)",
)
MANUAL_OPTION = Rule(
    id="manual-option",
    severity="error",
    summary="a new option is not in the generated man page",
    remedy="define the option in its SRST … ERST text, and include that text in docs/system/invocation.rst",
    source="docs/sphinx/hxtool.py",
)
MANUAL_UNCHECKED = Rule(
    id="manual-not-checked",
    severity="note",
    summary="the series changes the manual, which was not built and compared with that of the base",
    remedy="run again with Sphinx (Debian: python3-sphinx, python3-sphinx-rtd-theme) on a series that builds",
    source="docs/meson.build",
)
BEHAVIOUR = Rule(
    id="behaviour-fails",
    severity="error",
    summary="a suite that the series' series.toml names fails",
    remedy="read the results of that suite",
)
RULES = (
    CONFIGURE,
    FAILS,
    WARNING,
    NOT_COMPILED,
    LEFT_OUT,
    TEST,
    VMSTATE,
    VMSTATE_BACK,
    PROVES_NOTHING,
    NOT_RUN,
    RUST_UNCHECKED,
    RUST_CLIPPY,
    RUST_FORMAT,
    MANUAL_FAILS,
    MANUAL_WARNING,
    MANUAL_OPTION,
    MANUAL_UNCHECKED,
    BEHAVIOUR,
)
