"""The report of `evaluate` in Chromium, from disk: wide and narrow, light and dark. To add a property: a test of `opened`."""

import shutil

import numpy as np
import pytest
from PIL import Image

from figureground.evaluation.dataset import labeled_images
from figureground.evaluation.evaluate import evaluate
from figureground.evaluation.report import Evaluated, page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; see tests/requirements.txt")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")

LOOKS = [
    (1280, "light"),
    (390, "dark"),
    pytest.param((1280, "dark"), marks=pytest.mark.slow),
    pytest.param((390, "light"), marks=pytest.mark.slow),
]


def bright(rgb):
    return (rgb.mean(2) > 130).astype(np.float32)


def doubtful(rgb):
    return np.where(rgb.mean(2) > 190, np.float32(0.8), np.float32(0.1))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page about two methods with long names on twenty pictures, upright, lying and narrow ones."""
    folder = tmp_path_factory.mktemp("report")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for i in range(20):
        random = np.random.default_rng(i)
        height, width = ((60, 80), (80, 60), (80, 12))[i % 3]
        mask = np.zeros((height, width), np.uint8)
        mask[10:40, 2 : 8 + i] = 255
        rgb = np.where(mask[..., None] > 0, 200, 60) + random.normal(0, 15 + 2 * i, (height, width, 3))
        name = f"a-photograph-with-quite-a-long-name_{i:02}" * (1 + i % 2 * 3)
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    data = labeled_images([folder])
    methods = {"bright": bright, "adapted_network_with_a_name_that_has_no_place_to_break_it.onnx": doubtful}
    evaluated = [Evaluated(name, evaluate(method, data), method) for name, method in methods.items()]
    path = folder / "report.html"
    path.write_text(page(evaluated, data, f"{', '.join(methods)} on {folder.name}"), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: f"{look[1]}-{look[0]}")
def opened(request, report, browser):
    """The page, everything unfolded, and what was asked for and complained of on the way."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown, asked, said = context.new_page(), [], []
    shown.on("request", lambda one: asked.append(one.url))
    shown.on("console", lambda one: said.append(one.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto(report.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    shown.evaluate("Promise.all([...document.images].map(each => { each.loading = 'eager'; return each.decode() }))")
    yield shown, asked, said
    context.close()


def test_nothing_is_asked_for_but_the_file_and_nothing_complained_of(opened, report):
    _, asked, said = opened
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert said == []


def test_every_picture_is_shown(opened):
    sizes = opened[0].evaluate(
        "[...document.images].map(each => [each.naturalWidth, each.width, each.naturalHeight, each.height])"
    )
    assert len(sizes) == (12 + 6 + 8) * 4
    for width, shown_width, height, shown_height in sizes:
        assert width >= shown_width >= min(width, 160)
        assert shown_height == pytest.approx(height * shown_width / width, abs=1)


def test_nothing_is_wider_than_the_window(opened):
    assert opened[0].evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert opened[0].evaluate(BEYOND) == []


def test_no_text_of_a_chart_is_cut_off(opened):
    assert opened[0].evaluate(CUT) == []


CUT = """
[...document.querySelectorAll('svg text')].filter(each => {
    const [inner, outer] = [each, each.closest('svg')].map(one => one.getBoundingClientRect())
    return inner.left < outer.left || inner.right > outer.right || inner.top < outer.top || inner.bottom > outer.bottom
}).map(each => each.textContent)
"""

BEYOND = """
[...document.querySelectorAll('main *')].filter(each => !each.parentElement.closest('.wide')
    && each.getBoundingClientRect().right > innerWidth).map(each => each.outerHTML.slice(0, 80))
"""
"""What reaches over the right edge, but for what lies in a box that can be scrolled."""


def test_all_text_can_be_read(opened):
    pale = opened[0].evaluate(PALE)
    assert pale["texts"] > 100
    assert pale["found"] == []


PALE = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
    const over = (above, below) => {
        const [r, g, b, a = 1] = above
        return [r, g, b].map((value, i) => a * value + (1 - a) * below[i])
    }
    const light = colour => colour.slice(0, 3).map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0)
    const probe = document.body.appendChild(document.createElement('i'))
    probe.style.background = 'Canvas'
    const canvas = numbers(getComputedStyle(probe).backgroundColor)
    probe.remove()
    const chain = node => node ? [...chain(node.parentElement), node] : []
    const found = []
    let texts = 0
    for (const node of document.querySelectorAll('main *')) {
        if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue
        texts += 1
        let below = canvas, opacity = 1
        for (const each of chain(node)) {
            below = over(numbers(getComputedStyle(each).backgroundColor), below)
            opacity *= Number(getComputedStyle(each).opacity)
        }
        const style = getComputedStyle(node)
        const [r, g, b, a = 1] = numbers(node.closest('svg') ? style.fill : style.color)
        const [one, other] = [light(over([r, g, b, a * opacity], below)), light(below)]
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
        if (contrast < 4.5) found.push([node.textContent.slice(0, 40), contrast])
    }
    return {texts, found}
}"""
"""Texts whose contrast to what lies behind them is below 4.5 (WCAG 2, level AA), and how many were looked at."""


def test_the_dark_page_is_dark_and_the_light_one_light(report, browser):
    for scheme, wanted in (("light", True), ("dark", False)):
        context = browser.new_context(viewport={"width": 800, "height": 600}, color_scheme=scheme)
        shown = context.new_page()
        shown.goto(report.as_uri())
        image = np.frombuffer(shown.screenshot(type="jpeg", quality=100), np.uint8)
        context.close()
        import cv2

        assert (np.median(cv2.imdecode(image, cv2.IMREAD_GRAYSCALE)) > 128) == wanted
