"""Resize pictures for a network, and label maps back exactly, without full-size logits.

A bilinearly enlarged value is a convex combination of the four source values around it. Where one class is the largest
at all four corners of a cell it is the largest everywhere inside, so most of a label map is filled in by repetition;
only cells between regions are interpolated, and there only the classes that no corner's winner beats at every corner. Where
that leaves most of the classes in most of the cells, as in noise, a whole row of cells is interpolated plainly instead.
To add another way to or from a network's size: a function here, held against a plain one in tests/inference/test_resize.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.types import Rgb

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Labels = NDArray[np.unsignedinteger]

_FEW = 40  # pixels of a cell: with fewer, finding out which classes can win costs more than interpolating them all
_STRIP = 1 << 16  # pixels interpolated at once: the four or so arrays of a strip then stay in a core's own cache


def to_size(rgb: Rgb, height: int, width: int, resample: int) -> Rgb:
    """Return a picture (H, W, 3) uint8 stretched to (height, width, 3) uint8 by a filter of Pillow's (`Image.Resampling`)."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling(resample)))


def enlarge_labels(logits: Floats, height: int, width: int) -> Labels:
    """Return the class of each pixel: `logits` resized bilinearly to (height, width), then the index of the largest.

    logits : (C, h, w) float32, finite; height, width ≥ 1, larger or smaller than h, w.

    Returns (height, width) uint8, or uint16 where C > 256: what torch's `interpolate(mode="bilinear",
    align_corners=False)` and `argmax` give, but for ties within float32's rounding; exact ties go to the lower index.
    Raises ValueError where `logits` is not of that form. No memory but the result grows with height × width.
    """
    if logits.ndim != 3 or logits.dtype != np.float32 or 0 in logits.shape or min(height, width) < 1:
        raise ValueError(
            f"expected float32 logits (classes, height, width) and a size of at least 1 × 1,"
            f" but got {logits.dtype} {logits.shape} and {width} × {height}"
        )
    ys, xs = positions(logits.shape[1], height), positions(logits.shape[2], width)
    winners = winners_of(logits)
    labels = np.empty((height, width), winners.dtype)
    filled = winners[:, xs.low]
    starts = np.flatnonzero(np.diff(ys.low, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], height], strict=True):
        labels[start:stop] = filled[ys.low[start]]
        _mend(labels[start:stop], logits, winners, ys.part(start, stop), xs)
    return labels


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of the n pixels of an axis among those of the network, each (n,)."""

    low: Indices
    high: Indices
    fraction: Floats
    """In [0, 1): 0 at `low`, 1 would be at `high`."""

    def part(self, start: int, stop: int) -> "Positions":
        """Return the pixels from start up to stop."""
        return Positions(self.low[start:stop], self.high[start:stop], self.fraction[start:stop])


def positions(source: int, target: int) -> Positions:
    """Return where torch's `align_corners=False` samples, rounded as its fused multiply-add rounds."""
    scale = np.float64(np.float32(source) / np.float32(target))
    exact = (scale * (np.arange(target) + 0.5) - 0.5).astype(np.float32)
    position = np.maximum(exact, np.float32(0))
    low = np.minimum(position.astype(np.intp), source - 1)
    return Positions(low, np.minimum(low + 1, source - 1), position - low.astype(np.float32))


def winners_of(logits: Floats) -> Labels:
    """Return the index of the largest of (C, h, w), (h, w); the lower of equal ones. Faster than argmax, which copies."""
    labels = np.zeros(logits.shape[1:], np.uint8 if len(logits) <= 256 else np.uint16)
    best = logits[0].copy()
    for index, values in enumerate(logits):
        higher = values > best
        np.copyto(labels, labels.dtype.type(index), where=higher)
        np.maximum(best, values, out=best)
    return labels


