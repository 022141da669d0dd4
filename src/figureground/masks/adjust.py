"""Changes of a mask that a user asks for: threshold, invert, grow, shrink, feather; and the trimap.

`grow` and `shrink` move the edge and keep its softness; `feather` makes it softer. To add a change: a function here, a field
of `EditOptions` in compositing/options.py, and a call in `editing.adjust_mask`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.io.color_modes import by_strips
from figureground.types import THRESHOLD, Image8, Mask

MAX_DISK = 6
"""Radius of the largest disk that one pass of a dilation takes; larger ones are several passes."""
SURE = 0.98
"""A mask from here on is certainly foreground in a trimap, and below 1 minus this, certainly background."""


def threshold(mask: Mask, level: float = THRESHOLD) -> Mask:
    """Return the mask made hard: 1 from `level` on, 0 below.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    level : float
        In (0, 1].

    Returns
    -------
    (H, W) float32
        0 or 1.

    Examples
    --------
    >>> threshold(np.array([[0.2, 0.5, 0.9]], np.float32), 0.5).tolist()
    [[0.0, 1.0, 1.0]]
    """
    return np.asarray(mask >= np.float32(level), np.float32)


def invert(mask: Mask) -> Mask:
    """Return 1 − mask: what was background is foreground.

    Examples
    --------
    >>> invert(np.array([[0.25, 1.0]], np.float32)).tolist()
    [[0.75, 0.0]]
    """
    return np.asarray(1 - mask, np.float32)


def grow(mask: Mask, pixels: float) -> Mask:
    """Return the mask with its edge moved outwards; its softness stays.

    Each pixel gets the largest value within a disk: a dilation in gray levels.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    pixels : float
        The disk's radius; fractions count. Negative: inwards, as `shrink`.

    Returns
    -------
    (H, W) float32

    References
    ----------
    Serra, "Image Analysis and Mathematical Morphology" (1982).

    Examples
    --------
    >>> grow(np.array([[0, 0, 0, 1, 1]], np.float32), 2).tolist()
    [[0.0, 1.0, 1.0, 1.0, 1.0]]
    """
    if pixels < 0:
        return invert(grow(invert(mask), -pixels))
    inside = _box_of(mask > 0)
    if inside is None or pixels == 0:
        return mask
    room = math.ceil(pixels) + 1
    rows, columns = _widened(inside, room, mask.shape)
    part = np.ascontiguousarray(mask[rows, columns])
    whole, rest = divmod(pixels, 1)
    grown = _dilated(part, int(whole))
    if rest:
        grown = np.asarray((1 - rest) * grown + rest * _dilated(part, int(whole) + 1), np.float32)
    result = np.array(mask, np.float32)
    result[rows, columns] = grown
    return result


def shrink(mask: Mask, pixels: float) -> Mask:
    """Return the mask with its edge moved inwards; its softness stays. The frame of the picture is no edge.

    Examples
    --------
    >>> shrink(np.array([[0, 0, 1, 1, 1]], np.float32), 1).tolist()
    [[0.0, 0.0, 0.0, 1.0, 1.0]]
    """
    return grow(mask, -pixels)


def feather(mask: Mask, pixels: float) -> Mask:
    """Return the mask with a softer edge: a Gaussian blur. The frame of the picture is no edge.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    pixels : float
        The half width of the soft band: beyond it a hard edge stays as it was.

    Returns
    -------
    (H, W) float32

    Examples
    --------
    >>> (100 * feather(np.array([[0, 0, 0, 1, 1, 1]], np.float32), 2)).round().tolist()
    [[0.0, 5.0, 30.0, 70.0, 95.0, 100.0]]
    """
    import cv2

    if pixels <= 0:
        return mask
    side = 2 * math.ceil(pixels) + 1
    blurred = np.asarray(cv2.GaussianBlur(mask, (side, side), pixels / 2, borderType=cv2.BORDER_REPLICATE), np.float32)
    blurred[blurred > 1 - 1e-5] = 1  # the kernel's weights do not add up to the last bit
    blurred[blurred < 1e-5] = 0
    return blurred


def trimap(mask: Mask, pixels: float | None = None) -> Image8:
    """Return what is certain of a mask, as matting methods want it.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    pixels : float, optional
        How far the unknown band reaches beyond the soft edge, to either side; None: 0.5 % of the longer side, at least 2.

    Returns
    -------
    (H, W) uint8
        255 foreground, 0 background, 128 unknown.

    Examples
    --------
    >>> trimap(np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.float32), 1).tolist()
    [[0, 0, 0, 128, 128, 255, 255, 255]]
    """
    radius = max(2.0, max(mask.shape) / 200) if pixels is None else pixels
    certain = shrink(threshold(mask, SURE), radius) > 0
    possible = grow(np.asarray(mask > 1 - SURE, np.float32), radius) > 0
    return by_strips(
        mask.shape,
        np.dtype(np.uint8),
        lambda rows: np.where(certain[rows], 255, np.where(possible[rows], 128, 0)).astype(np.uint8),
    )


def subject_side(mask: Mask) -> float:
    """Return the longer side of the subject's box in pixels, 0 where there is none: what per cent are of."""
    inside = _box_of(mask >= THRESHOLD)
    return float(max(inside[1] - inside[0], inside[3] - inside[2])) if inside else 0.0


def _dilated(mask: Mask, radius: int) -> Mask:
    """Return the largest value within a disk; a large disk is the sum of smaller ones."""
    import cv2

    while radius > 0:
        step = min(radius, MAX_DISK)
        y, x = np.mgrid[-step : step + 1, -step : step + 1]
        disk = np.asarray(x * x + y * y <= step * (step + 0.5), np.uint8)
        mask = np.asarray(cv2.dilate(mask, disk, borderType=cv2.BORDER_REPLICATE), np.float32)
        radius -= step
    return mask


def _box_of(inside: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right of what is True; the second and the last exclusive."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if rows.size else None


def _widened(inside: tuple[int, int, int, int], room: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    top, bottom, left, right = inside
    return slice(max(0, top - room), min(shape[0], bottom + room)), slice(max(0, left - room), min(shape[1], right + room))
