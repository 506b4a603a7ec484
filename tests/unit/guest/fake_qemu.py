"""Stands for QEMU: takes its words, speaks enough QMP, and misbehaves on request (``-fake MODE``).

Modes: normal, die, silent, stubborn (ignores SIGTERM), crash (by SIGSEGV on SIGTERM), running (not paused),
helper:USEC (a second process with the same memory that ends USEC microseconds after it was made), babble
(much output, then dies).
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import sys
import time


def start_helper(microseconds: int) -> None:
    """clone(2) with CLONE_VM, running libc's own usleep: no Python code, so sharing memory is harmless."""
    libc = ctypes.CDLL(None)
    stack = ctypes.create_string_buffer(65536)
    globals()["_kept"] = stack
    libc.clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    top = (ctypes.addressof(stack) + 65536) & ~15
    entry = ctypes.cast(libc.usleep, ctypes.c_void_p)
    assert libc.clone(entry, top, 0x100 | signal.SIGCHLD, microseconds) > 0


def requests(channel):
    """JSON objects; nothing need stand between them (QEMU docs, "QMP specification")."""
    text = ""
    while data := channel.recv(4096):
        text += data.decode()
        with contextlib.suppress(ValueError):
            while text.strip():
                request, end = json.JSONDecoder().raw_decode(text.lstrip())
                text = text.lstrip()[end:]
                yield request


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def misbehave(mode: str) -> None:
    if mode == "die":
        say("qemu: -machine q35: bad luck")
        sys.exit(3)
    if mode == "babble":
        say("\n".join(f"line {number}" for number in range(100000)))
        sys.exit(1)
    if mode == "silent":
        say("still waiting")
        time.sleep(60)
    if mode.startswith("helper:"):
        start_helper(int(mode.partition(":")[2]))
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif mode == "crash":
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def prove(fd: int) -> None:
    """What a tiny guest does; our own file name says how it goes."""
    if "nokvm" in sys.argv[0]:
        say("qemu: failed to initialize kvm: Permission denied")
        sys.exit(1)
    if "frozen" not in sys.argv[0]:
        socket.socket(fileno=fd).send(b"S")
    time.sleep(60)


def main() -> None:
    words = sys.argv[1:]
    line = " ".join(words)
    proof = re.search(r"socket,id=proof,fd=(\d+)", line)
    if proof:
        prove(int(proof[1]))
    mode = words[words.index("-fake") + 1] if "-fake" in words else "normal"
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


main()
