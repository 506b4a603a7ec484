"""A patch file's parts, edited as bytes: what is not meant to change stays as it is, byte for byte.

The form is git-format-patch(1)'s: headers, an empty line, the commit message, ``---``, remarks for readers of
the mail, a diffstat, the diff.
"""

from __future__ import annotations

import re

_START = re.compile(rb"^diff --git ", re.MULTILINE)
_DASHES = re.compile(rb"^---[ \t]*\r?\n", re.MULTILINE)
_SUBJECT = re.compile(rb"^Subject:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE)
_TAG = re.compile(rb"\[[^\]]*\]")
_STAT = re.compile(rb"^ (?:\S.* \| +(?:\d+ ?[+-]*|Bin .*)|\d+ files? changed.*)$")


def split_headers(data: bytes) -> tuple[bytes, bytes]:
    """Headers (each line ended) and body, parted at the first empty line."""
    found = re.search(rb"\r?\n\r?\n", data)
    return (data[: found.start()] + b"\n", data[found.end() :]) if found else (data, b"")


def diff_start(data: bytes) -> int:
    """Where the diff begins; the end of ``data`` when there is none."""
    found = _START.search(data)
    return found.start() if found else len(data)


def remarks_span(data: bytes) -> tuple[int, int]:
    """Where the remarks are: after the ``---`` that ends the message, up to the diffstat or the diff.

    Both are equal when there are none; when there is no ``---`` at all both are where the diff starts.
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
    """The text below ``---`` that is for readers of the mail alone, stripped of empty lines around it."""
    start, end = remarks_span(data)
    return data[start:end].strip(b"\r\n")


def with_remarks(data: bytes, remarks: bytes) -> bytes:
    """``data`` with ``remarks`` in place of those it has; with none when ``remarks`` is empty."""
    start, end = remarks_span(data)
    text = remarks.strip(b"\r\n")
    if _DASHES.search(data, 0, diff_start(data)) is None:
        ended = b"" if data[:start].endswith(b"\n") or not start else b"\n"
        return data if not text else data[:start] + ended + b"---\n" + text + b"\n\n" + data[end:]
    return data[:start] + (text + b"\n\n" if text else b"") + data[end:]


def with_tag(data: bytes, tag: str) -> bytes:
    """``data`` with ``[tag]`` as the first group of brackets in its subject, and all else as it was."""
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
    """What stands in the first brackets of the subject, unfolded; empty without any."""
    found = _SUBJECT.search(data)
    old = _TAG.search(found[0]) if found else None
    return " ".join(old[0][1:-1].decode("utf-8", "replace").split()) if old else ""


def without_lines(data: bytes, lines: frozenset[bytes]) -> bytes:
    """``data`` with those whole ``lines`` taken out of its commit message, and nothing else touched."""
    if not lines:
        return data
    headers, body = split_headers(data)
    del headers
    head = len(data) - len(body)
    marks = _DASHES.search(body, 0, diff_start(body))
    end = marks.start() if marks else diff_start(body)
    kept = [line for line in body[:end].splitlines(keepends=True) if line.rstrip(b"\r\n") not in lines]
    return data[:head] + b"".join(kept) + body[end:]


def tag_for(prefix: str, version: int, number: int, total: int, *, numbered: bool | None = None) -> str:
    """``PATCH v2 1/3``, as git-format-patch(1) writes it: no version for the first, padded numbers."""
    words = [prefix, *([f"v{version}"] if version > 1 else [])]
    if total > 1 if numbered is None else numbered:
        words.append(f"{number:0{len(str(total))}d}/{total}")
    return " ".join(words)
