"""The static site: what its pages show, what is written again, and texts that are not trusted."""

import dataclasses
import json
import re
import typing
from collections import Counter

import msgspec
import pytest

from harness.check import Finding, Fit, ValidatedPatch
from harness.check.model import Verdict
from harness.errors import StorageError
from harness.report.pages import TEMPLATES as BASE
from harness.report.pages import visible
from harness.validate.placement import AROUND, FINDINGS, LINES, PATCHES, WHOLE, place_findings
from harness.watch.model import Series
from harness.watch.site import listing
from harness.watch.site.listing import date_of, listed_of, moment, page_name, paged
from harness.watch.site.series import is_url, series_page
from harness.watch.site.write import write_site
from harness.watch.status import status_lines
from harness.watch.store import Store
from tests.fuzz.markup import ATOM, check_feed
from tests.fuzz.site import DIFF, check_site, sample, sample_results, write
from tests.unit.watch.stores import add_version

EVIL = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>' onfocus='x",
    "</title></style></pre>]]>&amp;<!-- -->",
    "{{ 7 * 7 }}{% raw %}",
    "a\0b\x1b[31m\x07\x9b\x85\r\n\tc\u202etxt.exe\u2066\ufffe\ufeff",
    "\u05d0 \U0001f600 e\u0301 \u2028 \u200d",
    "x" * 20_000,
    "",
)


def with_run(series, **changes):
    """Return ``series`` with ``changes`` in the newest run."""
    newest = series.versions[0]
    run = dataclasses.replace(newest.runs[0], **changes)
    return with_version(series, runs=(run, *newest.runs[1:]))


def with_version(series, **changes):
    newest = dataclasses.replace(series.versions[0], **changes)
    return dataclasses.replace(series, versions=(newest, *series.versions[1:]))


