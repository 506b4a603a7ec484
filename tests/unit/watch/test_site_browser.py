"""The site in Chromium, from file://: no console errors, no scrolling sideways, search, keyboard."""

import pytest

from harness.validate.page import page
from tests.browser import Browser, find_chromium
from tests.fuzz.site import sample, sample_results, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not find_chromium(), reason="no Chromium is installed: apt-get install chromium"),
]
LONG = "x" * 300 + " <b>&amp; \u05d0\u05d1\u05d2 " + "words in a title " * 20


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write(
        folder,
        [sample(250, title=LONG, author=LONG, sections=(LONG,)), *(sample(key) for key in range(249, 0, -1))],
    )
    (folder / "validate.html").write_text(page(sample_results()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(find_chromium(), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def addresses(site):
    some = ("index.html", "index-1.html", "subsystems.html", "validate.html", "series/250-*.html")
    some += ("series/1-*.html", "subsystem/pc-*.html", "subsystem/xxx*.html")
    return [next(site.glob(name)).as_uri() for name in some]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_have_no_errors_and_fit_the_window(site, browser, width, scheme):
    browser.show(width, scheme)
    for address in addresses(site):
        browser.open(address)
        assert browser.errors == [], address
        assert browser.run("document.documentElement.scrollWidth") <= width, address
        rgb = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (rgb == "rgb(255, 255, 255)") is (scheme == "light"), "the style is loaded"


def test_search_finds_series_and_links_to_them(site, browser):
    for name in ("index.html", "subsystem/pc-*.html"):
        browser.open(next(site.glob(name)).as_uri())
        browser.run("document.getElementById('words').focus()")
        browser.call("Input.insertText", text="UTIL 249-0")
        browser.wait_for("document.querySelectorAll('#found li').length == 1")
        assert browser.run("document.getElementById('matches').textContent") == "1 series found."
        browser.run("document.querySelector('#found a').click()")
        browser.wait_for("location.href.includes('/series/249-') && document.readyState == 'complete'")
        assert browser.errors == []
    browser.open((site / "index.html").as_uri())
    browser.run("document.getElementById('words').focus()")
    browser.call("Input.insertText", text="a")
    browser.wait_for("document.querySelectorAll('#found li').length == 50")
    assert "250 series found" in browser.run("document.getElementById('matches').textContent")
    assert browser.run("document.querySelectorAll('#found b').length") == 0


def test_search_is_hidden_without_scripts(site, browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open((site / "index.html").as_uri())
        assert browser.run("document.getElementById('search').checkVisibility()") is False
        assert browser.run("document.querySelectorAll('main h3').length") == 150
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_first_key_reaches_a_visible_link_to_the_content(site, browser):
    browser.open((site / "index.html").as_uri())
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.getAttribute('href')") == "#main"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
