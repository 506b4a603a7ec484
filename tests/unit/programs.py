"""Programs for the tests: scripts, and processes that end with a block."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

QUIET_PYTHON = (sys.executable, "-IS", "-c")
"""Starts Python code without the site module, which takes most of the time."""


def write_program(path, text):
    """Create an executable: a shell script of ``text``, unless that names another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def started(*words, ready=False, **options):
    """Start a program, and kill it at the end of the block. ``ready``: first wait for a line of output."""
    if ready:
        options["stdout"] = subprocess.PIPE
    with subprocess.Popen(words, **options) as child:
        try:
            if ready:
                child.stdout.readline()
            yield child
        finally:
            child.kill()


def running(text):
    """Return the command lines of the running processes that contain ``text``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in found if text in line]


def wait_until(condition, limit_s=20.0):
    """Wait for ``condition()`` to hold. Raises AssertionError after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.01)


def has_ended(pid, within_s=0.0):
    """Return whether a process has ended, or is a zombie, or does so within ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z" or time.monotonic() >= deadline:
            return state == "Z"
        time.sleep(0.01)
