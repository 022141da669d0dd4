"""The subject cut out, with its own colors at its edge, where camera and lens have mixed them with what lies behind.

Method: the foreground's most likely color where alpha is known, as in Chuang et al., "A Bayesian Approach to Digital Matting"
(CVPR 2001): a pixel is α F + (1 − α) B, and F and B have the means and variances of the nearly opaque and nearly clear pixels
around it. Windows of three sizes are averaged, the narrowest first, as Forte does ("Approximate Fast Foreground Colour
Estimation", ICIP 2021), on small copies of the picture and only in tiles that hold an edge: time and memory follow the edge.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.executor import map_parts
from figureground.io.color_modes import Pixels
from figureground.types import Mask

Floats = NDArray[np.float32]
WIDE, NEAR = 90, (4, 16)  # pixels: radii of the windows; a wider one counts where the narrower ones hold too little
SHRINK_WIDE, SHRINK_NARROW = 8, 2  # how much smaller the copies are that they average
TILE = 384
SHARES = (1.0, 0.3, 0.02)  # how much a pixel counts in the near windows, from narrow to wide, and the mean of the widest
ALPHA_ERROR, NOISE = 0.07, 3 / 255  # what alpha and colors are expected to be wrong by, as standard deviations
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
    edges = {corner: _edge(_tile(mask, *corner), *corner) for corner in corners}
    wide = _wide(picture, mask) if any(edges.values()) else None

    def fill(corner: tuple[int, int]) -> None:
        import cv2

        part, colors, edge = _tile(mask, *corner), np.array(_tile(picture, *corner)[..., :3], order="C"), edges[corner]
        if wide is not None and edge is not None:
            rows, columns = (slice(each.start - start, each.stop - start) for each, start in zip(edge, corner, strict=True))
            colors[rows, columns] = _estimate(picture, mask, wide, edge)
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
    """Foreground and background within `WIDE` pixels, each (H / 8, W / 8, 4) float32: mean color, and mean square."""
    import cv2

    height, width = mask.shape
    size = (max(1, width // SHRINK_WIDE), max(1, height // SHRINK_WIDE))
    image = _with_square(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    alpha = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    window = _side(WIDE // SHRINK_WIDE)
    fore, back = (
        cv2.blur(image * _channels(weight, 4), window) / _channels(cv2.blur(weight, window) + np.float32(1e-5), 4)
        for weight in _pure(alpha)
    )
    return np.asarray(fore, np.float32), np.asarray(back, np.float32)


def _with_square(image: NDArray[Any]) -> Floats:
    """(h, w, 3 or more) → (h, w, 4) float32: the colors, and the mean of their squares."""
    import cv2

    colors = np.asarray(image, np.float32)[..., :3]
    return np.asarray(cv2.merge((*cv2.split(colors), _mean_square(colors))), np.float32)


def _pure(alpha: Floats) -> tuple[Floats, Floats]:
    """How much each pixel counts as foreground and as background, (h, w) each: α⁶ and (1 − α)⁶."""
    cubes = (each * each * each for each in (alpha, 1 - alpha))
    fore, back = (cube * cube for cube in cubes)
    return fore, back


def _side(radius: int) -> tuple[int, int]:
    return (2 * radius + 1, 2 * radius + 1)


def _channels(plane: NDArray[Any], count: int) -> Floats:
    """(h, w) → (h, w, count): numpy multiplies equal shapes many times faster than it stretches a last axis of one."""
    import cv2

    return np.asarray(cv2.merge((plane,) * count), np.float32)


def _estimate(picture: Pixels, mask: Mask, wide: tuple[Floats, Floats], place: tuple[slice, slice]) -> Pixels:
    """Return the colors of a place of the picture, (h, w, 3); where the mask is 0 or 1, the picture's own."""
    import cv2

    part, colors = mask[place], picture[place][..., :3].copy()
    rows, columns = (_window(each, length) for each, length in zip(place, mask.shape, strict=True))
    around = _around(picture[rows, columns, :3], mask[rows, columns], _sampled(wide, rows, columns, mask.shape))
    inside = np.s_[place[0].start - rows.start :, place[1].start - columns.start :]
    fore, back, spread = (_grown(plane)[inside][: part.shape[0], : part.shape[1]] for plane in around)
    likely = _likely(colors.astype(np.float32), part, fore, back, spread)
    likely = np.clip(np.rint(likely, out=likely), 0, _most(picture), out=likely)
    mixed: Pixels = cv2.copyTo(likely.astype(picture.dtype), _mixed(part).view(np.uint8), colors)  # type: ignore[assignment]
    return mixed


