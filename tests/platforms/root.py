"""A root folder of a Debian release, and commands that run in it.

debootstrap(8) creates it from the archive of the machine's own apt configuration, with its keyring. Commands
have their own mount and PID namespaces, so no mount and no process is left behind. The machine's settings for
apt and pip apply (proxies, certificates).
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import FetchError, MissingError
from harness.process import run
from harness.progress import Reporter
from harness.source.machine_apt import debian_entry

SUITES = {"12": "bookworm", "13": "trixie"}
USER = "developer"
CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# /dev and /sys are those of the machine, for KVM and its facts.
ENTER = """
set -eu
mount --make-rprivate /
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
mount -t proc proc "$1/proc"
root=$1 who=$2 line=$3
[ "$who" != root ] || exec chroot "$root" /bin/sh -c "cd /home/developer/qemu-harness && $line"
exec chroot --userspec="$who:$who" --groups="$who,$4" "$root" /bin/sh -c \\
    "cd /home/developer/qemu-harness && $line"
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that has ended in a root, with the CPU time of all its processes."""

    status: int
    output: str
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True)
class Root:
    """A root folder of a release, with a copy of the checkout in /home/developer/qemu-harness."""

    path: Path
    release: str

    def run(self, line: str, *, who: str = "root", network: bool = True, log: Path) -> Ran:
        """Run a shell command in the copy of the checkout; ``log`` gets its output."""
        home = "/root" if who == "root" else f"/home/{USER}"
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            **network_settings(),
        }
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        words += ["/bin/sh", "-c", ENTER, "enter", str(self.path), who, line, "kvm"]
        return run_logged(words, f"{who}$ {line}", environment, log)

    def remove(self) -> None:
        """Remove the folder. Nothing is mounted in it outside of the namespaces of ``run``."""
        shutil.rmtree(self.path, ignore_errors=True)


def run_logged(words: Sequence[str], shown: str, environment: Mapping[str, str], log: Path) -> Ran:
    """Run a command of this machine; ``log`` gets ``shown`` and the output."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"{shown}\n")
    with log.open("ab") as sink:
        at = sink.tell()
        ended = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, check=False
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("rb") as source:
        source.seek(at)
        output = source.read().decode("utf-8", "replace")
    return Ran(
        status=ended.returncode,
        output=output,
        wall_s=time.monotonic() - started,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def make_root(release: str, folder: Path, checkout: Path, reporter: Reporter) -> Root:
    """Create a root of ``release`` in ``folder`` with the files of ``checkout`` that git knows.

    Raises MissingError without root or debootstrap, FetchError if debootstrap fails.
    """
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise MissingError("roots need root and debootstrap", "as root, run: apt-get install debootstrap")
    base = folder / f"{release}.base"
    if not (base / "etc" / "os-release").exists():
        entry, suite = debian_entry(), SUITES[release]
        keyring = dict(entry.trust).get("Signed-By", "")
        trust = [f"--keyring={keyring}"] if keyring.startswith("/") else []
        shutil.rmtree(base, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        with reporter.step(f"debootstrap of Debian {release}"):
            run(
                [
                    "debootstrap",
                    "--variant=minbase",
                    "--include=ca-certificates",
                    *trust,
                    suite,
                    base,
                    entry.uri,
                ],
                log=folder / f"{release}.debootstrap.log",
                timeout_s=1800,
                error=lambda ended: FetchError(
                    f"debootstrap of Debian {release} failed: {ended.output.splitlines()[-1]}",
                    "check the network and the machine's apt configuration",
                ),
            )
    root = Root(path=folder / release, release=release)
    root.remove()
    run(["cp", "--archive", "--reflink=auto", base, root.path], timeout_s=600)
    for name, text in settings():
        (root.path / name).parent.mkdir(parents=True, exist_ok=True)
        (root.path / name).write_text(text, encoding="utf-8")
    for line in ("useradd --create-home --shell /bin/sh developer", "getent group kvm || groupadd kvm"):
        run(["chroot", root.path, "/bin/sh", "-c", line], timeout_s=60)
    copy = root.path / "home" / USER / "qemu-harness"
    listed = run(["git", "-C", checkout, "ls-files", "-z"], timeout_s=60).output
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkout / name, copy / name, follow_symlinks=False)
    run(["chroot", root.path, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}"], timeout_s=60)
    return root


def network_settings() -> dict[str, str]:
    """Return variables of the machine that downloads in a root need: pip's, proxies, certificates."""
    passed = {name: os.environ[name] for name in (*PASSED_ON, *PROXIES) if name in os.environ}
    return {"PIP_CERT": f"/{CERTIFICATES}", "REQUESTS_CA_BUNDLE": f"/{CERTIFICATES}", **passed}


def settings() -> Iterator[tuple[str, str]]:
    """Yield files of the machine that its network needs: resolver, certificates, apt's settings for it."""
    for name in ("etc/resolv.conf", str(CERTIFICATES)):
        if (path := Path("/") / name).is_file():
            yield name, path.read_text(encoding="utf-8")
    dumped = run(["apt-config", "dump"], timeout_s=60).output
    lines = [line for line in dumped.splitlines() if line.startswith("Acquire::")]
    yield "etc/apt/apt.conf.d/90machine", "\n".join(lines) + "\n"
