"""Configure a commit only to read what the build would compile; the answer is stored in the user's cache.

A widest configuration (every target, every feature whose library is found) maps each source to the programs
that contain it. The folder of the probe is removed afterwards.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from harness.build.blobs import add_missing_blobs
from harness.build.compile import make_request
from harness.build.configuring import CONFIGURE_LIMIT_S
from harness.build.graph import Graph, read_graph
from harness.build.libraries import PROGRAMS
from harness.build.plan import NO_EXTRA, PASSED_ON, Extra, binary_name, make_plan, target_name
from harness.build.reading import configure_errors
from harness.errors import HarnessError, TimeoutExpiredError
from harness.jsonfile import load, storing, write_json
from harness.layout import Layout
from harness.lock import locked
from harness.options import Options
from harness.process import run
from harness.progress import Reporter
from harness.sandbox import NO_SANDBOX, Sandbox
from harness.tree import Checkout

SCHEMA = 1
KEPT = 40
"""Number of stored answers; one has about a megabyte."""


_PLACES = ("--with-pkgversion=", "--cc=", "--host-cc=", "--meson=", "--python=", "--ninja=")
"""Switches that change no answer; their paths differ between the checkouts of the jobs of a pipeline."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration compiles. ``error`` is the output of a configure that failed."""

    schema: int = SCHEMA
    programs: tuple[str, ...] = ()
    """Programs, libraries and tests, as ninja names them."""
    needed: int = 0
    """Compile steps of the binaries of the targets that were asked for."""
    steps: tuple[int, ...] = ()
    """Compile steps of each program; of others than those binaries, the further ones that it needs."""
    users: dict[str, tuple[int, ...]] = {}
    """Source, relative to the tree → positions of the programs that it is compiled for."""
    runs_on: dict[str, tuple[str, ...]] = {}
    """Program of a qtest → targets that it is run with."""
    error: tuple[str, ...] = ()

    def programs_of(self, path: str) -> tuple[str, ...]:
        """Return the programs that ``path`` is compiled for."""
        return tuple(self.programs[at] for at in self.users.get(path, ()))


def probe(
    checkout: Checkout,
    options: Options,
    layout: Layout,
    reporter: Reporter,
    *,
    sandbox: Sandbox = NO_SANDBOX,
    extra: Extra = NO_EXTRA,
) -> Sources:
    """Return what ``checkout`` compiles for ``options.targets`` (all without any), with ``extra``.

    Raises the errors of ``harness.build.build``, except that of a configure that fails.
    """
    request, tools = make_request(checkout, options, layout, reporter, extra=extra)
    plan = make_plan(request, tools, layout, os.environ)
    folder = plan.folder.with_name("probe")
    words = [word for word in plan.configure if not word.startswith(_PLACES)]
    libraries = run(["pkg-config", "--list-all"], check=False, merge_stderr=False, timeout_s=60).output
    named = (
        SCHEMA,
        request.commit,
        words,
        {name: os.environ.get(name, "") for name in PASSED_ON},
        (tools.compiler_version, tools.meson_version, tools.python_digest),
        sorted(libraries.splitlines()),
        [name for name in PROGRAMS if shutil.which(name)],
    )
    stored = layout.cache / "graphs" / f"{hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]}.json"
    if (known := load(stored, Sources)) is not None and known.schema == SCHEMA:
        return known
    with locked(folder, f"the probe of {request.tree} {request.label}", reporter):
        with storing(f"write {folder}"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        add_missing_blobs(plan.source)
        log = layout.logs / f"{request.tree}-{request.label}-probe.log"
        log.unlink(missing_ok=True)
        targets = options.targets
        what = ", ".join(targets) if 0 < len(targets) <= 3 else f"{len(targets) or 'all'} targets"
        with reporter.step(f"reading what {request.tree} compiles for {what}"):
            env = {
                **plan.env,
                "PATH": os.pathsep.join((*map(str, plan.path), os.environ.get("PATH", os.defpath))),
            }
            try:
                ended = run(
                    sandbox.wrap(plan.configure, folder),
                    cwd=folder,
                    env=env,
                    log=log,
                    timeout_s=CONFIGURE_LIMIT_S,
                    check=False,
                )
            except TimeoutExpiredError as error:  # the build reports it
                return Sources(error=(error.cause,))
            if ended.returncode == 0:
                found = _read(read_graph(folder), folder, tuple(map(binary_name, options.targets)))
            else:
                found = Sources(error=configure_errors(log.read_text(encoding="utf-8", errors="replace")))
        shutil.rmtree(folder, ignore_errors=True)
    if found.error and not _lasts(found.error):
        return found
    _prune(stored.parent)
    with contextlib.suppress(HarnessError):  # a cache that cannot be written is not an error
        write_json(stored, found)
    return found


def _lasts(error: tuple[str, ...]) -> bool:
    """Whether configure fails with ``error`` whenever it runs, and not because of the machine."""
    text = " ".join(error)
    return "ERROR: " in text and not re.search(
        r"No space left|Cannot allocate|[Kk]illed|Unhandled python", text
    )


def _read(graph: Graph, folder: Path, binaries: tuple[str, ...]) -> Sources:
    needed = graph.reach(binaries)
    users: dict[str, list[int]] = {}
    steps = []
    for at, program in enumerate(graph.programs):
        reached = graph.reach([program])
        steps.append(graph.count(reached if program in binaries else reached - needed))
        for name in graph.sources(reached):
            users.setdefault(name, []).append(at)
    return Sources(
        programs=graph.programs,
        needed=graph.count(needed),
        steps=tuple(steps),
        users={name: tuple(found) for name, found in sorted(users.items())},
        runs_on=_tests(folder),
    )


def _tests(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the targets of each qtest's program (Meson manual, "IDE integration": intro-tests.json)."""
    try:
        tests: list[dict[str, Any]] = json.loads((folder / "meson-info" / "intro-tests.json").read_bytes())
    except (OSError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for test in tests:
        binary = str(dict(test.get("env") or {}).get("QTEST_QEMU_BINARY", "")).removeprefix("./")
        program = next((word for word in test["cmd"] if word.startswith(str(folder))), "")
        if binary and program:
            found.setdefault(os.path.relpath(program, folder), []).append(target_name(Path(binary).name))
    return {program: tuple(dict.fromkeys(targets)) for program, targets in found.items()}


def _prune(folder: Path) -> None:
    """Remove the oldest answers, so that KEPT remain."""
    with contextlib.suppress(OSError):
        oldest = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in oldest[: max(0, len(oldest) - KEPT + 1)]:
            path.unlink()
