"""Row 12: a process that shares memory, created by the main thread or by a thread that then sleeps."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.properties import bpf, frames, status
from harness.properties.code import Code, closure_faults
from harness.teardown.watch import find_sharers

pytestmark = pytest.mark.slow

PROGRAM = """
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];

static __attribute__((noinline)) int inner(void)
{
    char byte;
    return read(ends[0], &byte, 1) == 1 && !FORBIDDEN;
}

static int first(void *unused)
{
    while (inner()) {
    }
    _exit(0);
}

static void *parent(void *unused)
{
    char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int pid = clone(first, stack + 65536, CLONE_VM, NULL);
    write(1, ".", 1);
    return PARKED ? (void *)(long)waitpid(pid, NULL, __WCLONE) : NULL;
}

int main(void)
{
    char line[8];
    pthread_t thread;

    if (pipe(ends)) {
        return 1;
    }
    if (PARKED) {
        pthread_create(&thread, NULL, parent, NULL);
    } else {
        parent(NULL);
    }
    while (read(0, line, 1) == 1) {
        write(1, line, 1);
    }
    return 0;
}
"""


class Fixture:
    def __init__(self, tmp_path, words):
        source, self.binary = tmp_path / "p.c", tmp_path / "p"
        source.write_text(PROGRAM)
        subprocess.run(["gcc", "-g", "-O1", "-w", "-o", self.binary, source, "-pthread", *words], check=True)
        self.process = subprocess.Popen([self.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.read(1)
        (self.helper,) = find_sharers(self.process.pid)
        while status.sleeping_registers(self.helper) is None:
            time.sleep(0.01)
        self.code = Code(self.binary)

    def work(self):
        self.process.stdin.write(b"x")
        self.process.stdin.flush()
        assert self.process.stdout.read(1) == b"x"

    def entry(self):
        return self.code.entry(frames.return_addresses(self.helper, fixed=self.code.fixed))

    def owner(self):
        lenders = frames.lenders(self.process.pid, self.helper)
        assert len(lenders) == 1
        return not frames.ran(self.process.pid, lenders, self.work)


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*words):
        started.append(Fixture(tmp_path, words))
        return started[-1]

    yield begin
    for each in started:
        os.kill(each.helper, signal.SIGKILL)
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("link", ["-pie", "-no-pie"])
def test_first_function_is_found_without_its_name(start, link):
    running = start("-DPARKED=1", "-DFORBIDDEN=0", link, "-fPIE" if link == "-pie" else "-fno-PIE")
    assert running.entry().name == "first"
    assert running.owner()
    assert closure_faults(running.code, running.entry(), owner=True) == ()
    assert "first() calls _exit() of the C library" in closure_faults(running.code, running.entry())


def test_helper_of_the_main_thread_shares_its_storage(start):
    running = start("-DPARKED=0", "-DFORBIDDEN=0")
    assert not running.owner()
    assert frames.thread_pointer(running.helper) == frames.thread_pointer(running.process.pid)


def test_locks_are_forbidden_even_with_storage_of_its_own(start):
    running = start("-DPARKED=1", "-DFORBIDDEN=puts(getenv(&byte))")
    assert running.owner()
    found = closure_faults(running.code, running.entry(), owner=True)
    assert any("getenv()" in each for each in found)
    assert any("puts()" in each for each in found)


def test_helper_continues_after_it_was_inspected(start):
    running = start("-DPARKED=1", "-DFORBIDDEN=0")
    with bpf.stopped(running.helper):
        assert status.fields(running.helper)["State"].startswith("t")
    running.work()
    assert status.fields(running.helper)["State"].startswith("S")
    assert Path(f"/proc/{running.helper}/status").exists()
