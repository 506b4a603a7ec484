"""apt with its own state below the harness's cache: sources, lists, caches and an empty package status.

The system's packages are not changed. The machine's apt.conf.d applies, because it configures proxies. Its
hooks, which refresh caches of other programs, and its pins do not apply.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import FetchError, HarnessError
from harness.jsonfile import storing, write_bytes
from harness.layout import Layout, safe_name
from harness.process import Finished, run
from harness.progress import Reporter, Step
from harness.source.machine_apt import AptEntry

SOURCE = "source"
"""Pseudo-architecture for the source packages of a suite."""

# apt.conf(5): apt reads the file given by -c last, so this file can clear settings of apt.conf.d.
_NO_HOOKS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear Binary::apt;
"""


@dataclass(frozen=True, kw_only=True)
class AptState:
    """Isolated apt state for one suite and one architecture (or ``SOURCE``)."""

    folder: Path
    suite: str
    architecture: str

    @property
    def has_index(self) -> bool:
        wanted = "*_source_Sources*" if self.architecture == SOURCE else "*_Packages*"
        return any((self.folder / "state" / "lists").glob(wanted))

    def run(
        self,
        words: Sequence[str],
        *,
        cwd: Path | None = None,
        step: Step | None = None,
        check: bool = True,
        timeout_s: float = 1800,
    ) -> Finished:
        """Run ``apt-get`` or ``apt-cache`` (``words[0]``) in this state. Raises FetchError.

        If ``check`` is false, a failure is not an error and the output is standard output only.
        """
        options = [
            f"Dir::State={self.folder / 'state'}",
            f"Dir::State::status={self.folder / 'status'}",
            f"Dir::Cache={self.folder / 'cache'}",
            f"Dir::Log={self.folder}",
            f"Dir::Etc::sourcelist={self.folder / 'debian.sources'}",
            "Dir::Etc::sourceparts=/dev/null",
            "Dir::Etc::preferences=/dev/null",
            "Dir::Etc::preferencesparts=/dev/null",
            "APT::Sandbox::User=root",  # no _apt user inside a home directory
            "Acquire::Languages=none",
            "Acquire::Retries=2",
            "Acquire::http::Timeout=30",
            "Acquire::https::Timeout=30",
            "APT::Update::Error-Mode=any",  # by default, an unreachable server is only a warning
        ]
        if self.architecture != SOURCE:
            options += [f"APT::Architecture={self.architecture}", f"APT::Architectures={self.architecture}"]
        if step is not None:
            options.append("APT::Status-Fd=1")

        def progress(line: str) -> None:
            found = re.match(r"dlstatus:[^:]*:([0-9.]+):", line)
            if step is not None and found:
                step.update(float(found[1]), 100)

        return run(
            [
                *(words[0], "-q", "-c", self.folder / "no-hooks.conf"),
                *(word for option in options for word in ("-o", option)),
                *words[1:],
            ],
            cwd=cwd,
            timeout_s=timeout_s,
            on_line=progress if step else None,
            merge_stderr=check,
            check=check,
            error=lambda ended: _failed(words, ended, self.suite),
        )

    def update(self, reporter: Reporter) -> None:
        """Fetch the suite's index again; apt verifies its signature. Raises FetchError."""
        with reporter.step(f"apt index of {self.suite} ({self.architecture})") as step:
            self.run(["apt-get", "update"], step=step)


def open_state(layout: Layout, entry: AptEntry, suite: str, architecture: str) -> AptState:
    """Return the isolated state for ``suite`` of the archive ``entry``; create it if it does not exist.

    If the machine's mirror or keyring has changed, the state is created from scratch. Raises StorageError.
    """
    folder = layout.cache / "apt" / f"{safe_name(suite)}-{safe_name(architecture)}"
    kind = "deb-src" if architecture == SOURCE else "deb"
    fields = [f"Types: {kind}", f"URIs: {entry.uri}", f"Suites: {suite}", "Components: main"]
    fields += [f"{name}: {value}" for name, value in entry.trust]
    sources = "\n".join(fields) + "\n"
    with storing(f"write {folder}"):
        listed = folder / "debian.sources"
        if not listed.is_file() or listed.read_text(encoding="utf-8") != sources:
            shutil.rmtree(folder, ignore_errors=True)
            for name in ("state/lists/partial", "cache/archives/partial"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / "status").write_text("", encoding="utf-8")
            (folder / "no-hooks.conf").write_text(_NO_HOOKS, encoding="utf-8")
            write_bytes(listed, sources.encode())  # last: if this file exists, the state is complete
    return AptState(folder=folder, suite=suite, architecture=architecture)


def one_line(output: str) -> str:
    """Summarise the output of apt: up to two errors or, without errors, warnings; prefixes are removed."""
    for prefix in ("E:", "Err:", "W:"):
        lines = [line for line in output.splitlines() if line.startswith(prefix)]
        texts = list(dict.fromkeys(re.sub(r"^(E:|Err:\d*|W:)\s*", "", line).strip() for line in lines))
        if texts:
            return "; ".join(texts[:2])
    return (output.strip().splitlines() or ["no reason given"])[-1]


def _failed(words: Sequence[str], ended: Finished, suite: str) -> HarnessError:
    remedy = "check the network and the machine's apt configuration"
    if re.search(r"\b404\b", ended.output):
        remedy = "the mirror's index lists a file that its pool lacks: run again later, or use another mirror"
    elif re.search(r"Unable to locate package|has no installation candidate", ended.output):
        remedy = f"check that {suite} contains this package for this architecture"
    return FetchError(
        f"{' '.join(words[:2])} for {suite}: {one_line(ended.output)}",
        remedy,
        details=tuple(line for line in ended.output.splitlines() if line.startswith(("E:", "Err:", "W:")))[
            -6:
        ],
    )
