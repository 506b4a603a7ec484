"""The bench with a fake QEMU and a real helper, a process with the same memory."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.errors import GuestError
from harness.properties import failures, status
from harness.properties.bench import PRELUDE, Surrounding
from harness.properties.bpf import deny
from harness.properties.outcome import Cancelled, Failed, arranged
from harness.properties.poweroff import boot_sector, guest_that_powers_off, s390x_image

from ..programs import QUIET_PYTHON, started

# Dozens of real processes: run by nox -s tests.
pytestmark = pytest.mark.slow


def test_helper_that_outlives_qemu_is_timed(make_bench):
    with make_bench("-fake", "helper:700000").start(memory_mib=1) as running:
        assert len(running.helpers()) == 1
        ended = running.end_by(signal.SIGKILL)
    assert (ended.helpers, ended.outlived, ended.status) == (1, 1, -signal.SIGKILL)
    assert ended.exit_s < ended.reclaim_s < 3


def test_helper_that_exceeds_the_limit_is_reported_and_killed(make_bench):
    with make_bench("-fake", "helper:60000000").start(memory_mib=1) as running:
        helper = running.helper()
        ended = running.end_by(signal.SIGKILL, helper_limit_s=0)
    assert ended.reclaim_s is None
    assert not Path(f"/proc/{helper}").exists() or status.fields(helper)["State"].startswith("Z")


def test_check_that_raises_leaves_no_process(make_bench):
    made = make_bench("-fake", "helper:60000000")
    with pytest.raises(ZeroDivisionError), made.start(memory_mib=1) as running:  # noqa: PT012 - raised in a block
        helper = running.helper()
        raise ZeroDivisionError
    assert not Path(f"/proc/{helper}").exists()
    assert not Path(f"/proc/{running.pid}").exists()


def test_missing_helper_fails_and_a_failed_start_is_an_error(make_bench):
    with make_bench().start(memory_mib=1) as running, pytest.raises(Failed, match="no processes"):
        running.helper()
    with pytest.raises(GuestError, match="bad luck"), make_bench("-fake", "die").start(memory_mib=1):
        pass
    with pytest.raises(Cancelled, match="lacks the option"):
        make_bench().require_option()
    made = make_bench()
    made.task = msgspec.structs.replace(
        made.task, binary=msgspec.structs.replace(made.task.binary, able=True)
    )
    with pytest.raises(Cancelled, match="runs without its option"):
        made.require_option()


def test_unexpected_exit_status_fails(make_bench):
    with (
        make_bench("-fake", "crash").start(memory_mib=1) as running,
        pytest.raises(Failed, match="ended with signal 11, not with status 0"),
    ):
        running.end_by(signal.SIGTERM)
    with make_bench().start(memory_mib=1) as running:
        running.end_by(signal.SIGKILL)
        with pytest.raises(Failed, match="had ended before"):
            running.end_by(signal.SIGKILL)


def prelude(surrounding, code, **settings):
    words = [sys.executable, "-IS", "-c", code]
    return subprocess.run(
        [sys.executable, "-I", "-S", str(PRELUDE), msgspec.json.encode(surrounding).decode(), *words],
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )


def test_prelude_sets_up_the_environment(tmp_path):
    code = "import os, resource as r; print(os.getcwd(), os.environ['A'], r.getrlimit(r.RLIMIT_NOFILE)[0])"
    made = prelude(Surrounding(folder=str(tmp_path), environment={"A": "b"}, files=64), code)
    assert made.stdout == f"{tmp_path} b 64\n"


def test_prelude_installs_the_filter():
    filtered = Surrounding(filter=deny({434: 38}))
    assert (
        "38"
        in prelude(filtered, "import os\ntry: os.pidfd_open(1)\nexcept OSError as e: print(e.errno)").stdout
    )


def test_failed_setup_cancels_and_failed_qemu_does_not(tmp_path):
    made = prelude(Surrounding(folder=str(tmp_path)), "", cwd="/")
    assert made.returncode == 0
    gone = prelude(Surrounding(folder=str(tmp_path / "none")), "")
    assert gone.stderr.startswith("prelude: ")
    error = GuestError("QEMU ended", "x", details=("prelude: unshare: Operation not permitted",))
    with pytest.raises(Cancelled, match="unshare: Operation not permitted"), arranged():
        raise error
    with pytest.raises(GuestError), arranged():
        raise GuestError("QEMU ended", "x")


@pytest.mark.parametrize(
    ("lines", "cause", "state"),
    [
        (("qemu: Asynchronous teardown: cannot: Too many open files",), "ended, with status 1", "reported"),
        (("qemu: Asynchronous teardown: cannot: Too many open files",), "ended, with signal 6", "other"),
        (("qemu: Too many open files",), "ended, with status 1", "other"),
        (("qemu: async-teardown: Operation not permitted",), "ended, with status 1", "other"),
        (("prelude: setrlimit: no",), "ended, with status 1", "prelude"),
    ],
)
def test_error_must_name_the_feature_and_the_reason(lines, cause, state):
    assert failures._judge(GuestError(cause, "x", details=lines), errno.EMFILE)[0] == state


def test_descriptors_are_compared_by_their_open_file():
    with started("sleep", "9", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert status.shared_descriptors(os.getpid(), child.pid) in ((2,), ())
        mine, its = status.confinement(os.getpid()), status.confinement(child.pid)
        assert status.differences(mine, its) == ()


def test_images_of_guests_that_power_off_are_bootable(tmp_path):
    assert len(boot_sector()) % 512 == 0
    assert boot_sector()[510:512] == b"\x55\xaa"
    assert s390x_image()[:8].hex() == "0008000080000200"
    assert s390x_image()[0x200:0x208].hex() == "a7180000ae010005"
    assert guest_that_powers_off("x86_64-softmmu", tmp_path, serial_fd=7).has_serial
    assert not guest_that_powers_off("s390x-softmmu", tmp_path, serial_fd=7).has_serial
    with pytest.raises(Cancelled, match="ppc64"):
        guest_that_powers_off("ppc64-softmmu", tmp_path, serial_fd=7)


def test_guest_without_resident_memory_is_an_error(make_bench):
    with pytest.raises(GuestError, match="less than 9000 MiB"), make_bench().start(memory_mib=9000):
        pass


def test_signals_that_the_parent_ignores_end_qemu(make_bench):
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        with make_bench().start(memory_mib=1) as running:
            assert running.end_by(signal.SIGQUIT).status == -signal.SIGQUIT
    finally:
        signal.signal(signal.SIGQUIT, before)


def test_highest_descriptor_and_thousands_below_it_are_used():
    code = "import os; n = sorted(map(int, os.listdir('/proc/self/fd'))); print(len(n), n[-1])"
    made = prelude(Surrounding(copy_of=0, copies=5000, files=64), code, stdin=subprocess.DEVNULL)
    count, highest = map(int, made.stdout.split())
    assert count >= 5000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    # Only root may raise the hard limit.
    assert highest in (min(hard, 1 << 20) - 1, min(most, 1 << 20) - 1)


def test_leaked_descriptors_are_found_among_thousands():
    copies = list(os.pipe())
    reader = copies[0]
    script = (
        "import os, sys, time\nfor n in range(100, 900): os.dup2(0, n)\nprint(flush=True); time.sleep(60)"
    )
    try:
        with started(*QUIET_PYTHON, script, ready=True, stdin=reader) as child:
            copies += [os.dup(reader) for _ in range(status.MANY)]
            found = status.shared_descriptors(os.getpid(), child.pid)
            assert len(found) == 9
            assert status.shared_descriptors(os.getpid(), child.pid, most=2) == found[:2]
    finally:
        for copy in copies:
            os.close(copy)


def test_only_files_and_folders_are_open_paths(tmp_path):
    with (
        (tmp_path / "file").open("w") as stream,
        started("sleep", "9", stdin=subprocess.PIPE, stdout=stream) as child,
    ):
        assert str(tmp_path / "file") in status.open_paths(child.pid)
        assert all(path.startswith("/") for path in status.open_paths(child.pid))


def test_missing_value_is_named():
    assert status.differences({"Groups": "65534"}, {"Groups": ""}) == ("Groups none instead of 65534",)
    assert (
        status.differences({"Umask": "1", "Uid": "0"}, {"Umask": "2", "Uid": "0"}, besides=("Umask",)) == ()
    )


def test_confinement_is_compared_as_a_whole():
    with started("sh", "-c", "umask 077; ulimit -n 50; echo; exec sleep 9", ready=True) as child:
        mine, its = status.confinement(os.getpid()), status.confinement(child.pid)
        umask, files = status.differences(mine, its)
        assert umask.startswith("Umask 0077 instead of")
        assert files.startswith("Max open files 50 50")
        assert status.unfiltered_threads(child.pid) == 1
