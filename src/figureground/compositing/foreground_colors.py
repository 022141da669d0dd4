"""The subject cut out, with its own colors at its edge, where camera and lens have mixed them with what lies behind.

Method: Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021). Both of its passes average the colours around; that
is done on small copies of the picture, the narrow pass only in the tiles that hold an edge, so that time and memory follow the
edge and not the picture. The last step, which brings the detail back, looks at the picture itself.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.executor import map_parts
from figureground.io.color_modes import Pixels
from figureground.types import Mask

Floats = NDArray[np.float32]
WIDE, NARROW = 90, 6  # pixels: the radii of the two passes in the paper
SHRINK_WIDE, SHRINK_NARROW = 8, 2  # how much smaller the copies are that they average
TILE = 256
CLEAR = 0.02  # a mask this near to 0 or 1 is taken for it


def cut_out(picture: Pixels, mask: Mask, opaque: Mask | None = None) -> Pixels:
    """Return the subject without its background's colors, with straight alpha.

    Parameters
    ----------
    picture : (H, W, 3 or more) uint8 or uint16
        The first three channels are red, green and blue.
    mask : (H, W) float32 in [0, 1]
    opaque : (H, W) float32 in [0, 1], optional
        The picture's own alpha; None where it has none.

    Returns
    -------
    (H, W, 4) of the same type
        The colors are black where alpha is 0; the picture's where the mask is within 0.02 of 0 or 1; and the estimate in
        between.

    Examples
    --------
    >>> picture = np.full((8, 8, 3), 200, np.uint8)
    >>> mask = np.zeros((8, 8), np.float32)
    >>> mask[2:6, 2:6] = 1
    >>> cut_out(picture, mask)[[0, 4], [0, 4]].tolist()
    [[0, 0, 0, 0], [200, 200, 200, 255]]
    """
    result: Pixels = np.empty((*mask.shape, 4), picture.dtype)
    corners = list(product(range(0, mask.shape[0], TILE), range(0, mask.shape[1], TILE)))
    wide = _wide(picture, mask) if any(_mixed(_tile(mask, *corner)).any() for corner in corners) else None

    def fill(corner: tuple[int, int]) -> None:
        import cv2

        part, colors = _tile(mask, *corner), np.ascontiguousarray(_tile(picture, *corner)[..., :3])
        if wide is not None and _mixed(part).any():
            colors = _estimate(picture, mask, wide, *corner)
        alpha = part if opaque is None else part * _tile(opaque, *corner)
        alpha = np.rint(alpha * _most(picture)).astype(picture.dtype)
        place = _tile(result, *corner)
        place[:] = cv2.cvtColor(cv2.copyTo(colors, (alpha > 0).view(np.uint8)), cv2.COLOR_RGB2RGBA)
        place[..., 3] = alpha

    map_parts(fill, corners)
    return result


def with_alpha(picture: Pixels, mask: Mask, opaque: Mask | None = None) -> Pixels:
    """Return the picture's own colors with the mask as alpha, (H, W, 4); the parameters are those of `cut_out`."""
    result: Pixels = np.empty((*mask.shape, 4), picture.dtype)
    result[..., :3] = picture[..., :3]
    result[..., 3] = np.rint((mask if opaque is None else mask * opaque) * _most(picture))
    return result


def _tile(array: NDArray[Any], top: int, left: int) -> NDArray[Any]:
    return array[top : top + TILE, left : left + TILE]


