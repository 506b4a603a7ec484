"""Rows 8 and 13: no helper that is not needed, or that outlives its purpose."""

import shutil
import signal
import tempfile
import time
from pathlib import Path

import msgspec

from harness.errors import HarnessError
from harness.figures import shown
from harness.guest.spawn import wait_pidfd
from harness.layout import shipped_files
from harness.process import run
from harness.properties import bpf, status
from harness.properties.bench import Bench, Running, Surrounding, soon
from harness.properties.helpforms import help_forms
from harness.properties.outcome import Cancelled, Failed, Parts

QUIET = ("-nodefaults", "-display", "none", "-monitor", "none")
EARLY_FORMS = 8
EXEC_SIGNAL = signal.SIGRTMIN + 5
"""The signal of exec_on_signal.c; QEMU and the C library do not use it."""
EXEC_SOURCE = Path("tests") / "avocado" / "exec_on_signal.c"


def one_at_most(bench: Bench, parts: Parts) -> None:
    """Row 8. A filter kills QEMU if it tries to create a process that shares its memory."""
    bench.require_option()
    with parts.part("option given twice"), bench.start(*bench.words) as running:
        running.helper()
    try:
        deadly = Surrounding(filter=bpf.on_shared_clone(bpf.KILL_PROCESS))
    except KeyError as error:
        raise Cancelled(f"the system call number of clone is unknown for {error}") from error
    with (
        parts.part("the filter detects the creation of a helper"),
        bench.run("-M", "none", surrounding=deadly) as child,
    ):
        if not child.has_ended(10) or child.process.wait() != -signal.SIGSYS:
            raise Failed("QEMU does not create its helper by clone(2) with CLONE_VM: the row proves nothing")
    with parts.part("forms that end in help, from the option table") as figures:
        folders = tuple(word for folder in bench.task.firmware for word in ("-L", folder))
        forms = help_forms(Path(bench.task.binary.path), folders)
        figures["forms"] = float(len(forms))
        made = [form for form in forms if _makes_helper(bench, (*folders, *bench.words, *form), deadly)]
        # The first ones are without a value, such as -version; QEMU may see them before the option.
        made += [
            form
            for form in forms[:EARLY_FORMS]
            if form not in made and _makes_helper(bench, (*form, *bench.words), deadly)
        ]
        if made:
            raise Failed(f"a helper is created for {shown([' '.join(form) for form in made], 6)}")


def _makes_helper(bench: Bench, words: tuple[str, ...], deadly: Surrounding) -> bool:
    """Return whether QEMU tries to create a helper. Raises Failed if it does not end as for help."""
    with tempfile.TemporaryDirectory(dir=bench.work) as folder:
        given = msgspec.structs.replace(deadly, folder=folder)
        with bench.run(*QUIET, *words, surrounding=given, on=False) as child:
            if not child.has_ended(10):
                raise Failed(f"QEMU did not end: {' '.join(words)}")
            ended = child.process.wait()
    if ended not in (0, -signal.SIGSYS):
        raise Failed(f"QEMU ended with status {ended}: {' '.join(words)}")
    return bool(ended)


def execve_frees(bench: Bench, parts: Parts) -> None:
    """Row 13. A preloaded object makes QEMU's process execute another program on a signal."""
    bench.require_option()
    # Not below the checkout, because LD_PRELOAD does not support paths with blanks (ld.so(8)).
    with parts.part("helper ends within 1 s of execve") as figures, tempfile.TemporaryDirectory() as folder:
        preload = _compile(Path(folder))
        with bench.start(
            memory_mib=256, surrounding=Surrounding(environment={"LD_PRELOAD": str(preload)})
        ) as running:
            with running.helper_pidfd() as helper:
                began = time.monotonic()
                running.signal(EXEC_SIGNAL)
                if not soon(lambda: status.fields(running.pid).get("Name") == "sleep", 5):
                    raise Cancelled("QEMU's process did not execute the other program")
                if not wait_pidfd(helper, 1):
                    raise Failed("the helper still holds the old memory 1 s after execve")
                figures["gone_s"] = time.monotonic() - began
            if status.fields(running.pid).get("Name") != "sleep":
                raise Failed("the process did not continue")
    with parts.part("the next QEMU reaps it"), tempfile.TemporaryDirectory() as folder:
        again = (bench.task.binary.path, *QUIET, "-machine", "none", "-S", *bench.words)
        environment = {"LD_PRELOAD": str(_compile(Path(folder))), "EXEC_ON_SIGNAL": "\n".join(again)}
        with bench.start(surrounding=Surrounding(environment=environment)) as running:
            _check_reaped(running)


def _check_reaped(running: Running) -> None:
    """Execute QEMU again in its process. Raises Failed if the helper of the first one remains as a zombie."""
    first = running.helper()
    with running.helper_pidfd() as ended:
        running.signal(EXEC_SIGNAL)
        if not soon(lambda: running.helpers() not in ((), (first,)), 10):
            raise Cancelled("QEMU's process did not become another QEMU with a helper")
        if not wait_pidfd(ended, 5):
            raise Failed("the helper of the first QEMU still runs")
    running.helper()
    if not soon(lambda: not status.zombies_below(running.pid), 5):
        raise Failed(f"{len(status.zombies_below(running.pid))} zombies remain below the next QEMU")


def _compile(folder: Path) -> Path:
    """Compile the object to preload. Raises Cancelled without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source = shipped_files() / EXEC_SOURCE
    if compiler is None:
        raise Cancelled("no C compiler is installed")
    built = folder / "exec_on_signal.so"
    try:
        run([compiler, "-shared", "-fPIC", "-o", built, source], timeout_s=60)
    except HarnessError as error:
        raise Cancelled(f"cannot compile the object to preload: {error.cause}") from error
    return built
