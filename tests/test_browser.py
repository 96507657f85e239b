"""The report as readers use it: in Chromium, by mouse and keyboard, on a phone, without scripts.

Every test also fails where a page writes an error to the console, asks for what is not there, or
asks another host. Without Chromium the tests are skipped; CHROMIUM names one that must be there.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_site import ENTRIES, SPOKEN, built

from claims.report.__main__ import publish
from claims.suite import SUITE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
KINDS = {
    "overview": "index.html",
    "table": "claims.html?topic=pointwise",  # all rows are alike
    "claim that holds": "claims/handwritten-listing/stacks-three-mlpconv-layers.html",
    "claim with conditions": "claims/small-kernels/stacks-of-3x3-are-one-large-convolution.html",
    "refuted claim": "claims/imagenet-table/rows-as-printed-exceed-one-convolution.html",
    "undecided claim": "claims/average-head/needs-more-epochs-to-a-test-error.html",
    "trained claim": "claims/handwritten-results/reaches-76.57-in-its-best-epoch.html",
    "documents": "documents.html",
    "document": "documents/000.html",
    "paper": "documents/nin-paper.html",
    "arms": "arms.html",
    "trained arm": "arms/handwritten.html",
    "awaited arm": "arms/cifar10.html",
    "subjects": "subjects.html",
    "subject": "subjects/listing.html",
    "figures": "figures.html",
}
each_kind = pytest.mark.parametrize("path", KINDS.values(), ids=KINDS)

Opened = Callable[..., "Page"]


class Handler(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *args: object) -> None:
        pass


def chromium() -> str:
    """Return where Chromium is; skip where it cannot be used, or fail if it was promised."""
    promised = os.environ.get("CHROMIUM")
    names = [promised] if promised else CHROMIUM
    found = next(filter(None, map(shutil.which, names)), None)
    lacking = [] if found else [" or ".join(names)]
    for package in ("playwright", "axe_playwright_python"):
        lacking += [] if importlib.util.find_spec(package) else [package]
    if lacking:
        give_up = pytest.fail if promised else pytest.skip
        give_up(f"no page was tried in a browser; not installed: {', '.join(lacking)}")
    return str(found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium; Playwright's own, which it would download, is not asked for."""
    found = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the site of the committed results in a folder."""
    folder = tmp_path_factory.mktemp("report") / "site"
    publish(built(), folder)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve the site on a port of this machine."""
    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """Open pages, in a context of their own each; at the end nothing may have gone wrong in one."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def answered(answer: Response) -> None:
        if answer.status >= 400:
            wrong.append(f"{answer.status}: {answer.url}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # which is what a page that is left does
            wrong.append(f"{request.failure}: {request.url}")

    def open_page(path: str, base: str = address, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP} | options)
        contexts.append(context)
        page = context.new_page()

        def asked(request: Request) -> None:
            if not request.url.startswith(f"{base}/"):
                wrong.append(f"another host: {request.url}")

        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", failed)
        page.on("response", answered)
        page.on("request", asked)
        page.goto(f"{base}/{path}")
        return page

    yield open_page
    said = list(wrong)
    for context in contexts:
        context.close()
    assert said == []


def ids(page: Page) -> list[str]:
    """Return the ids of the claims that the table shows."""
    shown: list[str] = page.locator("#claims tbody tr").evaluate_all(
        "rows => rows.filter(row => row.checkVisibility()).map(row => row.id)"
    )
    return shown


def told(shown: list[str]) -> str:
    """Return what the page says of so many claims."""
    return f"{len(shown)} of {len(ENTRIES)} claims"


# The table of claims ------------------------------------------------------------------------------


def with_words(*words: str) -> list[str]:
    found = []
    for id_, one in ENTRIES.items():
        spoken = (id_, one["says"], SPOKEN[one["observed"]], one["grade"], " ".join(one["cites"]))
        text = " ".join(spoken).lower()
        if all(word in text for word in words):
            found.append(id_)
    return found


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("pooling", ["pooling"]),
        ("  Pooling  REFUTED ", ["pooling", "refuted"]),
        ("pointwise/keeps-channel-count", ["pointwise/keeps-channel-count"]),
        ("no claim says <b>this</b>", ["<b>this</b>"]),
        ("nin-paper:4.2", ["nin-paper:4.2"]),
    ],
)
def test_search_finds_claims_with_all_words(opened: Opened, typed: str, words: list[str]) -> None:
    page = opened("claims.html")
    page.get_by_label("Search").press_sequentially(typed)
    expected = with_words(*words)
    assert ids(page) == expected
    assert page.get_by_role("status").inner_text() == told(expected)
    assert len(expected) < len(ENTRIES) / 2


def test_search_finds_a_line_in_the_spans_that_cite_it(opened: Opened) -> None:
    line = SUITE.citation("004:43")
    expected = [
        id_
        for id_, one in ENTRIES.items()
        if any(SUITE.citation(cite).covers(line) for cite in one["cites"])
    ]
    assert set(with_words("004:43")) < set(expected), "no span says more than the words"
    page = opened("claims.html?search=004:43")
    assert ids(page) == expected


def value_of(name: str, id_: str) -> set[str]:
    """Return for which choices in a filter a claim is shown."""
    one = ENTRIES[id_]
    return {
        "verdict": {one["observed"]},
        "grade": {one["grade"]},
        "topic": {id_.partition("/")[0]},
        "document": {cite.partition(":")[0] for cite in one["cites"]},
    }[name]


@pytest.mark.parametrize("name", ["verdict", "grade", "topic", "document"])
def test_each_choice_of_a_filter_shows_its_claims(opened: Opened, name: str) -> None:
    page = opened("claims.html")
    select = page.get_by_role("combobox", name=name, exact=True)
    choices = select.locator("option").evaluate_all("options => options.map(one => one.value)")
    assert set(choices) == {""}.union(*(value_of(name, id_) for id_ in ENTRIES))
    for choice in choices[1:]:
        select.select_option(choice)
        expected = [id_ for id_ in ENTRIES if choice in value_of(name, id_)]
        assert ids(page) == expected
        assert page.get_by_role("status").inner_text() == told(expected)
    select.select_option("")
    assert ids(page) == list(ENTRIES)
    assert page.get_by_role("status").inner_text() == f"{len(ENTRIES)} claims"


def test_a_filtered_view_is_in_the_address(opened: Opened, address: str) -> None:
    page = opened("claims.html")
    page.get_by_label("Search").fill("1x1 & 3x3?")
    page.get_by_label("Search").fill("1x1 conv")
    page.get_by_label("verdict").select_option("holds-if")
    page.get_by_label("document").select_option("001")
    expected = [
        id_
        for id_ in with_words("1x1", "conv")
        if "001" in value_of("document", id_) and "holds-if" in value_of("verdict", id_)
    ]
    assert ids(page) == expected != []
    same = opened(page.url.removeprefix(f"{address}/"))
    assert ids(same) == expected
    assert same.get_by_role("status").inner_text() == told(expected)
    assert same.get_by_label("Search").input_value() == "1x1 conv"
    assert same.get_by_label("verdict").input_value() == "holds-if"
    assert same.get_by_label("grade").input_value() == ""
    same.reload()
    assert ids(same) == expected


def test_show_all_forgets_every_choice(opened: Opened, address: str) -> None:
    page = opened("claims.html?search=pooling&verdict=refuted&topic=heads")
    assert len(ids(page)) < len(ENTRIES)
    page.get_by_role("button", name="Show all").click()
    page.get_by_text(f"{len(ENTRIES)} claims", exact=True).wait_for()
    assert ids(page) == list(ENTRIES)
    assert page.url == f"{address}/claims.html"
    assert page.get_by_label("Search").input_value() == ""
    assert page.get_by_label("verdict").input_value() == ""


def test_enter_in_the_search_field_keeps_the_page(opened: Opened, address: str) -> None:
    page = opened("claims.html")
    page.get_by_label("Search").press_sequentially("dilation\n")
    assert page.url == f"{address}/claims.html?search=dilation"
    assert ids(page) == with_words("dilation")


@pytest.mark.parametrize(
    "query", ["verdict=nonsense", "length=3", "nothing=known", "verdict=&search=", "%3Cb%3E=%ZZ"]
)
def test_an_address_that_asks_for_nothing_known_shows_all(opened: Opened, query: str) -> None:
    page = opened(f"claims.html?{query}")
    assert ids(page) == list(ENTRIES)
    assert page.get_by_label("verdict").locator("option:checked").inner_text() == "any"


def test_the_overview_leads_to_filtered_views(opened: Opened) -> None:
    page = opened("index.html")
    page.locator(".counts .refuted a").click()
    page.wait_for_url("**/claims.html?verdict=refuted")
    assert ids(page) == [id_ for id_, one in ENTRIES.items() if one["observed"] == "refuted"]


def test_the_table_works_in_pages_opened_from_a_folder(opened: Opened, folder: Path) -> None:
    page = opened("claims.html", base=folder.as_uri())
    page.get_by_label("Search").fill("dilation")
    assert ids(page) == with_words("dilation")
    assert page.url.endswith("claims.html?search=dilation")


@pytest.mark.parametrize(
    ("promised", "gives_up"), [("", pytest.skip.Exception), ("chromium", pytest.fail.Exception)]
)
def test_a_missing_browser_is_said_and_fails_where_one_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promised: str, gives_up: type[Exception]
) -> None:
    def told() -> str:
        with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as given_up:
            chromium()
        assert isinstance(given_up.value, gives_up)
        return str(given_up.value)

    monkeypatch.setattr(importlib.util, "find_spec", lambda package: package)
    monkeypatch.setenv("CHROMIUM", promised)
    monkeypatch.setenv("PATH", str(tmp_path))
    names = promised or "chromium or chromium-browser or google-chrome"
    assert told() == f"no page was tried in a browser; not installed: {names}"
    (tmp_path / "chromium").touch(0o755)
    assert chromium() == str(tmp_path / "chromium")
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert told().endswith("not installed: playwright, axe_playwright_python")


# Every kind of page -------------------------------------------------------------------------------

FOCUSED = """() => {
    const one = document.activeElement;
    const name = one.labels?.length ? one.labels[0].firstChild.textContent : one.textContent;
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    return {
        name: name.trim(), tag: one.localName,
        seen: outlineStyle !== "none" && parseFloat(outlineWidth) > 0 && box.right > 0,
    };
}"""


def test_the_keyboard_reaches_everything_in_order(opened: Opened) -> None:
    page = opened("claims.html")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert [(one["tag"], one["name"]) for one in reached] == [
        ("a", "Skip to the content"),
        ("a", "nin-claims"),
        *(("a", name) for name in ("Claims", "Documents", "Training", "Subjects", "Figures")),
        ("input", "Search"),
        *(("select", name) for name in ("verdict", "grade", "topic", "document")),
        ("button", "Show all"),
        ("a", next(iter(ENTRIES.values()))["says"]),
    ]
    assert [one["name"] for one in reached if not one["seen"]] == []
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/claims/{next(iter(ENTRIES))}.html")


def test_the_skip_link_leads_past_the_navigation(opened: Opened) -> None:
    page = opened("documents.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_filters_work_by_keyboard_alone(opened: Opened) -> None:
    page = opened("claims.html")
    page.get_by_label("verdict").focus()
    page.keyboard.type("refuted")
    page.wait_for_url("**?verdict=refuted")
    assert ids(page) == [id_ for id_, one in ENTRIES.items() if one["observed"] == "refuted"]


@each_kind
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_are_accessible(opened: Opened, path: str, size: dict[str, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    page = opened(path, viewport=size)
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    page.emulate_media(color_scheme="dark")
    found = axe.run(page, options={"runOnly": ["color-contrast"]})  # the rest is as it was
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"], "no colour was looked at"


@each_kind
def test_pages_fit_a_phone_and_show_their_pictures(opened: Opened, path: str) -> None:
    page = opened(path.partition("?")[0], viewport=PHONE, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    pictures = page.evaluate("""() => Promise.all(Array.from(document.images, async (image) => {
        image.loading = "eager";
        await image.decode();
        return [image.currentSrc.endsWith(".dark.svg"), image.getBoundingClientRect().width];
    }))""")
    assert all(dark and 200 < width <= PHONE["width"] for dark, width in pictures)


@each_kind
def test_print_has_the_content_and_no_navigation(opened: Opened, path: str) -> None:
    page = opened(path)
    assert page.locator("nav").is_visible()
    page.emulate_media(media="print")
    for left_out in ("header", "nav", "footer", "form", ".skip"):
        for one in page.locator(left_out).all():
            assert not one.is_visible(), left_out
    assert page.locator("main h1").is_visible()


def test_a_page_without_scripts_shows_all_and_has_no_dead_controls(opened: Opened) -> None:
    page = opened("claims.html?verdict=refuted", java_script_enabled=False)
    assert page.locator("#claims tbody tr:visible").count() == len(ENTRIES)
    assert page.locator("input:visible, select:visible, button:visible").count() == 0
    assert opened("claims.html").locator("input:visible, select:visible").count() == 5
