"""A small environment for faults: a checkout, a release, a series and a server, in one folder.

The release is tests/fakeqemu with qemu.c. The harness does all its real work, from download to report, and a
complete run takes seconds. ``World.problems`` checks the results, which are known.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.guest.firmware import needed_files
from harness.source.machine_apt import default_suite
from harness.source.packages import native_architecture
from tests.faults.server import Server
from tests.faults.standin import ARCHIVE, ROOT, TARGET, VERSIONS, patch, pins, release
from tests.faults.weak import WEAKNESS, site
from tests.unit.guest.debs import make_deb

MARK = "QEMU_HARNESS_FAULTS_MARK"
WORDS = (
    *("-Dtargets=x86_64-softmmu", "-Dmemory=32M", "-Drounds=1", "-Drestart=none"),
    *("-Daccel=tcg", "-Dtimeout=20", "-Djobs=2"),
)
LIMIT_S = 150.0
"""Time limit of a run with the stand-in, also on a busy machine."""


@dataclass(kw_only=True)
class Ended:
    """A run of the harness that has ended or was killed."""

    code: int
    out: str
    error: str
    took_s: float

    def tail(self) -> str:
        """Return its status and last lines, for the reason of a row."""
        lines = [line for line in self.error.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("error:", "  "))]
        return f"status {self.code}: " + " / ".join((errors or lines)[-4:])[:300]


@dataclass(kw_only=True)
class Running:
    """A run of the harness. ``lines`` is its progress so far."""

    process: subprocess.Popen[str]
    mark: str
    began: float
    lines: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)
    _out: list[str] = field(default_factory=list)

    def read(self) -> None:
        for stream, lines in ((self.process.stderr, self.lines), (self.process.stdout, self._out)):
            assert stream is not None
            # extend() with an iterator appends each line at once.
            reader = threading.Thread(target=lambda s=stream, k=lines: k.extend(iter(s.readline, "")))
            reader.daemon = True
            reader.start()
            self._readers.append(reader)

    def wait_for(self, words: str, limit_s: float = 60.0) -> bool:
        """Return whether a line with ``words`` appears before the run ends."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if any(words in line for line in self.lines):
                return True
            if self.process.poll() is not None:
                return any(words in line for line in self.lines)
            time.sleep(0.005)
        return False

    def finish(self, limit_s: float = LIMIT_S) -> Ended:
        """Wait for the end. After ``limit_s`` seconds, kill the run; its code is then -1000."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = -1000
            kill_marked(self.mark)
            self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stderr, self.process.stdout):
            if stream is not None and not any(reader.is_alive() for reader in self._readers):
                stream.close()
        return Ended(
            code=code, out="".join(self._out), error="".join(self.lines), took_s=time.monotonic() - self.began
        )


class World:
    """One checkout with its cache, and the server of its release."""

    def __init__(
        self,
        folder: Path,
        *,
        server: Server | None = None,
        cache: Path | None = None,
        name: str = "checkout",
        weakness: str = "",
    ) -> None:
        self.weakness = weakness
        """The defence that the harness lacks (weak.py)."""
        # Created now, before a case fills the disk.
        self._site = site(folder / "site") if weakness else ""
        self.folder = folder
        self.root = folder / name
        self.cache = cache or folder / "cache"
        self.home = folder / "home"
        self.server = server or Server(release(), ARCHIVE)
        self._own_server = server is None
        self.archive_name, self.digest = ARCHIVE, hashlib.sha256(release()).hexdigest()
        self.mark = uuid.uuid4().hex
        self.limit_s = LIMIT_S
        self.extra: dict[str, str | None] = {}
        """Environment variables of runs; None removes a variable."""
        (self.root / "qemu-src").mkdir(parents=True)
        self.home.mkdir(exist_ok=True)
        for file in ("meson_options.txt", "meson.build"):
            (self.root / file).write_bytes((ROOT / file).read_bytes())
        (self.root / "tests").symlink_to(ROOT / "tests")
        self.lay_out(own_cache=cache is None)

    def lay_out(self, *, own_cache: bool) -> None:
        """Write the pin, the series, and the firmware that would come from Debian."""
        self.write_pins()
        series = self.root / "patches" / "async-teardown"
        series.mkdir(parents=True)
        (series / "series.toml").write_text('title = "Faults"\npins = ["7.2"]\nbase = "base"\n')
        (series / "0001-osdep-bring-the-feature.patch").write_text(patch())
        if own_cache:
            self._firmware()

    def close(self) -> None:
        """End the remaining processes of its runs, and the server."""
        kill_marked(self.mark)
        if self._own_server:
            self.server.close()

    def write_pins(self) -> None:
        """Write the pins file with the URL of the server."""
        data = release()
        digest = hashlib.sha256(data).hexdigest()
        text = pins(self.server.url, digest, len(data))
        (self.root / "qemu-src" / "pins.toml").write_text(text)

    def _firmware(self) -> None:
        """Create Debian packages with fake firmware in the cache, because these tests do not include apt."""
        folder = self.cache / "downloads" / "debs" / f"{default_suite(native=True)}-{native_architecture()}"
        folder.mkdir(parents=True)
        known = {}
        for package, files in needed_files([TARGET]).items():
            deb = make_deb(
                folder / f"{package}_1_all.deb", files={f"./{file}": b"firmware" for file in files}
            )
            known[package] = {"file": deb.name, "sha256": hashlib.sha256(deb.read_bytes()).hexdigest()}
        (folder / "resolved.json").write_text(json.dumps(known))

    @property
    def build(self) -> Path:
        return Path(self.extra.get("QEMU_HARNESS_BUILD") or self.root / "build")

    @property
    def trees(self) -> Path:
        return Path(self.extra.get("QEMU_HARNESS_TREES") or self.root / "qemu-src" / "trees")

    @property
    def archive(self) -> Path:
        return self.cache / "downloads" / self.archive_name

    def environment(self) -> dict[str, str]:
        """Return the environment of a run, without variables of CI and the user that influence it."""
        dropped = {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "QEMU_HARNESS_COMMAND", "XDG_CACHE_HOME"}
        dropped |= {"QEMU_HARNESS_BUILD", "QEMU_HARNESS_TREES"}
        variables = {name: value for name, value in os.environ.items() if name not in dropped}
        variables |= {"HOME": str(self.home), "QEMU_HARNESS_CACHE": str(self.cache), MARK: self.mark}
        if self.weakness:
            variables |= {WEAKNESS: self.weakness, "PYTHONPATH": self._site}
        for name, value in self.extra.items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        return variables

    def command(self, stage: str, *words: str) -> list[str]:
        """Return the command line of the harness for ``stage``."""
        return [sys.executable, "-m", "harness", "--root", str(self.root), stage, *words]

    def start(self, stage: str, *words: str, before: Sequence[str] = ()) -> Running:
        """Start a run. ``before`` is a command prefix, such as unshare."""
        process = subprocess.Popen(
            [*before, *self.command(stage, *words)],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        running = Running(process=process, mark=self.mark, began=time.monotonic())
        running.read()
        return running

    def run(self, stage: str, *words: str, before: Sequence[str] = ()) -> Ended:
        """Run a stage to its end."""
        return self.start(stage, *words, before=before).finish(self.limit_s)

    def teardown(self, *words: str, before: Sequence[str] = ()) -> Ended:
        """Run a complete teardown."""
        return self.run("teardown", *WORDS, *words, before=before)

    def problems(self, *, built_only: bool = False) -> str:
        """Check all results of a finished run. Return the first problem, or an empty string."""
        try:
            return next(filter(None, self._problems(built_only)), "")
        except (OSError, ValueError, KeyError) as error:
            return f"cannot read the results: {error}"

    def _problems(self, built_only: bool) -> Iterator[str]:
        yield self.leftovers()
        variants = tuple(VERSIONS)
        build = json.loads((self.build / "results" / "build.json").read_text())
        built = {each["variant"]: each for each in build["builds"]}
        if tuple(built) != variants:
            yield f"variants {' '.join(built)} were built"
        for variant in variants:
            binary = built[variant]["binaries"][0]
            path = Path(binary["path"])
            if hashlib.sha256(path.read_bytes()).hexdigest() != binary["sha256"]:
                yield f"{path} differs from build.json"
            printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            yield from self.wrong_build(variant, path, printed.strip(), binary["version"])
            yield self.unprepared(Path(built[variant]["source"]))
        if hashlib.sha256(self.archive.read_bytes()).hexdigest() != self.digest:
            yield "the cached archive is not the pinned one"
        yield self.damaged_tree()
        if not built_only:
            yield from self._timed(built)

    def wrong_build(self, variant: str, _path: Path, version: str, recorded: str) -> Iterator[str]:
        """Yield a problem if a binary was not built from the sources of the variant."""
        if {version, recorded} != {VERSIONS[variant]}:
            yield f"{variant} prints {version!r}"

    def unprepared(self, source: Path) -> str:
        """Return a problem if the sources lack the edits of the pin."""
        prepared = (source / "prepared").read_text() == "yes\n"
        return "" if prepared else f"{source} is not prepared"

    def _timed(self, built: dict[str, dict[str, Any]]) -> Iterator[str]:
        results = json.loads((self.build / "results" / "teardown.json").read_text())
        rows = sorted((row["kind"], row["variant"], row["outcome"]) for row in results["rows"])
        wanted = sorted(("teardown", variant, "ok") for variant in VERSIONS)
        if [row for row in rows if row[0] == "teardown"] != wanted:
            yield f"rows are {rows}: {[row['reason'] for row in results['rows'] if row['reason']][:2]}"
        if {row[0] for row in rows} - {"teardown"} != {"floor", "overhead"}:
            yield f"kinds of rows are {sorted({row[0] for row in rows})}"
        if not results["complete"]:
            yield "the results are not complete"
        for binary in results["binaries"]:
            if binary["sha256"] != built[binary["variant"]]["binaries"][0]["sha256"]:
                yield f"the timed {binary['variant']} is not the built one"
        for name in ("report.html", "report.md", "teardown.xml"):
            file = self.build / "results" / name
            if not file.is_file() or file.stat().st_size < 500:
                yield f"{name} is missing or empty"

    def leftovers(self) -> str:
        """Return the first leftover after all runs: a process, a held or stale lock, a partial file."""
        remaining = marked(self.mark)
        if remaining:
            return f"processes remain: {list(remaining.values())[:3]}"
        places = (self.build, self.trees, self.cache)
        for place in places:
            for file in place.rglob("*"):
                if file.name.endswith(".lock") and is_locked(file):
                    return f"{file} is still locked"
                if "index.lock" in file.name or (
                    file.name.endswith(".lock") and "trees" in file.parts and file.parent != self.trees
                ):
                    return f"{file}: a lock file of git remains"
        partial = [*self.trees.glob(".*.new"), *self.trees.glob(".*.apply"), *self.trees.glob("*.old")]
        partial += [*self.archive.parent.glob(".*.part"), *self.build.glob("*/*/.src.new")]
        partial += [*self.build.rglob("src.old-*"), *self.archive.parent.glob("*.bad-*")]
        partial += list((self.build / "results").glob(".*"))
        return f"partial file: {partial[0]}" if partial else ""

    def damaged_tree(self) -> str:
        """Return the output of git fsck if the tree is damaged."""
        tree = self.trees / "7.2"
        words = ["git", "-c", "safe.directory=*", "--git-dir", str(tree), "fsck", "--no-dangling"]
        ended = subprocess.run([*words, "--no-progress"], capture_output=True, text=True, check=False)
        # The reflog of a worktree's HEAD may remain after the worktree was removed; this is not damage.
        return "" if ended.returncode == 0 else f"git fsck: {(ended.stderr or ended.stdout).strip()[:200]}"


def is_locked(file: Path) -> bool:
    """Return whether a process holds the flock(2) of ``file``."""
    try:
        with file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def marked(mark: str) -> dict[int, str]:
    """Return the running processes of a world: pid → command line."""
    processes = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={mark}".encode() not in (entry / "environ").read_bytes():
                continue
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                processes[int(entry.name)] = line[:120]
        except OSError:
            continue
    return processes


def kill_marked(mark: str) -> None:
    """Send SIGKILL to all processes of a world until none remains."""
    for _ in range(50):
        remaining = marked(mark)
        if not remaining:
            return
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Return whether ``condition`` becomes true within ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
