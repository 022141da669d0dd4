"""Pictures of the page of `app`, and of those that `batch --report` and `evaluate --report` write; left out without Chromium."""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

PHOTOGRAPHS = Path(__file__).parent.parent / "tests" / "pictures"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZE = {"width": 1000, "height": 620}


def figureground(*words: object, folder: Path) -> None:
    """Run a command in a folder."""
    subprocess.run([sys.executable, "-m", "figureground", *map(str, words)], cwd=folder, check=True, capture_output=True)


def screenshot(page: Path) -> Image.Image:
    """Return the top of a page as an image."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport=SIZE, color_scheme="light")
        tab.goto(page.as_uri())
        data = tab.screenshot()
        browser.close()
    return Image.open(io.BytesIO(data)).convert("RGB").quantize(128)


def batch_report() -> Image.Image:
    """The page about a batch of the four photographs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
            shutil.copy(path, folder / "photos")
        figureground("batch", "photos", "out", folder=folder)
        figureground("batch", "out", "--report", "page.html", folder=folder)
        return screenshot(folder / "page.html")


def evaluate_report() -> Image.Image:
    """The page about the quality of the default method on the four photographs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PHOTOGRAPHS / "masks", folder / "mine" / "masks")
        (folder / "mine" / "images").mkdir()
        for path in sorted((folder / "mine" / "masks").glob("*.png")):
            shutil.copy(PHOTOGRAPHS / f"{path.stem}.jpg", folder / "mine" / "images")
        figureground("evaluate", "mine", "--report", "page.html", folder=folder)
        return screenshot(folder / "page.html")


@contextmanager
def app() -> Iterator[str]:
    """Run the server; gives its address."""
    words = [sys.executable, "-m", "figureground", "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr or ():
            if found := re.search(r"listens on (\S+)", line):
                yield found[1]
                break
    finally:
        process.kill()
        process.wait()


def page(scheme: str = "light", width: int = 1280, height: int = 800, finish: bool = False) -> Image.Image:
    """Return the page with three pictures; finish: with a white square and a shadow."""
    from playwright.sync_api import sync_playwright

    with app() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1.25)
        tab.goto(address)
        tab.set_input_files("#files", [PHOTOGRAPHS / f"{name}.jpg" for name in ("astronaut", "chelsea", "coffee")])
        tab.locator("#queue .done").nth(2).wait_for(timeout=60_000)
        if finish:
            tab.keyboard.press("3")
            tab.get_by_role("radio", name="White").click()
            tab.check("#shadow")
            tab.select_option("#crop", "square")
            tab.wait_for_timeout(1500)
        tab.wait_for_timeout(500)
        data = tab.screenshot()
        browser.close()
    return Image.open(io.BytesIO(data)).convert("RGB").quantize(192)


PICTURES: dict[str, Callable[[], Image.Image]] = (
    {
        "batch-report.png": batch_report,
        "evaluate-report.png": evaluate_report,
        "page-light.png": page,
        "page-dark.png": lambda: page("dark", finish=True),
        "page-phone.png": lambda: page(width=390, height=844),
    }
    if BROWSER
    else {}
)
