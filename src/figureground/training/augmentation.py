"""Turn one labeled picture into one training sample. All randomness is from the generator that is passed in.

Everything works on uint8 pictures of the size that the network gets, so that a sample costs about two milliseconds: one
warp, one color matrix, and now and then a table, a blur or a JPEG.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Sample = tuple[Image8, Image8]  # picture (H, W, 3) uint8, mask (H, W) uint8
Box = tuple[float, float, float, float]  # left, top, width, height in pixels

CLOSE_MIN_SIDE = 96  # pixels of each side of a foreground's box, below which a close crop would be a blur
LUMA = np.array([0.299, 0.587, 0.114])  # of Rec. 601


Warp = Callable[[Image8], Image8]


def sample(pairs: list[Sample], index: int, size: int, random: Generator, target: Image8 | None = None) -> Sample:
    """Return picture `index` as (size, size, 3) and its mask as (size, size): cropped, flipped, recolored, at times pasted.

    target : what is returned instead of the mask, (H, W); the mask still says what is foreground.
    """
    rgb, mask = pairs[index]
    warp = _window(mask, size, random)
    rgb, mask, target = warp(rgb), warp(mask), None if target is None else warp(target)
    if random.random() < 0.2:
        rgb = _paste(rgb, mask, pairs[int(random.integers(len(pairs)))], random)
    if random.random() < 0.06:
        rgb = _backlight(rgb, mask, random)
    rgb = _recolor(rgb, random)
    return _degrade(rgb, random), mask if target is None else target


def _window(mask: Image8, size: int, random: Generator) -> Warp:
    """Return the warp that crops, mirrors half of the samples, rotates a fifth by up to 15°, and scales to (size, size)."""
    x, y, w, h = _close_crop(mask, random) if random.random() < 0.2 else _crop(mask, random)
    angle = np.deg2rad(random.uniform(-15, 15)) if random.random() < 0.2 else 0.0
    flip = -1.0 if random.random() < 0.5 else 1.0
    # from output to input: center, mirror, rotate, scale, move
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.diag([flip * w / size, h / size])
    center = np.array([x + w / 2 - 0.5, y + h / 2 - 0.5])
    matrix = np.column_stack([linear, center - linear @ np.full(2, (size - 1) / 2)])

    def warp(image: Image8) -> Image8:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return warped.astype(np.uint8, copy=False)

    return warp


def _crop(mask: Image8, random: Generator) -> Box:
    """Return a box anywhere in the picture with 0.55 to 1 of each side; a fifth of the boxes are nearly the whole picture."""
    height, width = mask.shape
    scale = random.uniform(0.55, 1) if random.random() < 0.8 else 1.0
    w, h = width * scale * random.uniform(0.9, 1), height * scale * random.uniform(0.9, 1)
    return random.uniform(0, width - w), random.uniform(0, height - h), w, h


def _close_crop(mask: Image8, random: Generator) -> Box:
    """Return a box with 0.55 to 1.15 of each side of the foreground's box, placed so that the subject touches the frame.

    Falls back to `_crop` where the foreground is small, or would fill the crop.
    """
    height, width = mask.shape
    left, top, box_width, box_height = cv2.boundingRect((mask > 127).astype(np.uint8))
    if min(box_width, box_height) < CLOSE_MIN_SIDE:
        return _crop(mask, random)
    w, h = (min(side, part * random.uniform(0.55, 1.15)) for side, part in ((width, box_width), (height, box_height)))
    x = float(np.clip(left + random.uniform(0, 1) * (box_width - w), 0, width - w))
    y = float(np.clip(top + random.uniform(0, 1) * (box_height - h), 0, height - h))
    inside = mask[int(y) : int(y + h), int(x) : int(x + w)].mean() / 255
    return (x, y, w, h) if inside < 0.95 else _crop(mask, random)


def _paste(rgb: Image8, mask: Image8, other: Sample, random: Generator) -> Image8:
    """Lay the foreground over background of another picture, or over a plain gradient, with its light made to agree."""
    size = mask.shape[0]
    if not 0.02 < mask.mean() / 255 < 0.8:
        return rgb
    strip = None if random.random() < 0.15 else free_strip(*other)
    if strip is None:
        corners = np.clip(random.uniform(20, 255) + random.uniform(-30, 30, (2, 2, 3)), 0, 255).astype(np.uint8)
        strip = np.asarray(cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    behind = cv2.resize(strip, (size, size), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(0.4, 1.2)))
    old = float(cv2.mean(rgb, mask=255 - mask)[1]) + 8.0
    gain = float(np.clip((cv2.mean(behind)[1] + 8.0) / old, 0.4, 2.0)) ** random.uniform(0, 0.7)
    return _blend(cv2.convertScaleAbs(rgb, alpha=gain), behind, soft)


def _blend(front: Any, behind: Any, alpha: Any) -> Image8:
    """Return front · alpha + behind · (1 − alpha), all uint8."""
    weight = cv2.merge([alpha, alpha, alpha])
    parts = cv2.multiply(front, weight, scale=1 / 255), cv2.multiply(behind, 255 - weight, scale=1 / 255)
    return np.asarray(cv2.add(*parts), np.uint8)


def free_strip(rgb: Image8, mask: Image8) -> Image8 | None:
    """Return the largest of the four strips beside the foreground's box; None where it is below a sixth of the picture."""
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect((mask > 25).astype(np.uint8))
    strips = [rgb[:y], rgb[y + h :], rgb[:, :x], rgb[:, x + w :]]
    best = max(strips, key=lambda part: part.shape[0] * part.shape[1])
    return best if best.shape[0] * best.shape[1] * 6 >= height * width else None


