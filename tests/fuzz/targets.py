"""The fuzzed parsers of foreign data, with their examples and checks.

A target takes bytes, so a failing example is a file that can be read again.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import posixpath
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.layout import Layout
from harness.options import declared_options, parse_options
from harness.series import (
    Input,
    find_thread,
    mailbox_bytes,
    read_input,
    scan_changes,
    series_of,
    series_of_files,
)
from harness.series.attached import read_mbox
from harness.series.compressed import unpack
from harness.series.form import remarks_of, tag_for, tag_of, with_remarks, with_tag
from harness.series.metadata import parse_series_file
from harness.series.patch import PatchFormatError
from harness.source.pin import load_pins
from harness.submit.provenance import FILE as DECLARATION
from harness.submit.provenance import read_declaration
from harness.submit.write import outgoing_folder
from harness.teardown.gates import judge_gates, read_gates
from harness.teardown.presets import apply_preset
from harness.teardown.records import ConsoleReader
from harness.teardown.results import TeardownResults
from harness.tree.safety import Place, check_diff
from harness.watch.inbox import read_new
from harness.watch.intake import place_of, ripen, take
from harness.watch.sections import Choice
from harness.watch.store import Store, clean
from harness.watch.work import write_series
from tests.fuzz import seeds
from tests.fuzz.mutate import mutated
from tests.fuzz.reading import RESULTS, ratios_json, results_json
from tests.fuzz.trees import apply_in

Strategy = st.SearchStrategy[bytes]
CANARY = b"Subject: this is outside"


class OutsideError(AssertionError):
    """A path leads outside its folder."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser. ``check`` reads an example in a temporary layout; only a HarnessError is permitted.

    ``share`` is its share of the time, relative to the shares of all targets.
    """

    name: str
    about: str
    examples: Callable[[Layout], Strategy]
    check: Callable[[Layout, bytes], None]
    share: float = 1.0


def must_be_inside(folder: Path, path: Path) -> None:
    """Raise OutsideError unless the kernel resolves ``path`` to a place below ``folder``."""
    if folder.resolve() not in path.resolve().parents:
        raise OutsideError(f"{path} is outside of {folder}")


def must_be_tree_path(path: str) -> None:
    """Raise OutsideError for a path that a patch must not change. Independent of harness.tree.paths."""
    parts = path.split("/")
    if posixpath.normpath(posixpath.join("/tree", path)) != f"/tree/{path}" or ".git" in map(
        str.lower, parts
    ):
        raise OutsideError(f"{path!r} was accepted")


def _one_name(name: str) -> None:
    if not name or name in (".", "..") or set(name) & set("/\0\n") or len(name.encode()) > 255:
        raise OutsideError(f"{name!r} is not a file name")


def _patch(layout: Layout, data: bytes) -> None:
    series = series_of_files("x", layout.patches / "x", [("0001-x.patch", data)])
    text = data.decode("utf-8", "surrogateescape")
    try:
        changes = scan_changes(text)
    except PatchFormatError:
        changes = ()
    check_diff(Place(series=series, index=0), text, set())
    for change in (*changes, *series.patches[0].changes):
        for path in change.paths:
            must_be_tree_path(path)


def _mbox(layout: Layout, data: bytes) -> None:
    del layout
    mails = read_mbox(data, "x.mbox")
    find_thread(mails)
    for mail in mails:
        again = mailbox_bytes(mail)
        again.decode("utf-8", "surrogateescape")
        for change in mail.changes:
            if not change.paths:
                raise AssertionError("a change without a file")


def _watch(layout: Layout, data: bytes) -> None:
    """Take the mails of a mailbox into the store of the watch, twice, and read what it then knows."""
    box, state = layout.root / "inbox", layout.root / "watch"
    box.write_bytes(b"From x Thu Jan  1 00:00:00 1970\n" + data)
    os.utime(box, (1, 1))
    shutil.rmtree(state, ignore_errors=True)
    with Store(state / "watch.sqlite") as store:
        store.rows("PRAGMA synchronous = OFF")
        for _ in (1, 2):
            for batch in read_new(box, *place_of(store, "x")):
                take(store, "x", batch, Choice())
            ripen(store, Choice(), 0)
        for row in store.rows("SELECT * FROM version"):
            write_series(store, row, layout, state / "series.mbox")
        for one in store.all_series():
            found = store.series(one.id)
            if found is None or found.versions[0].id != store.one(_NEWEST, one.id):
                raise AssertionError("a series without its newest version")
            if clean(str(found)) != str(found):
                raise AssertionError("a text that is not clean")


_NEWEST = "SELECT newest FROM series WHERE id = ?"


def _form(layout: Layout, data: bytes) -> None:
    del layout
    remarked = with_remarks(with_tag(data, tag_for("PATCH", 2, 1, 3)), b"what is new")
    if tag_of(data) and b"what is new" not in remarks_of(remarked):
        raise AssertionError("the remarks are in the wrong place")


def _read_back(found: Input) -> None:
    _one_name(found.name)
    series = series_of(found)
    for patch in series.patches if series else ():
        _one_name(patch.file)
    if any(CANARY in mail.data for mail in found.mails):
        raise OutsideError("a file outside of the folder was read")


def _input(layout: Layout, data: bytes) -> None:
    """Check a folder with quilt's ``series`` file (up to a line of dashes) and a patch, also as a mailbox."""
    listed, _, rest = data.partition(b"\n-----\n")
    folder = layout.patches / "quilt"
    folder.mkdir(exist_ok=True)
    outside = layout.patches / "outside.patch"
    outside.write_bytes(CANARY + b"\n\n" + seeds.DIFF.encode())
    (folder / "series").write_bytes(listed.replace(b"{outside}", bytes(outside)))
    (folder / "0001-x.patch").write_bytes(rest)
    box = layout.root / "x.mbox"
    box.write_bytes(rest)
    maildir = layout.root / "maildir"
    for name in ("cur", "new"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    (maildir / "cur" / "1").write_bytes(rest)
    (maildir / "new" / "2").write_bytes(b"Subject: [PATCH] x\n" + rest)
    for path in (folder, box, maildir):
        with contextlib.suppress(HarnessError):
            _read_back(read_input(layout, str(path)))


def _compressed(layout: Layout, data: bytes) -> None:
    del layout
    unpack(data, "x")


def _series_toml(layout: Layout, data: bytes) -> None:
    metadata = parse_series_file(data, layout.patches / "x" / "series.toml")
    _ = (metadata.subject_prefix, metadata.versions_with_changes, metadata.changes_of(metadata.version))
    folder = outgoing_folder(layout, "x", metadata.version)
    must_be_inside(
        layout.build / "outgoing", folder / f"{tag_for('x', metadata.version, 1, 2).replace(' ', '-')}"
    )


def _pins(layout: Layout, data: bytes) -> None:
    layout.pins_file.parent.mkdir(parents=True, exist_ok=True)
    layout.pins_file.write_bytes(data)
    for pin in load_pins(layout).values():
        must_be_inside(layout.trees, layout.tree(pin.name))
        for name in (*pin.archives, *([pin.archive] if pin.archive else [])):
            must_be_inside(layout.downloads, layout.downloads / name)
        for edit in (*pin.prepare, *pin.unmerge):
            must_be_tree_path(edit.file)
            must_be_inside(layout.trees, layout.trees / edit.file)
        _ = [str(place) for place in pin.locations]


def _gates(layout: Layout, data: bytes) -> None:
    (layout.root / "gates.toml").write_bytes(data)
    (layout.root / "ratios.json").write_bytes(ratios_json())
    gates = read_gates("gates.toml", layout.root)
    judge_gates(msgspec.json.decode(results_json(), type=TeardownResults), gates)


def _declaration(layout: Layout, data: bytes) -> None:
    (layout.patches / DECLARATION).write_bytes(data)
    read_declaration(layout.patches)


def _options(layout: Layout, data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\x1f")
    options = apply_preset(parse_options(layout, words))
    msgspec.json.encode({key: str(value) for key, value in options.values().items() if key != "given"})


def _words(layout: Layout) -> Strategy:
    names = sorted(declared_options(layout))
    shapes = (
        "a,b",
        "['a', 'b']",
        "16G",
        "0",
        "-1",
        "true",
        "[" * 300,
        "['\\ud800']",
        "1" * 30,
        "",
        " ",
        "\0",
    )
    some = st.one_of(st.sampled_from(shapes), st.text(max_size=12), st.text("[]'\",\\ abx0", max_size=30))
    choices = {
        name: st.sampled_from(option.choices)
        for name, option in declared_options(layout).items()
        if option.choices
    }
    word = st.sampled_from(names).flatmap(
        lambda name: st.builds("-D{}={}".format, st.just(name), choices.get(name, some) | some)
    )
    return st.lists(word | some, max_size=4).map(
        lambda words: "\x1f".join(words).encode("utf-8", "surrogatepass")
    )


def _console(layout: Layout, data: bytes) -> None:
    del layout
    console = ConsoleReader()
    half = len(data) // 2
    for part in (data[:half], data[half:], b"\n"):
        for record in console.feed(part):
            msgspec.json.encode(record)
    console.last_lines()


_CONSOLE = b'booting\n\x1b[1mx\x1e{"kernel": "6.1"}\nKernel panic - not syncing: x\n\x1e{"index": 1}\n'
_DECLARATION = b"""person = "A U Thor <a@example.org>"
date = "2026-01-01"
written-by = ["A U Thor <a@example.org>"]
tools = []
generated = "no"
derived-from = ""
licence = "GPL-2.0-or-later"
policy = "x"
policy-sha256 = ""
policy-read = "yes"
[patches]
"abc" = "util: count"
"""
_QUILT = tuple(
    one + b"\n-----\n" + seeds.mails()[0]
    for one in (b"0001-x.patch", b"# none\n0001-x.patch -p1", b"../outside.patch", b"{outside}", b"")
)

_ZSTD = b"\x28\xb5\x2f\xfd\x20\x04\x21\x00\x00text"
_PACKED = (*(pack(seeds.mails()[0]) for pack in (gzip.compress, bz2.compress, lzma.compress)), _ZSTD)


def _seeded(*files: bytes, tokens: Sequence[bytes] = seeds.MAIL_TOKENS) -> Callable[[Layout], Strategy]:
    return lambda _: mutated(files, tokens)


def _toml(kind: str) -> Callable[[Layout], Strategy]:
    return lambda layout: mutated(seeds.toml(layout, kind), seeds.TOML_TOKENS)


def _patches(layout: Layout) -> Strategy:
    return mutated(seeds.patches(layout), seeds.MAIL_TOKENS)


_MAILS = _seeded(*seeds.mailboxes(), *seeds.mails())
_INPUTS = _seeded(*_QUILT, *_QUILT, *seeds.mailboxes())
_ARCHIVES = _seeded(*_PACKED, tokens=(b"\xff", b"\0\0\0\0", b"BZh9", b"\x28\xb5\x2f\xfd"))
_CONSOLES = _seeded(_CONSOLE, tokens=(b"\x1e", b"\n", *seeds.JSON_TOKENS))
_APPLIABLE = _seeded(*seeds.appliable())
_DECLARATIONS = _seeded(_DECLARATION, tokens=seeds.TOML_TOKENS)
_SHARES = {"patch": 3.0, "mbox": 3.0, "apply": 3.0}

TARGETS: tuple[Target, ...] = tuple(
    Target(name=name, about=about, examples=examples, check=check, share=_SHARES.get(name, 1.0))
    for name, about, examples, check in (
        ("patch", "patches, and the paths that they change", _patches, _patch),
        ("mbox", "mailboxes and their threads", _MAILS, _mbox),
        ("watch", "mails of a list, and the store of the watch", _MAILS, _watch),
        ("input", "folders with a series file, mailboxes as files", _INPUTS, _input),
        ("compressed", "compressed mailboxes", _ARCHIVES, _compressed),
        ("form", "patches edited as bytes", _patches, _form),
        ("apply", "patches applied by git, in a repository that is checked afterwards", _APPLIABLE, apply_in),
        ("series", "series.toml", _toml("series"), _series_toml),
        ("pins", "pins.toml", _toml("pins"), _pins),
        ("gates", "gates.toml", _toml("gates"), _gates),
        ("declaration", "provenance.toml", _DECLARATIONS, _declaration),
        ("options", "arguments of the command line", _words, _options),
        ("console", "console output of an emulated host", _CONSOLES, _console),
        *RESULTS,
    )
)
