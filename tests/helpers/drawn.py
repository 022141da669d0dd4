"""Small labelled pictures drawn for the tests, a bright ellipse on a dark, noisy ground; and answers with their truths."""

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
    center = tuple(int(v) for v in random.integers(side // 3, 2 * side // 3, 2))
    axes = tuple(int(v) for v in random.integers(side // 8, side // 3, 2))
    cv2.ellipse(mask, center, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
    ground, subject = random.integers(0, 90, 3), random.integers(150, 256, 3)
    picture = np.where(mask[..., None] > 0, subject, ground) + random.normal(0, 8, (side, side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def archive(path: Path, count: int, first: int = 0, size: int = 64) -> Path:
    """A zip archive of `count` pairs."""
    with zipfile.ZipFile(path, "w") as file:
        for number in range(first, first + count):
            for folder, image in zip(("images", "masks"), pair(number, size), strict=True):
                buffer = io.BytesIO()
                Image.fromarray(image).save(buffer, "PNG")
                file.writestr(f"{folder}/{number:04}.png", buffer.getvalue())
    return path


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An answer in [0, 1], float32 of 8 bits or any float, and its truth: blobs, single pixels, empty and full ones too."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 48, 2) if seed % 5 else (1, 1 + seed % 7)
    rows, columns = np.mgrid[:height, :width]
    truth = (rows - random.integers(height)) ** 2 + (columns - random.integers(width)) ** 2 < random.integers(1, 300)
    if seed % 10 == 3:
        truth[:] = seed % 20 == 3
    mask = np.clip(truth * random.uniform(0, 1) + random.normal(0.2, 0.3, truth.shape), 0, 1)
    if seed % 7 == 2:
        mask[:] = random.integers(2)
    return (np.rint(mask * 255) / 255).astype(np.float32) if seed % 2 else mask, truth
