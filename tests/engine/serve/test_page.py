"""The page in a real browser: what people do there, and what a hostile index must not make it do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from lexlip_es.query_language import parse
from tests.engine.serve.conftest import MARKUP, SCRIPT, TOKEN, Site

PHONE = {"width": 360, "height": 740}


@pytest.fixture(autouse=True)
def nothing_foreign(page: Page, site: Site) -> Iterator[None]:
    """Whatever a test does: no script of a picture runs, the policy is not violated, and no other host is asked."""
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield
    assert wrong == []
    assert [url for url in asked if not url.startswith(f"{site.url}/")] == []


@pytest.fixture
def searched(page: Page) -> Page:
    """A page that has found something."""
    page.goto("/?q=a+red+car")
    page.wait_for_selector(".hit")
    return page


def ask(page: Page, query: str) -> None:
    page.fill("#query", query)
    page.press("#query", "Enter")
    answered(page)


def answered(page: Page) -> None:
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "false")


def paths(page: Page) -> list[str]:
    return page.locator(".hit .below bdi").all_inner_texts()


def focused(page: Page) -> Any:
    """Which hit has the focus, or the id of what else has it."""
    return page.evaluate(
        "() => document.activeElement.id || [...document.querySelectorAll('.hit')].indexOf(document.activeElement)"
    )


def test_a_search_shows_thumbnails_with_paths_scores_and_how_many_they_are(page: Page, site: Site) -> None:
    page.goto("/")
    page.wait_for_selector("text=Search 14 pictures of gallery")
    ask(page, "something blue")
    found = site.search("something blue", k=60, cut_off=True)["hits"]
    assert paths(page) == [hit["path"] for hit in found]
    assert page.locator(".score").all_inner_texts() == [f"{hit['score']:.2f}" for hit in found]
    assert re.fullmatch(rf"{len(found)} pictures in \d+ ms(, .*)?", page.inner_text("#status"))
    for image in page.locator(".hit img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    assert page.get_by_role("img", name="a lake at noon").count() == 1


def test_a_click_on_a_word_boosts_it_step_by_step_and_a_click_on_a_term_bans_it(searched: Page) -> None:
    for expected in ("a red^2 car", "a red^3 car", "a red car"):
        searched.click("button.word:has-text('red')")
        assert searched.input_value("#query") == expected
    before = paths(searched)
    searched.click("button.chip:has-text('red')")
    answered(searched)
    assert searched.input_value("#query") == "a red car -red"
    searched.wait_for_selector("button.chip[aria-pressed=true]:focus")
    assert not set(paths(searched)) & set(before)
    searched.click("button.chip:has-text('red')")
    assert searched.input_value("#query") == "a red car"


def test_details_say_what_each_word_gave_and_lead_to_more_like_this(searched: Page) -> None:
    searched.locator(".hit").nth(1).click()
    path = searched.inner_text("#details-title")
    given = [float(one) for one in searched.locator(".reason p span").all_inner_texts()]
    assert sum(given) == pytest.approx(float(searched.inner_text("#details dd >> nth=0")), abs=0.02)
    assert searched.locator(".bar div").first.evaluate("bar => bar.offsetWidth === bar.parentElement.offsetWidth")
    searched.click("text=More like this")
    answered(searched)
    searched.wait_for_selector(".hit:focus")
    assert searched.input_value("#query") == f'like:"{path}"'
    assert path in paths(searched)


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_picture_is_a_query_and_words_may_stand_beside_it(page: Page, site: Site, way: str) -> None:
    page.goto("/")
    picture = site.folder / "lying.jpg"
    if way == "choose":
        page.set_input_files("#file", picture)
    else:
        page.evaluate(
            """([way, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], "lying.jpg", { type: "image/jpeg" }));
                const given = way === "drop" ? { dataTransfer: transfer } : { clipboardData: transfer };
                const made = way === "drop" ? new DragEvent("drop", given) : new ClipboardEvent("paste", given);
                document.body.dispatchEvent(new made.constructor(made.type, { ...given, bubbles: true, cancelable: true }));
            }""",
            [way, list(picture.read_bytes())],
        )
    page.wait_for_selector(".hit")
    assert "lying.jpg" in paths(page)
    page.wait_for_selector("#preview:visible")
    assert page.evaluate("[preview.width, preview.height]") == [48, 144]  # upright
    ask(page, "folder:deep")
    assert "lying.jpg" not in paths(page)
    page.click("text=Remove")
    assert page.is_hidden("#by-picture")


def test_what_is_no_picture_is_told_in_a_sentence(page: Page) -> None:
    page.goto("/")
    page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    assert page.locator("[role=alert]").inner_text().endswith(".")


def test_the_keyboard_is_enough(searched: Page) -> None:
    searched.keyboard.press("/")
    assert focused(searched) == "query"
    searched.locator(".hit").first.focus()
    columns = searched.evaluate("getComputedStyle(grid).gridTemplateColumns.split(' ').length")
    last = searched.locator(".hit").count() - 1
    for key, expected in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 0), ("End", last), ("Home", 0)):
        searched.keyboard.press(key)
        assert focused(searched) == expected
    assert searched.locator(".hit[tabindex='0']").count() == 1
    searched.set_viewport_size(PHONE)
    searched.keyboard.press("ArrowDown")
    assert focused(searched) == 2 < columns
    searched.keyboard.press("Enter")
    searched.keyboard.press("ArrowRight")
    assert searched.inner_text("#details-title") == paths(searched)[3]
    assert searched.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    searched.keyboard.press("Escape")
    expect(searched.locator("dialog")).to_be_hidden()
    assert focused(searched) == 3


def test_back_and_forward_lead_through_the_searches(page: Page) -> None:
    page.goto("/")
    ask(page, "red")
    red = paths(page)
    ask(page, "blue")
    blue = paths(page)
    page.go_back()
    expect(page.locator("#query")).to_have_value("red")
    answered(page)
    assert paths(page) == red
    page.go_forward()
    expect(page.locator("#query")).to_have_value("blue")
    answered(page)
    assert paths(page) == blue
    page.reload()
    answered(page)
    assert paths(page) == blue


def test_filters_write_the_language_and_read_it(page: Page) -> None:
    page.goto("/?q=red+folder:elsewhere")
    page.wait_for_selector("text=No picture found")
    page.click("#filters summary")
    assert page.input_value("[name=folder]") == "elsewhere"
    page.fill("[name=folder]", "deep/")
    page.fill("[name=camera]", 'two "words')
    page.click("text=Apply")
    answered(page)
    assert page.input_value("#query") == 'red folder:deep/ camera:"two words"'
    page.fill("[name=camera]", "")
    page.press("[name=camera]", "Enter")
    page.wait_for_selector(".hit")
    assert page.input_value("#query") == "red folder:deep/"
    assert all(path.startswith("deep/") for path in paths(page))


def test_what_files_say_is_text_wherever_it_is_shown(page: Page) -> None:
    hostile = f"{MARKUP}.jpg"
    page.goto("/")
    ask(page, f"red {MARKUP}")
    page.locator(".hit", has_text=hostile).click()
    assert page.inner_text("#details-title") == hostile
    known = page.inner_text("#details dl")
    assert SCRIPT in known and f"{MARKUP} {SCRIPT}" in known  # the caption; the camera
    page.click("text=More like this")
    answered(page)
    page.wait_for_selector(".hit:focus")
    assert hostile in paths(page)
    page.route("**/thumbnails/**", lambda route: route.fulfill(status=404))
    page.reload()
    assert page.locator(".no-picture", has_text=hostile).inner_text() == hostile
    assert page.evaluate("document.querySelectorAll('main script, dialog script, img[src=x], [onerror]').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_to_the_side(page: Page, scheme: Any) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)
    page.goto(f"/?q=red+{'x' * 200}")
    page.wait_for_selector(".hit")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(251, 250, 248)" if scheme == "light" else "rgb(23, 24, 26)"
    )
    page.click("#help summary")
    page.click("#filters summary")
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= PHONE["width"]
    page.locator(".hit", has_text="onerror").click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]


def test_a_slow_answer_is_announced_and_an_overtaken_one_ignored(page: Page) -> None:
    page.goto("/")
    held: list[Any] = []
    page.route("**/api/search?q=red*", lambda route: held.append(route))  # Playwright refuses built-in ones
    page.fill("#query", "red")
    page.press("#query", "Enter")
    page.wait_for_selector("text=Searching…")
    assert page.get_attribute("#grid", "aria-busy") == "true"
    ask(page, "blue")
    page.wait_for_selector(".hit")
    blue = paths(page)
    held[0].continue_()
    page.wait_for_timeout(300)
    assert (paths(page), page.get_attribute("#grid", "aria-busy")) == (blue, "false")
    assert page.locator(".slow").count() == 0


def test_errors_are_told_and_the_next_search_goes_on(searched: Page) -> None:
    ask(searched, "+")
    assert "no word that this model knows" in searched.inner_text("[role=alert]")
    assert paths(searched) == []
    searched.route("**/api/search*", lambda route: route.abort())
    searched.fill("#query", "green")
    searched.press("#query", "Enter")
    searched.wait_for_selector("[role=alert]:has-text('cannot be reached')")
    searched.unroute_all()
    ask(searched, "green")
    assert paths(searched) and searched.locator("[role=alert]").count() == 0


def test_weak_hits_are_shown_when_they_are_asked_for(page: Page, site: Site) -> None:
    page.goto("/?q=red")
    page.wait_for_selector(".hit")
    hidden = site.search("red", k=60, cut_off=True).get("cut", 0)
    assert hidden and f"{hidden} weak ones hidden" in page.inner_text("#status")
    shown = len(paths(page))
    page.click("text=Show them")
    expect(page.locator(".hit")).to_have_count(shown + hidden)


def test_captions_are_asked_where_the_box_is_ticked(page: Page) -> None:
    page.goto("/?q=noon")
    page.wait_for_selector("[role=alert]")
    page.check("text=ask captions and tags, too")
    answered(page)
    assert paths(page) == ["lying.jpg"]
    page.locator(".hit").click()
    assert "caption (BM25)" in page.inner_text(".reason")


def test_the_token_opens_the_page(browser: Browser, closed: str) -> None:
    page = browser.new_page(base_url=closed)
    page.goto("/")
    for token, expected in (("a wrong one", "That is not the token."), (TOKEN, "Search 14 pictures of gallery")):
        page.fill("#token", token)
        page.press("#token", "Enter")
        page.wait_for_selector(f"text={expected} >> visible=true")
    page.context.clear_cookies()
    ask(page, "red")
    assert page.get_attribute("[role=alert] a", "href") == "/login"
    page.close()


def test_axe_finds_nothing_to_complain_of(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, bypass_csp=True)  # axe is put in as a script
    page, found = context.new_page(), []

    def look() -> None:
        for scheme, rules in (("light", None), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            found.append(Axe().run(page, options=rules))

    page.goto("/")
    page.wait_for_selector("#message h2")
    page.click("#help summary")
    page.click("#filters summary")
    look()
    for query, expected in (("red^2 -blue", ".hit"), ("+", "[role=alert]"), ("width:>9999", "text=No picture found")):
        ask(page, query)
        page.wait_for_selector(expected)
        look()
    ask(page, "red")
    page.locator(".hit").first.click()
    look()
    page.goto("/login#wrong")
    look()
    context.close()
    assert [result.generate_report() for result in found if result.violations_count] == []


@pytest.mark.parametrize(
    ("call", "written", "read"),
    [
        ("withBoost('a dog, running', 'dog')", "a dog^2, running", {"text": "a dog, running", "boosts": ((2, 2.0),)}),
        ("withBoost('-dog dog^2 dogs', 'dog')", "-dog dog^3 dogs", {"boosts": ((0, 3.0),), "banned": ("dog",)}),
        ("withBoost('(dog^3)', 'dog')", "(dog)", {"text": "(dog)"}),
        ("withBan('\"red car\" 6\" nails', 'lake')", '"red car" 6" nails -lake', {"phrases": ("red car",), "banned": ("lake",)}),
        ("withBan('a -lake b', 'lake')", "a b", {"banned": ()}),
        ("withFilter('a tag:x tag:y', 'tag', '')", "a tag:y", {"text": "a "}),
        ("likeHit({path: 'a b/c.jpg', id: '1'})", 'like:"a b/c.jpg"', {"likes": ("a b/c.jpg",)}),
        ("likeHit({path: 'a\"b.jpg', id: '1'})", 'like:"1"', {"likes": ("1",)}),
    ],
)
def test_what_the_page_writes_is_what_the_query_language_reads(
    page: Page, call: str, written: str, read: dict[str, object]
) -> None:
    page.goto("/login")
    assert page.evaluate(f"import('/static/query_text.js').then((text) => text.{call})") == written
    parsed = parse(written)
    assert {name: getattr(parsed, name) for name in read} == read
