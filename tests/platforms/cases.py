"""What is run in a root of each release."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.platforms import table
from tests.platforms.container import container
from tests.platforms.reading import readme_commands, remedies, stages
from tests.platforms.root import USER, Ran, Root

QUICK = "-Dpreset=quick -Drounds=1 -Drestart=none"
MISSING = "exit code 3"
NO_CRATES = "-rs is buildable: NO"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One command of a case, and why it failed; an empty reason is a success."""

    what: str
    ran: Ran
    reason: str = ""


Case = Callable[[Root, Path], Iterator[Outcome]]


def _start(root: Root, log: Path) -> Outcome:
    """Install what the README asks for before its first command."""
    start = table().families["debian"].start
    ran = root.run(f"apt-get update -qq && {start.replace('-y', '-y --no-install-recommends -qq')}", log=log)
    return _good("packages of the README", ran)


def _good(what: str, ran: Ran, *expected: str) -> Outcome:
    missing = [text for text in expected if text not in ran.output]
    reason = f"exit status {ran.status}" if ran.status else f"no {missing[0]!r}" if missing else ""
    return Outcome(what=what, ran=ran, reason=reason)


def as_root(root: Root, log: Path) -> Iterator[Outcome]:
    """The first command as root with empty caches, then again without network."""
    yield _start(root, log)
    first = readme_commands()[0]
    yield _good("first command, cold", root.run(first, log=log), "report.html")
    yield _good(
        "again, without network", root.run(f"{first} -- {QUICK}", network=False, log=log), "report.html"
    )


def as_user(root: Root, log: Path) -> Iterator[Outcome]:
    """The first command without root: one line to run as root, then again, then without network."""
    yield _start(root, log)
    first = readme_commands()[0]
    refused = root.run(f"{first} -- {QUICK}", who=USER, log=log)
    lines = remedies(refused.output)
    bad = "" if refused.status and MISSING in refused.output and len(lines) == 1 else "no single line to run"
    yield Outcome(what="refused without root", ran=refused, reason=bad)
    if len(lines) == 1:
        line = lines[0].replace("sudo ", "")  # there is no sudo: the line is run as root
        yield _good("the line that it prints", root.run(line, log=log))
    yield _good("again as a user", root.run(f"{first} -- {QUICK}", who=USER, log=log), "report.html")
    offline = root.run(f"{first} -- {QUICK}", who=USER, network=False, log=log)
    yield _good("without root and network", offline, "report.html")


def second(root: Root, log: Path) -> Iterator[Outcome]:
    """The second command as a user who has what it needs."""
    yield _start(root, log)
    yield _good("doctor", root.run("pipx run nox -s doctor", log=log))
    root.run(f"chown -R {USER}:{USER} /home/{USER}", log=log)
    yield _good("second command", root.run(readme_commands()[1], who=USER, log=log), " passed")


def installed(root: Root, log: Path) -> Iterator[Outcome]:
    """The distribution's own QEMU, and the harness installed by pipx."""
    yield _start(root, log)
    line = f"{readme_commands()[0]} -- -Dpreset=installed"
    yield _good("preset installed, cold", root.run(line, log=log), "installed+option")
    yield _good("preset installed, again", root.run(line, log=log), "installed+option")
    pipx = "pipx install . && cd / && ~/.local/bin/qemu-harness check --list"
    yield _good("pipx install", root.run(pipx, log=log), "input-base")


def rust(root: Root, log: Path) -> Iterator[Outcome]:
    """A build of 10.2 with its parts in Rust."""
    yield _start(root, log)
    line = "pipx run nox -s build -- -Dpin=10.2 -Drust=true -Dvariants=pristine -Dtargets=x86_64-softmmu"
    yield _good("doctor for Rust", root.run("pipx run nox -s doctor -- -Dpin=10.2 -Drust=true", log=log))
    ran = root.run(line, log=log)
    if NO_CRATES in ran.output:  # Debian's archive, which is tried first; configure has accepted the rest
        yield Outcome(what="10.2 with Rust, cancelled: the archive has no crates", ran=ran)
    else:
        yield _good("10.2 with Rust", ran, "qemu-system-x86_64")


def in_container(root: Root, log: Path) -> Iterator[Outcome]:
    """Both commands in a container of the Containerfile; needs podman."""
    for what, ran, expected in container(root, log):
        outcome = _good(what, ran, expected)
        yield outcome
        if outcome.reason:
            return


CASES: dict[str, Case] = {
    "root": as_root,
    "user": as_user,
    "second": second,
    "installed": installed,
    "rust": rust,
    "container": in_container,
}
ONLY = {"rust": ("13",)}
"""Cases that only some releases can pass: Debian 12 has rustc 1.83 in no archive of its own but rustc-web."""


def lines_of(outcome: Outcome) -> Iterator[str]:
    """Yield one line for a command, and one for each of its stages that took a second or more."""
    ran = outcome.ran
    verdict = f"FAILED: {outcome.reason}" if outcome.reason else "ok"
    yield f"{outcome.what}: {verdict}, {ran.wall_s:.0f} s, {ran.cpu_s:.0f} s of CPU"
    for stage in stages(ran.output):
        if stage.seconds >= 1:
            yield f"    {stage.seconds:6.1f} s  {stage.title}"
