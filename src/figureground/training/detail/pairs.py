"""Make what the detail network learns from: windows with a coarse mask, and their exact alpha.

Half of them are drawn foregrounds over photographs; the others are windows of labeled pictures. Photographs are never enlarged,
and blur, noise and JPEG are applied to the whole, so that nothing but the subject betrays where it ends. Coarse masks are made
from alpha, or are a network's own answers.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.training.augmentation import Sample, free_strip
from figureground.training.detail.scenes import Scene

Image8 = NDArray[np.uint8]
Floats = NDArray[np.float32]
Generator = np.random.Generator
CELL = (1.4, 7.0)
"""How many pixels of a window one pixel of the coarse mask covers, from and to."""


def composite(
    scenes: Sequence[Scene], pictures: Sequence[Sample], size: int, random: Generator, *, blurred: bool = False
) -> tuple[Image8, Floats]:
    """Return a drawn foreground over a photograph, (S, S, 3) uint8, and its alpha, (S, S) float32.

    blurred : the photograph is out of focus, so that nothing in it is the subject; otherwise some are.
    """
    scene = scenes[int(random.integers(len(scenes)))]
    top, left = random.integers(0, scene.alpha.shape[0] - size + 1, 2).tolist()
    place = int(random.integers(8))
    alpha, light = (_turned(each[top : top + size, left : left + size], place) for each in (scene.alpha, scene.light))
    behind = _crop(pictures, size, random)
    if blurred or random.random() < 0.3:
        sigma = random.uniform(5, 20) if blurred else random.uniform(0.5, 6)
        behind = np.asarray(cv2.GaussianBlur(behind, (0, 0), float(sigma)), np.uint8)
    return _composed(alpha, light, behind, pictures, random)


def whole(scenes: Sequence[Scene], pictures: Sequence[Sample], size: int, random: Generator) -> Sample:
    """Return a drawn foreground as a whole, over the free part of a photograph, (S, S, 3), and its mask, (S, S), both uint8."""
    scene, place = scenes[int(random.integers(len(scenes)))], int(random.integers(8))
    alpha, light = (_turned(_to_size(each, size), place) for each in (scene.alpha, scene.light))
    strip = free_strip(*pictures[int(random.integers(len(pictures)))])
    if strip is None:
        strip = np.asarray(cv2.GaussianBlur(_crop(pictures, size, random), (0, 0), float(random.uniform(6, 20))), np.uint8)
    rgb, mask = _composed(alpha, light, _to_size(strip, size), pictures, random)
    return rgb, np.rint(mask * 255).astype(np.uint8)


def _to_size(array: Image8, size: int) -> Image8:
    how = cv2.INTER_AREA if min(array.shape[:2]) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(array, (size, size), interpolation=how), np.uint8)


def _composed(
    alpha: Image8, light: Image8, behind: Image8, pictures: Sequence[Sample], random: Generator
) -> tuple[Image8, Floats]:
    """Return a texture with this alpha and light over a background, and alpha in [0, 1]."""
    front = _crop(pictures, alpha.shape[0], random)
    if random.random() < 0.6:  # one color with little texture, as hair has
        color = random.uniform(10, 245, 3) if random.random() < 0.5 else random.uniform(10, 245) * random.uniform(0.8, 1.2, 3)
        share = random.uniform(0, 0.3)
        front = np.clip(front * share + color * (1 - share), 0, 255).astype(np.uint8)
    shade = (light.astype(np.float32) / 128) ** random.uniform(0, 2.5)
    above = np.clip(front * shade[..., None], 0, 255)
    values = alpha.astype(np.float32) / np.float32(255)
    mixed = behind + (above - behind) * values[..., None]
    return _degraded(np.rint(mixed).astype(np.uint8), random), values


def crop(sample: Sample, size: int, random: Generator) -> tuple[Image8, Floats]:
    """Return a window of a labeled picture, mostly at an edge, and its mask or masks, (S, S) or (S, S, n) float32.

    Pictures smaller than the window are reflected.
    """
    rgb, mask = sample
    one = mask if mask.ndim == 2 else mask[..., int(random.integers(mask.shape[2]))].copy()
    edges = cv2.morphologyEx(one, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero(edges > 127)
    if rows.size and random.random() < 0.9:
        chosen = int(random.integers(rows.size))
        middle = rows[chosen], columns[chosen]
    else:
        middle = random.integers(mask.shape[0]), random.integers(mask.shape[1])
    window = []
    for axis in (0, 1):
        start = int(middle[axis] - random.uniform(0.2, 0.8) * size)
        window.append(np.clip(start, 0, max(0, mask.shape[axis] - size)))
    top, left = window
    rgb, mask = rgb[top : top + size, left : left + size], mask[top : top + size, left : left + size]
    below, right = size - mask.shape[0], size - mask.shape[1]
    if below or right:
        rgb, mask = _reflected(rgb, below, right), _reflected(mask, below, right)
    place = int(random.integers(8))
    rgb, mask = _turned(rgb, place), _turned(mask, place)
    return _degraded(rgb, random), mask.astype(np.float32) / np.float32(255)


def coarse(alpha: Floats, random: Generator) -> Floats:
    """Return what a network that looks at small pictures could say of this alpha, (S, S) float32.

    It is averaged down, loses thin parts or fills gaps, is displaced by up to some pixels of its own, misses a part or takes
    too much, hardens what is half there, and is enlarged.
    """
    size = alpha.shape[0]
    cell = float(np.exp(random.uniform(*np.log(CELL))))
    side = max(8, round(size / cell))
    small: Any = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), float(random.uniform(0.3, 1.3)))
    kind = random.random()
    if kind < 0.55:
        width = 2 * int(random.integers(1, 4)) + 1
        element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        small = cv2.morphologyEx(small, cv2.MORPH_OPEN if kind < 0.35 else cv2.MORPH_CLOSE, element)
    if random.random() < 0.7:
        small = _displaced(small, random.uniform(0, 2.2), random)
    wave = cv2.resize(random.normal(0, 1, (6, 6)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    doubt = 4 * small * (1 - small) + random.uniform(0, 0.08)
    small = (small - 0.5) * random.uniform(1.0, 3.5) + 0.5 + wave * doubt * random.uniform(0, 0.5)
    if random.random() < 0.35:
        spot = np.zeros((side, side), np.float32)
        axes = random.uniform(1, max(2.0, side / 5), 2).astype(int).tolist()
        cv2.ellipse(spot, random.integers(0, side, 2).tolist(), axes, random.uniform(0, 180), 0, 360, 1.0, -1)
        spot = cv2.GaussianBlur(spot, (0, 0), 1.0)
        small = small + spot * (1.0 if random.random() < 0.5 else -1.0) * random.uniform(0.3, 1.0)
    small = cv2.GaussianBlur(np.clip(small, 0, 1), (0, 0), float(random.uniform(0.3, 0.9)))
    large = np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    return firm(np.clip(large, 0, 1, out=large), random)


def firm(mask: Floats, random: Generator) -> Floats:
    """Return the mask with its log odds multiplied by 1 to 4, as the rule of salient pixels does."""
    power = np.float32(random.uniform(1, 4))
    raised, lowered = mask**power, (1 - mask) ** power
    return np.asarray(raised / (raised + lowered), np.float32)


def _displaced(small: Any, amount: float, random: Generator) -> Any:
    """Move each pixel by a smooth field of so many pixels on average."""
    side = small.shape[0]
    knots = int(random.integers(2, 8))
    coarse_field = random.normal(0, amount, (knots, knots, 2)).astype(np.float32)
    field = cv2.resize(coarse_field, (side, side), interpolation=cv2.INTER_CUBIC)
    down, right = np.indices((side, side), np.float32)
    return cv2.remap(small, right + field[..., 0], down + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _crop(pictures: Sequence[Sample], size: int, random: Generator) -> Image8:
    """Return a window of a random picture, at times shrunk; smaller pictures are reflected."""
    rgb = pictures[int(random.integers(len(pictures)))][0]
    if random.random() < 0.4 and min(rgb.shape[:2]) > 1.2 * size:
        share = max(size / min(rgb.shape[:2]), random.uniform(0.4, 1))
        rgb = np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)
    top, left = (int(random.integers(0, max(1, rgb.shape[axis] - size + 1))) for axis in (0, 1))
    part = rgb[top : top + size, left : left + size]
    below, right = size - part.shape[0], size - part.shape[1]
    if below or right:
        part = _reflected(part, below, right)
    return _turned(part, int(random.integers(8)))


def _reflected(array: Image8, below: int, right: int) -> Image8:
    return np.asarray(cv2.copyMakeBorder(array, 0, below, 0, right, cv2.BORDER_REFLECT), np.uint8)


def _turned(array: Image8, place: int) -> Image8:
    """Return one of the eight mirror images and quarter turns."""
    turned = np.rot90(array, place % 4)
    return np.ascontiguousarray(turned[:, ::-1] if place >= 4 else turned)


def _degraded(rgb: Image8, random: Generator) -> Image8:
    """Change contrast and brightness a little; then noise, and JPEG, at times."""
    changed: Any = cv2.convertScaleAbs(rgb, alpha=float(random.uniform(0.7, 1.2)), beta=float(random.uniform(-15, 25)))
    if random.random() < 0.1:
        changed = cv2.GaussianBlur(changed, (0, 0), float(random.uniform(0.3, 1.0)))
    if random.random() < 0.5:
        noise = random.integers(0, int(random.integers(2, 14)), (2, *rgb.shape), np.uint8)
        changed = cv2.subtract(cv2.add(changed, noise[0]), noise[1])
    if random.random() < 0.5:
        _, data = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(50, 97))])
        changed = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(changed, np.uint8)
