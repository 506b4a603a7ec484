"""Edit the parts of a patch file as bytes. All other bytes stay unchanged.

The format is that of git-format-patch(1): headers, an empty line, the commit message, ``---``, remarks for
readers of the mail, a diffstat, the diff.
"""

import re

_START = re.compile(rb"^diff --git ", re.MULTILINE)
_DASHES = re.compile(rb"^---[ \t]*\r?\n", re.MULTILINE)
_SUBJECT = re.compile(rb"^Subject:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE)
_TAG = re.compile(rb"\[[^\]]*\]")
_STAT = re.compile(rb"^ (?:\S.* \| +(?:\d+ ?[+-]*|Bin .*)|\d+ files? changed.*)$")


def split_headers(data: bytes) -> tuple[bytes, bytes]:
    """Split ``data`` at the first empty line into headers (with the final newline) and body."""
    found = re.search(rb"\r?\n\r?\n", data)
    return (data[: found.start()] + b"\n", data[found.end() :]) if found else (data, b"")


def diff_start(data: bytes) -> int:
    """Return the offset of the diff in ``data``, or the length of ``data`` without a diff."""
    found = _START.search(data)
    return found.start() if found else len(data)


def remarks_span(data: bytes) -> tuple[int, int]:
    """Return start and end of the remarks: from the ``---`` below the message to the diffstat or the diff.

    Without remarks, both are equal. Without ``---``, both are the start of the diff.
    """
    end = diff_start(data)
    marks = list(_DASHES.finditer(data, 0, end))
    if not marks:
        return end, end
    start = place = marks[0].end()
    for line in data[start:end].splitlines(keepends=True):
        if _STAT.match(line.rstrip(b"\r\n")):
            break
        place += len(line)
    if not data[start:place].strip():
        return start, start
    return start, place


def remarks_of(data: bytes) -> bytes:
    """Return the remarks of the patch ``data``, without empty lines around them."""
    start, end = remarks_span(data)
    return data[start:end].strip(b"\r\n")


def with_remarks(data: bytes, remarks: bytes) -> bytes:
    """Replace the remarks of ``data`` by ``remarks``. If ``remarks`` is empty, remove them."""
    start, end = remarks_span(data)
    text = remarks.strip(b"\r\n")
    if _DASHES.search(data, 0, diff_start(data)) is None:
        ended = b"" if data[:start].endswith(b"\n") or not start else b"\n"
        return data if not text else data[:start] + ended + b"---\n" + text + b"\n\n" + data[end:]
    return data[:start] + (text + b"\n\n" if text else b"") + data[end:]


def with_tag(data: bytes, tag: str) -> bytes:
    """Replace the first group of square brackets in the subject of ``data`` by ``[tag]``, or insert it."""
    found = _SUBJECT.search(data)
    if found is None:
        return data
    subject = found[0]
    old = _TAG.search(subject)
    new = f"[{tag}]".encode()
    if old is None:
        changed = subject.replace(b"Subject:", b"Subject: " + new, 1)
    else:
        changed = subject[: old.start()] + new + subject[old.end() :]
    return data[: found.start()] + changed + data[found.end() :]


def tag_of(data: bytes) -> str:
    """Return the text in the first square brackets of the subject, unfolded; empty without brackets."""
    found = _SUBJECT.search(data)
    old = _TAG.search(found[0]) if found else None
    return " ".join(old[0][1:-1].decode("utf-8", "replace").split()) if old else ""


def tag_for(prefix: str, version: int, number: int, total: int, *, numbered: bool | None = None) -> str:
    """Format a tag such as ``PATCH v2 1/3`` as git-format-patch(1) does: no ``v1``, padded numbers."""
    words = [prefix, *([f"v{version}"] if version > 1 else [])]
    if total > 1 if numbered is None else numbered:
        words.append(f"{number:0{len(str(total))}d}/{total}")
    return " ".join(words)
