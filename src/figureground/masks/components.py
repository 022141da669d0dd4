"""Find connected components through runs, the unbroken stretches of each row.

A shape of a photograph has a few runs in a row, so that comparing each pixel with the next, which takes next to no time, is
nearly all of the work; the parts are then those of a small graph, whose nodes are runs and whose edges join runs that touch.
(Labelling by runs is old: Rosenfeld and Pfaltz, "Sequential Operations in Digital Picture Processing", 1966.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from figureground.io.color_modes import SMALL_STRIP, strips

Shape = NDArray[np.bool_]
"""(H, W) bool."""
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
"""(parts,) bool, one for each part."""
Slices = tuple[slice, slice]
Inside = Callable[[NDArray[Any]], Shape]
"""Some rows of values → which of them belong to the shape, bool."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The unbroken stretches of a shape's rows, top down and from left to right; each (runs,)."""

    rows: Numbers
    starts: Numbers
    ends: Numbers
    """The column after the last."""

    @classmethod
    def of(cls, values: NDArray[Any], inside: Inside) -> "Runs":
        """Return all runs of pixels whose values are inside, strip by strip, so that no full-size array is made."""
        height, width = values.shape
        changes_by_strip: list[Numbers] = []
        for strip in strips(height, width, SMALL_STRIP):
            framed = np.zeros((strip.stop - strip.start, width + 2), np.bool_)  # nothing left and right of every row
            framed[:, 1:-1] = inside(values[strip])
            flat = framed.ravel()
            changes_by_strip.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1 + strip.start * (width + 2))
        changes = np.concatenate(changes_by_strip)
        rows, starts = np.divmod(changes[::2], width + 2)
        return cls(rows, starts - 1, changes[1::2] - rows * (width + 2) - 1)

    def touching(self, reach_diagonally: int) -> tuple[Numbers, Numbers]:
        """Return every pair of runs in neighboring rows that share a column, or with a `reach` of 1 meet at a corner."""
        pitch = int(self.ends.max(initial=0)) + 2
        begins, stops = self.rows * pitch + self.starts, self.rows * pitch + self.ends
        first = np.searchsorted(
            stops, begins + (pitch - reach_diagonally), side="right"
        )  # of the next row: ends after this begins
        after = np.searchsorted(
            begins, stops + (pitch + reach_diagonally), side="left"
        )  # of the next row: begins after this ends
        counts = np.maximum(after - first, 0)
        upper = np.repeat(np.arange(len(counts)), counts)
        lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        return upper, lower


class ConnectedComponents:
    """The connected components of a shape, in the order of their first pixels, row by row."""

    def __init__(self, values: NDArray[Any], connectivity: Literal[4, 8], inside: Inside = np.asarray) -> None:
        """Find the parts of `values`, (H, W): bool, or any type with the test `inside`."""
        self.shape: tuple[int, int] = values.shape
        self.runs = Runs.of(values, inside)
        roots = _roots(len(self.runs.rows), *self.runs.touching(1 if connectivity == 8 else 0))
        first = roots == np.arange(len(roots))
        self.numbers: Numbers = (np.cumsum(first) - 1)[roots]
        """Which part each run belongs to, (runs,)."""
        self.count = int(np.count_nonzero(first))

    @cached_property
    def areas(self) -> Numbers:
        """Pixels of each part, (parts,)."""
        sizes = np.bincount(self.numbers, self.runs.ends - self.runs.starts, self.count)
        return sizes.astype(np.int64)

    @cached_property
    def boxes(self) -> Numbers:
        """Left, top, right and bottom of each part, the last two exclusive, (parts, 4)."""
        boxes = np.empty((self.count, 4), np.int64)
        boxes[:] = (*self.shape[::-1], 0, 0)
        for column, extreme, values in (
            (0, np.minimum, self.runs.starts),
            (1, np.minimum, self.runs.rows),
            (2, np.maximum, self.runs.ends),
            (3, np.maximum, self.runs.rows + 1),
        ):
            extreme.at(boxes[:, column], self.numbers, values)
        return boxes

    def sums(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum of `weights`, (H, W), over each part, (parts,)."""
        totals = np.zeros(self.count)
        for strip in strips(*self.shape, SMALL_STRIP):
            among = slice(*np.searchsorted(self.runs.rows, (strip.start, strip.stop)))
            before = (self.runs.rows[among] - strip.start) * self.shape[1]
            bounds = np.stack([before + self.runs.starts[among], before + self.runs.ends[among]], axis=1).ravel()
            values = np.append(weights[strip], 0).astype(np.float64)  # one more: a run may end where they do
            if bounds.size:
                totals += np.bincount(self.numbers[among], np.add.reduceat(values, bounds)[::2], self.count)
        return totals

    def render(self, flags: Flags, window: Slices | None = None) -> Shape:
        """Return where the parts are that `flags` names, in a window of the shape, or in all of it; (h, w) bool."""
        rows, columns = window or (slice(0, self.shape[0]), slice(0, self.shape[1]))
        bottom, right = min(rows.stop, self.shape[0]), min(columns.stop, self.shape[1])
        among = slice(*np.searchsorted(self.runs.rows, (rows.start, bottom)))
        starts = np.maximum(self.runs.starts[among], columns.start)
        ends = np.minimum(self.runs.ends[among], right)
        here = flags[self.numbers[among]] & (starts < ends)
        steps = np.zeros((bottom - rows.start, right - columns.start + 1), np.int8)
        row = self.runs.rows[among][here] - rows.start
        steps[row, starts[here] - columns.start] = 1
        steps[row, ends[here] - columns.start] = -1
        return np.cumsum(steps, axis=1, dtype=np.int8, out=steps).view(np.bool_)[:, :-1]


def _roots(count: int, one: Numbers, other: Numbers) -> Numbers:
    """Return for each of `count` nodes the least node that the edges (one, other) lead to, (count,).

    Round by round, each tree's root is hung below the least root that an edge leads to from it, and every node below its
    root: after Shiloach and Vishkin, "An O(log n) Parallel Connectivity Algorithm" (1982).
    """
    parents = np.arange(count)
    while one.size:
        np.minimum.at(parents, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(above := parents[parents], parents):
            parents = above
        one, other = parents[one], parents[other]
        apart = one != other
        one, other = one[apart], other[apart]
    return parents