def _mixed(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray((mask > CLEAR) & (mask < 1 - CLEAR))


def _wide(picture: Pixels, mask: Mask) -> tuple[Floats, Floats]:
    """Mean colors of foreground and background within `WIDE` pixels, each (H / 8, W / 8, 3) float32."""
    import cv2

    height, width = mask.shape
    size = (max(1, width // SHRINK_WIDE), max(1, height // SHRINK_WIDE))
    image = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)[..., :3]
    alpha = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    side = 2 * (WIDE // SHRINK_WIDE) + 1
    return _mean(image, alpha, side), _mean(image, 1 - alpha, side)


def _mean(image: Floats, weight: Floats, side: int) -> Floats:
    """Return the weighted mean of a (h, w, 3) image in a window of `side` pixels."""
    import cv2

    above = cv2.blur(image * _three(weight), (side, side))
    mean: Floats = above / _three(cv2.blur(weight, (side, side)) + np.float32(1e-5))
    return mean


def _three(plane: NDArray[Any]) -> Floats:
    """(h, w) → (h, w, 3): numpy multiplies equal shapes many times faster than it stretches a last axis of one."""
    import cv2

    return np.asarray(cv2.merge((plane, plane, plane)), np.float32)


def _estimate(picture: Pixels, mask: Mask, wide: tuple[Floats, Floats], top: int, left: int) -> Pixels:
    """Return the colors of one tile, (h, w, 3); where the mask is 0 or 1, the picture's own."""
    part, colors = _tile(mask, top, left), _tile(picture, top, left)[..., :3]
    rows, columns = _window(top, mask.shape[0]), _window(left, mask.shape[1])
    around = _around(picture[rows, columns, :3], mask[rows, columns], _sampled(wide, rows, columns, mask.shape))
    place = np.s_[top - rows.start :, left - columns.start :]
    fore, back = (_grown(plane)[place][: part.shape[0], : part.shape[1]] for plane in around)
    alpha = np.where(_mixed(part), part, np.float32(1))
    image = colors.astype(np.float32)
    estimate: Pixels = np.rint(_unmix(image, _three(alpha), fore, back, _most(picture))).astype(picture.dtype)  # type: ignore[assignment]
    return estimate


def _grown(small: Floats) -> Floats:
    """Resize a window's small copy to the window's own size."""
    import cv2

    return np.asarray(cv2.resize(small, None, fx=SHRINK_NARROW, fy=SHRINK_NARROW), np.float32)


def _window(start: int, end: int) -> slice:
    """Return the tile from `start` with a margin, so that the borders of tiles are invisible."""
    return slice(max(0, start - 2 * NARROW), min(end, start + TILE + 2 * NARROW))


def _sampled(wide: tuple[Floats, Floats], rows: slice, columns: slice, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the wide means at the pixels of a window's small copy."""
    import cv2

    small = wide[0].shape
    middles = (np.arange(each.start, each.stop, SHRINK_NARROW) + SHRINK_NARROW / 2 for each in (columns, rows))
    x, y = (
        (middle * (small[axis] / shape[axis]) - 0.5).astype(np.float32) for axis, middle in zip((1, 0), middles, strict=True)
    )
    where = (np.repeat(x[None], y.size, 0), np.repeat(y[:, None], x.size, 1))
    near, back = (cv2.remap(plane, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for plane in wide)
    return np.asarray(near, np.float32), np.asarray(back, np.float32)


def _around(colors: Pixels, alpha: Mask, wide: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Mean colors of foreground and background within `NARROW` pixels, on a window's small copy, (h / 2, w / 2, 3) float32."""
    import cv2

    def shrunk(array: NDArray[Any]) -> Floats:
        odd = (-array.shape[0] % SHRINK_NARROW, -array.shape[1] % SHRINK_NARROW)
        even = cv2.copyMakeBorder(array, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
        size = (even.shape[1] // SHRINK_NARROW, even.shape[0] // SHRINK_NARROW)
        return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.float32)

    image, weight = shrunk(np.ascontiguousarray(colors)), shrunk(alpha)
    side = 2 * (NARROW // SHRINK_NARROW) + 1
    fore = _unmix(image, _three(weight), *wide, _most(colors))
    return _mean(fore, weight, side), _mean(wide[1], 1 - weight, side)


def _unmix(image: Floats, alpha: Floats, fore: Floats, back: Floats, most: np.float32) -> Floats:
    """F + α (I − α F − (1 − α) B), in [0, most]: the guess, corrected by what it fails to explain of the picture."""
    missing = fore - back
    missing *= -alpha
    missing += image
    missing -= back
    missing *= alpha
    missing += fore
    return np.clip(missing, 0, most, out=missing)


def _most(picture: Pixels) -> np.float32:
    """White, and opaque."""
    return np.float32(np.iinfo(picture.dtype).max)
