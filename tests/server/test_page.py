"""The page in Chromium: what users do, by mouse, keys and touch; its states, its size, and that it asks nothing elsewhere.

To add a flow: a test that takes `page`, which has the page open.
"""

import gzip
import io
import re
import shutil
import zipfile
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from http_server import serving
from photographs import FOLDER

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; see tests/requirements.txt")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")
PARTS = files("figureground").joinpath("server/page")
expect = sync_api.expect


def test_the_page_is_small():
    parts = [part.read_bytes() for part in PARTS.iterdir() if part.name.endswith((".html", ".css", ".js", ".svg"))]
    assert sum(len(gzip.compress(part)) for part in parts) <= 100_000
    assert all(len(part.read_bytes()) <= 40_000 for part in PARTS.iterdir() if part.name.endswith(".jpg"))


def test_every_language_has_the_same_texts():
    source = PARTS.joinpath("strings.js").read_text("utf-8")
    tables = re.findall(r"^  (\w\w): \{\n(.*?)^  \},$", source, re.MULTILINE | re.DOTALL)
    keys = {code: re.findall(r"(?:^\s+|, )(\w+): \"", table, re.MULTILINE) for code, table in tables}
    assert list(keys) == re.findall(r"(\w\w): \"", source.partition("\n};")[0].split("LANGUAGES", 1)[1].partition("}")[0])
    assert len(keys["en"]) == len(set(keys["en"])) > 80
    assert all(names == keys["en"] for names in keys.values())
    holes = [re.findall(r"\{\d\}", table) for _, table in tables]
    assert all(sorted(one) == sorted(other) for one, other in pairwise(holes))
    used = {key for part in PARTS.iterdir() if part.name.endswith((".js", ".html")) and part.name != "strings.js"
            for key in re.findall(r'(?:\btext\("|data-text="|data-label=")(\w+)"', part.read_text("utf-8"))}  # fmt: skip
    assert used - {"2d"} <= set(keys["en"])


@pytest.fixture(scope="module")
def address():
    with serving() as running:
        yield running.address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, open; it must ask nothing of elsewhere and report no fault."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    faults, requests = [], []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(address)
    expect(opened.locator("#method option")).to_have_count(1)
    yield opened
    assert faults == []
    assert [url for url in requests if not url.startswith((address, "blob:", "data:"))] == []
    context.close()


def open_files(page, *names):
    page.set_input_files("#files", [FOLDER / name for name in names])
    expect(page.locator("#queue .done")).to_have_count(len(names), timeout=60_000)


def saved(page, button="#download"):
    with page.expect_download(timeout=60_000) as download:
        page.click(button)
    return download.value.path().read_bytes(), download.value.suggested_filename


