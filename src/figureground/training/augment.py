"""One labelled picture → one training sample. Everything random comes from the generator that is handed in."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Sample = tuple[Image8, Image8]  # picture (H, W, 3) uint8, mask (H, W) uint8
Box = tuple[float, float, float, float]  # left, top, width, height in pixels
LEAST = 96  # pixels of each side that a foreground has at least that a sample shows close by: smaller ones would be blurred


def sample(pairs: list[Sample], index: int, size: int, random: Generator) -> Sample:
    """Picture `index` as (size, size, 3), its mask as (size, size): cropped, flipped, recoloured, at times pasted elsewhere."""
    rgb, mask = _window(*pairs[index], size, random)
    if random.random() < 0.15:
        rgb = _paste(rgb, mask, pairs[int(random.integers(len(pairs)))], random)
    rgb = _colour(rgb, random)
    return _degrade(rgb, random), mask


def _window(rgb: Image8, mask: Image8, size: int, random: Generator) -> Sample:
    """A crop (at times mirrored, at times turned by up to 15°), made (size, size) in one warp."""
    x, y, w, h = _close(mask, random) if random.random() < 0.12 else _crop(mask, random)
    angle = np.deg2rad(random.uniform(-15, 15)) if random.random() < 0.2 else 0.0
    flip = -1.0 if random.random() < 0.5 else 1.0
    # from output to input: centre, mirror, turn, scale, move
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([flip * w / size, h / size])
    centre = np.array([x + w / 2 - 0.5, y + h / 2 - 0.5])
    matrix = np.column_stack([linear, centre - linear @ np.full(2, (size - 1) / 2)])

    def warp(image: Image8) -> Image8:
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(image, matrix, (size, size), flags=how, borderMode=cv2.BORDER_REFLECT_101)
        return warped.astype(np.uint8, copy=False)

    return warp(rgb), warp(mask)


def _crop(mask: Image8, random: Generator) -> Box:
    """0.55 to 1 of each side, anywhere."""
    height, width = mask.shape
    scale = random.uniform(0.55, 1) if random.random() < 0.8 else 1.0
    w, h = width * scale * random.uniform(0.9, 1), height * scale * random.uniform(0.9, 1)
    return random.uniform(0, width - w), random.uniform(0, height - h), w, h


def _close(mask: Image8, random: Generator) -> Box:
    """0.6 to 1 of each side of the foreground's box, within it, so that the subject fills the frame, as a face a portrait.

    Any crop where the foreground is small, or would be all there is.
    """
    left, top, width, height = cv2.boundingRect((mask > 127).astype(np.uint8))
    if min(width, height) < LEAST:
        return _crop(mask, random)
    w, h = width * random.uniform(0.6, 1), height * random.uniform(0.6, 1)
    x, y = left + random.uniform(0, width - w), top + random.uniform(0, height - h)
    inside = mask[int(y) : int(y + h), int(x) : int(x + w)].mean() / 255
    return (x, y, w, h) if inside < 0.95 else _crop(mask, random)


def _paste(rgb: Image8, mask: Image8, other: Sample, random: Generator) -> Image8:
    """The foreground laid over a strip of another picture that shows none of that picture's foreground."""
    size = mask.shape[0]
    strip = _free_strip(*other)
    coverage = mask.mean() / 255
    if strip is None or not 0.02 < coverage < 0.8:
        return rgb
    behind = cv2.resize(strip, (size, size), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(mask, (0, 0), float(random.uniform(0.5, 1.2))).astype(np.float32)[..., None] / 255
    return (rgb * soft + behind * (1 - soft)).astype(np.uint8)


def _free_strip(rgb: Image8, mask: Image8) -> Image8 | None:
    """The largest of the four strips beside the foreground's box, or None where it is less than a sixth of the picture."""
    height, width = mask.shape
    x, y, w, h = cv2.boundingRect((mask > 25).astype(np.uint8))
    strips = [rgb[:y], rgb[y + h :], rgb[:, :x], rgb[:, x + w :]]
    best = max(strips, key=lambda part: part.shape[0] * part.shape[1])
    return best if best.shape[0] * best.shape[1] * 6 >= height * width else None


def _colour(rgb: Image8, random: Generator) -> Image8:
    """Brightness, contrast, saturation and tint; one picture in twenty in grey."""
    picture = rgb.astype(np.float32)
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    if random.random() < 0.05:
        picture = np.repeat(grey[..., None], 3, 2)
    elif random.random() < 0.8:
        picture = grey[..., None] + (picture - grey[..., None]) * np.float32(random.uniform(0.6, 1.4))
        picture = picture * random.uniform(0.9, 1.1, 3).astype(np.float32)
    if random.random() < 0.8:
        middle = np.float32(grey.mean())
        picture = (picture - middle) * np.float32(random.uniform(0.7, 1.3)) + middle * np.float32(random.uniform(0.7, 1.3))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _degrade(rgb: Image8, random: Generator) -> Image8:
    """One picture in ten blurred, one in ten through a JPEG of low quality."""
    if random.random() < 0.1:
        rgb = cv2.GaussianBlur(rgb, (0, 0), float(random.uniform(0.4, 1.5))).astype(np.uint8, copy=False)
    if random.random() < 0.1:
        _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 90))])
        rgb = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return rgb
