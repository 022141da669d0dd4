"""Patches of a hole and the patches of the background that resemble them most: PatchMatch, coarse to fine, in numpy.

Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing" (SIGGRAPH 2009).
"""

import numpy as np
from numpy.typing import NDArray

from figureground.types import Image8

Offsets = NDArray[np.int32]
"""(h, w, 2): how far down and right the pixel that is copied lies."""
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
LEVELS_FROM = 24  # pixels of the shorter side of the coarsest copy, about
ROUNDS = (8, 4, 2)  # matching and voting on the coarsest copy, the next, and all finer ones


def complete(picture: Image8, hole: Flags, patch: int = 7, seed: int = 0) -> Offsets:
    """Return which pixel each pixel of a hole is best copied from.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        A small copy, of some 200 pixels a side.
    hole : (h, w) bool
        What is to be filled; neither all of it nor nothing.
    patch : int
        The side of a patch in pixels; odd.
    seed : int
        Of the random search.

    Returns
    -------
    (h, w, 2) int32
        How far down and right the pixel to copy lies; 0 outside of the hole. It lies outside of the hole.

    Examples
    --------
    >>> picture = np.tile(np.array([[[40]], [[90]]], np.uint8), (20, 40, 3))
    >>> hole = np.zeros((40, 40), bool)
    >>> hole[16:24, 16:24] = True
    >>> offsets = complete(picture, hole)
    >>> bool(np.all(offsets[hole][:, 0] % 2 == 0))
    True
    """
    import cv2

    pyramid = [(picture, hole)]
    while min(pyramid[-1][1].shape) >= 2 * LEVELS_FROM:
        image, gaps = pyramid[-1]
        size = ((gaps.shape[1] + 1) // 2, (gaps.shape[0] + 1) // 2)
        smaller = np.asarray(cv2.resize(gaps.view(np.uint8), size, interpolation=cv2.INTER_AREA), bool)
        covered = np.asarray(cv2.resize(gaps.astype(np.float32), size, interpolation=cv2.INTER_AREA)) > 0
        if (smaller | covered).all():
            break
        pyramid.append((np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), smaller | covered))
    random = np.random.default_rng(seed)
    offsets: Offsets = np.zeros((0, 0, 2), np.int32)
    for number, (image, gaps) in enumerate(reversed(pyramid)):
        level = _Level(image, gaps, patch, random)
        colors = level.first(offsets)
        for _ in range(ROUNDS[min(number, len(ROUNDS) - 1)]):
            level.match(colors)
            colors = level.vote()
        offsets = level.offsets()
    return offsets


