"""The training log as a picture: loss, max F and MAE over the epochs, drawn with Pillow."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"loss": (90, 90, 90), "max_f": (20, 110, 180), "mae": (200, 80, 30), "iou": (40, 140, 70)}
WIDTH, PANEL, MARGIN = 720, 170, 46


def plot_log(log: Path, target: Path) -> None:
    """Draw each column of `log` (a CSV with a row an epoch) in a panel of its own and write `target` (PNG)."""
    with log.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    image = Image.new("RGB", (WIDTH, PANEL * len(COLOURS)), "white")
    draw = ImageDraw.Draw(image)
    for place, (name, colour) in enumerate(COLOURS.items()):
        values = [row[name] for row in rows]
        top, bottom = PANEL * place + 24, PANEL * (place + 1) - 18
        low, high = min(values), max(values)
        span = (high - low) or 1.0
        step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
        points = [(MARGIN + i * step, bottom - (value - low) / span * (bottom - top)) for i, value in enumerate(values)]
        draw.rectangle((MARGIN, top, WIDTH - MARGIN, bottom), outline=(210, 210, 210))
        draw.line(points, fill=colour, width=2)
        draw.text(
            (MARGIN, top - 18),
            f"{name}: last {values[-1]:.4f}, {low:.4f} to {high:.4f}, {len(values)} epochs",
            fill=colour,
        )
    image.save(target)
