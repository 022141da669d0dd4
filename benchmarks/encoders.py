"""PNG encoders over a 12-megapixel cut-out, the warm pipeline with Pillow's and with ours, and masks from drafts.

python benchmarks/encoders.py [--rounds 5] [--large]

The pictures are the project's photographs, enlarged, with a camera's grain, as JPEG: the cut-out from it, and a harder one for
us whose grain JPEG has not smoothed. Files are compared as they come, and read back to the same pixels. `--large` also
measures time and peak memory of the whole command at 96 megapixels, and at 2, so that what the network needs can be taken off.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from common import Row, arguments, interleaved, photograph, process, report, spread
from figureground import Separator
from figureground.io.color_modes import Pixels
from figureground.io.encode import EncodeOptions, encode
from figureground.settings import Settings

TWELVE, LARGE = (4000, 3000), (11314, 8486)
BASE = "Pillow, default"
Encoder = Callable[[Pixels], bytes]


def by_pillow(image: Pixels, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", **options)
    return buffer.getvalue()


def by_opencv(image: Pixels) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))[1])


def ours(image: Pixels) -> bytes:
    return encode(image, ".png")


ENCODERS: dict[str, Encoder] = {
    BASE: by_pillow,
    "Pillow, level 1, runs": partial(by_pillow, compress_level=1, compress_type=3),
    "OpenCV, default": by_opencv,
    "ours, fast": ours,
}
SMALL = "ours, small"  # timed once, since it takes long and nobody would mistake it


def grained(cutout: Pixels) -> Pixels:
    """The cut-out with grain of its own, as a camera's raw file has it."""
    result = cutout.copy()
    generator = np.random.default_rng(0)
    for rows in np.array_split(np.arange(len(cutout)), 16):
        part = result[rows, :, :3] + generator.normal(0, 2, (len(rows), cutout.shape[1], 3)).astype(np.float32)
        result[rows, :, :3] = np.where(cutout[rows, :, 3:] > 0, np.clip(np.rint(part), 0, 255), 0)
    return result


def encoders(what: str, image: Pixels, rounds: int) -> list[Row]:
    """A row for each encoder: seconds, ratio to Pillow's default, megabytes."""
    files: dict[str, bytes] = {}

    def one(name: str) -> None:
        files[name] = ENCODERS[name](image)

    seconds = interleaved(rounds, {name: partial(one, name) for name in ENCODERS}, warm=0)
    began = time.perf_counter()
    files[SMALL] = encode(image, ".png", EncodeOptions(png_effort="best"))
    seconds[SMALL] = [time.perf_counter() - began]
    for name, data in files.items():
        with Image.open(io.BytesIO(data)) as back:
            assert np.array_equal(np.asarray(back), image), name
    base = statistics.median(seconds[BASE])
    return [
        {
            "what": f"{what}: {name}",
            "s": spread(each),
            "times as quick": f"{base / statistics.median(each):.1f}",
            "MB": f"{len(files[name]) / 1e6:.1f}",
        }
        for name, each in seconds.items()
    ]


def pipeline(separate: Separator, path: Path, rounds: int) -> list[Row]:
    """JPEG to PNG, warm, with each encoder."""
    runs = {name: partial(lambda write: write(separate(path).cutout()), ENCODERS[name]) for name in (BASE, "ours, fast")}
    seconds = interleaved(rounds, runs)
    base = statistics.median(seconds[BASE])
    return [
        {"what": f"JPEG to cut-out: {name}", "s": spread(each), "times as quick": f"{base / statistics.median(each):.1f}"}
        for name, each in seconds.items()
    ]


def masks(path: Path, rounds: int) -> list[Row]:
    """JPEG to the mask alone, warm: of the whole picture, and of a draft."""
    ready = {"the whole picture": Separator(), "a draft": Separator(settings=Settings(draft=True))}
    runs = {name: partial(lambda separate: ours(separate(path).mask8()), separate) for name, separate in ready.items()}
    seconds = interleaved(rounds, runs)
    base = statistics.median(seconds["the whole picture"])
    return [
        {"what": f"JPEG to mask: {name}", "s": spread(each), "times as quick": f"{base / statistics.median(each):.1f}"}
        for name, each in seconds.items()
    ]


def command(folder: Path, size: tuple[int, int]) -> tuple[float, float]:
    """Seconds and peak megabytes of `figureground remove` on a picture of this size."""
    path = photograph(folder / f"{size[0]}.jpg", size)
    ended = process([sys.executable, "-m", "figureground", "remove", path, "-o", folder / "out.png"])
    return ended.wall, ended.peak


def large(folder: Path) -> list[Row]:
    """The whole command at 96 megapixels."""
    _, small_peak = command(folder, (1632, 1224))
    wall, peak = command(folder, LARGE)
    each = (peak - small_peak) * 2**20 / (LARGE[0] * LARGE[1] - 1632 * 1224)
    return [{"what": f"the command at 96 MP: {peak:.0f} MB, {each:.1f} bytes a pixel more than at 2 MP", "s": f"{wall:.1f}"}]


def main() -> None:
    """Measure and print the table."""
    parser = arguments(__doc__, 5)
    parser.add_argument("--large", action="store_true", help="the whole command at 96 megapixels too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = photograph(Path(folder, "photo.jpg"), TWELVE)
        separate = Separator()
        cutout = separate(path).cutout()
        rows = encoders("from JPEG", cutout, given.rounds)
        rows += encoders("from raw", grained(cutout), given.rounds)
        rows += pipeline(separate, path, given.rounds)
        rows += masks(path, given.rounds)
        rows += large(Path(folder)) if given.large else []
    report("PNG encoders at 12 megapixels, RGBA", rows, given.json, "Every file was read back to the same pixels.")


if __name__ == "__main__":
    main()