class _Level:
    """One copy of the pyramid: the pixels whose patches touch the hole, and where each one's best match lies."""

    def __init__(self, image: Image8, hole: Flags, patch: int, random: np.random.Generator) -> None:
        import cv2

        self.image, self.hole, self.random = image.astype(np.float32), hole, random
        self.radius = patch // 2
        self.height, self.width = hole.shape
        ones = np.ones((patch, patch), np.uint8)
        near = np.asarray(cv2.dilate(hole.view(np.uint8), ones), bool)
        inner = np.zeros_like(hole)
        r = self.radius
        inner[r : self.height - r, r : self.width - r] = True
        sources = ~near & inner
        if not sources.any():
            sources = ~hole
        self.source_y, self.source_x = np.nonzero(sources)
        self.is_source = sources
        self.y, self.x = np.nonzero(near)
        self.index = np.full(hole.shape, -1)
        self.index[self.y, self.x] = np.arange(self.y.size)
        self.cost = np.full(self.y.size, np.inf, np.float32)
        picks = random.integers(self.source_y.size, size=self.y.size)
        self.to_y, self.to_x = self.source_y[picks], self.source_x[picks]
        # pixels near the rim of the hole are more to be trusted than those deep within
        depth = cv2.distanceTransform(np.pad(hole, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        self.trust = np.asarray(1.3 ** -np.minimum(depth, 24), np.float32)

    def first(self, offsets: Offsets) -> Floats:
        """Return the first guess: the coarser copy's matches, or OpenCV's inpainting."""
        import cv2

        if not offsets.size:  # the coarsest copy
            colors = cv2.inpaint(self.image.astype(np.uint8), self.hole.view(np.uint8), 3, cv2.INPAINT_TELEA)
            return np.asarray(colors, np.float32)
        i = np.minimum(self.y // 2, offsets.shape[0] - 1)
        j = np.minimum(self.x // 2, offsets.shape[1] - 1)
        y, x = self.y + 2 * offsets[i, j, 0], self.x + 2 * offsets[i, j, 1]
        usable = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        usable[usable] = self.is_source[y[usable], x[usable]]
        self.to_y, self.to_x = np.where(usable, y, self.to_y), np.where(usable, x, self.to_x)
        return self.vote()

    def match(self, colors: Floats) -> None:
        """Improve every match: try the neighbors' offsets, and random places ever nearer."""
        self.padded = np.pad(colors, ((self.radius, self.radius), (self.radius, self.radius), (0, 0)), mode="edge")
        self.cost = self._cost(self.to_y, self.to_x)
        for step in (4, 1):
            for down, right in ((0, step), (step, 0), (0, -step), (-step, 0)):
                self._try_neighbor(down, right)
        radius = max(self.height, self.width) / 2
        while radius >= 1:
            shift = self.random.uniform(-radius, radius, (2, self.y.size)).round().astype(int)
            self._try(self.to_y + shift[0], self.to_x + shift[1])
            radius /= 2

    def _try_neighbor(self, down: int, right: int) -> None:
        y, x = np.clip(self.y - down, 0, self.height - 1), np.clip(self.x - right, 0, self.width - 1)
        neighbor = self.index[y, x]
        known = neighbor >= 0
        self._try(
            np.where(known, self.to_y[neighbor] + self.y - y, -1),
            np.where(known, self.to_x[neighbor] + self.x - x, -1),
        )

    def _try(self, y: NDArray[np.int64], x: NDArray[np.int64]) -> None:
        """Take the places that are better."""
        usable = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        chosen = np.flatnonzero(usable)
        chosen = chosen[self.is_source[y[chosen], x[chosen]]]
        if not chosen.size:
            return
        cost = self._cost(y[chosen], x[chosen], chosen)
        better = cost < self.cost[chosen]
        chosen = chosen[better]
        self.cost[chosen], self.to_y[chosen], self.to_x[chosen] = cost[better], y[chosen], x[chosen]

    def _cost(self, y: NDArray[np.int64], x: NDArray[np.int64], chosen: NDArray[np.int64] | None = None) -> Floats:
        """Return the sum of squared differences of patches."""
        own_y, own_x = (self.y, self.x) if chosen is None else (self.y[chosen], self.x[chosen])
        total = np.zeros(y.size, np.float32)
        flat, width = self.padded.reshape(-1, 3), self.padded.shape[1]
        at, to = own_y * width + own_x, y * width + x
        for step in (i * width + j for i in range(2 * self.radius + 1) for j in range(2 * self.radius + 1)):
            apart = flat[at + step] - flat[to + step]
            total += np.einsum("ij,ij->i", apart, apart)
        return total

    def vote(self) -> Floats:
        """Return the picture with each pixel of the hole set to the mean of the patches that cover it."""
        total = np.zeros((self.height, self.width, 3), np.float32)
        weights = np.zeros((self.height, self.width), np.float32)
        finite = np.isfinite(self.cost)
        spread = np.percentile(self.cost[finite], 75) + 1.0 if finite.any() else 1.0
        trust = np.where(finite, np.exp(-np.where(finite, self.cost, 0) / (2 * spread)), 1.0).astype(np.float32)
        trust *= self.trust[self.y, self.x]
        for i in range(-self.radius, self.radius + 1):
            for j in range(-self.radius, self.radius + 1):
                y, x, from_y, from_x = self.y + i, self.x + j, self.to_y + i, self.to_x + j
                usable = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
                usable &= (from_y >= 0) & (from_y < self.height) & (from_x >= 0) & (from_x < self.width)
                y, x, from_y, from_x = y[usable], x[usable], from_y[usable], from_x[usable]
                weight = trust[usable] + np.float32(1e-6)
                total[y, x] += weight[:, None] * self.image[from_y, from_x]  # no place occurs twice for one shift
                weights[y, x] += weight
        result = self.image.copy()
        voted = self.hole & (weights > 0)
        result[voted] = total[voted] / weights[voted][:, None]
        return result

    def offsets(self) -> Offsets:
        """Each pixel's match, as far as it lies in the hole."""
        result = np.zeros((self.height, self.width, 2), np.int32)
        result[self.y, self.x, 0], result[self.y, self.x, 1] = self.to_y - self.y, self.to_x - self.x
        result[~self.hole] = 0
        return result
