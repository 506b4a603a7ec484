"""The record of a preparation: ``outgoing.json`` and ``sent.toml``. docs/submit.md lists the fields."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from harness.authoring.history import SENT
from harness.authoring.tags import StaleTag
from harness.jsonfile import write_json
from harness.submit.facts import ChecklistItem
from harness.submit.provenance import Reason
from harness.submit.recipients import Recipient

FILE = "outgoing.json"
SCHEMA = 1


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One mail: file name, digest of its bytes, and its Message-Id."""

    file: str
    sha256: str
    message_id: str

    @classmethod
    def of(cls, name: str, data: bytes, message_id: str) -> Sent:
        """Create the record of ``data``."""
        return cls(file=name, sha256=hashlib.sha256(data).hexdigest(), message_id=message_id)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """Content of outgoing.json."""

    schema: int = SCHEMA
    folder: str
    series: str
    version: int
    ready: bool
    reasons: tuple[Reason, ...]
    sha256: str
    mails: tuple[Sent, ...]
    recipients: tuple[Recipient, ...]
    left_out: dict[str, str]
    stale: tuple[StaleTag, ...]
    checklist: tuple[ChecklistItem, ...]
    figures: str


def write_record(folder: Path, done: Outgoing) -> None:
    """Write outgoing.json and, for ``series reroll``, sent.toml. Raises StorageError."""
    write_json(folder / FILE, done)
    document: dict[str, Any] = {"message-ids": {one.file: one.message_id for one in done.mails}}
    (folder / SENT).write_text(tomlkit.dumps(document), encoding="utf-8")