def _mend(labels: Labels, logits: Floats, winners: Labels, ys: Positions, xs: Positions) -> None:
    """Interpolate, in the (n, W) pixels of one row of cells, the columns whose corners do not agree; in place."""
    top, bottom = winners[ys.low[0]], winners[ys.high[0]]
    right = np.minimum(np.arange(len(top)) + 1, len(top) - 1)
    mixed = (top != bottom) | (top != top[right]) | (top != bottom[right])
    needed = mixed[xs.low]
    if not needed.any():
        return
    used = np.zeros_like(mixed)
    used[xs.low[needed]] = True
    cells = np.flatnonzero(used)
    rows, best = logits[:, [ys.low[0], ys.high[0]]], winners[[ys.low[0], ys.high[0]]]
    sample = cells[:: max(1, len(cells) // 8)]
    small = labels.size < _FEW * len(top)
    if small and 2 * len(cells) > len(top) and _crowded(rows[..., [sample, right[sample]]], best[:, [sample, right[sample]]]):
        labels[:] = _plain(rows, ys, xs)
        return
    classes, values, count = _candidates(rows[..., [cells, right[cells]]], best[:, [cells, right[cells]]])
    first = np.cumsum(count) - count
    columns = np.flatnonzero(needed)
    cell = (np.cumsum(used) - 1)[xs.low[columns]]
    order = np.argsort(-count[cell], kind="stable")  # the columns that still have candidates then stand in front
    columns, cell = columns[order], cell[order]
    rounds = _Rounds(classes.astype(labels.dtype), values, first[cell], count[cell], xs.fraction[columns])
    height = max(1, _STRIP // len(columns))
    for start in range(0, len(labels), height):
        labels[start : start + height, columns] = rounds.best(ys.fraction[start : start + height])


def _crowded(corners: Floats, winners: Labels) -> bool:
    """Return whether a quarter of all classes can win in an average cell of these; as `_candidates`."""
    classes, _, count = _candidates(corners, winners)
    return 4 * len(classes) > len(corners) * len(count)


def _plain(rows: Floats, ys: Positions, xs: Positions) -> Labels:
    """Return the winners of one row of cells by interpolating all classes: rows (C, 2, w) → (n, W)."""
    left, right = rows[:, :, xs.low], rows[:, :, xs.high]
    top, bottom = np.moveaxis(left + (right - left) * xs.fraction, 1, 0)  # (C, W) each
    return winners_of(top[:, None] + (bottom - top)[:, None] * ys.fraction[:, None])


def _candidates(corners: Floats, winners: Labels) -> tuple[Indices, Floats, Indices]:
    """Return the classes that can win somewhere in each cell: all but those that one corner's winner beats at every corner.

    corners : (C, 2, 2, n) logits; winners : (2, 2, n). Returns the classes of all cells in one row, cell by cell and
    ascending, (p,), their logits at the four corners, (4, p), and how many each cell has, (n,).
    """
    n = corners.shape[-1]
    values = corners.reshape(len(corners), 4, n)
    beaten = np.zeros((len(corners), n), bool)
    columns = np.arange(n)
    for winner in winners.reshape(4, n):
        lower = values[:, 0] <= values[winner, 0, columns]
        for corner in range(1, 4):
            lower &= values[:, corner] <= values[winner, corner, columns]
        beaten |= lower
    for winner in winners.reshape(4, n):
        beaten[winner, columns] = False
    cell, classes = np.nonzero(~beaten.T)
    return classes, np.ascontiguousarray(values[classes, :, cell].T), np.count_nonzero(~beaten, axis=0)


@dataclass(frozen=True, slots=True)
class _Rounds:
    """The columns of a strip, most candidates first; in each round they compare the next candidate of their cells."""

    classes: Labels
    corners: Floats
    first: Indices
    count: Indices
    fraction: Floats

    def best(self, fractions: Floats) -> Labels:
        """Return the class that wins at each of the rows' (n,) `fractions` and each column, (n, columns)."""
        classes, best = self._values(0, len(self.first), fractions)
        labels = np.repeat(classes[None], len(fractions), axis=0)
        fewer = np.searchsorted(-self.count, -np.arange(1, self.count[0]))
        for turn, some in enumerate(fewer.tolist(), 1):
            classes, values = self._values(turn, some, fractions)
            np.copyto(labels[:, :some], classes, where=values > best[:, :some])
            np.maximum(best[:, :some], values, out=best[:, :some])
        return labels

    def _values(self, turn: int, some: int, fractions: Floats) -> tuple[Labels, Floats]:
        """Return the candidates of the first `some` columns, (m,), and their interpolated logits, (n, m)."""
        at, fraction = self.first[:some] + turn, self.fraction[:some]
        a, b, c, d = self.corners[:, at]
        top = a + (b - a) * fraction
        values = fractions[:, None] * (c + (d - c) * fraction - top)
        values += top
        return self.classes[at], values
