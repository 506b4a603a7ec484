"""harness/guest/programs/measure.c, compiled natively and run with a fake QEMU."""

import os
import random
import shutil
import struct
import subprocess

import pytest

from harness.build.programs import SOURCES
from harness.properties import bpf
from harness.properties.bpf import ALLOW, AUDIT_ARCH, ERRNO, KILL_PROCESS, LD_ABS, RET_K, Call, Insn
from harness.properties.sandbox import FOREIGN
from harness.teardown.records import ConsoleReader
from tests.unit.programs import running

from ..guest.support import fake_binary

STRICT = ("gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("measure") / "measure"
    sources = [SOURCES / name for name in ("measure.c", "property.c", "filter.c")]
    subprocess.run([*STRICT, "-o", built, *sources], check=True)
    return built


@pytest.fixture
def measure(program, tmp_path):
    def run(*words):
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        ended = subprocess.run([program, *words], capture_output=True, check=True, env=environment)
        (record,) = ConsoleReader().feed(ended.stdout)
        return record

    return run


def sample(measure, folder, mode, *, trigger="sigterm", limit_s=5, mib=1):
    words = (fake_binary(folder), "-chardev", "socket,id=qmp,fd=3", "-fake", mode)
    return measure("sample", "3", trigger, "4k", str(mib), str(limit_s), "--", *words)


def test_failed_start_is_reported(measure, program):
    record = measure("sample", "3", "sigkill", "4k", "1", "5", "--", "/no/such/qemu")
    assert record.index == 3
    assert "QEMU ended while it started" in record.error
    assert "No such file" in record.error
    assert subprocess.run([program, "sample"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(("trigger", "status"), [("sigterm", 0), ("sigkill", -9), ("quit", 0)])
def test_without_a_helper_reclaim_equals_exit(measure, tmp_path, trigger, status):
    record = sample(measure, tmp_path, "normal", trigger=trigger)
    assert (record.error, record.exit_status, record.helpers, record.stuck) == ("", status, 0, 0)
    assert 0 < record.exit_s == record.reclaim_s
    assert record.populated_mib >= 1


@pytest.mark.parametrize(("mode", "helpers"), [("helper:900000", 1), ("late:400000", 0)])
def test_reclaim_ends_with_the_last_process(measure, tmp_path, mode, helpers):
    """The last process may be started after the trigger."""
    record = sample(measure, tmp_path, mode)
    assert (record.error, record.helpers, record.stuck) == ("", helpers, 0)
    assert record.exit_s < 0.3 < record.reclaim_s < 1.0


@pytest.mark.parametrize("mode", ["helper:900000000", "late:900000000"])
def test_process_that_never_ends_is_killed_and_counted(measure, tmp_path, mode):
    assert sample(measure, tmp_path, mode, limit_s=1).stuck == 1
    assert not running(str(tmp_path))


@pytest.mark.parametrize(
    ("mode", "mib", "reason"),
    [
        ("stubborn", 1, "QEMU did not end within 1 s of sigterm"),
        ("silent", 1, "no answer from QEMU's monitor in time; QEMU printed: still waiting"),
        ("helper:900000000", 4096, "of 4096 MiB of the guest's memory are resident"),
    ],
)
def test_errors_are_reported_and_leave_no_process(measure, tmp_path, mode, mib, reason):
    assert reason in sample(measure, tmp_path, mode, limit_s=1, mib=mib).error
    assert not running(str(tmp_path))


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("normal", "0 processes share QEMU's memory, not 1"),
        ("helper:900000000", "the helper has Name: 'qemu-fake', not 'cleanup/"),
    ],
)
def test_failed_property_leaves_no_process(measure, tmp_path, mode, reason):
    words = (fake_binary(tmp_path), "-chardev", "socket,id=qmp,fd=3", "-fake", mode)
    record = measure("property", "clone", "5", "--", *words)
    assert record.property == "clone"
    assert reason in record.error
    assert not running(str(tmp_path))


# ---- filters

CALLS = 500
MAIN = r"""
#include "filter.h"
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    static const uint64_t some[6] = { 7, 0x100, 0xffffffff00000003, 4, 5, 6 };
    uint32_t length;
    while (fread(&length, sizeof(length), 1, stdin) == 1) {
        Filters filters = { .count = 1 };
        filters.filter[0].length = length;
        filters.filter[0].program = calloc(length, sizeof(struct sock_filter));
        if (fread(filters.filter[0].program, sizeof(struct sock_filter), length, stdin) != length) {
            return 1;
        }
        for (int nr = 0; nr < %d; nr++) {
            putchar('0' + filters_allow(&filters, nr, some) + 2 * filters_allow_other(&filters, nr));
        }
        putchar(10);
    }
    return 0;
}
"""


def random_program(draw):
    """Return a valid program: forward jumps, aligned loads in bounds, and a return at the end."""
    length = draw.randint(2, 30)
    program = []
    for at in range(length - 1):
        room = length - 2 - at
        jumps = (min(room, draw.randint(0, 3)), min(room, draw.randint(0, 3)))
        k = draw.choice([0, 1, 4, 59, 0x100, 0x7FFFFFFF, 0xFFFFFFFF, draw.randint(0, CALLS)])
        program.append(
            draw.choice(
                [
                    Insn(LD_ABS, 0, 0, 4 * draw.randint(0, 15)),
                    Insn(0x00, 0, 0, k),  # a = k
                    Insn(0x80, 0, 0, 0),  # a = length
                    Insn(draw.choice([0x02, 0x03, 0x60, 0x61]), 0, 0, draw.randint(0, 15)),  # memory
                    Insn(draw.choice([0x07, 0x87]), 0, 0, 0),  # x = a, a = x
                    Insn(draw.choice([0x04, 0x14, 0x24, 0x44, 0x54, 0xA4, 0x84]), 0, 0, k),
                    Insn(draw.choice([0x0C, 0x1C, 0x2C, 0x4C, 0x5C, 0xAC]), 0, 0, 0),  # with x
                    Insn(draw.choice([0x64, 0x74]), 0, 0, draw.randint(0, 31)),
                    Insn(draw.choice([0x15, 0x25, 0x35, 0x45, 0x1D, 0x2D]), *jumps, k),
                    Insn(0x05, 0, 0, min(room, draw.randint(0, 3))),
                ]
            )
        )
    if draw.random() < 0.7:  # like real filters, branch on the number of the system call
        program[0] = Insn(LD_ABS, 0, 0, 0)
        program.insert(1, Insn(draw.choice([0x25, 0x35, 0x45]), 0, 1, draw.randint(1, CALLS)))
        program.insert(2, Insn(RET_K, 0, 0, draw.choice([ALLOW, ERRNO | 1, KILL_PROCESS])))
    return (*program, Insn(RET_K, 0, 0, draw.choice([ALLOW, ERRNO | 1])))


def test_filters_have_the_same_result_in_c_and_python(tmp_path):
    arch = AUDIT_ARCH.get(os.uname().machine)
    if arch is None:
        pytest.skip("no audit architecture is known for this machine")
    (other,) = FOREIGN[os.uname().machine]
    (tmp_path / "main.c").write_text(MAIN.replace("%d", str(CALLS)), encoding="utf-8")
    built = tmp_path / "filters"
    subprocess.run(
        [*STRICT, "-I", SOURCES, "-o", built, tmp_path / "main.c", SOURCES / "filter.c"], check=True
    )
    draw = random.Random(4)  # the same programs in each run
    programs = [bpf.deny({59: 1, 3: 38}), bpf.on_shared_clone(KILL_PROCESS)]
    programs.append((Insn(LD_ABS, 0, 0, 4), Insn(0x15, 0, 1, other), Insn(RET_K, 0, 0, ALLOW), *programs[0]))
    programs += [random_program(draw) for _ in range(60)]
    packed = b"".join(
        struct.pack("=I", len(program)) + b"".join(struct.pack("=HBBI", *insn) for insn in program)
        for program in programs
    )
    printed = subprocess.run([built], input=packed, capture_output=True, check=True).stdout.decode().split()
    arguments = (7, 0x100, 0xFFFFFFFF00000003, 4, 5, 6)
    wanted = [
        "".join(
            str(
                (bpf.verdict([program], Call(number, arch, arguments)) == ALLOW)
                + 2 * (bpf.verdict([program], Call(number, other)) == ALLOW)
            )
            for number in range(CALLS)
        )
        for program in programs
    ]
    assert printed == wanted
    assert len(set(wanted)) > 20
