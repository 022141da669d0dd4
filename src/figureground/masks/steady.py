"""Masks of the frames of an animation, steadied in time: less flicker, no smear where something moves, nothing across cuts.

Each pixel takes the weighted median of its log-odds in the frames around it. A frame counts as far as the picture stayed the
same there between the two frames: where it moves, each frame keeps its own mask.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from figureground.types import Mask, Rgb

RADIUS = 3
"""Frames before and after each that its mask is steadied with."""
STILL, MOVING = 3.0, 9.0
"""Levels, of 255, by which a neighborhood's mean changes: up to the first it stands still, from the second on it moves."""
WEIGHTS: NDArray[np.float32] = np.clip((MOVING - np.arange(256, dtype=np.float32)) / (MOVING - STILL), 0, 1)
"""How far a pixel stands still, by the level of its change."""
CUT = 0.5
"""Share of moving pixels from which on a frame shows another scene: nothing is taken across."""
SURE = 0.002
"""Masks nearer to 0 and 1 count as certain as this, so that log-odds stay finite."""
SAME = 1 / 512
"""Pixels whose masks differ by less in all frames are left as they are."""


@dataclass(slots=True, eq=False)
class _Frame:
    """A frame in the window. cut : whether it shows another scene than the frame before."""

    mask: Mask
    smooth: Rgb
    cut: bool


def steady(frames: Iterable[tuple[Rgb, Mask]], radius: int = RADIUS) -> Iterator[Mask]:
    """Yield the mask of each frame, steadied with those of the frames around it.

    Parameters
    ----------
    frames : iterable of (H, W, 3) uint8 and (H, W) float32 in [0, 1]
        Each frame's colors and mask, all of one size. Read no further than `radius` ahead, so that memory stays flat.
    radius : int
        Frames before and after each that count; 0 changes nothing.

    Yields
    ------
    (H, W) float32 in [0, 1]

    Notes
    -----
    A frame's weight at a pixel is 1 where the mean color around the pixel differs by at most `STILL` levels in that frame and
    in all between, 0 from `MOVING` on. A camera that moves leaves nothing still, so nothing is steadied.

    Examples
    --------
    >>> scene = np.zeros((8, 8, 3), np.uint8)
    >>> masks = [np.full((8, 8), value, np.float32) for value in (0.9, 0.9, 0.2, 0.9, 0.9)]
    >>> [round(float(mask[0, 0]), 2) for mask in steady((scene, mask) for mask in masks)]
    [0.9, 0.9, 0.9, 0.9, 0.9]
    """
    window: deque[_Frame] = deque()
    at = 0  # of the frame in the window whose turn it is
    for rgb, mask in frames:
        smooth = _smooth(rgb)
        window.append(_Frame(mask, smooth, bool(window) and _is_cut(window[-1].smooth, smooth)))
        if len(window) - at > radius:
            yield _median(window, at, radius)
            at = _advance(window, at, radius)
    while at < len(window):
        yield _median(window, at, radius)
        at = _advance(window, at, radius)


def _advance(window: "deque[_Frame]", at: int, radius: int) -> int:
    """Go on to the next frame, and let go of one that is out of the window."""
    at += 1
    if at > radius:
        window.popleft()
        at -= 1
    return at


def _smooth(rgb: Rgb) -> Rgb:
    """Return the mean color around each pixel, so that noise and dithering do not count as motion."""
    import cv2

    side = 2 * max(2, round(max(rgb.shape[:2]) / 256)) + 1
    return np.asarray(cv2.blur(rgb, (side, side), borderType=cv2.BORDER_REPLICATE), np.uint8)


def _change(one: Rgb, other: Rgb) -> NDArray[np.uint8]:
    """Return by how many levels each pixel differs, (H, W), in the channel that differs most."""
    import cv2

    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _is_cut(before: Rgb, after: Rgb) -> bool:
    """Return whether most of the picture is another."""
    change = _change(before, after)
    return bool(np.count_nonzero(change >= MOVING) > CUT * change.size)


def _stillness(one: Rgb, other: Rgb) -> Mask:
    """Return how far each pixel's neighborhood is the same, (H, W) in [0, 1]."""
    import cv2

    change = _change(one, other)
    # a mask's soft edge reaches beyond what moves
    side = 2 * max(3, round(max(change.shape) / 128)) + 1
    change = np.asarray(cv2.dilate(change, np.ones((side, side), np.uint8)), np.uint8)
    return WEIGHTS[change]


def _median(window: "deque[_Frame]", at: int, radius: int) -> Mask:
    """Return the mask of one frame of the window, steadied."""
    masks, weights = [window[at].mask], [np.ones_like(window[at].mask)]
    after = min(radius, len(window) - 1 - at)
    # at either end of the animation, little more on one side than on the other, so that a change keeps its time
    shorter = min(at, after)
    for step, most in ((-1, at), (1, after)):
        weight = weights[0]
        for number in range(1, min(radius, shorter + 2, most) + 1):
            other = window[at + step * number]
            if (other if step > 0 else window[at - number + 1]).cut:
                break
            weight = np.minimum(weight, _stillness(window[at].smooth, other.smooth))
            masks.append(other.mask)
            weights.append(weight)
    if len(masks) == 1:
        return masks[0]
    low, high = masks[0], masks[0]
    for mask in masks[1:]:
        low, high = np.minimum(low, mask), np.maximum(high, mask)
    chosen = high - low > SAME
    result = masks[0].copy()
    values, shares = (np.stack([each[chosen] for each in arrays]) for arrays in (masks, weights))
    result[chosen] = _weighted_median(values, shares)
    return result


def _weighted_median(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of each column, (N, K) → (K,), between the two middle values of the log-odds."""
    order = np.argsort(values, axis=0)
    values, weights = np.take_along_axis(values, order, 0), np.take_along_axis(weights, order, 0)
    odds = np.log(np.clip(values, SURE, 1 - SURE) / (1 - np.clip(values, SURE, 1 - SURE)))
    # each value stands in the middle of its weight; between these places, log-odds go in straight lines
    places = np.cumsum(weights, 0) - weights / 2
    half = weights.sum(0) / 2
    upper = np.clip((places < half).sum(0), 1, len(values) - 1)[None]
    low, high = np.take_along_axis(places, upper - 1, 0)[0], np.take_along_axis(places, upper, 0)[0]
    share = np.clip((half - low) / np.maximum(high - low, 1e-6), 0, 1)
    first, second = np.take_along_axis(odds, upper - 1, 0)[0], np.take_along_axis(odds, upper, 0)[0]
    median = 1 / (1 + np.exp(-(first + share * (second - first))))
    # what is as sure as it may be keeps its own value, 0 or 1
    sure = (median <= SURE * 1.01) | (median >= 1 - SURE * 1.01)
    nearest = np.where(share < 0.5, np.take_along_axis(values, upper - 1, 0)[0], np.take_along_axis(values, upper, 0)[0])
    return np.asarray(np.where(sure, nearest, median), np.float32)
