"""A target for the templates of the watch's site: a series with any texts, written as pages."""

import functools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from harness.check import (
    Bisect,
    CommitBuild,
    CompiledFiles,
    CoveredFile,
    Finding,
    Fit,
    StageRow,
    TestProof,
    TestRow,
    ValidatedPatch,
    ValidatedSeries,
    ValidateResults,
)
from harness.errors import StorageError
from harness.jsonfile import UNREADABLE
from harness.layout import Layout
from harness.report.pages import TEMPLATES as BASE
from harness.validate.page import TEMPLATES as RESULTS
from harness.validate.page import page
from harness.watch.model import Contents, Given, Run, Series, Version, WatchedPatch
from harness.watch.site.write import TEMPLATES, write_site
from harness.watch.store import Store
from tests.fuzz.markup import CONTROL, Reader, check_feed, check_markup, check_page, vocabulary
from tests.structs import filled

DIFF = """diff --git a/util/a.c b/util/a.c
--- a/util/a.c
+++ b/util/a.c
@@ -1,3 +1,4 @@ int first;
 int one;
-int two;
+int two = 2;
+int three = 3;
 int four;
"""
TIME = "2026-01-02T03:04:05+00:00"


def sample_results(**changes: Any) -> ValidateResults:
    """Return results with an entry of each kind; ``changes`` replace fields."""
    fields: dict[str, Any] = {
        "command": "nox -s validate -- -Dseries=x",
        "started": TIME,
        "finished": "2026-01-02T03:05:05+00:00",
        "complete": True,
        "verdict": "findings",
        "machine": "Debian, Linux 6, 2 CPUs, 23 GiB",
        "pin": "10.0",
        "base": "pristine",
        "base_commit": "b" * 40,
        "isolation": "bwrap",
        "series": filled(
            ValidatedSeries,
            name="x",
            title="util: add three",
            version=2,
            total=2,
            sha256="1" * 64,
            patches=tuple(
                filled(ValidatedPatch, number=at, subject=f"part {at}", author="A <a@b>") for at in (1, 2)
            ),
        ),
        "fits": (
            *(Fit(pin=pin, patch=1, kind="clean") for pin in ("9.0", "10.0")),
            Fit(pin="9.0", patch=2, kind="not"),
            Fit(pin="10.0", patch=2, kind="offsets"),
        ),
        "findings": (
            Finding(rule="cover-missing", severity="note", message="no cover letter", remedy="write one"),
            Finding(
                rule="whitespace-trailing",
                severity="error",
                message="trailing whitespace",
                remedy="remove it",
                patch=1,
                file="util/a.c",
                line=3,
                snippet=("int three = 3;",),
            ),
            Finding(
                rule="body-alone",
                severity="warning",
                message="no body",
                remedy="say why",
                patch=2,
                snippet=("x",),
            ),
        ),
        "builds": tuple(
            CommitBuild(patch=at, commit="c" * 40, host="native", outcome="ok", seconds=10.0)
            for at in range(3)
        ),
        "bisect": Bisect(cold_s=100.0, all_s=120.0, ratio=1.2),
        "compiled": CompiledFiles(compiled=1, changed=2),
        "tests": (
            TestRow(patch=1, suite="unit", name="test-a", outcome="ok", seconds=1.0),
            TestRow(patch=1, suite="unit", name="test-b", outcome="failed", seconds=1.0, reason="it broke"),
            TestRow(patch=1, suite="unit", name="test-c", outcome="skipped", seconds=0.0, reason="no KVM"),
        ),
        "proofs": (TestProof(test="test-a", suite="unit", patch=1, outcome="proves"),),
        "coverage": (CoveredFile(patch=1, file="util/a.c", executable=2, missing=(3,), ran=(2,)),),
        "stages": (
            StageRow(name="apply", outcome="ok", seconds=3.0),
            StageRow(name="behaviour", outcome="not run", reason="series.toml names no suites"),
        ),
    }
    return filled(ValidateResults, **(fields | changes))


