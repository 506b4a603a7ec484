"""Files and git repositories for the tests."""

import os
import subprocess

IDENTITY = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "protocol.file.allow=always")
OWN_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder, *words, stdin=b""):
    """Run git in ``folder``, without the configuration of the user. Return its output, stripped."""
    argv = ["git", "-C", folder, *IDENTITY, *words]
    env = os.environ | OWN_CONFIGURATION
    return subprocess.run(argv, input=stdin, env=env, check=True, capture_output=True).stdout.decode().strip()


def write_files(folder, files):
    """Write ``files``, contents by path, below ``folder``, which need not exist. Return ``folder``."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def make_repository(folder, files=(), message="x", branch="master"):
    """Commit ``files``, and what else is in ``folder``, to a git repository there. Return ``folder``."""
    write_files(folder, dict(files))
    for words in (("init", "-q", "-b", branch), ("add", "-f", "."), ("commit", "-qm", message)):
        git(folder, *words)
    return folder


def touch_files(folder, *names):
    """Create empty files below ``folder``. Return ``folder``."""
    return write_files(folder, dict.fromkeys(names, b""))


def unpack(data, folder):
    """Extract a tar archive. Debian 12's tarfile has no filters, and later ones require one."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder / "packed.tar"
    packed.write_bytes(data)
    subprocess.run(["tar", "-x", "-f", packed, "-C", folder], check=True)
    packed.unlink()