def opened_image(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def place(page, x, y):
    """A share of the picture's width and height, in the page's pixels."""
    view, size = page.locator("#view").bounding_box(), page.locator("#size").inner_text()
    width, height = map(int, size.split(" × "))
    scale = int(page.locator("#zoom").inner_text().split()[0]) / 100
    left, top = (
        view[side] + (view[length] - each * scale) / 2
        for side, length, each in (("x", "width", width), ("y", "height", height))
    )
    return left + x * width * scale, top + y * height * scale


@in_browser
def test_a_picture_comes_in_and_its_cutout_goes_out(page):
    assert page.locator("#empty").is_visible() and page.locator("#download").is_disabled()
    expect(page.locator("#samples img")).to_have_count(3)
    page.locator("#samples button").first.click()
    expect(page.locator("#status")).to_contain_text("Subject found", timeout=60_000)
    data, name = saved(page)
    assert name == "astronaut.cutout.png"
    image = opened_image(data)
    assert image.shape == (512, 512, 4) and 0.3 < (image[..., 3] > 127).mean() < 0.8


@in_browser
def test_a_new_user_does_the_whole_task_in_eight_actions(page):
    """Picture in, wrong part dropped, missing part painted, white background, square crop, download; without help."""
    actions = 0

    def did(_=None):
        nonlocal actions
        actions += 1

    did(open_files(page, "coffee.jpg"))
    before = opened_image(saved(page)[0])[..., 3]
    did(page.get_by_role("radio", name="Drop").click())
    did(page.mouse.click(*place(page, 0.62, 0.72)))  # the spoon
    expect(page.locator("#dots .drop")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("Subject found")
    did(page.get_by_role("radio", name="Restore").click())
    page.mouse.move(*place(page, 0.03, 0.05))
    page.mouse.down()
    page.mouse.move(*place(page, 0.15, 0.05), steps=4)
    did(page.mouse.up())
    after = opened_image(saved(page)[0])[..., 3]
    assert before[17, 46] < 50 and after[17, 46] > 200, "painted"
    did(page.get_by_role("radio", name="White").click())
    did(page.locator("#crop").select_option("square"))
    expect(page.locator("#busy")).to_be_hidden(timeout=20_000)
    data, _ = saved(page)
    did()
    image = opened_image(data)
    assert image.ndim == 3 and image.shape[0] == image.shape[1] and image.shape[2] == 3
    assert actions <= 8


@in_browser
def test_clicks_can_be_moved_and_taken_back(page):
    open_files(page, "coffee.jpg")
    whole = page.locator("#status").inner_text()
    page.get_by_role("radio", name="Drop").click()
    page.mouse.click(*place(page, 0.5, 0.5))
    expect(page.locator("#status")).not_to_have_text(whole)
    dot = page.locator("#dots button")
    expect(dot).to_have_text("1")
    dot.focus()
    page.keyboard.press("Delete")
    expect(dot).to_have_count(0)
    expect(page.locator("#status")).to_contain_text(whole.split(" · ")[0])


@in_browser
def test_a_box_is_drawn_and_cleared(page):
    open_files(page, "rocket.jpg")
    page.keyboard.press("b")
    page.mouse.move(*place(page, 0.3, 0.1))
    page.mouse.down()
    page.mouse.move(*place(page, 0.7, 0.9), steps=3)
    page.mouse.up()
    expect(page.locator("#frame")).to_be_visible()
    alpha = opened_image(saved(page)[0])[..., 3]
    assert not alpha[:, : int(0.2 * alpha.shape[1])].any()
    page.mouse.click(*place(page, 0.5, 0.5))
    expect(page.locator("#frame")).to_be_hidden()


@in_browser
def test_strokes_are_undone_and_done_again(page):
    open_files(page, "astronaut.jpg")
    clean = opened_image(saved(page)[0])[..., 3]
    page.keyboard.press("e")
    page.mouse.move(*place(page, 0.3, 0.6))
    page.mouse.down()
    page.mouse.move(*place(page, 0.6, 0.6), steps=5)
    page.mouse.up()
    erased = opened_image(saved(page)[0])[..., 3]
    assert erased.sum() < clean.sum() and erased[307, 220] == 0
    page.keyboard.press("z")
    undone = opened_image(saved(page)[0])[..., 3]
    assert np.abs(undone.astype(int) - clean).max() <= 1
    page.keyboard.press("Shift+Z")
    assert np.array_equal(opened_image(saved(page)[0])[..., 3], erased)
    page.locator("#refiner").select_option("guided")  # strokes stay when the mask is found anew
    expect(page.locator("#busy")).to_be_hidden(timeout=20_000)
    page.wait_for_timeout(500)
    assert opened_image(saved(page)[0])[..., 3][307, 220] == 0


@in_browser
def test_a_stroke_looks_the_same_while_it_is_drawn_and_afterwards(page):
    open_files(page, "astronaut.jpg")
    page.keyboard.press("e")
    page.mouse.move(*place(page, 0.5, 0.6))
    page.mouse.down()
    page.mouse.move(*place(page, 0.62, 0.5), steps=5)
    during = opened_image(page.locator("#view").screenshot()).astype(int)
    page.mouse.up()
    expect(page.locator("#undo")).to_be_enabled()
    after = opened_image(page.locator("#view").screenshot()).astype(int)
    assert (np.abs(during - after).max(axis=-1) > 40).mean() < 1e-4


@in_browser
def test_the_mask_is_shown_as_an_overlay_a_line_and_by_itself(page):
    open_files(page, "astronaut.jpg")
    corner, middle = place(page, 0.05, 0.05), place(page, 0.5, 0.6)

    def colors():
        page.wait_for_timeout(200)
        image = opened_image(page.screenshot())
        return [image[int(y), int(x)].astype(int) for x, y in (corner, middle)]

    page.locator("#before").click()
    original = colors()
    page.locator("#before").click()
    page.locator("#look").select_option("overlay")
    outside, inside = colors()
    assert outside[0] - outside[1] > original[0][0] - original[0][1] + 60, "red"
    assert np.array_equal(inside, original[1])
    page.keyboard.press("Escape")
    page.locator("#view").focus()
    page.keyboard.press("m")
    assert page.locator("#look").input_value() == "line"
    assert np.array_equal(colors(), original)
    line = page.locator("#line")
    expect(line).to_be_visible()
    dashes = """line => {
        const { data } = line.getContext("2d").getImageData(0, 0, line.width, line.height);
        let sum = 0, count = 0;
        for (let at = 0; at < data.length; at += 4) if (data[at + 3]) { count++; sum += data[at] * (at % 997); }
        return [count, sum];
    }"""
    count, first = line.evaluate(dashes)
    page.wait_for_timeout(300)
    assert 500 < count < 20_000 and line.evaluate(dashes)[1] != first, "the dashes move"
    page.locator("#look").select_option("mask")
    outside, inside = colors()
    assert outside.max() < 5 and inside.min() > 250
    expect(line).to_be_hidden()


@pytest.mark.slow
@in_browser
def test_twenty_pictures_wait_are_done_and_come_as_one_file(page, tmp_path):
    paths = []
    with Image.open(FOLDER / "coffee.jpg") as image:
        for number in range(20):
            path = tmp_path / f"cup {number:02}.jpg"
            image.rotate(number).resize((200, 133)).save(path)
            paths.append(path)
    page.set_input_files("#files", paths)
    expect(page.locator("#queue li")).to_have_count(20)
    expect(page.locator("#queue .done, #queue .empty")).to_have_count(20, timeout=60_000)
    data, name = saved(page, "#all")
    assert name == "figureground.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 20
        assert opened_image(archive.read("cup 00.cutout.png")).shape == (133, 200, 4)
    page.locator("#queue li").first.hover()
    page.locator("#queue .remove").first.click()
    expect(page.locator("#queue li")).to_have_count(19)


@in_browser
def test_every_format_and_effect_gives_a_file(page):
    open_files(page, "astronaut.jpg")
    for each in ("shadow", "outline"):
        page.check(f"#{each}")
    page.get_by_role("radio", name="Blur").click()
    expect(page.locator("#busy")).to_be_hidden(timeout=20_000)
    for suffix, kind in (("webp", "WEBP"), ("jpg", "JPEG"), ("tiff", "TIFF")):
        page.locator("#format").select_option(suffix)
        data, name = saved(page)
        assert name == f"astronaut.cutout.{suffix}"
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == kind


@in_browser
def test_the_note_of_work_goes_when_all_of_several_changes_are_done(page):
    open_files(page, "astronaut.jpg")
    page.locator("#tools").evaluate(
        "tools => { for (const id of ['shadow', 'outline']) tools.querySelector('#' + id).click(); }"
    )
    page.wait_for_timeout(2500)
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text("Subject found")


@in_browser
def test_a_picture_behind_never_leaves_the_browser(page):
    open_files(page, "astronaut.jpg")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.set_input_files("#behind", FOLDER / "rocket.jpg")
    expect(page.get_by_role("radio", name="Picture", exact=True)).to_have_attribute("aria-checked", "true")
    image = opened_image(saved(page)[0])
    assert image.shape[:2] == (512, 512) and (image[..., 3] == 255).all()
    assert [url for url in sent if "/v1/" in url] == []


@in_browser
def test_failures_say_what_to_do(page, tmp_path, address):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.set_input_files("#files", broken)
    expect(page.locator("#notice")).to_contain_text("It did not work", timeout=30_000)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#notice")).to_contain_text("It did not work", timeout=30_000)
    page.context.set_offline(True)
    Image.new("RGB", (64, 48), "white").save(tmp_path / "white.png")
    page.set_input_files("#files", tmp_path / "white.png")
    page.locator("#queue li button").nth(2).click()
    expect(page.locator("#notice")).to_contain_text("does not answer", timeout=30_000)
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#notice")).to_contain_text("No subject found", timeout=30_000)
    page.get_by_role("button", name="Click on it", exact=True).click()
    expect(page.locator("#notice")).to_be_hidden()


@in_browser
def test_everything_can_be_done_by_keys(page):
    open_files(page, "coffee.jpg", "astronaut.jpg")
    page.keyboard.press("2")
    expect(page.locator("#size")).to_have_text("512 × 512")
    page.keyboard.press("d")
    expect(page.get_by_role("radio", name="Drop")).to_have_attribute("aria-checked", "true")
    page.locator("#view").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#dots button")).to_have_count(1)
    page.keyboard.press("c")
    expect(page.locator("#before")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("c")
    zoom = page.locator("#zoom").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#zoom")).not_to_have_text(zoom)
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text(zoom)
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#slider")).to_have_attribute("aria-valuenow", "5")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#view").focus()
    with page.expect_download(timeout=30_000):
        page.keyboard.press("Enter")


@in_browser
def test_the_page_speaks_three_languages_and_remembers(page, address):
    page.locator("#language").select_option("de")
    expect(page.locator("#choose")).to_have_text("Dateien wählen")
    page.reload()
    expect(page.locator("#choose")).to_have_text("Dateien wählen")
    page.locator("#language").select_option("pt")
    expect(page.locator("#choose")).to_have_text("Escolher ficheiros")
    page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#samples img")).to_have_count(3)
    found = axe.run(page).response["violations"]
    open_files(page, "coffee.jpg")
    page.get_by_role("radio", name="Restore").click()
    found += axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
    context.close()


@in_browser
@pytest.mark.slow
def test_a_brush_event_on_twelve_megapixels_leaves_the_page_quick(page, tmp_path):
    with Image.open(FOLDER / "coffee.jpg") as image:
        image.resize((4000, 3000)).save(tmp_path / "large.jpg", quality=90)
    page.set_input_files("#files", tmp_path / "large.jpg")
    expect(page.locator("#queue .done")).to_have_count(1, timeout=120_000)
    page.keyboard.press("r")
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def busy():
        metrics = {each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    page.mouse.move(*place(page, 0.2, 0.2))
    page.mouse.down()
    began, count = busy(), 40
    for step in range(count):
        page.mouse.move(*place(page, 0.2 + 0.01 * step, 0.2 + 0.01 * step))
    taken = (busy() - began) / count
    page.mouse.up()
    assert taken < 0.033


@in_browser
def test_a_picture_that_is_chosen_before_the_settings_have_arrived_waits_for_them(browser, address):
    page = browser.new_page()
    held = []

    def hold(route):
        held.append(route)

    page.route("**/page/settings.json", hold)
    page.goto(address)
    page.set_input_files("#files", FOLDER / "coffee.jpg")
    expect(page.locator("#queue li")).to_have_count(1)
    held[0].continue_()
    expect(page.locator("#queue .done")).to_have_count(1, timeout=60_000)
    page.close()


@in_browser
def test_a_telephone_shows_everything_without_scrolling_sideways(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(address)
    open_files(page, "coffee.jpg")
    for name in ("#queue", "#view", "#tools", "#download"):
        box = page.locator(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390.5 and box["y"] + box["height"] <= 844.5, name
    assert page.locator("body").evaluate("body => body.scrollWidth") <= 390
    shown = page.locator("#before").evaluate("button => button.getAttribute('aria-pressed')")
    for kind, pressed in (("pointerdown", "true"), ("pointerup", "false")):
        page.locator("#before").dispatch_event(kind, {"pointerType": "touch", "pointerId": 5, "isPrimary": True})
        expect(page.locator("#before")).to_have_attribute("aria-pressed", pressed)
    assert shown != "true"
    client, (x, y) = context.new_cdp_session(page), place(page, 0.5, 0.5)

    def touch(kind, *offsets):
        points = [{"x": x + offset, "y": y, "id": number} for number, offset in enumerate(offsets)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = int(page.locator("#zoom").inner_text().split()[0])
    touch("touchStart", -30)
    touch("touchStart", -30, 30)
    for step in range(1, 6):
        touch("touchMove", -30 - 6 * step, 30 + 6 * step)
    touch("touchEnd")
    assert int(page.locator("#zoom").inner_text().split()[0]) == pytest.approx(2 * before, rel=0.05)
    expect(page.locator("#dots button")).to_have_count(0)
    touch("touchStart", 0)
    touch("touchEnd")
    expect(page.locator("#dots button")).to_have_count(1)
    context.close()
