"""The subject's own colours at its edge, where camera and lens have mixed them with what lies behind.

Method: Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021), its wide pass on a small copy of the picture and
its narrow pass only in the tiles that hold an edge, so that time and memory follow the edge and not the picture.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from numpy.typing import NDArray

from figureground.maps import Image8, Mask
from figureground.models._runtime import cores

Floats = NDArray[np.float32]
SHRINK = 8
WIDE, NARROW = 90, 6  # pixels: the radii of the two passes in the paper
TILE = 256
CLEAR = 0.02  # a mask this near to 0 or 1 is taken for it


def foreground_colours(rgb: Image8, mask: Mask) -> Image8:
    """What the subject looks like without its background.

    rgb : (H, W, 3) uint8. mask : (H, W) float32 in [0, 1].
    Returns (H, W, 3) uint8: the estimate where the mask is between 0 and 1; black where it is 0 in 8 bits; and the
    picture where it is within a fiftieth of 1, or of 0, where no eye could tell the difference.
    """
    result: Image8 = rgb * (mask >= 0.5 / 255)[..., None]

    def mixed(top: int, left: int) -> NDArray[np.bool_]:
        part = mask[top : top + TILE, left : left + TILE]
        return np.asarray((part > CLEAR) & (part < 1 - CLEAR))

    corners = product(range(0, mask.shape[0], TILE), range(0, mask.shape[1], TILE))
    tiles = [corner for corner in corners if mixed(*corner).any()]
    if not tiles:
        return result
    wide = _wide(rgb, mask)

    def fill(corner: tuple[int, int]) -> None:
        top, left = corner
        place = result[top : top + TILE, left : left + TILE]
        np.copyto(place, _narrow(rgb, mask, wide, top, left), where=mixed(top, left)[..., None])

    with ThreadPoolExecutor(cores()) as pool:  # numpy and OpenCV leave the interpreter to the others while they compute
        list(pool.map(fill, tiles))
    return result


def _wide(rgb: Image8, mask: Mask) -> tuple[Floats, Floats]:
    """Mean colours of foreground and background within `WIDE` pixels, each (H / 8, W / 8, 3) float32."""
    import cv2

    height, width = mask.shape
    size = (max(1, width // SHRINK), max(1, height // SHRINK))
    image = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.float32)
    alpha = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    side = 2 * max(1, WIDE // SHRINK) + 1
    return _mean(image, alpha, side), _mean(image, 1 - alpha, side)


def _mean(image: Floats, weight: Floats, side: int) -> Floats:
    """The weighted mean of a (h, w, 3) image in a window of `side` pixels."""
    import cv2

    above = cv2.blur(image * weight[..., None], (side, side))
    mean: Floats = above / (cv2.blur(weight, (side, side)) + np.float32(1e-5))[..., None]
    return mean


def _narrow(rgb: Image8, mask: Mask, wide: tuple[Floats, Floats], top: int, left: int) -> Image8:
    """The estimate for one tile, made with a margin so that tiles do not show."""
    import cv2

    height, width = mask.shape
    rows = slice(max(0, top - 2 * NARROW), min(height, top + TILE + 2 * NARROW))
    columns = slice(max(0, left - 2 * NARROW), min(width, left + TILE + 2 * NARROW))
    image, alpha = rgb[rows, columns].astype(np.float32), mask[rows, columns]
    # where the tile's pixels lie in the small copies
    small = wide[0].shape
    x = ((np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) * (small[1] / width) - 0.5)[None]
    y = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * (small[0] / height) - 0.5)[:, None]
    where = (np.repeat(x, y.size, 0), np.repeat(y, x.size, 1))
    near, back = (
        np.asarray(cv2.remap(part, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32) for part in wide
    )
    fore = _unmix(image, alpha, near, back)
    side = 2 * NARROW + 1
    fore = _unmix(image, alpha, _mean(fore, alpha, side), _mean(back, 1 - alpha, side))
    inner = fore[top - rows.start :, left - columns.start :][: min(TILE, height - top), : min(TILE, width - left)]
    return np.rint(inner).astype(np.uint8)


def _unmix(image: Floats, alpha: Floats, fore: Floats, back: Floats) -> Floats:
    """F + α (I − α F − (1 − α) B), in [0, 255]: the guess, corrected by what it fails to explain of the picture."""
    a = alpha[..., None]
    better: Floats = np.clip(fore + a * (image - a * fore - (1 - a) * back), 0, 255)
    return better
