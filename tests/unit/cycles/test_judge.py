"""The judgement of cycles and of memory."""

import signal

import pytest

from harness.cycles.judge import describe_status, judge, judge_memory
from harness.cycles.model import Report, Seen
from tests.unit.cycles.support import make_cycle

REPORT = Report(tool="AddressSanitizer", summary="heap-use-after-free", ours=True)


@pytest.mark.parametrize(
    ("cycle", "role", "status", "good"),
    [
        ({}, "qemu", 0, True),
        ({}, "qemu", -signal.SIGTERM, True),
        ({}, "qemu", 1, False),
        ({}, "qemu", -signal.SIGKILL, False),
        ({"trigger": "sigabrt"}, "qemu", -signal.SIGABRT, True),
        ({}, "qemu", -signal.SIGABRT, False),
        ({"trigger": "sigkill"}, "qemu", -signal.SIGSEGV, False),
        ({"trigger": "quit"}, "qemu", -signal.SIGTERM, False),
        ({"helper": "killed"}, "helper", -signal.SIGKILL, True),
        ({}, "helper", -signal.SIGKILL, False),
        ({"trigger": "sigkill", "scope": "group"}, "helper", -signal.SIGKILL, True),
        ({}, "helper", -signal.SIGBUS, False),
        ({}, "helper", 1, False),
        ({"life": "start"}, "helper", 1, True),
        ({"life": "start"}, "qemu", 1, False),
        ({"life": "daemonize"}, "parent", 1, True),
        ({"life": "daemonize"}, "daemon", -signal.SIGSYS, False),
    ],
)
def test_only_expected_statuses_pass(cycle, role, status, good):
    reasons = judge(make_cycle(**cycle), Seen(statuses=[(role, status)]))
    assert reasons == (() if good else (f"{role}: {describe_status(status)}",))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"left": ["helper x (sleeping)"]}, "process remains after QEMU's exit: helper x (sleeping)"),
        ({"zombies": ["helper x (zombie)"]}, "zombie while QEMU was running: helper x (zombie)"),
        ({"never_ready": True, "last_line": "no memory"}, "QEMU did not become ready: no memory"),
        ({"ended_early": True}, "QEMU ended before the trigger: no message"),
        ({"helper_missing": True}, "no process shares QEMU's memory"),
        ({"held": True}, "a stopped helper delayed QEMU's exit"),
        ({"statuses": [("qemu", 1)], "last_line": "bad luck"}, "qemu: exit 1: bad luck"),
        ({"reports": [REPORT]}, "AddressSanitizer: heap-use-after-free"),
    ],
)
def test_each_observation_gives_its_reason(seen, reason):
    assert judge(make_cycle(), Seen(**seen)) == (reason,)


def test_reports_about_other_files_do_not_fail():
    other = Report(tool="UndefinedBehaviorSanitizer", summary="hw/x.c:1:1: shift", ours=False)
    assert judge(make_cycle(), Seen(reports=[other])) == ()


@pytest.mark.parametrize(
    ("source", "before", "after", "leaked"),
    [
        ("cgroup", 20.0, 40.0, False),
        ("cgroup", 20.0, 84.0, True),  # the smallest guest
        ("MemAvailable", 20000.0, 19900.0, False),
        ("MemAvailable", 20000.0, 19744.0, True),  # one guest of 256 MiB
        ("MemAvailable", 20000.0, 21000.0, False),
    ],
)
def test_leak_of_one_guest_is_detected(source, before, after, leaked):
    assert judge_memory("patched", source, before, after).leaked is leaked
