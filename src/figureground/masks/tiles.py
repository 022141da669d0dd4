"""Divide a picture into tiles, so that memory does not grow with the picture."""

from collections.abc import Iterator

import numpy as np

from figureground.masks.components import Numbers, Slices

TILE = 512  # pixels of a side that are worked on at once, without margins


def tiles(shape: tuple[int, ...], margin: int, boxes: Numbers | None = None) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Return the tiles of a picture; each with its margin, cut at the picture's border; and its place in that window.

    boxes : (N, 4) left, top, right, bottom; only the tiles that one of them touches, with the margin, are wanted.
    """
    wanted = np.full((-(-shape[0] // TILE), -(-shape[1] // TILE)), boxes is None)
    for left, top, right, bottom in () if boxes is None else boxes.tolist():
        rows = slice(max(0, top - margin) // TILE, (bottom + margin - 1) // TILE + 1)
        wanted[rows, max(0, left - margin) // TILE : (right + margin - 1) // TILE + 1] = True
    for y, x in (np.argwhere(wanted) * TILE).tolist():
        rows, columns = slice(y, min(y + TILE, shape[0])), slice(x, min(x + TILE, shape[1]))
        top, left = max(0, y - margin), max(0, x - margin)
        window = np.s_[top : rows.stop + margin, left : columns.stop + margin]
        inner = np.s_[y - top : rows.stop - top, x - left : columns.stop - left]
        yield (rows, columns), window, inner
