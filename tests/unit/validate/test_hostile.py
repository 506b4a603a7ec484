"""A malicious third-party series, from the mailbox to the verdict: built in the sandbox."""

import subprocess
import sys

import pytest

from harness import diskwatch
from harness import sandbox as sandbox_module
from harness.errors import MissingError
from harness.progress import Silent
from harness.sandbox import open_sandbox
from harness.series import read_input
from harness.source.pin import Traces
from harness.validate import run as module
from harness.validate.run import record_validate
from tests.unit.build.support import FAKE, make_options
from tests.unit.conftest import tiny_source
from tests.unit.programs import running, wait_until
from tests.unit.repositories import git, make_repository, write_files

pytestmark = pytest.mark.slow

NAP = "8765.4321"
TARGET = ("x86_64-softmmu",)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Create a user's home folder that contains a key."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_ed25519").write_text("SECRET-KEY")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def hostile(layout, home, tmp_path, monkeypatch):
    """Validate a series whose only patch makes configure run ``script``."""
    files = {str(path.relative_to(FAKE)): path.read_bytes() for path in FAKE.rglob("*") if path.is_file()}
    source = tiny_source(tmp_path, files, traces=Traces(patterns=("has_feature",)))
    monkeypatch.setattr(module, "fetch", lambda *_, **__: source)
    monkeypatch.setattr(module, "ensure", lambda *_: ())
    layout.ccache.mkdir(parents=True)
    (layout.ccache / "object").write_text("shared")

    def validate(script):
        folder = tmp_path / "third-party"
        write_files(folder, files)
        (folder / "configure").chmod(0o755)
        make_repository(folder)
        text = (folder / "configure").read_text()
        assert "\nset -eu\n" in text
        (folder / "configure").write_text(text.replace("\nset -eu\n", f"\nset -eu\n{script}\n"))
        git(folder, "commit", "-q", "-a", "-m", "configure: look around\n\nNeeded.")
        box = tmp_path / "third-party.mbox"
        box.write_text(git(folder, "format-patch", "-1", "--stdout") + "\n")
        options = make_options(series=str(box), qemu_tests=("none",), targets=TARGET, matrix=(), jobs=1)
        try:
            with open_sandbox(layout, "bwrap", Silent()) as sandbox:
                given = (layout, options, read_input(layout, str(box)), source.pin, Silent())
                return record_validate(*given, command="v", sandbox=sandbox)
        except MissingError as error:
            pytest.skip(error.cause)

    return validate


def _outcomes(results):
    return [row.outcome for row in results.builds]


def _summary(results):
    return " ".join(
        f"{finding.rule} {finding.message} {' '.join(finding.snippet)}" for finding in results.findings
    )


def test_sandbox_hides_keys_and_prevents_changes_elsewhere(hostile, home, tmp_path, layout):
    hooks = layout.trees / "tiny" / "hooks"
    results = hostile(
        f"for key in ~ {home}; do cat $key/.ssh/id_ed25519 > stolen || :; done\n"
        f"echo evil > {tmp_path}/elsewhere || :\n"
        f"echo evil > ../src/vl.c || :\n"
        f"mkdir -p {hooks} && echo evil > {hooks}/post-checkout || :\n"
        f"echo evil > {layout.ccache}/object || :\n"
        f"echo evil > $CCACHE_DIR/object || :\n"
        "test -e ../src/.git && cat ../src/.git > seen-git || :\n"
    )
    assert _outcomes(results) == ["ok", "ok"], _summary(results)
    assert results.isolation == "bwrap"
    for path in (tmp_path / "build").rglob("*"):
        if path.is_file():
            assert b"SECRET-KEY" not in path.read_bytes(), path
    assert not (tmp_path / "elsewhere").exists()
    assert not any(b"evil" in path.read_bytes() for path in layout.trees.rglob("*") if path.is_file())
    assert (layout.ccache / "object").read_text() == "shared"
    assert "evil" not in "".join(path.read_text() for path in layout.build.rglob("src/vl.c"))


def test_network_access_fails_the_build_of_the_series(hostile):
    """The socket is on this machine, because a remote one would fail without a network."""
    listener = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); s.accept()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", listener], stdout=subprocess.PIPE, text=True
    ) as outside:
        port = int(outside.stdout.readline())
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        try:
            results = hostile(f'python3 -c "{reach}"')
            assert outside.poll() is None, "the connection was not refused"
        finally:
            outside.kill()
    assert _outcomes(results) == ["ok", "failed"]
    assert "build-configure" in _summary(results)
    assert results.verdict == "build"


def test_daemon_of_the_build_is_ended(hostile):
    results = hostile(f"setsid -f sleep {NAP} < /dev/null > /dev/null 2>&1; sleep 0.1")
    assert _outcomes(results) == ["ok", "ok"], _summary(results)
    wait_until(lambda: not running(f"sleep {NAP}"))


def test_fork_bomb_is_limited(hostile, monkeypatch):
    monkeypatch.setattr(sandbox_module, "PROCESSES", 60)
    results = hostile(f"i=0; while [ $i -lt 400 ]; do sleep {NAP} & i=$((i+1)); done")
    if _outcomes(results) == ["ok", "ok"]:
        pytest.skip("control groups cannot be created here")
    assert results.verdict == "build"
    assert "ork" in _summary(results)
    assert not running(f"sleep {NAP}")


def test_disk_usage_of_the_build_is_limited(hostile, layout, monkeypatch):
    monkeypatch.setattr(sandbox_module, "DISK_BYTES", 30 * 1024 * 1024)
    results = hostile("i=0; while :; do head -c 1000000 /dev/urandom > f$i; i=$((i+1)); sleep 0.01; done")
    assert results.verdict == "build"
    assert "it has written" in _summary(results)
    assert diskwatch.used_bytes([str(layout.build)]) < 1024**3
