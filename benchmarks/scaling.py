"""What the default method costs against a picture's size, from 0.1 to 100 megapixels, stage by stage, JPEG to PNG cut-out.

python benchmarks/scaling.py [--rounds 5] [--megapixels 0.1 0.3 1 …] [--plot FILE]

Each point is a fresh process that separates a small picture first, so that loading the network is not counted. Memory is
the growth of the process's peak over that, in bytes for each pixel. The line is fitted above one megapixel.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from common import PHOTOGRAPHS, arguments, photograph, process, report, resident

SIZES = (0.1, 0.3, 1.0, 2.0, 5.0, 12.0, 25.0, 48.0, 100.0)
STAGES = ("decode", "network", "rule", "refine", "view", "encode", "write")
Point = dict[str, float]
WIDTH, HEIGHT, MARGIN = 720, 420, 60


def point(path: Path) -> Point:
    """Milliseconds of each stage for one picture, and bytes of memory for each of its pixels."""
    from figureground import Separator, Settings
    from figureground.io.encode import encode
    from figureground.io.files import write
    from figureground.pipeline import Clock

    separate = Separator("subject", Settings(max_pixels=200_000_000))
    encode(separate(PHOTOGRAPHS[1]).cutout(), ".png")
    before = resident("VmHWM")
    done, clock = separate(path), Clock()
    clock.seconds.update(done.seconds)
    data = clock("encode", encode, clock("view", done.cutout), ".png")
    clock("write", write, data, path.with_suffix(".png"))
    memory = (resident("VmHWM") - before) * 2**20 / done.mask.size
    return {stage: 1000 * clock.seconds[stage] for stage in STAGES} | {"memory": memory}


def measure(megapixels: list[float], rounds: int) -> dict[float, list[Point]]:
    """The points of every round, smallest pictures first, each in a fresh process."""
    points: dict[float, list[Point]] = {size: [] for size in megapixels}
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for size in megapixels:
            width, height = round(math.sqrt(size * 1e6 * 4 / 3)), int(math.sqrt(size * 1e6 * 3 / 4))
            paths[size] = photograph(Path(folder, f"{size}.jpg"), (width, height), seed=1)
        for _ in range(rounds):
            for size, path in paths.items():
                points[size].append(json.loads(process([sys.executable, __file__, "--point", path]).output))
    return points


def fit(sizes: list[float], totals: list[float]) -> tuple[float, float, float]:
    """Milliseconds per megapixel, milliseconds at none, and R² of the line through the points above one megapixel."""
    x, y = (np.array(column) for column in zip(*((s, t) for s, t in zip(sizes, totals, strict=True) if s >= 1), strict=True))
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (slope * x + offset)
    return float(slope), float(offset), float(1 - (rest @ rest) / ((y - y.mean()) @ (y - y.mean())))


def plot(sizes: list[float], totals: list[float], slope: float, offset: float, target: Path) -> None:
    """Milliseconds against megapixels, both in powers of ten, and the fitted line."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    left, right = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    low, high = math.floor(math.log10(min(totals))), math.ceil(math.log10(max(totals)))

    def place(size: float, total: float) -> tuple[float, float]:
        x = (math.log10(size) - left) / (right - left)
        y = (math.log10(total) - low) / (high - low)
        return MARGIN + x * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN)

    for power in range(left, right + 1):
        x, _ = place(10.0**power, 10.0**low)
        draw.line((x, MARGIN, x, HEIGHT - MARGIN), fill=(225, 225, 225))
        draw.text((x, HEIGHT - MARGIN + 8), f"{10.0**power:g}", fill="black", anchor="ma", font_size=13)
    for power in range(low, high + 1):
        _, y = place(10.0**left, 10.0**power)
        draw.line((MARGIN, y, WIDTH - MARGIN, y), fill=(225, 225, 225))
        draw.text((MARGIN - 8, y), f"{10.0**power:g}", fill="black", anchor="rm", font_size=13)
    curve = [place(size, slope * size + offset) for size in np.geomspace(1, max(sizes), 60)]
    draw.line(curve, fill=(200, 80, 30), width=2)
    for x, y in map(place, sizes, totals):
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(20, 110, 180))
    draw.text(
        (MARGIN, MARGIN - 34), "milliseconds, JPEG to PNG cut-out; the line is fitted above 1 MP", fill="black", font_size=15
    )
    draw.text((WIDTH - MARGIN, HEIGHT - 24), "megapixels", fill="black", anchor="ra", font_size=15)
    image.save(target)


def main() -> None:
    parser = arguments(__doc__, 5)
    parser.add_argument("--megapixels", type=float, nargs="+", default=list(SIZES))
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the points and the line there")
    parser.add_argument("--point", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        print(json.dumps(point(given.point)))
        return
    rows, totals = [], []
    for size, points in measure(sorted(given.megapixels), given.rounds).items():
        stages = {stage: statistics.median(each[stage] for each in points) for stage in STAGES}
        all_of = [sum(each[stage] for stage in STAGES) for each in points]
        totals.append(statistics.median(all_of))
        rows.append(
            {"megapixels": f"{size:g}"}
            | {f"{stage}, ms": f"{value:.0f}" for stage, value in stages.items()}
            | {
                "in all, ms": f"{totals[-1]:.0f} ({min(all_of):.0f} – {max(all_of):.0f})",
                "ms per MP": f"{totals[-1] / size:.0f}",
            }
            | {"memory, bytes a pixel": f"{statistics.median(each['memory'] for each in points):.0f}"}
        )
    sizes = sorted(given.megapixels)
    slope, offset, explained = fit(sizes, totals)
    if given.plot:
        plot(sizes, totals, slope, offset, given.plot)
    note = f"Above 1 megapixel: {slope:.0f} ms per megapixel and {offset:.0f} ms besides, R² = {explained:.4f}."
    report("The default method against a picture's size", rows, given.json, note)


if __name__ == "__main__":
    main()
