"""The photographs that tests look at, as plain Pillow reads them."""

from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "pictures"
PICTURES = sorted(FOLDER.glob("*.jpg"))


def photograph(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
