"""Draw plots with Pillow: a training log over its epochs, and the quality of a method.

To add a panel to the latter: a function like `_reliability`, and its call in `plot_result`.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from figureground._words import count
from figureground.evaluation.evaluate import EvaluationResult
from figureground.evaluation.metrics import f_beta
from figureground.io.encode import encode
from figureground.io.files import write

GRAY, BLUE, RED, GREEN = (90, 90, 90), (20, 110, 180), (200, 80, 30), (40, 140, 70)
COLORS = (GRAY, BLUE, RED, GREEN)
"""Of the panels of a log, in turn."""
WIDTH, PANEL, MARGIN = 720, 170, 46
SQUARE = 320  # pixels of a side of the panels of `plot_result`


def plot_log(log: Path, target: Path) -> None:
    """Draw each column of `log` (a CSV with a row an epoch) in a panel of its own and write `target` (PNG)."""
    with log.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    names = [name for name in rows[0] if name not in ("epoch", "minutes")]
    image = Image.new("RGB", (WIDTH, PANEL * len(names)), "white")
    draw = ImageDraw.Draw(image)
    for place, name in enumerate(names):
        values, color = [row[name] for row in rows], COLORS[place % len(COLORS)]
        low, high = min(values), max(values)
        span = (high - low) or 1.0
        panel = _Panel(draw, (MARGIN, PANEL * place + 24), (WIDTH - 2 * MARGIN, PANEL - 42))
        last = max(1, len(values) - 1)
        panel.line([i / last for i in range(len(values))], [(value - low) / span for value in values], color)
        text = f"{name}: last {values[-1]:.4f}, {low:.4f} to {high:.4f}, {count(len(values), 'epoch')}"
        panel.write(text, color, above=18)
    image.save(target)


def plot_result(result: EvaluationResult, target: Path) -> None:
    """Draw precision over recall and the reliability diagram side by side, and write `target`; its suffix is the format.

    Raises UnknownName where that is no image format of ours, WriteFailed where the file cannot be written.
    """
    image = Image.new("RGB", (2 * SQUARE + 3 * MARGIN, SQUARE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(image)
    _precision_recall(_square(draw, MARGIN, "recall", "precision"), result)
    _reliability(_square(draw, SQUARE + 2 * MARGIN, "probability said", "share of foreground"), result)
    write(encode(np.asarray(image), target.suffix), target)


class _Panel:
    """A rectangle of the picture with both axes from 0 to 1."""

    def __init__(self, draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int]) -> None:
        (self.left, self.top), (self.width, self.height) = corner, size
        self.draw, self.bottom = draw, self.top + self.height
        draw.rectangle((self.left, self.top, self.left + self.width, self.bottom), outline=(210, 210, 210))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the axes lies in the picture."""
        return self.left + x * self.width, self.bottom - y * self.height

    def write(self, title: str, color: tuple[int, int, int], above: int = 22) -> None:
        """Draw a title so many pixels above the panel."""
        self.draw.text((self.left, self.top - above), title, fill=color)

    def line(self, xs: Sequence[float], ys: Sequence[float], color: tuple[int, int, int], width: int = 2) -> None:
        """Draw a line through these points."""
        self.draw.line([self.place(x, y) for x, y in zip(xs, ys, strict=True)], fill=color, width=width)

    def dot(self, x: float, y: float, color: tuple[int, int, int]) -> None:
        """Draw a point."""
        self.draw.circle(self.place(x, y), 4, fill=color)


def _square(draw: ImageDraw.ImageDraw, left: int, across: str, upwards: str) -> _Panel:
    """Draw a square panel with labeled axes."""
    panel = _Panel(draw, (left, MARGIN), (SQUARE, SQUARE))
    for share in (0.0, 0.5, 1.0):
        x, y = panel.place(share, share)
        draw.text((x, panel.bottom + 4), f"{share:g}", fill="black", anchor="ma")
        draw.text((left - 4, y), f"{share:g}", fill="black", anchor="rm")
    draw.text((left + SQUARE / 2, panel.bottom + 20), across, fill="black", anchor="ma")
    draw.text((left + 6, panel.top + 6), upwards, fill="black")
    return panel


def _precision_recall(panel: _Panel, result: EvaluationResult) -> None:
    """Draw the curve over the 256 thresholds, and a point where F is greatest."""
    curve = f_beta(result.precision, result.recall)
    best = int(curve.argmax())
    threshold = (255 - best) / 255
    panel.line(result.recall.tolist(), result.precision.tolist(), BLUE)
    panel.dot(result.recall[best], result.precision[best], BLUE)
    panel.write(f"max F {curve[best]:.4f}, where the mask is at least {threshold:.2f}", BLUE)


def _reliability(panel: _Panel, result: EvaluationResult) -> None:
    """Draw probability against truth, a point for each bin: on the diagonal 0.5 means 0.5. Gray bars: share of pixels."""
    pixels, points = result.reliability.pixels, result.reliability.points()
    for i, share in enumerate(pixels / max(1, pixels.sum())):
        (left, top), (right, bottom) = panel.place(i / len(pixels), share), panel.place((i + 1) / len(pixels), 0)
        panel.draw.rectangle((left + 1, top, right - 1, bottom), fill=(225, 225, 225))
    panel.line((0, 1), (0, 1), (170, 170, 170), 1)
    panel.line([point["said"] for point in points], [point["true"] for point in points], RED)
    for point in points:
        panel.dot(point["said"], point["true"], RED)
    panel.write(f"calibration error {result.reliability.error:.4f}", RED)