def everywhere(value, text):
    """Return ``value`` (of msgspec.to_builtins) with ``text`` in place of each string that is free text."""
    if isinstance(value, dict):
        fixed = {"state", "verdict", "severity", "kind", "outcome", "diff", "schema", "options", "id"}
        return {key: one if key in fixed else everywhere(one, text) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [everywhere(one, text) for one in value]
    return text if isinstance(value, str) else value


def page_of_series(pages):
    (page,) = (reader for name, reader in pages.items() if name.startswith("series/"))
    return page


def at(line, file="util/a.c", **changes):
    """Return a finding for a line of patch 1."""
    fields = {"rule": "x", "severity": "error", "message": "m", "remedy": "r", "patch": 1, **changes}
    return Finding(file=file, line=line, **fields)


def test_page_of_a_series_shows_everything_that_is_known(tmp_path):
    write(tmp_path, [sample()])
    page = page_of_series(check_site(tmp_path))
    text = " ".join(page.text.split())
    for words in (
        *("util: add three findings v2; 1 error, 1 warning, 1 note", "A Person <a@example.org>"),
        "v2 2026-01-02 findings 9.0 does not apply, 10.0 offsets 1 1 1 2 of 2 ok 1 of 2 ok 60 s",
        *("RFC v1 2026-01-01 replaced", "1-0-v2@example.org", "master at the date of the mail"),
        *("2 not offsets", "base native ok 10.0 s", "test-b unit 1 failed 1.00 s it broke"),
        *("test test-a of patch 1: fails on the base, passes with the series", "util/a.c 1 2 3"),
        *("apply ok 3 s", "1 of 2 changed source files compiled", "test test-c skipped: no KVM"),
        "stage behaviour, not run: series.toml names no suites",
        "1 NACK C <c@example.org> objection all Reviewed-by: B <b@example.org> B <b@example.org> trailer",
        *("nox -s validate -- -Dseries=x", "Cover letter Hello.", "Utility code"),
    ):
        assert words in text
    assert "https://gitlab.example.org/1" in page.links


def test_finding_follows_the_line_that_it_is_about(tmp_path):
    write(tmp_path, [sample()])
    (page,) = (path.read_text(encoding="utf-8") for path in tmp_path.glob("series/*.html"))
    order = [page.index(text) for text in ("+int three = 3;", "trailing whitespace", "  int four;")]
    assert order == sorted(order)
    assert page.index("no body") > order[-1], "a finding without a line"
    assert page.count('<pre class="diff">') == 2, "only of the patch with a finding in its diff"


@pytest.mark.parametrize(
    ("file", "line", "snippet", "expected"),
    [
        ("util/a.c", 3, (), "int three = 3;"),
        ("util/a.c", 1, (), "int one;"),
        ("util/a.c", 99, ("int three = 3;",), "int three = 3;"),  # counted after the whole series
        ("util/a.c", 2, ("error: no such thing",), "int two = 2;"),
        ("util/a.c", 99, (), ""),
        ("util/b.c", 3, (), ""),
        ("", 3, (), ""),
        ("util/a.c", 0, ("int three = 3;",), ""),
    ],
)
def test_findings_are_placed_in_the_diff(file, line, snippet, expected):
    finding = at(line, file, snippet=snippet)
    (patch,) = place_findings(sample_results(findings=(finding,)), {1: DIFF}).patches
    placed = [lines[-1].text for one in patch.files for lines, found in one.pieces if found]
    assert placed == ([expected] if expected else [])
    assert patch.findings == (() if expected else (finding,))


@pytest.mark.parametrize(
    "diff", ["", "no diff", "diff --git a/x b/x\n@@ -1 +1 @@\n", f"{DIFF}@@ -1,{'9' * 5000} +1 @@\n"]
)
def test_findings_of_a_damaged_diff_are_listed(diff):
    shown = place_findings(sample_results(), {1: diff, 2: diff})
    assert [len(patch.findings) for patch in shown.patches] == [1, 1, 1]


def long_diff(lines):
    body = "".join(f"+line {at}\n" for at in range(1, lines + 1))
    return f"diff --git a/util/a.c b/util/a.c\n--- /dev/null\n+++ b/util/a.c\n@@ -0,0 +1,{lines} @@\n{body}"


def test_long_diffs_are_cut_around_their_findings():
    diff = long_diff(1000) + long_diff(9).replace("util/a.c", "util/b.c")
    (patch,) = place_findings(sample_results(findings=(at(50), at(900))), {1: diff}).patches
    assert [file.name for file in patch.files] == ["util/a.c"]
    lines = [line.text for file in patch.files for piece, _ in file.pieces for line in piece]
    assert patch.is_cut
    assert len(lines) == 2 * (2 * AROUND + 1) + 3 < WHOLE
    assert (lines[0], lines[1], lines[-1]) == (
        f"{50 - AROUND} lines",
        f"line {50 - AROUND}",
        f"{100 - AROUND} lines",
    )


def test_series_of_ten_thousand_patches_has_a_usable_page(tmp_path):
    count = 10_000
    series = sample()
    patch = series.versions[0].contents.patches[0]
    findings = [
        at(n % 290 + 1, rule=f"r{n}", message=f"m{n}", remedy="", patch=n) for n in range(1, count + 1)
    ]
    findings += [msgspec.structs.replace(findings[0], rule=f"more{n}") for n in range(2 * FINDINGS)]
    results = sample_results(
        findings=tuple(findings),
        series=msgspec.structs.replace(
            sample_results().series,
            total=count,
            patches=tuple(
                ValidatedPatch(number=n, origin="x", subject=f"part {n}", author="A <a@b>", sha256="")
                for n in range(1, count + 1)
            ),
        ),
        fits=(
            *(Fit(pin="9.0", patch=n, kind="clean") for n in range(1, count)),
            Fit(pin="9.0", patch=count, kind="not"),
        ),
        tests=tuple(
            msgspec.structs.replace(row, patch=n)
            for row in sample_results().tests
            for n in range(1, count // 10)
        ),
    )
    diffs = (long_diff(290), DIFF)
    contents = dataclasses.replace(
        series.versions[0].contents,
        patches=tuple(
            dataclasses.replace(patch, number=n, diff=diffs[n > 2 * PATCHES]) for n in range(1, count + 1)
        ),
        given=series.versions[0].contents.given * count,
    )
    write(tmp_path, [with_run(with_version(series, contents=contents, total=count), results=results)])
    (path,) = tmp_path.glob("series/*.html")
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert text.count("<ins>") <= LINES
    assert f"{count - PATCHES} further patches have findings" in text
    assert f"{FINDINGS + 1} further findings of this patch" in text
    assert text.count("it broke") == 500, "failures come first"
    assert f'<th scope="row" class="short">{count}</th><td class="bad short">not</td>' in text
    check_site(tmp_path)


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
def test_texts_of_mails_and_results_are_not_trusted(text, tmp_path):
    hostile = [msgspec.convert(everywhere(msgspec.to_builtins(sample(key)), text), Series) for key in (2, 1)]
    diffs = tuple(
        dataclasses.replace(patch, diff=DIFF.replace("int three = 3;", text.replace("\n", " ")))
        for patch in hostile[0].versions[0].contents.patches
    )
    hostile[0] = with_version(
        hostile[0], contents=dataclasses.replace(hostile[0].versions[0].contents, patches=diffs)
    )
    write(tmp_path, hostile)
    assert len([name for name in check_site(tmp_path) if name.startswith("series/")]) == 2
    assert all(re.fullmatch(r"[a-z0-9-]{1,60}\.(html|json)", path.name) for path in tmp_path.glob("s*/*"))


def test_fields_of_every_kind_are_hostile_in_that_test():
    """``everywhere`` replaces texts, and the page shows them: the title, a finding, a test, a reply."""
    series = msgspec.convert(everywhere(msgspec.to_builtins(sample()), "EVIL"), Series)
    page = series_page(series)
    assert "EVIL" in str(page["findings"])
    assert all("EVIL" in str(one) for one in page["sections"] if one.id not in ("times", "fits"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "a<U+0000>b"),
        ("\x1b[31m", "<U+001B>[31m"),
        ("\u202etxt", "<U+202E>txt"),
        ("\ud800", "<U+D800>"),
        ("a\tb\nc \u05d0\U0001f600", "a\tb\nc \u05d0\U0001f600"),
    ],
)
def test_characters_without_a_glyph_are_visible(text, shown):
    assert visible(text) == shown


def test_names_of_pages_are_safe_and_differ():
    keys = [
        "../../etc/passwd",
        "..",
        ".",
        "",
        "/",
        "a/b@c",
        "a-b-c",
        "A/B@C",
        "CON",
        "\0",
        "\ud800",
        "x" * 300,
    ]
    keys += ["x" * 301, "\u00e4@b", "\u00f6@b", "a%2fb", "index", "a b@c?#"]
    names = [page_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{1,50}", name) for name in names)


@pytest.mark.parametrize(
    ("text", "day", "utc"),
    [
        ("2026-01-02T03:04:05+02:00", "2026-01-02", "2026-01-02T01:04:05Z"),
        ("1970-01-01T00:00:00+00:00", "1970-01-01", "1970-01-01T00:00:00Z"),
        ("2099-12-31T23:59:59+00:00", "2099-12-31", "2099-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00+00:00", "0001-01-01", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "no valid date", ""),
        ("2026-01-02T03:04:05", "no valid date", ""),
        ("2026-13-02T03:04:05+00:00", "no valid date", ""),
        ("", "no valid date", ""),
        ("<b>", "no valid date", ""),
    ],
)
def test_dates_are_read_or_reported_as_invalid(text, day, utc):
    assert (date_of(text), moment(text)) == (day, utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a?b#c", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt://example.org/%0aalert(1)", False),
        ("data:text/html,x", False),
        ("//example.org", False),
        ("https:example.org", False),
        ("https://[", False),
        ("https://a/\u202e", False),
        ("https://a/ b", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_web_become_links(text, expected, tmp_path):
    assert is_url(text) is expected
    write(tmp_path, [with_run(sample(), place=text)])
    page = page_of_series(check_site(tmp_path))
    assert (text in page.links) is expected


@pytest.fixture
def small(monkeypatch):
    """Lists of two series a page."""
    monkeypatch.setattr(listing, "PAGE", 2)


def many(count, **changes):
    """Return series, newest first."""
    return [sample(key, title=f"series {key}", **changes) for key in range(count, 0, -1)]


def names_of(folder, paths):
    return {re.sub(r"-[0-9a-f]{10}", "", str(path.relative_to(folder))) for path in paths}


@pytest.mark.usefixtures("small")
def test_only_what_changed_is_written(tmp_path):
    series = many(9)
    first = write(tmp_path, series)
    assert len(first) == len(list(tmp_path.rglob("*"))) - 3
    again = write(tmp_path, series)
    assert again == ()
    series[4] = with_run(dataclasses.replace(series[4], changed=99), errors=7)
    changed = write(tmp_path, series)
    lists = {
        f"{name}.{ending}"
        for name in ("index-3", "subsystem/pc-3", "subsystem/utility-code-3")
        for ending in ("html", "json")
    }
    assert names_of(tmp_path, changed) == lists | {
        f"series/5-0-v1-example-org-5.{e}" for e in ("html", "json")
    } | {"feed.xml"}
    unseen = [dataclasses.replace(one, title="new") for one in series]
    assert write(tmp_path, unseen) == (), "a series whose counter did not change is not rendered"
    assert not list(tmp_path.rglob(".*.[0-9]*")), "temporary files"


@pytest.mark.usefixtures("small")
def test_new_series_changes_the_first_page_of_its_lists(tmp_path):
    write(tmp_path, many(8))
    new = names_of(tmp_path, write(tmp_path, many(9)))
    assert {name for name in new if name.startswith("index")} == {"index.html", "index.json"}
    assert len(new) < 16


@pytest.mark.usefixtures("small")
def test_pages_of_vanished_series_are_kept_and_nothing_dangles(tmp_path):
    gone = sample(99, title="gone", sections=("Gone",))
    write(tmp_path, [gone, *many(9)])
    before = set(check_site(tmp_path))
    write(tmp_path, many(2))
    after = check_site(tmp_path)
    assert set(after) == before
    listed = [name for name, page in after.items() if "gone" in page.text.lower() and "series/" not in name]
    assert [re.sub("-[0-9a-f]{10}", "", name) for name in listed] == ["subsystem/gone.html"]
    assert "No series are listed here" in after[listed[0]].text
    assert "No series are listed here" in after["index-3.html"].text
    assert write(tmp_path, many(2)) == ()


def test_damaged_or_removed_files_are_written_again(tmp_path):
    first = write(tmp_path, many(2))
    (tmp_path / ".state.json").write_text("[")
    (tmp_path / "index.html").write_text("damaged")
    next(tmp_path.glob("series/2-*.html")).unlink()
    assert names_of(tmp_path, write(tmp_path, many(2))) == {"index.html", "series/2-0-v1-example-org-2.html"}
    next(tmp_path.glob("series/2-*.json")).unlink()
    assert len(write(tmp_path, many(2))) == 1
    assert len(first) == len(check_site(tmp_path)) * 2 + 4


def test_changed_template_writes_every_page_again(tmp_path, monkeypatch):
    write(tmp_path, many(2))
    monkeypatch.setattr("harness.watch.site.write._digest", lambda: "other")
    assert write(tmp_path, [dataclasses.replace(one, title="new") for one in many(2)])


def test_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "index.html").mkdir()
    with pytest.raises(StorageError, match=r"index\.html"):
        write(tmp_path, [])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 10])
@pytest.mark.usefixtures("small")
def test_lists_are_divided_so_that_older_pages_stay(count):
    def pages(length):
        return {number: list(rows) for number, rows in paged([listed_of(one) for one in many(length)])}

    parts = pages(count)
    assert [one.id for rows in parts.values() for one in rows] == list(range(count, 0, -1))
    assert len(parts[0]) <= 3
    following = pages(count + 1)
    assert all(following[number] == rows for number, rows in parts.items() if number)


def test_feed_has_the_newest_verdicts(tmp_path):
    days = {1: "2026-01-03", 2: "2026-01-05", 3: "not a date"}
    series = [
        with_run(sample(key, title=f"<{key}>"), finished=f"{day}T00:00:00+00:00") for key, day in days.items()
    ]
    write(tmp_path, [*series, with_version(sample(4), runs=())])
    feed = check_feed(tmp_path / "feed.xml")
    assert [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")] == [
        "findings: <2> (v2)",
        "findings: <1> (v2)",
    ]
    assert feed.findtext(f"{ATOM}updated") == "2026-01-05T00:00:00Z"
    write(tmp_path / "empty", [])
    assert check_feed(tmp_path / "empty" / "feed.xml").findall(f"{ATOM}entry") == []
    assert "No series are listed here" in check_site(tmp_path / "empty")["index.html"].text


def test_feed_of_a_public_site_has_complete_links_and_a_fixed_id(tmp_path):
    address, other = "https://e.org/a&b/", "http://e.org/"
    ids = []
    for count in (1, 2, 0):  # its oldest series may vanish
        write(tmp_path, many(count), address)
        ids.append(check_feed(tmp_path / "feed.xml", address).findtext(f"{ATOM}id"))
    assert len(set(ids)) == 1
    write(tmp_path, [], other)
    assert check_feed(tmp_path / "feed.xml", other).findtext(f"{ATOM}id") not in ids
    write(tmp_path, many(2), address)
    entries = [one.findtext(f"{ATOM}id") for one in check_feed(tmp_path / "feed.xml", address)]
    assert names_of(tmp_path, write(tmp_path, many(2))) == {"feed.xml"}
    again = [one.findtext(f"{ATOM}id") for one in check_feed(tmp_path / "feed.xml")]
    assert again == entries
    assert len({*entries}) == 3, "None for what is no entry"


NOT_BUILT = {"verdict": "clean", "results": sample_results(builds=())}


@pytest.mark.parametrize(
    ("change", "changes", "outcome", "note"),
    [
        (with_version, {"state": "queued", "runs": ()}, "queued", "This version is queued."),
        (with_version, {"state": "waiting", "reason": "it", "runs": ()}, "waiting", "is waiting: it"),
        (with_version, {"state": "failed", "reason": "no disk"}, "not judged", "is failed: no disk"),
        (with_run, {"verdict": "build"}, "does not build", ""),
        (with_run, {"verdict": "new-one"}, "not judged", ""),
        (with_run, {"verdict": "clean"}, "clean", ""),
        (with_run, NOT_BUILT, "no findings, not built", "No commit was built"),
        (with_run, {"sha256": "2"}, "findings", "came after the run"),
    ],
)
def test_states_and_verdicts_are_given_in_words(change, changes, outcome, note, tmp_path):
    write(tmp_path, [change(sample(), **changes)])
    pages = check_site(tmp_path)
    page = page_of_series(pages)
    assert outcome in pages["index.html"].text
    assert outcome in page.text
    assert note in page.text


def test_results_of_an_earlier_run_stay_visible(tmp_path):
    series = sample()
    failed = dataclasses.replace(
        series.versions[0].runs[0], id=2, results=None, verdict="", state="failed", reason="no disk"
    )
    write(tmp_path, [with_version(series, state="failed", runs=(failed, *series.versions[0].runs))])
    page = page_of_series(check_site(tmp_path))
    assert "The last run failed: no disk" in page.text
    assert "trailing whitespace" in page.text


def test_site_is_written_from_the_database(tmp_path):
    store = Store(tmp_path / "watch.sqlite")
    add_version(store, "first", results=sample_results())
    version = add_version(store, "second")
    site = tmp_path / "site"
    write_site(store, site)
    assert len(check_site(site)) == 5
    rows = json.loads((site / "index.json").read_bytes())
    assert [(row["title"], row["outcome"]) for row in rows] == [("second", "queued"), ("first", "findings")]
    assert write_site(store, site) == ()
    store.finish_run(store.start_run(version, "second"), results=sample_results(verdict="clean"))
    assert len(write_site(store, site)) == 8
    found = json.loads(next(site.glob("series/second-*.json")).read_bytes())
    assert found["versions"][0]["runs"][0]["results"]["verdict"] == "clean"
    store.close()


def test_status_and_site_use_the_same_words(tmp_path):
    found = [sample_results(verdict=verdict) for verdict in typing.get_args(Verdict)]
    found += [sample_results(verdict="clean", builds=()), sample_results(verdict="clean")]
    with Store(tmp_path / "watch.sqlite") as store:
        for at, results in enumerate(found):
            add_version(store, f"series {at}", results=results)
        write_site(store, tmp_path)
        rows = json.loads((tmp_path / "index.json").read_bytes())
        words = Counter(row["outcome"] for row in rows)
        assert words["clean"] == 2
        assert words["no findings, not built"] == 1
        kinds = ", ".join(f"{word} {count}" for word, count in sorted(words.items()))
        assert f"done: {len(found)} ({kinds})" in list(status_lines(store))


def test_index_for_searches_has_a_row_for_each_series(tmp_path):
    write(tmp_path, many(3))
    text = (tmp_path / "search-index.js").read_text(encoding="utf-8")
    rows = json.loads(text.removeprefix("searchIndex(").removesuffix(");\n"))
    assert [row[1] for row in rows] == ["series 3", "series 2", "series 1"]
    assert all((tmp_path / "series" / f"{row[0]}.html").is_file() for row in rows)


def test_colours_have_enough_contrast_in_light_and_dark():
    """WCAG 2.2, 1.4.3: 4.5 between a text and its background."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    style = (BASE / "style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in style.split("@media (prefers")[:2]
    )
    grounds = {"page": "ink dim link good bad unsure", "panel": "ink dim link good bad unsure"}
    grounds |= {"added": "ink dim", "removed": "ink dim"}
    for colours in (light, dark):
        for ground, texts in grounds.items():
            for text in texts.split():
                low, high = sorted(luminance(colours[name]) for name in (ground, text))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
