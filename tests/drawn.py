"""Small labelled pictures drawn for the tests: a bright ellipse on a dark, noisy ground."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def pair(seed: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A picture (side, side, 3) uint8 and its mask (side, side) uint8."""
    random = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    centre = tuple(int(v) for v in random.integers(side // 3, 2 * side // 3, 2))
    axes = tuple(int(v) for v in random.integers(side // 8, side // 3, 2))
    cv2.ellipse(mask, centre, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
    ground, subject = random.integers(0, 90, 3), random.integers(150, 256, 3)
    picture = np.where(mask[..., None] > 0, subject, ground) + random.normal(0, 8, (side, side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def archive(path: Path, count: int, first: int = 0) -> Path:
    """A zip archive of `count` pairs."""
    with zipfile.ZipFile(path, "w") as file:
        for number in range(first, first + count):
            for folder, image in zip(("images", "masks"), pair(number), strict=True):
                buffer = io.BytesIO()
                Image.fromarray(image).save(buffer, "PNG")
                file.writestr(f"{folder}/{number:04}.png", buffer.getvalue())
    return path
