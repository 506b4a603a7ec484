"""Fake QEMU: accepts QEMU's arguments, implements some QMP, and misbehaves on request (``-fake MODE``).

Modes: normal, die, silent, stubborn (ignores SIGTERM), crash (SIGSEGV on SIGTERM), running (not paused),
helper:USEC (a second process with the same memory, which ends after USEC microseconds), late:USEC (the same,
started on SIGTERM), babble (much output, then exits), flood (endless output).

With a console (payload linux), it also simulates the guest's Linux. Modes: linux (ready at once, accepts
poweroff), panic, mute (never reports), stuck (reports half), fault (error of init), gone (QEMU ends), deaf
(ready, powers off without an event).
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import sys
import threading
import time


def start_helper(microseconds):
    """Start libc's usleep by clone(2) with CLONE_VM: it runs no Python code, so shared memory is safe."""
    libc = ctypes.CDLL(None)
    stack = ctypes.create_string_buffer(65536)
    globals()["_kept"] = stack
    libc.clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    top = (ctypes.addressof(stack) + 65536) & ~15
    entry = ctypes.cast(libc.usleep, ctypes.c_void_p)
    assert libc.clone(entry, top, 0x100 | signal.SIGCHLD, microseconds) > 0


def requests(channel):
    """Yield JSON objects, which need no separator (QEMU docs, "QMP specification")."""
    text = ""
    while data := channel.recv(4096):
        text += data.decode()
        with contextlib.suppress(ValueError):
            while text.strip():
                request, end = json.JSONDecoder().raw_decode(text.lstrip())
                text = text.lstrip()[end:]
                yield request


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def misbehave(mode):
    if mode == "die":
        say("qemu: -machine q35: bad luck")
        sys.exit(3)
    if mode == "babble":
        say("\n".join(f"line {number}" for number in range(100000)))
        sys.exit(1)
    if mode == "flood":
        for number in range(1 << 30):
            sys.stdout.write("".join(f"line {number + part}\n" for part in range(10000)))
    if mode == "silent":
        say("still waiting")
        time.sleep(60)
    if mode.startswith("helper:"):
        start_helper(int(mode.partition(":")[2]))
    if mode.startswith("late:"):
        signal.signal(signal.SIGTERM, lambda *_: (start_helper(int(mode.partition(":")[2])), os._exit(0)))
    elif mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif mode == "crash":
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def prove(fd):
    """Simulate the tiny guest of probe_accel; the name of this file selects the result."""
    if "nokvm" in sys.argv[0]:
        say("qemu: failed to initialize kvm: Permission denied")
        sys.exit(1)
    if "frozen" not in sys.argv[0]:
        socket.socket(fileno=fd).send(b"S")
    time.sleep(60)


def run_linux(mode, console, qmp):
    """Simulate the guest after its vCPUs are started."""
    end = socket.socket(fileno=console)

    def write(text):
        end.sendall(text.encode() + b"\r\n")

    write("[    0.1] Linux \x1b[31mversion 6.1\x07")
    if mode == "panic":
        write("[    1.0] Kernel panic - not syncing: Attempted to kill init!")
        write("[    1.1] Call Trace:")
        os._exit(0)
    if mode == "gone":
        os._exit(1)
    if mode == "mute":
        return
    write("harness: touched 0 of 200 MiB")
    if mode == "fault":
        write("harness: error: mmap: Cannot allocate memory")
        time.sleep(0.2)
        os._exit(0)
    write("harness: touched 100 of 200 MiB")
    if mode == "stuck":
        return
    write("harness: ready")
    threading.Thread(target=obey, args=(mode, end, qmp), daemon=True).start()


def obey(mode, end, qmp):
    for line in end.makefile():
        if line == "poweroff\n":
            time.sleep(0.2)  # the time of a guest's poweroff
            now = time.time()
            stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
            event = {"event": "SHUTDOWN", "data": {"guest": True}, "timestamp": stamp}
            if mode != "deaf":
                qmp.sendall(json.dumps(event).encode() + b"\r\n")
            os._exit(0)


def main():
    words = sys.argv[1:]
    line = " ".join(words)
    proof = re.search(r"socket,id=proof,fd=(\d+)", line)
    if proof:
        prove(int(proof[1]))
    named = sys.argv[0].rpartition("-")[2]
    mode = words[words.index("-fake") + 1] if "-fake" in words else named
    console = re.search(r"socket,id=console,fd=(\d+)", line)
    misbehave(mode)
    channel = socket.socket(fileno=int(re.search(r"socket,id=qmp,fd=(\d+)", line)[1]))
    version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
    channel.sendall(json.dumps({"QMP": {"version": version, "capabilities": []}}).encode() + b"\r\n")
    with contextlib.suppress(ConnectionError):
        for request in requests(channel):
            if request["execute"] == "quit":
                os._exit(0)
            answer = {"return": {}}
            if request["execute"] == "query-status":
                answer["return"] = {"status": "running" if mode == "running" else "prelaunch"}
            if request["execute"] == "bad":
                answer = {"error": {"class": "CommandNotFound", "desc": "no such command"}}
            if "id" in request:
                answer["id"] = request["id"]
            channel.sendall(json.dumps(answer).encode() + b"\r\n")
            if request["execute"] == "cont" and console:
                run_linux(mode, int(console[1]), channel)


main()
