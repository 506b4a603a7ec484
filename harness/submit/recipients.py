"""Recipients and the reasons for them, from the tree's tools and MAINTAINERS, and from series.toml.

``.gitpublish`` and ``.b4-config`` of the tree name the list to send to and the arguments of
``scripts/get_maintainer.pl``. The script comes from the base, MAINTAINERS from the tip: so new files have
maintainers, and no program of the series runs.
"""

import fnmatch
import re
import shlex
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import SubmitError
from harness.process import find_program, run
from harness.progress import Reporter
from harness.series import Series, parse_trailers
from harness.series.address import split_address
from harness.series.metadata import is_address
from harness.tree.git import Git

SCRIPT = "scripts/get_maintainer.pl"
DEFAULT_ARGUMENTS = ("--nogit", "--nogit-fallback")
DEFAULT_LIST = "qemu-devel@nongnu.org"
"""The list that receives every patch (submitting-a-patch.rst)."""
_OWN_ROLES = ("--roles", "--noroles", "--rolestats", "--norolestats", "--multiline", "--nomultiline")
_NOWHERE = re.compile(
    r"@(?:[^@]*\.)?(?:localhost|invalid|example|test|local|example\.(?:com|org|net))$|\bno-?reply\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The tree's settings for sending. ``source`` names the origin of ``to`` and ``cc``."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    arguments: tuple[str, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """An address that receives every mail, as ``to`` or ``cc``, with all reasons."""

    address: str
    header: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """The recipients of the mails, and the addresses that were left out, with the reason."""

    sent: tuple[Recipient, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    source: str = ""

    def header(self, name: str) -> tuple[str, ...]:
        """Return the addresses of ``to`` or ``cc``."""
        return tuple(one.address for one in self.sent if one.header == name)


@dataclass
class _Book:
    """Collects addresses. ``to`` overrides ``cc``; all reasons are kept."""

    headers: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, dict[str, None]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, text: str, header: str, reason: str) -> None:
        _, address = split_address(text)
        key = address.lower()
        if problem := _unusable(text, address):
            self.left_out.setdefault(text, f"{problem} ({reason})")
            return
        if header == "to":
            self.headers[key] = "to"
        self.headers.setdefault(key, header)
        if len(text) > len(self.names.get(key, "")):
            self.names[key] = text
        self.reasons.setdefault(key, {})[reason] = None


def find_recipients(
    git: Git, base: str, tip: str, series: Series, reporter: Reporter, *, sender: str
) -> Recipients:
    """Return all recipients but ``sender`` of ``series``, whose commits are those from ``base`` to ``tip``.

    Raises SubmitError if the tree's script fails, MissingError without perl.
    """
    metadata = series.metadata
    settings = read_settings(
        git, base, metadata.profile or ("rfc" if "RFC" in metadata.prefix.split() else "default")
    )
    book = _Book()
    for address in settings.to:
        book.add(address, "to", settings.source)
    for address in settings.cc:
        book.add(address, "cc", settings.source)
    for address in metadata.to:
        book.add(address, "to", "series.toml: to")
    for address in metadata.cc:
        book.add(address, "cc", "series.toml: cc")
    touched = {path for patch in series.patches for path in patch.paths}
    for rule in metadata.recipients:
        hits = [path for path in sorted(touched) if any(fnmatch.fnmatch(path, glob) for glob in rule.paths)]
        if hits or not rule.paths:
            book.add(
                rule.address, rule.header, f"series.toml: {rule.reason}" + (f" ({hits[0]})" if hits else "")
            )
    for address, roles in _maintainers(
        git, base, tip, series=series, settings=settings, reporter=reporter
    ).items():
        for role, numbers in roles.items():
            book.add(address, "cc", f"{role}, {_patches(numbers, len(series.patches))}")
    for patch in series.patches:
        for trailer in parse_trailers(patch.message):
            if trailer.key.lower() == "cc" or trailer.key.lower().endswith("-by"):
                book.add(trailer.value, "cc", f"{trailer.key}: in patch {patch.number}")
    _leave_out(book, metadata.without)
    _leave_out(book, {sender: "the sender of the mails"}, source="")
    return Recipients(
        sent=tuple(
            Recipient(address=book.names[key], header=book.headers[key], reasons=tuple(book.reasons[key]))
            for key in sorted(book.headers, key=lambda key: (book.headers[key] != "to", key))
        ),
        left_out=tuple(book.left_out.items()),
        source=settings.source,
    )


def read_settings(git: Git, commit: str, profile: str) -> Settings:
    """Read a profile of ``.gitpublish``, or ``.b4-config``, of ``commit``; defaults without both."""
    publish = _config(git, commit, ".gitpublish")
    section = f"gitpublishprofile.{profile}."
    values = {key.removeprefix(section): value for key, value in publish.items() if key.startswith(section)}
    if values:
        return Settings(
            to=tuple(values.get("to", ())),
            cc=tuple(values.get("cc", ())),
            arguments=_arguments(values.get("cccmd", ())),
            source=f".gitpublish, profile {profile}",
        )
    b4 = _config(git, commit, ".b4-config")
    if "b4.send-series-to" in b4:
        return Settings(
            to=tuple(one.strip() for value in b4["b4.send-series-to"] for one in value.split(",")),
            cc=tuple(one.strip() for value in b4.get("b4.send-series-cc", ()) for one in value.split(",")),
            arguments=_arguments(b4.get("b4.send-auto-cc-cmd", ())),
            source=".b4-config",
        )
    source = "docs/devel/submitting-a-patch.rst"
    return Settings(to=(DEFAULT_LIST,), cc=(), arguments=DEFAULT_ARGUMENTS, source=source)


def _config(git: Git, commit: str, path: str) -> dict[str, list[str]]:
    """Read a file of ``commit`` in git's configuration format: key → values (git-config(1), ``--blob``)."""
    ended = git.run("config", "--blob", f"{commit}:{path}", "--list", "-z", check=False, merge_stderr=False)
    values: dict[str, list[str]] = {}
    for entry in ended.output.split("\0") if ended.returncode == 0 else ():
        key, _, value = entry.partition("\n")
        if key:
            values.setdefault(key, []).append(value.strip())
    return values


def _arguments(commands: Iterable[str]) -> tuple[str, ...]:
    """Return the options of a configured get_maintainer.pl command; ignore any other command."""
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        if words and words[0].endswith("get_maintainer.pl"):
            return tuple(
                word
                for word in words[1:]
                if re.fullmatch(r"--?[a-z][a-z0-9=-]*", word) and word not in _OWN_ROLES
            )
    return DEFAULT_ARGUMENTS


def _maintainers(
    git: Git, base: str, tip: str, *, series: Series, settings: Settings, reporter: Reporter
) -> dict[str, dict[str, list[int]]]:
    """Run the base's get_maintainer.pl: address → role → numbers of patches."""
    if git.find(f"{base}:{SCRIPT}") is None:
        reporter.warn(f"the tree has no {SCRIPT}, so no maintainers are added")
        return {}
    perl = find_program("perl", needed_by="submit", package="perl")
    found: dict[str, dict[str, list[int]]] = {}
    with tempfile.TemporaryDirectory(prefix="qemu-harness-") as scratch, reporter.step(f"running {SCRIPT}"):
        root = Path(scratch)
        _lay_out(git, base, tip, root)
        for patch in series.patches:
            file = root / "one.patch"
            file.write_bytes(patch.data)
            ended = run(
                [perl, SCRIPT, *settings.arguments, "--roles", "--norolestats", file],
                cwd=root,
                merge_stderr=False,
                timeout_s=120,
                error=lambda ended: SubmitError(
                    f"the tree's {SCRIPT} failed",
                    "run it by hand on that patch",
                    details=tuple(ended.output.splitlines()[-5:]),
                ),
            )
            for line in ended.output.splitlines():
                if match := re.fullmatch(r"(.*\S)\s+\(([^()]*(?:\([^()]*\))*[^()]*)\)", line.strip()):
                    found.setdefault(match[1], {}).setdefault(match[2], []).append(patch.number)
    return found


def _lay_out(git: Git, base: str, tip: str, root: Path) -> None:
    """Write the files that get_maintainer.pl reads: all folders, the top files, MAINTAINERS of the tip."""
    listed = git.run("ls-tree", "-z", base, merge_stderr=False).output.split("\0")
    top = [line.partition("\t")[2] for line in listed if line.startswith("100")]
    tar = root / "top.tar"
    git.run("archive", "--format=tar", f"--output={tar}", base, "--", *top, SCRIPT)
    # Filters of tarfile came with Python 3.11.4, later than Debian 12's. Later releases require one.
    run(["tar", "-x", "-f", tar, "-C", root])
    tar.unlink()
    folders = git.run("ls-tree", "-r", "-d", "-z", "--name-only", tip, merge_stderr=False).output.split("\0")
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    maintainers = git.run("cat-file", "blob", f"{tip}:MAINTAINERS", check=False, merge_stderr=False)
    if maintainers.returncode == 0:
        (root / "MAINTAINERS").write_text(maintainers.output, encoding="utf-8")


def _unusable(text: str, address: str) -> str:
    """Return why the address cannot receive mail; empty if it can."""
    if not address or not is_address(text):
        return "it is not a mail address"
    if not address.isascii():
        return "the address itself is not ASCII"
    if found := _NOWHERE.search(address):
        return f"{found[0].lstrip('@')} cannot receive mail"
    if "." not in address.rpartition("@")[2]:
        return "its domain has no dot"
    return ""


def _leave_out(book: _Book, without: dict[str, str], *, source: str = "series.toml: ") -> None:
    for text, reason in without.items():
        key = split_address(text)[1].lower()
        if key in book.headers:
            book.left_out[book.names[key]] = f"{source}{reason}"
            del book.headers[key]


def _patches(numbers: list[int], total: int) -> str:
    if len(numbers) == total:
        return "all patches" if total > 1 else "the patch"
    return f"patch{'es' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
