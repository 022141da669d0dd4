"""Draw all cut-outs of a folder on one sheet: python contact_sheet.py PHOTOS SHEET.jpg [COLUMNS]."""

import math
import sys
from pathlib import Path

from PIL import Image

from figureground import Separation, Separator

CELL, GAP = 240, 10  # pixels
COLOR = "#e8e8e8"


def thumbnail(done: Separation) -> Image.Image:
    """Return the cut-out on gray, at most CELL pixels a side."""
    image = done.to_pil(background=COLOR)
    image.thumbnail((CELL, CELL))
    return image


def main(photos: str, target: str, columns: str = "4") -> None:
    """Write the sheet."""
    results = Separator(quality="fast").map(sorted(Path(photos).glob("*.jpg")), finish=thumbnail)
    images = [result.get() for result in results if result.error is None]
    wide = min(int(columns), max(1, len(images)))
    step = CELL + GAP
    sheet = Image.new("RGB", (wide * step + GAP, math.ceil(len(images) / wide) * step + GAP), COLOR)
    for number, image in enumerate(images):
        row, column = divmod(number, wide)
        sheet.paste(image, (GAP + column * step + (CELL - image.width) // 2, GAP + row * step + (CELL - image.height) // 2))
    sheet.save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