def sample(key: int = 1, **changes: Any) -> Series:
    """Return a series of two versions, the newest of them with results; ``changes`` replace its fields."""
    title = changes.get("title", "util: add three")
    patches = tuple(
        WatchedPatch(
            number=at,
            label=f"{at}/2",
            title=f"part {at}",
            author="A Person <a@example.org>",
            message_id=f"{key}-{at}@example.org",
            message="Why.",
            diff=DIFF,
            files=("util/a.c",),
        )
        for at in (1, 2)
    )
    given = (
        Given(patch=0, text="Reviewed-by: B <b@example.org>", sender="B <b@example.org>"),
        Given(patch=1, text="NACK", sender="C <c@example.org>", objects=True),
    )
    contents = Contents(sha256="1" * 64, cover="Hello.", patches=patches, given=given, replies=2)
    run = Run(
        id=1,
        sha256=contents.sha256,
        state="done",
        started=TIME,
        finished="2026-01-02T03:05:05+00:00",
        seconds=60.0,
        base="master at the date of the mail",
        verdict="findings",
        errors=1,
        warnings=1,
        notes=1,
        place="https://gitlab.example.org/1",
        results=sample_results(),
    )
    versions = tuple(
        Version(
            id=2 * key + number,
            number=number,
            rfc=number == 1,
            message_id=f"{key}-0-v{number}@example.org",
            title=title,
            sent=f"2026-01-0{number}T03:04:05+00:00",
            arrived=TIME,
            state="done" if runs else "replaced",
            reason="",
            total=2,
            contents=contents,
            runs=runs,
        )
        for number, runs in ((2, (run,)), (1, ()))
    )
    fields: dict[str, Any] = {
        "id": key,
        "title": title,
        "author": "A Person <a@example.org>",
        "sections": ("PC", "Utility code"),
        "arrived": TIME,
        "changed": key,
        "versions": versions,
    }
    return Series(**(fields | changes))


@functools.cache
def series_json() -> bytes:
    """Return a series, as JSON."""
    return msgspec.json.format(msgspec.json.encode(sample()), indent=1)


def write(folder: Path, series: Sequence[Series], address: str = "") -> tuple[Path, ...]:
    """Write the site of ``series``, newest first. Other than in a Store, their texts can contain anything."""
    by_id = {one.id: one for one in series}
    rows = [
        SimpleNamespace(id=one.id, changed=one.changed, message_id=one.versions[0].message_id)
        for one in series
    ]
    shelf = SimpleNamespace(all_series=lambda: rows, series=by_id.get)
    return write_site(cast(Store, shelf), folder, address)


@functools.cache
def _allowed() -> frozenset[tuple[str, str]]:
    return frozenset(vocabulary((BASE, RESULTS, TEMPLATES)))


def check_site(folder: Path, address: str = "") -> dict[str, Reader]:
    """Return each page of a site by its path. Raises AssertionError for foreign markup and broken links."""
    check_feed(folder / "feed.xml", address)
    index = (folder / "search-index.js").read_text(encoding="utf-8")
    for row in json.loads(index.removeprefix("searchIndex(").removesuffix(");\n")):
        assert not CONTROL.search("".join([*row[1:6], *row[6]])), row
    pages = {}
    for path in folder.rglob("*.html"):
        pages[str(path.relative_to(folder))] = check_page(path, set(_allowed()))
        json.loads(path.with_suffix(".json").read_bytes())
    return pages


def check(layout: Layout, data: bytes) -> None:
    """Write the site of the series in ``data``, and validate.html of its results."""
    try:
        series = msgspec.json.decode(data, type=Series)
    except UNREADABLE as error:
        raise StorageError("not a series", "none") from error
    if not series.versions:
        raise StorageError("a series without a version", "none")  # a Store returns none
    folder = layout.build / "site"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, [series])
    check_site(folder)
    for results in (run.results for one in series.versions for run in one.runs if run.results):
        check_markup(page(results), set(_allowed()))
