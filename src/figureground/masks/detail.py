"""The mask's edge at the picture's own resolution: the detail network, in windows along the edge.

The network (training/detail/network.py) looks where the mask is in doubt, and near it. It looks at a smaller copy of a large
picture; its answer is brought to full size by the picture's own colors, with the coefficients of a guided filter: He and Sun,
"Fast Guided Filter" (2015).
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from figureground.executor import map_parts
from figureground.masks.guided_filter import linear_coefficients
from figureground.masks.recent import Recent
from figureground.types import Mask, Rgb

Slices = tuple[slice, slice]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Key = tuple[int, ...]
Answer = tuple[tuple[Mask, ...], tuple[Mask, ...]]
"""The inputs that a window had, and what was computed of them."""

CERTAIN = 0.05
"""A mask at most this far from 0 or 1 is certain."""
CELLS = 336
"""Pixels of the longer side that a mask is taken to have been found at: one of them is a cell."""
REACH = 4
"""Cells around the doubtful pixels that may change too: strands of hair that the mask misses."""
CLEAR, BETWEEN = 0.1, 6
"""How far from 0 or 1 a mask is clear, and within how many cells of both there must be clear pixels for one to change."""
TILE, GROUP, MARGIN, MULTIPLE = 64, 4, 16, 16
"""Pixels of a tile's side; tiles in a window at most; pixels of its margin, and what the network's sides are multiples of."""
SMALL, SHARE, LARGE = 850_000, 0.15, 4_000_000
"""Pixels up to which a picture is looked at as it is; the share of a larger one's pixels that is looked at, and at most."""
BANDED = 672
"""Pixels of the longer side at which the band is computed: two of a cell."""
RADIUS, STEP = 2, 256
"""Of the guided filter, in pixels of the smaller copy; and the side of what is enlarged at once, in pixels of the picture."""


def refine_edges(rgb: Rgb, mask: Mask) -> Mask:
    """Return the mask with the edge that the picture shows.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    mask : (H, W) float32 in [0, 1]

    Returns
    -------
    (H, W) float32 in [0, 1]
        Unchanged where `doubt_band` is 0.

    Examples
    --------
    >>> picture = np.zeros((64, 64, 3), np.uint8)
    >>> picture[:, 32:] = 255
    >>> rough = np.tile(np.clip(np.linspace(-4, 5, 64, dtype=np.float32), 0, 1), (64, 1))
    >>> fine = refine_edges(picture, rough)
    >>> bool(np.abs(fine - (picture[..., 0] > 0)).mean() < np.abs(rough - (picture[..., 0] > 0)).mean())
    True
    """
    run = _network()
    return in_windows(rgb, mask, lambda colors, coarse: _alpha(run, colors, coarse), _answers(rgb))


class Answers:
    """What was computed for the windows of a picture: a correction changes few of them, and the others are not done again.

    The last `most` answers of each window are remembered, so that a correction can be undone. It may be used from several
    threads.
    """

    def __init__(self, most: int = 2) -> None:
        self.most = most
        self.rows: dict[Key, tuple[Answer, ...]] = {}

    def get(self, key: Key, inputs: tuple[Mask, ...], compute: Callable[[], tuple[Mask, ...]]) -> tuple[Mask, ...]:
        """Return what `compute` returned for a window when its inputs were the same, else compute it."""
        if not self.most:
            return compute()
        known = self.rows.get(key, ())
        same = next((row for row in known if all(map(np.array_equal, row[0], inputs))), None)
        newest = same or (tuple(each.copy() for each in inputs), compute())
        self.rows[key] = (newest, *[row for row in known if row is not same][: self.most - 1])
        return newest[1]


_answers: Recent[Answers] = Recent(lambda rgb: Answers())