def _edge(part: Mask, top: int, left: int) -> tuple[slice, slice] | None:
    """Return the place in the picture that holds all mixed pixels of a tile, from even rows and columns on; None for none."""
    import cv2

    x, y, width, height = cv2.boundingRect(_mixed(part).view(np.uint8))
    if not width:
        return None
    x, width, y, height = x - x % SHRINK_NARROW, width + x % SHRINK_NARROW, y - y % SHRINK_NARROW, height + y % SHRINK_NARROW
    return slice(top + y, top + y + height), slice(left + x, left + x + width)


def _likely(image: Floats, alpha: Mask, fore: Floats, back: Floats, spread: Floats) -> Floats:
    """Return the most likely foreground, (h, w, 3): its mean, and its share of what the means do not explain.

    fore, back : (h, w, 3), mean colors. spread : (h, w, 3), variances of foreground and background, and of the noise.
    """
    import cv2

    fore_variance, back_variance, noise = cv2.split(spread)
    clear = 1 - alpha
    gain = fore_variance * alpha
    gain /= gain * alpha + back_variance * clear * clear + noise
    missing = fore - back
    missing *= -_channels(alpha, 3)
    missing += image
    missing -= back
    missing *= _channels(gain, 3)
    missing += fore
    return missing


def _grown(small: Floats) -> Floats:
    """Resize a window's small copy to the window's own size."""
    import cv2

    return np.asarray(cv2.resize(small, None, fx=SHRINK_NARROW, fy=SHRINK_NARROW), np.float32)


def _window(part: slice, end: int) -> slice:
    """Return rows or columns with a margin, so that the borders of tiles are invisible."""
    margin = NEAR[-1] + 2 * SHRINK_NARROW
    return slice(max(0, part.start - margin), min(end, part.stop + margin))


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


def _around(colors: Pixels, alpha: Mask, wide: tuple[Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return mean foreground, mean background and spread within `NEAR` pixels, as `_likely` takes them, at half the size."""
    import cv2

    def shrunk(array: NDArray[Any]) -> Floats:
        odd = (-array.shape[0] % SHRINK_NARROW, -array.shape[1] % SHRINK_NARROW)
        even = cv2.copyMakeBorder(array, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
        size = (even.shape[1] // SHRINK_NARROW, even.shape[0] // SHRINK_NARROW)
        return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.float32)

    def mean(weight: Floats, guess: Floats) -> Floats:
        total, weights = guess * np.float32(SHARES[-1]), np.full(weight.shape, SHARES[-1], np.float32)
        weighted = image * _channels(weight, 4)
        for radius, share in zip(NEAR, SHARES[:-1], strict=True):
            window = _side(radius // SHRINK_NARROW)
            total += cv2.blur(weighted, window) * np.float32(share)
            weights += cv2.blur(weight, window) * np.float32(share)
        total /= _channels(weights, 4)
        return total

    image = _with_square(shrunk(np.ascontiguousarray(colors)))
    fore, back = (mean(*each) for each in zip(_pure(shrunk(alpha)), wide, strict=True))
    floor = np.float32(NOISE * _most(colors)) ** 2
    variances = [np.maximum(each[..., 3] - _mean_square(each[..., :3]), 0) + floor for each in (fore, back)]
    noise = np.float32(ALPHA_ERROR**2) * _mean_square(fore[..., :3] - back[..., :3]) + floor
    spread = np.asarray(cv2.merge((*variances, noise)), np.float32)
    return np.ascontiguousarray(fore[..., :3]), np.ascontiguousarray(back[..., :3]), spread


def _mean_square(colors: Floats) -> Floats:
    """(h, w, 3) → (h, w)."""
    import cv2

    return np.asarray(cv2.transform(colors * colors, np.full((1, 3), 1 / 3)), np.float32)


def _most(picture: Pixels) -> np.float32:
    """White, and opaque."""
    return np.float32(np.iinfo(picture.dtype).max)
