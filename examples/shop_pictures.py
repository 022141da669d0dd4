"""Crop products, center them on a white square, and write JPEG: python shop_pictures.py PHOTOS OUT [SIDE]."""

import sys
from pathlib import Path

from PIL import Image

from figureground import Separation, Separator

MARGIN = 0.08  # of the side, around the product


def shop_picture(done: Separation, side: int) -> Image.Image:
    """Return the product, centered on a white square."""
    square = Image.new("RGB", (side, side), "white")
    if (box := done.box()) is None:
        return square
    product = done.to_pil().crop(box)
    scale = side * (1 - 2 * MARGIN) / max(product.size)
    product = product.resize(
        (max(1, round(product.width * scale)), max(1, round(product.height * scale))), Image.Resampling.LANCZOS
    )
    square.paste(product, ((side - product.width) // 2, (side - product.height) // 2), product)
    return square


def main(photos: str, out: str, side: str = "1000") -> int:
    """Write one JPEG for each photograph; return 1 if any failed."""
    folder, failed = Path(out), False
    folder.mkdir(parents=True, exist_ok=True)

    def finish(done: Separation) -> Path:
        path = folder / f"{done.picture.name}.jpg"
        shop_picture(done, int(side)).save(path, quality=90)
        return path

    for result in Separator().map(sorted(Path(photos).glob("*.jpg")), finish=finish):
        failed |= result.error is not None
        print(result.error or result.value)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
