"""Propagate evidence over a picture: along paths of similar color, by color, and by a random walker.

The pieces of interactive.py, each a pure function over a small picture, (h, w, 3) uint8 Lab. To add a way: a function here.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shape = NDArray[np.bool_]
Lab = NDArray[np.uint8]
Indices = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""

SLOPE = 50.0  # distance of a step of the map from 0 to 1; colors count in Lab's levels
FAR = np.float32(1e4)  # farther than any evidence reaches
SWEEPS = 20  # of the distance at most; mazes of more turns than that are cut short
BINS = 16  # of each channel of Lab
COLOR_SURE = 3.0  # log odds that colors may say at most
STRENGTH = 0.1  # how much the prior holds a pixel, one neighbor of the same color being 1
MIN_WEIGHT = np.float32(1e-3)  # how much neighbors of quite different colors still hold together
STEPS = 60  # of the conjugate gradients at most


def geodesic_distance(lab: Lab, values: Floats, pixels: Indices, *, step: float = 1.0) -> Floats:
    """Return the geodesic distance of each pixel from the nearest of some, (h, w), over steps to the four neighbors.

    A step to a neighbor costs `step`, and more where the color or the map `values`, (h, w), change. Sweeps along rows and
    columns, each as a running minimum, until nothing changes.
    """
    far = np.full(values.shape, FAR)
    far[pixels] = 0
    ways = [(axis, _positions(lab, values, axis, step)) for axis in (1, 0)]
    for _ in range(SWEEPS):
        before = far
        for axis, way in ways:
            far = np.minimum(far, way + np.minimum.accumulate(far - way, axis))
            far = np.minimum(far, np.flip(np.minimum.accumulate(np.flip(far + way, axis), axis), axis) - way)
        if float((before - far).max()) < 0.1:
            break
    return np.maximum(far, 0)


def color_odds(lab: Lab, weights: Floats) -> Floats:
    """Return the log odds of foreground that each pixel's color gives, (h, w), with `weights`, (h, w), as foreground so far."""
    bins = lab.astype(np.intp) * BINS >> 8
    index = (bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]
    inside, outside = (_histogram(index, share) + 1 / BINS**3 for share in (weights, 1 - weights))
    log_odds = np.clip(np.log(inside / outside), -COLOR_SURE, COLOR_SURE)
    odds: Floats = log_odds.ravel()[index].astype(np.float32)
    return odds


def random_walker(lab: Lab, prior: Floats, fixed: Shape) -> Floats:
    """Return where a random walker from each pixel ends, (h, w) in [0, 1]: at a fixed pixel, or in the prior on its way.

    It is the x that makes Σ w (x_i − x_j)² + Σ s (x_i − prior_i)² least, with w falling with the difference of colors of
    neighbors, found by conjugate gradients.
    """
    right, down = _likeness(lab)
    held: Floats = np.where(fixed, np.float32(1e4), np.float32(STRENGTH))
    diagonal = held.copy()
    for weights, padding in ((right, _LEFT), (right, _RIGHT), (down, _ABOVE), (down, _BELOW)):
        diagonal += np.pad(weights, padding)

    def times(x: Floats) -> Floats:
        product: Floats = diagonal * x
        product[:, 1:] -= right * x[:, :-1]
        product[:, :-1] -= right * x[:, 1:]
        product[1:] -= down * x[:-1]
        product[:-1] -= down * x[1:]
        return product

    x = prior.astype(np.float32)
    rest: Floats = held * x - times(x)
    step: Floats = rest / diagonal
    way = step.copy()
    size = float(np.vdot(rest, step))
    for _ in range(STEPS):
        if size <= 1e-8 * x.size:
            break
        product = times(way)
        length = np.float32(size / float(np.vdot(way, product)))
        x += length * way
        rest -= length * product
        step = rest / diagonal
        size, before = float(np.vdot(rest, step)), size
        way *= np.float32(size / before)
        way += step
    return np.clip(x, 0, 1)


_LEFT, _RIGHT, _ABOVE, _BELOW = ((0, 0), (1, 0)), ((0, 0), (0, 1)), ((1, 0), (0, 0)), ((0, 1), (0, 0))


def _likeness(lab: Lab) -> tuple[Floats, Floats]:
    """Return how alike neighbors are, above 0: to the right, (h, w − 1), and below, (h − 1, w)."""
    colors = lab.astype(np.float32)
    squares = [(np.diff(colors, axis=axis) ** 2).sum(2) for axis in (1, 0)]
    mean = float(sum(square.sum() for square in squares)) / max(sum(square.size for square in squares), 1) + 1e-6
    right, down = (np.exp(-square / mean).astype(np.float32) + MIN_WEIGHT for square in squares)
    return right, down


def logit(probability: Floats, sure: float) -> Floats:
    """Return log odds, between −sure and sure."""
    low = np.float32(1 / (1 + np.exp(sure)))
    within = np.clip(probability, low, 1 - low)
    odds: Floats = np.log(within / (1 - within))
    return odds


def sigmoid(odds: Floats) -> Floats:
    """Return log odds as a probability."""
    probability: Floats = np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)
    return probability


def _positions(lab: Lab, values: Floats, axis: int, step: float) -> Floats:
    """Return how far along an axis each pixel lies from the first one of its row or column, by the cost of the steps."""
    colors = np.abs(np.diff(lab.astype(np.float32), axis=axis)).sum(2)
    steps = step + colors + SLOPE * np.abs(np.diff(values, axis=axis))
    way = np.zeros(values.shape, np.float32)
    np.cumsum(steps, axis=axis, out=way[:, 1:] if axis else way[1:])
    return way


def _histogram(index: NDArray[np.intp], weights: Floats) -> NDArray[np.float64]:
    """Return shares of the colors, (bins, bins, bins), each spread a little over its neighbors."""
    counts = np.bincount(index.ravel(), weights.ravel(), BINS**3).reshape(BINS, BINS, BINS)
    for axis in range(3):
        line = np.moveaxis(np.pad(counts, [(int(axis == a),) * 2 for a in range(3)], mode="edge"), axis, 0)
        counts = np.moveaxis(0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:], 0, axis)
    shares: NDArray[np.float64] = counts / max(float(counts.sum()), 1e-9)
    return shares
