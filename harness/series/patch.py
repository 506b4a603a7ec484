"""Read one patch file in the format of ``git format-patch``: its mail headers and its changes to files.

The scanner follows git-apply(1). A hunk's header contains its number of lines, so text inside a hunk is never
taken for a header. Diffs that are not in git's format are refused, because their file names are ambiguous.
"""

import email
import email.policy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class PatchFormatError(ValueError):
    """The text is not a patch in git's format. The message names the place."""


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """One hunk. ``lines`` keep their first character: space, plus or minus."""

    header: str
    old_start: int
    new_start: int
    lines: tuple[str, ...]

    @property
    def before(self) -> tuple[str, ...]:
        """The lines that the tree must contain: context and removed lines."""
        return tuple(line[1:] for line in self.lines if line[:1] in (" ", "-"))

    @property
    def added(self) -> tuple[str, ...]:
        return tuple(line[1:] for line in self.lines if line.startswith("+"))


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A change to one file. Paths are relative to the tree. Modes are git's; empty if not specified."""

    old: str
    new: str
    old_mode: str = ""
    new_mode: str = ""
    binary: bool = False
    lacks_content: bool = False
    """Whether it only reports that a binary file differs, as git diff does without ``--binary``."""
    old_blob: str = ""
    """The full or abbreviated id of the old blob; empty if not specified."""
    hunks: tuple[Hunk, ...] = ()

    @property
    def path(self) -> str:
        return self.new or self.old

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for path in (self.old, self.new) if path))


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One file of a series. ``data`` is its exact bytes."""

    file: str
    number: int
    subject: str
    author: str
    date: str
    message: str
    changes: tuple[FileChange, ...]
    data: bytes

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for change in self.changes for path in change.paths))


def read_patch(file: str, number: int, data: bytes) -> Patch:
    """Read the patch in ``data``. Raises PatchFormatError."""
    mail = email.message_from_bytes(data.removeprefix(b"\xef\xbb\xbf"), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    try:
        author, subject, date = (str(mail[name] or "") for name in ("From", "Subject", "Date"))
        complete = mail["From"] is not None and mail["Subject"] is not None
    except Exception as error:  # the header parser raises many types (cpython issue 30681 and others)
        raise PatchFormatError("its headers are malformed") from error
    if author == "<>":  # what Python 3.13 makes of "<", for which 3.11 raises IndexError
        raise PatchFormatError("its headers are malformed")
    if not complete:
        raise PatchFormatError("it has no From: or no Subject: header")
    payload = mail.get_payload(decode=True)
    if not isinstance(payload, bytes):
        raise PatchFormatError("it is a multipart mail")
    body = payload.decode("utf-8", "surrogateescape")
    start = re.search(r"^diff --git |^--- ", body, re.MULTILINE)
    message, diff = (body[: start.start()], body[start.start() :]) if start else (body, "")
    changes = scan_changes(diff)
    if not changes:
        raise PatchFormatError("it changes no file")
    return Patch(
        file=file,
        number=number,
        subject=re.sub(r"^\s*\[[^\]]*PATCH[^\]]*\]\s*", "", " ".join(subject.split())),
        author=author,
        date=date,
        message=re.split(r"^---\s*$", message, maxsplit=1, flags=re.MULTILINE)[0].strip(),
        changes=changes,
        data=data,
    )


def scan_changes(text: str) -> tuple[FileChange, ...]:
    """Return each file change in the diff ``text``, skipping leading prose. Raises PatchFormatError."""
    # Inside a hunk a carriage return is content of the file; elsewhere it is ignored.
    lines = text.split("\n")
    changes: list[FileChange] = []
    index = 0
    while index < len(lines):
        line = lines[index].removesuffix("\r")
        if line.startswith("diff --git "):
            change, index = _scan_file(lines, index)
            changes.append(change)
        elif _is_header(lines, index):
            raise PatchFormatError(f"{line!r} does not follow a 'diff --git' line")
        elif HUNK.match(line) or line == "GIT binary patch":
            raise PatchFormatError(f"{line[:40]!r} does not follow a 'diff --git' line")
        else:
            index += 1
    return tuple(changes)


def _is_header(lines: Sequence[str], index: int) -> bool:
    """Return whether git apply takes the lines at ``index`` for the names above a hunk: one has to follow."""
    marks = ("--- ", "+++ ", "@@ -")
    found = lines[index : index + len(marks)]
    return len(found) == len(marks) and all(map(str.startswith, found, marks))


def _scan_file(lines: list[str], index: int) -> tuple[FileChange, int]:
    first = lines[index].removesuffix("\r")
    headers: dict[str, str] = {}
    hunks: list[Hunk] = []
    binary = lacks_content = False
    index += 1
    while index < len(lines):
        line = lines[index].removesuffix("\r")
        if line.startswith("diff --git "):
            break
        if HUNK.match(line):
            hunk, index = _scan_hunk(lines, index)
            hunks.append(hunk)
            continue
        if hunks or binary:
            if _is_header(lines, index):
                raise PatchFormatError(f"{line!r} does not follow a 'diff --git' line")
            index += 1
            continue
        lacks_content = line.startswith("Binary files ") and line.endswith(" differ")
        binary = line == "GIT binary patch" or lacks_content
        for key in (
            *("--- ", "+++ ", "rename from ", "rename to ", "copy from ", "copy to ", "old mode "),
            *("new mode ", "new file mode ", "deleted file mode ", "index "),
        ):
            if line.startswith(key):
                if key in headers:
                    raise PatchFormatError(f"{key.strip()!r} is duplicated for {first!r}")
                headers[key] = line.removeprefix(key)
        index += 1
    change = _change(first, headers, tuple(hunks), binary=binary)
    return (replace(change, lacks_content=True) if lacks_content else change), index


def _change(first: str, headers: dict[str, str], hunks: tuple[Hunk, ...], *, binary: bool) -> FileChange:
    names = _header_names(first.removeprefix("diff --git "))
    old, new = names or ("", "")
    for key, side in (("--- ", "old"), ("+++ ", "new")):
        if key in headers:
            name = _unquote(headers[key].split("\t")[0])  # git adds a tab to names with spaces
            name = "" if name == "/dev/null" else _strip(name)
            if names is not None and name and name not in names:
                raise PatchFormatError(f"{key.strip()} {name!r} contradicts {first!r}")
            old, new = (name, new) if side == "old" else (old, name)
    for key, side in (
        ("rename from ", "old"),
        ("copy from ", "old"),
        ("rename to ", "new"),
        ("copy to ", "new"),
    ):
        if key in headers:
            name = _unquote(headers[key])
            old, new = (name, new) if side == "old" else (old, name)
    if "new file mode " in headers:
        old = ""
    if "deleted file mode " in headers:
        new = ""
    if not old and not new:
        raise PatchFormatError(f"{first!r} does not identify a file")
    kept = headers.get("index ", "").partition(" ")[2]
    return FileChange(
        old=old,
        new=new,
        old_mode=headers.get("old mode ") or headers.get("deleted file mode ") or kept,
        new_mode=headers.get("new mode ") or headers.get("new file mode ") or kept,
        binary=binary,
        old_blob=headers.get("index ", "").partition("..")[0],
        hunks=hunks,
    )


def number(digits: str) -> int:
    """Return a number of lines. Python refuses to convert thousands of digits, so only the first 18 count."""
    return int(digits[:18])


def _scan_hunk(lines: list[str], index: int) -> tuple[Hunk, int]:
    header = lines[index].removesuffix("\r")
    match = HUNK.match(header)
    assert match is not None
    old_left, new_left = number(match[2] or "1"), number(match[4] or "1")
    body: list[str] = []
    index += 1
    while old_left > 0 or new_left > 0:
        if index >= len(lines):
            raise PatchFormatError(f"the hunk {header!r} is truncated")
        line = lines[index] if lines[index] not in ("", "\r") else f" {lines[index]}"
        if line[0] not in " +-\\":
            raise PatchFormatError(f"the hunk {header!r} is truncated at {line[:40]!r}")
        old_left -= line[0] in " -"
        new_left -= line[0] in " +"
        if line[0] != "\\":
            body.append(line)
        index += 1
    if old_left < 0 or new_left < 0:
        raise PatchFormatError(f"the hunk {header!r} does not match the number of its lines")
    hunk = Hunk(header=header, old_start=number(match[1]), new_start=number(match[3]), lines=tuple(body))
    return hunk, index


def _header_names(text: str) -> tuple[str, str] | None:
    """Return both names of a ``diff --git`` line, or None if spaces make them ambiguous."""
    if text.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', text)
        if end is None or not text[end.end() :].startswith(" "):
            return None
        return _strip(_unquote(end[0])), _strip(_unquote(text[end.end() + 1 :]))
    if ' "' in text:
        left, _, right = text.partition(' "')
        return _strip(left), _strip(_unquote('"' + right))
    if text.count(" ") == 1:
        left, _, right = text.partition(" ")
        return _strip(left), _strip(right)
    # a/same name b/same name
    half = len(text) // 2
    if len(text) % 2 and text[half] == " " and _strip(text[:half]) == _strip(text[half + 1 :]):
        return _strip(text[:half]), _strip(text[half + 1 :])
    return None


def _strip(name: str) -> str:
    """Remove the first component of ``name`` (``a/``, ``b/``), as -p1 does."""
    first, slash, rest = name.partition("/")
    if not slash or not first:
        raise PatchFormatError(f"{name!r} does not begin with a/ or b/")
    return rest


def _unquote(text: str) -> str:
    """Undo git's C-style quoting (core.quotePath in git-config(1))."""
    if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
        return text
    raw, out, index = text[1:-1].encode("utf-8", "surrogateescape"), bytearray(), 0
    while index < len(raw):
        if raw[index] != 92:
            out.append(raw[index])
            index += 1
            continue
        octal = re.match(rb"[0-3][0-7]{2}", raw[index + 1 : index + 4])
        if octal:
            out.append(int(octal[0], 8))
            index += 4
            continue
        escape = chr(raw[index + 1]) if index + 1 < len(raw) else ""
        if escape not in _ESCAPES:
            raise PatchFormatError(f"{text!r} is quoted incorrectly")
        out.append(_ESCAPES[escape])
        index += 2
    return out.decode("utf-8", "surrogateescape")
