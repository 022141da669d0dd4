"""One image laid over another, both with straight alpha: Porter and Duff's `over`, in the images' own depth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.io.color_modes import Pixels, by_strips
from figureground.types import Mask

Floats = NDArray[np.float32]


def composite(front: Pixels, back: Pixels) -> Pixels:
    """Return `front` over `back`.

    Parameters
    ----------
    front : (H, W, 4) uint8 or uint16
        Straight alpha.
    back : (H, W, 3) or (H, W, 4) of the same type

    Returns
    -------
    (H, W, 3) or (H, W, 4) of the same type
        As `back`. `front` to the bit where it is opaque, `back` to the bit where it is transparent.

    References
    ----------
    Porter and Duff, "Compositing Digital Images" (SIGGRAPH 1984).

    Examples
    --------
    >>> red = np.full((1, 1, 4), (255, 0, 0, 128), np.uint8)
    >>> composite(red, np.full((1, 1, 3), 255, np.uint8)).tolist()
    [[[255, 127, 127]]]
    """
    most = np.float32(np.iinfo(front.dtype).max)

    def strip(rows: slice) -> Pixels:
        above, below = front[rows], back[rows]
        alpha = above[..., 3]
        if not alpha.any():
            return below
        return _over(above, below, most) if below.shape[2] == 3 else _over_alpha(above, below, most)

    return by_strips(back.shape, back.dtype, strip)


def paint(coverage: Mask, color: tuple[int, int, int], back: Pixels) -> Pixels:
    """Return `back` with a color laid over it, as much as `coverage` says.

    Parameters
    ----------
    coverage : (H, W) float32 in [0, 1]
    color : red, green and blue, 0 to 255
    back : (H, W, 3) or (H, W, 4) uint8 or uint16

    Returns
    -------
    As `back`.

    Examples
    --------
    >>> paint(np.array([[0.5]], np.float32), (0, 0, 0), np.full((1, 1, 3), 200, np.uint8)).tolist()
    [[[100, 100, 100]]]
    """
    most = np.iinfo(back.dtype).max

    def strip(rows: slice) -> Pixels:
        weight, below = coverage[rows], back[rows]
        if not weight.any():
            return below
        above = np.empty((*weight.shape, 4), np.float32)
        above[..., :3] = np.multiply(color, most // 255, dtype=np.float32)
        above[..., 3] = weight * most
        over: Any = _over if below.shape[2] == 3 else _over_alpha
        result: Pixels = over(above, below, np.float32(most))
        return result

    return by_strips(back.shape, back.dtype, strip)


def _over(above: NDArray[Any], below: Pixels, most: np.float32) -> Pixels:
    """(h, w, 4) over (h, w, 3)."""
    import cv2

    alpha = np.asarray(above[..., 3] * (1 / most), np.float32)
    weight = np.asarray(cv2.merge((alpha, alpha, alpha)), np.float32)
    floor = np.asarray(below, np.float32)
    mixed = np.asarray(above[..., :3], np.float32)
    mixed -= floor
    mixed *= weight
    mixed += floor
    return _rounded(mixed, below.dtype)


def _over_alpha(above: NDArray[Any], below: Pixels, most: np.float32) -> Pixels:
    """(h, w, 4) over (h, w, 4)."""
    import cv2

    near, far = (np.asarray(each[..., 3] * (1 / most), np.float32) for each in (above, below))
    total = near + far * (1 - near)
    share = np.divide(near, total, out=np.zeros_like(total), where=total > 0)
    weight = np.asarray(cv2.merge((share, share, share)), np.float32)
    floor = np.asarray(below[..., :3], np.float32)
    mixed = (np.asarray(above[..., :3], np.float32) - floor) * weight + floor
    result: Pixels = np.empty_like(below)
    result[..., :3] = _rounded(mixed, below.dtype)
    result[..., 3] = np.rint(total * most)
    untouched = near == 0
    result[untouched] = below[untouched]
    return result


def _rounded(values: Floats, kind: np.dtype[Any]) -> Pixels:
    import cv2

    if kind == np.uint8:
        return np.asarray(cv2.convertScaleAbs(values), np.uint8)
    return np.asarray(np.rint(values, out=values), np.uint16)
