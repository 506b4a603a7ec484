"""Decode headers and bodies of mails to text, and record each irregularity.

Decoding follows git-mailinfo(1), RFC 2045 (transfer encodings), RFC 2047 (headers) and RFC 3676
(``format=flowed``), with Python's email package.
"""

import contextlib
import email.errors
import email.header
import email.message
import re
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "no-headers",
    "no-author",
    "charset",
    "crlf",
    "flowed",
    "html",
    "multipart",
    "scissors",
    "not-git",
    "trailing",
    "damaged",
    "empty",
]
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = r"=\?[^?\s]+\?[bq]\?[^?\n]*\?="
_ENCODED = re.compile(rf"{_WORD}(?:\s*{_WORD})*", re.IGNORECASE)
"""Encoded words (RFC 2047). The white space between two of them is not part of the text."""
_LONGEST = 10_000
"""Characters of encoded words that are decoded; the time to do it grows with the square."""
PLAIN_CHARSETS = ("", "us-ascii", "ascii", "unknown-8bit")
CODINGS = ("base64", "quoted-printable")
CRLF = "its lines end in CR LF; the CRs were removed"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An irregularity of a mail. ``detail`` is one line for people."""

    kind: FaultKind
    detail: str


def coding_of(part: email.message.Message) -> str:
    """Return the transfer encoding of ``part``, in lower case."""
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower()


def charset_of(part: email.message.Message) -> str:
    """Return the declared character set of ``part``; empty without one."""
    return str(part.get_param("charset") or "")


def part_text(part: email.message.Message, faults: list[Fault]) -> str:
    """Return the text of ``part``, which is no multipart; empty for HTML."""
    kind = part.get_content_type()
    if kind == "text/html":
        faults.append(Fault(kind="html", detail="it is HTML, which cannot contain a patch"))
        return ""
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    text = decode(raw, charset_of(part), faults)
    coded = coding_of(part) in CODINGS
    lines = text.split("\n")
    if coded and "\r" in text and all(line.endswith("\r") for line in lines[:-1]):
        text = text.replace("\r\n", "\n")
        faults.append(Fault(kind="crlf", detail=CRLF))
    if str(part.get_param("format") or "").lower() == "flowed":
        faults.append(Fault(kind="flowed", detail="it is format=flowed, which wraps and joins lines"))
        text = unflow(text, delsp=str(part.get_param("delsp") or "").lower() == "yes")
    return text


def unflow(text: str, *, delsp: bool = False) -> str:
    """Undo ``format=flowed``: soft line breaks (RFC 3676, section 4.2) and space-stuffing (4.4)."""
    pieces: list[str] = []
    open_ = True
    for line in text.split("\n"):
        unstuffed = line.removeprefix(" ")
        soft = unstuffed.endswith(" ") and unstuffed != "-- "
        piece = unstuffed[:-1] if soft and delsp else unstuffed
        pieces.append(piece if open_ else f"\n{piece}")
        open_ = soft
    return "".join(pieces)


def decode(raw: bytes, charset: str, faults: list[Fault]) -> str:
    """Decode ``raw``. Bytes that are neither in ``charset`` nor in UTF-8 are kept (surrogateescape)."""
    if charset.lower() not in PLAIN_CHARSETS:
        try:
            return _decode_whole(raw, charset)
        except LookupError:
            faults.append(Fault(kind="charset", detail=f"its character set {charset!r} is unknown"))
        except ValueError:  # UnicodeDecodeError, or the errors of codecs such as "undefined"
            faults.append(Fault(kind="charset", detail=f"it is not in {charset}, its declared character set"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if not charset:
            faults.append(Fault(kind="charset", detail="it is not UTF-8 and names no character set"))
        # Other bytes are kept: a changed file need not be UTF-8.
        return raw.decode("utf-8", "surrogateescape")


def _decode_whole(raw: bytes, charset: str) -> str:
    """Decode ``raw``. Raises UnicodeError also for lone surrogates, which cannot be encoded again."""
    text = raw.decode(charset)
    text.encode("utf-8")
    return text


def header_text(mail: email.message.Message, name: str, faults: list[Fault]) -> str:
    """Return the header ``name`` of ``mail`` on one line; empty without it.

    Raw bytes are read as UTF-8, or else in the declared character set of the body, or else as Latin-1.
    git-mailinfo(1) and the email package copy such bytes: the author of the commit would not be UTF-8.
    """
    value = next((value for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    if not value.isascii():
        value = _raw_text(value.encode("utf-8", "surrogateescape"), charset_of(mail), name, faults)
    return decoded_words(value, name, faults)


def decoded_words(value: str, name: str, faults: list[Fault]) -> str:
    """Return ``value`` of the header ``name`` on one line, with its encoded words (RFC 2047) as text."""

    def decoded(words: re.Match[str]) -> str:
        if len(words[0]) <= _LONGEST:
            with contextlib.suppress(email.errors.HeaderParseError):
                return "".join(
                    chunk if isinstance(chunk, str) else decode(chunk, str(charset or ""), faults)
                    for chunk, charset in email.header.decode_header(words[0])
                )
        faults.append(Fault(kind="charset", detail=f"its header {name}: is malformed"))
        return words[0]

    return one_line(_ENCODED.sub(decoded, value))


def _raw_text(raw: bytes, charset: str, name: str, faults: list[Fault]) -> str:
    for known in ("utf-8", charset):
        try:
            return _decode_whole(raw, known)
        except (LookupError, ValueError):
            continue
    faults.append(Fault(kind="charset", detail=f"its header {name}: is not UTF-8; it was read as Latin-1"))
    return raw.decode("latin-1")


def without_raw_bytes(text: str) -> str:
    """Read the bytes in ``text`` that could not be decoded as Latin-1: a commit message has to be UTF-8."""
    return _SURROGATE.sub(lambda found: chr(ord(found[0]) & 0xFF), text)


def one_line(text: str) -> str:
    """Put ``text`` on one line and replace bytes that are not UTF-8, which RFC 2047 does not allow."""
    return " ".join(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).split())