def _backlight(rgb: Image8, mask: Image8, random: Generator) -> Image8:
    """Darken the foreground to 0.25 – 0.6 and brighten the background."""
    soft = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(1, 3)))
    front = cv2.convertScaleAbs(rgb, alpha=float(random.uniform(0.25, 0.6)))
    return _blend(front, cv2.convertScaleAbs(rgb, alpha=float(random.uniform(1.0, 1.4))), soft)


def _recolor(rgb: Image8, random: Generator) -> Image8:
    """Change saturation, tint, contrast and brightness by one matrix; at times gray, low contrast or low light."""
    matrix = np.eye(3)
    if random.random() < 0.07:
        matrix = np.tile(LUMA, (3, 1))
    elif random.random() < 0.8:
        saturation = random.uniform(0.5, 1.4)
        matrix = saturation * matrix + (1 - saturation) * LUMA
        matrix = matrix * random.uniform(0.88, 1.12, 3)[:, None]
    kind = random.random()
    contrast, brightness = (random.uniform(0.7, 1.3, 2) if kind > 0.2 else np.ones(2)).tolist()
    if kind < 0.05:  # low contrast
        contrast, brightness = random.uniform(0.2, 0.6), random.uniform(0.5, 1.4)
    middle = float(np.dot(cv2.mean(rgb)[:3], LUMA))
    matrix = np.column_stack([contrast * matrix, np.full(3, middle * (brightness - contrast))])
    changed = np.asarray(cv2.transform(rgb, matrix), np.uint8)
    if 0.05 <= kind < 0.13:  # low light: a darker curve, and noise
        table = 255 * random.uniform(0.3, 0.9) * (np.arange(256) / 255) ** random.uniform(1.2, 2.4)
        changed = _noise(np.asarray(cv2.LUT(changed, table.astype(np.uint8)), np.uint8), random.uniform(0, 12), random)
    return changed


def _noise(rgb: Image8, strength: float, random: Generator) -> Image8:
    """Add noise of triangular distribution, ± `strength` gray levels."""
    plus, minus = (random.integers(0, int(strength) + 1, rgb.shape, np.uint8) for _ in range(2))
    return np.asarray(cv2.subtract(cv2.add(rgb, plus), minus), np.uint8)


def _degrade(rgb: Image8, random: Generator) -> Image8:
    """Blur one sample in eight, add noise to one in twelve, compress one in six as a JPEG of low quality."""
    if random.random() < 0.12:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(random.uniform(0.4, 2.0))), np.uint8)
    if random.random() < 0.08:
        rgb = _noise(rgb, random.uniform(2, 24), random)
    if random.random() < 0.16:
        _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
        rgb = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return rgb
