"""The page in a real browser: it loads without a complaint, filters, sorts, and can be walked by keyboard."""

import shutil

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[("light", DESK), ("dark", PHONE)], ids=["desk", "phone in the dark"])
def page(chromium, run, request):
    """The report, open; at the end nothing may have gone wrong or asked for anything outside."""
    scheme, viewport = request.param
    context = chromium.new_context(color_scheme=scheme, viewport=viewport)
    tab, wrong = context.new_page(), []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append("a hostile text ran"), dialog.dismiss()))
    tab.on("request", lambda sent: None if sent.url.startswith(("file:", "data:")) else wrong.append(sent.url))
    tab.goto((run.report / "index.html").as_uri())
    yield tab
    context.close()
    assert wrong == []


def gains(page):
    """The gains of the headline's pictures, in the order shown."""
    texts = page.locator("figure:has(b:text-is('mixture')) figcaption").all_inner_texts()
    return [float(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith(("▲", "▼", "="))]


def test_it_shows_every_image_and_fits_its_window(page, run):
    images = len(page.evaluate("versat2iReport.items"))
    assert page.locator("#cards article").count() == min(12, images)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    loaded = page.locator("#cards img").first
    loaded.scroll_into_view_if_needed()
    assert loaded.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 64


def test_every_picture_comes_unasked_so_that_it_can_be_printed(page):
    page.wait_for_load_state("load")
    page.wait_for_function("[...document.images].every(picture => picture.complete)")
    assert page.evaluate("[...document.images].every(picture => picture.naturalWidth > 0)")


def test_the_verdict_is_in_sight_without_swiping(page):
    table = page.locator("#verdict-table")
    verdict = table.locator("th", has_text="verdict")
    assert verdict.evaluate("cell => cell.getBoundingClientRect().right <= innerWidth")


def test_the_first_screen_of_a_desk_has_verdict_and_conflicts(page):
    bottom = page.locator("#verdict svg").evaluate("chart => chart.getBoundingClientRect().bottom")
    if page.viewport_size == DESK:
        assert bottom <= DESK["height"]
    else:  # a phone shows the table first, and the chart large enough to be read
        width = page.locator("#verdict svg").evaluate("chart => chart.getBoundingClientRect().width")
        assert width > PHONE["width"]


def test_the_pixels_of_small_pictures_are_enlarged_by_whole_numbers(page):
    widths = page.locator("img.pixels").evaluate_all("all => all.map(image => image.getBoundingClientRect().width)")
    assert set(widths) == {128}


def test_best_and_worst_are_one_click_each(page):
    page.select_option("#metric", label="low_level")
    page.get_by_role("button", name="Best changes first").click()
    best = gains(page)
    page.get_by_role("button", name="Worst changes first").click()
    worst = gains(page)
    assert best == sorted(best, reverse=True) and worst == sorted(worst) == best[::-1]


def test_filters_leave_what_they_say(page):
    categories = page.evaluate("versat2iReport.items.map(item => versat2iReport.prompts[item[0]][2])")
    page.select_option("#category", value=categories[-1])
    assert page.locator("#cards article").count() == categories.count(categories[-1])
    page.fill("#words", "no prompt has this")
    assert page.locator("#status").inner_text() == "No image fits these filters."


def test_the_keyboard_steps_through_the_images(page):
    for key, place in (("ArrowRight", 0), ("j", 1), ("ArrowRight", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.locator("#cards article").nth(place).evaluate("card => card === document.activeElement")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.keyboard.press("w")
    assert page.locator("[data-order=worst]").get_attribute("aria-pressed") == "true"
    top = page.locator("#status").evaluate("status => status.getBoundingClientRect().top")
    assert -1 < top < page.viewport_size["height"], "the worst change is out of sight"


def test_the_first_screen_is_not_blank_and_follows_the_colour_scheme(page, tmp_path):
    page.screenshot(path=tmp_path / "first.png")
    with Image.open(tmp_path / "first.png") as shot:
        pixels = np.asarray(shot.convert("L")).astype(float)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert pixels.std() > 10 and (np.median(pixels) < 128) == dark