def in_windows(rgb: Rgb, mask: Mask, alpha: Callable[[Rgb, Mask], Mask], answers: Answers | None = None) -> Mask:
    """Return the mask with the alpha that a function returns for windows along its edge.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    mask : (H, W) float32 in [0, 1]
    alpha : callable
        Gets the colors (h, w, 3) uint8 and the mask (h, w) float32 of a window and returns its alpha, (h, w) float32. It is
        called from several threads.
    answers : Answers, optional
        Of this picture and function.

    Returns
    -------
    (H, W) float32 in [0, 1]
    """
    import cv2

    if not _doubtful(mask).any():
        return mask
    pixels = mask.size
    scale = min(1.0, (max(SMALL, min(SHARE * pixels, LARGE)) / pixels) ** 0.5)
    answers = answers or Answers(0)
    if scale == 1:
        return _changed(rgb, mask, alpha, answers)[0]
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small_rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    small = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    fine, band = _changed(small_rgb, small, alpha, answers)
    return _enlarged(rgb, mask, small_rgb, fine, band, answers if pixels <= LARGE else Answers(0))


def _doubtful(mask: Mask) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.inRange(mask, CERTAIN, 1 - CERTAIN), np.uint8)


def doubt_band(mask: Mask) -> Mask:
    """Return how much each pixel may change, (H, W) float32 in [0, 1].

    It is 1 near doubtful pixels that lie between clear foreground and clear background, both at most `BETWEEN` cells away, and
    falls to 0 beyond `REACH`. Where the doubt is wide, the network that found the mask does not know what belongs to the
    subject, and colors nearby do not tell either.
    """
    import cv2

    height, width = mask.shape
    scale = min(1.0, BANDED / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(mask if scale == 1 else cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    radius, between = (max(4, round(cells * max(size) / CELLS)) for cells in (REACH, BETWEEN))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * between + 1, 2 * between + 1))
    box = (2 * radius + 1, 2 * radius + 1)
    grown = cv2.dilate(_doubtful(small), np.ones(box, np.uint8))
    for low, high in ((0, CLEAR), (1 - CLEAR, 1)):
        grown = cv2.min(grown, cv2.dilate(cv2.inRange(small, low, high), disk))
    band = np.asarray(cv2.blur(grown, box), np.float32) / np.float32(255)
    return band if scale == 1 else np.asarray(cv2.resize(band, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


@lru_cache(1)
def _network() -> Run:
    """Return the detail network for one thread: windows are processed side by side."""
    from figureground.inference.session import session
    from figureground.settings import Settings

    data = files("figureground").joinpath("assets/detail.onnx").read_bytes()
    return session(data, Settings(runtime="onnxruntime", device="cpu", precision="fp32", threads=1))


def _changed(rgb: Rgb, mask: Mask, alpha: Callable[[Rgb, Mask], Mask], answers: Answers) -> tuple[Mask, Mask]:
    """Return the refined mask of a picture of moderate size, and the band in which it may have changed."""
    band = doubt_band(mask)

    def change(tile: Slices) -> NDArray[np.float32]:
        window = _window(tile, mask.shape)
        part, key = mask[window], (tile[0].start, tile[1].start, tile[1].stop)
        (answer,) = answers.get(key, (part,), lambda: (alpha(rgb[window], part),))
        return (answer - part) * band[window] * _weight(tile, mask.shape)

    tiles_to_do = list(_tiles(band))
    result = mask.copy()
    for tile, difference in zip(tiles_to_do, map_parts(change, tiles_to_do), strict=True):
        result[_window(tile, mask.shape)] += difference  # weights of windows that overlap sum to 1
    return np.clip(result, 0, 1, out=result), band


def _alpha(run: Run, rgb: Rgb, mask: Mask) -> Mask:
    """Run the network on one window, whose sides are made multiples of `MULTIPLE`."""
    import cv2

    height, width = mask.shape
    below, right = -height % MULTIPLE, -width % MULTIPLE
    colors, coarse = (cv2.copyMakeBorder(each, 0, below, 0, right, cv2.BORDER_REPLICATE) for each in (rgb, mask))
    x = np.empty((1, 4, height + below, width + right), np.float32)
    np.multiply(colors.transpose(2, 0, 1), np.float32(1 / 255), out=x[0, :3])
    x[0, 3] = coarse
    return run(x)[0, 0, :height, :width]


def _tiles(band: Mask) -> Iterator[Slices]:
    """Yield rows of up to `GROUP` tiles that cover the band; the last of a side may reach beyond the picture."""
    for top in range(0, band.shape[0], TILE):
        for left in range(0, band.shape[1], GROUP * TILE):
            active = np.flatnonzero(band[top : top + TILE, left : left + GROUP * TILE].max(axis=0) > 0) // TILE
            if active.size:
                yield slice(top, top + TILE), slice(left + int(active[0]) * TILE, left + (int(active[-1]) + 1) * TILE)


def _window(tile: Slices, shape: tuple[int, ...]) -> Slices:
    """Return a tile with its margins, cut at the picture's border."""
    rows, columns = (
        slice(max(0, part.start - MARGIN), min(length, part.stop + MARGIN)) for part, length in zip(tile, shape, strict=True)
    )
    return rows, columns


def _weight(tile: Slices, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the weights of a tile's window, (h, w): 1 inside, falling linearly over the margins that windows share."""
    sides = []
    for part, window, length in zip(tile, _window(tile, shape), shape, strict=True):
        places = np.arange(window.start, window.stop, dtype=np.float32) + np.float32(0.5)
        rising = (places - part.start + MARGIN) / (2 * MARGIN) if part.start > 0 else np.ones_like(places)
        falling = (part.stop + MARGIN - places) / (2 * MARGIN) if part.stop < length else np.ones_like(places)
        sides.append(np.clip(np.minimum(rising, falling), 0, 1))
    weight: NDArray[np.float32] = sides[0][:, None] * sides[1]
    return weight


def _enlarged(rgb: Rgb, mask: Mask, small_rgb: Rgb, fine: Mask, band: Mask, answers: Answers) -> Mask:
    """Return the mask with the refined one of a smaller copy in the band, brought to full size by the picture's colors."""
    import cv2

    scale = np.array(band.shape) / mask.shape
    result = mask.copy()

    def fill(corner: tuple[int, int]) -> None:
        rows, columns = (slice(start, min(start + STEP, side)) for start, side in zip(corner, mask.shape, strict=True))
        window = tuple(  # of the smaller copy: what the tile shows, and what its functions are fitted to
            slice(max(0, int(part.start * each) - 2 * RADIUS - 1), int(part.stop * each) + 2 * RADIUS + 2)
            for part, each in zip((rows, columns), scale, strict=True)
        )
        if not band[window].any():
            return
        part, share = fine[window], band[window]

        def enlarge() -> tuple[Mask, Mask]:
            lines = cv2.merge(linear_coefficients(small_rgb[window], part, RADIUS))  # slopes of red, green, blue, and offset
            low, high = cv2.erode(part, np.ones((3, 3), np.uint8)), cv2.dilate(part, np.ones((3, 3), np.uint8))
            (down, top), (across, left) = (
                (each, (first.start + 0.5) * each - 0.5 - inside.start)
                for each, first, inside in zip(scale, (rows, columns), window, strict=True)
            )
            matrix, size = np.array([[across, 0, left], [0, down, top]]), (columns.stop - columns.start, rows.stop - rows.start)
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            line, bound = (
                cv2.warpAffine(each, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
                for each in (lines, cv2.merge((share, low, high)))
            )
            weight, least, most = cv2.split(bound)
            colors = rgb[rows, columns] * np.float32(1 / 255) - np.float32(0.5)
            alpha = np.einsum("ijk,ijk->ij", line[..., :3], colors) + line[..., 3]
            return np.clip(alpha, least, most, out=alpha), np.asarray(weight, np.float32)

        alpha, weight = answers.get(corner, (part, share), enlarge)
        place = result[rows, columns]
        place += (alpha - place) * weight

    height, width = mask.shape
    map_parts(fill, [(top, left) for top in range(0, height, STEP) for left in range(0, width, STEP)])
    return np.clip(result, 0, 1, out=result)
