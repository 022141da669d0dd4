"""Pictures of the pages that `batch --report` and `evaluate --report` write, made with Chromium; left out without it."""

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
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


PICTURES: dict[str, Callable[[], Image.Image]] = (
    {"batch-report.png": batch_report, "evaluate-report.png": evaluate_report} if BROWSER else {}
)
