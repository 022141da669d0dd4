"""Find what stands near, from depth: remove the floor, then cut between near and far.

The floor runs through all depths, so no cut on depth can part it from who stands on it. But the inverse depth of a plane is
an affine function of image coordinates (Hartley & Zisserman, "Multiple View Geometry", 2nd ed. 2004, § 8.1: a plane
n·X = d seen at x = K X / Z has 1/Z = n·K⁻¹x / d), and a `DepthMap` is inverse depth up to scale and shift, so a floor in it
is an affine function of x and y, however the camera is rolled. It is fitted robustly (RANSAC: Fischler & Bolles, CACM 1981).
All is invariant to scale and shift of nearness. To change what counts as a floor or as standing out: the numbers below.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from figureground.masks.components import ConnectedComponents, Shape

Floats = NDArray[np.float32]

MAX_SIDE = 512  # pixels: all is decided in a copy whose longer side is at most so long
TRIES = 400  # planes that RANSAC tries; a floor that fills a quarter of the lower half is missed once in 500 pictures
RISE = 0.25  # a floor's own depths span at least this share of the picture's: a chest or a face, nearly upright, does not
SHARE = 0.15  # of the lower half, that a floor fills at least
LOOSE = 0.03  # of the picture's depths: how far from a plane its pixels may lie while it is looked for
GAP = 0.15  # of the depths that are left: the emptiest stretch must be so wide for something to stand out
EMPTY = 0.2  # of an even spread over all depths: a stretch that holds less is empty
APART = 2.5  # sums of standard deviations, between the mean depths before and behind the cut
MIN_AREA = 0.005  # of the picture: less than this is nothing that stands out
SPECK = 0.001  # of the picture: smaller parts are noise


@dataclass(frozen=True, slots=True)
class Plane:
    """Nearness a·x + b·y + c with x and y from −1 to 1 over the picture; `slack` is how far its pixels lie from it."""

    a: float
    b: float
    c: float
    slack: float

    def above(self, nearness: Floats) -> Shape:
        """Return the pixels that are nearer than the plane, by more than the slack."""
        height, width = nearness.shape
        x, y = _axis(width), _axis(height)
        plane: Floats = np.float32(self.b) * y[:, None] + np.float32(self.c + self.slack) + np.float32(self.a) * x
        return nearness > plane

    def at(self, nearness: Floats) -> Shape:
        """Return the pixels that lie on the plane."""
        lower = Plane(self.a, self.b, self.c - 2 * self.slack, self.slack)
        return lower.above(nearness) & ~self.above(nearness)


def foreground_from_depth(nearness: Floats, near: float | None = None) -> Shape:
    """Return the pixels that stand out as near, without the floor.

    Parts smaller than a thousandth of the picture are left out. Nothing is foreground where the picture is flat or, without
    `near`, where nothing stands out.

    Parameters
    ----------
    nearness : (H, W) float32
        Finite; larger is nearer, on any scale.
    near : float, optional
        The cut, from 0 to 1 between the 1st and the 99th percentile of nearness; None finds it, see `widest_gap`.

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> nearness = np.tile(np.linspace(0, 0.1, 100, dtype=np.float32), (100, 1))
    >>> nearness[30:70, 30:70] += 1
    >>> foreground = foreground_from_depth(nearness)
    >>> int(foreground.sum()), bool(foreground[50, 50])
    (1600, True)
    """
    small = _shrunk(nearness)
    low, high = np.percentile(small, (1, 99))
    if not high > low:
        return np.zeros(nearness.shape, bool)
    plane = floor(small)
    cut = _cut_above(small, plane, 2 * LOOSE * float(high - low)) if near is None else low + near * (high - low)
    if cut is None:
        return np.zeros(nearness.shape, bool)
    shape = nearness >= np.float32(cut)
    if plane:
        shape &= plane.above(nearness)
    return _whole(shape)


def floor(nearness: Floats) -> Plane | None:
    """Return the plane that the picture's lower half lies on and that recedes upwards; None where there is none.

    A floor is nearer further down (by at least half as much as it changes sideways), fills at least `SHARE` of the lower half
    of the picture, and its own depths span at least `RISE` of the picture's.
    """
    height, width = nearness.shape
    low, high = np.percentile(nearness, (1, 99))
    span = float(high - low)
    if span <= 0 or min(height, width) < 4:
        return None
    y, x = np.meshgrid(_axis(height), _axis(width), indexing="ij")
    lower = y > 0
    points = np.stack([x[lower], y[lower], np.ones(np.count_nonzero(lower), np.float32)], 1)
    best = _ransac(points, nearness[lower], LOOSE * span)
    if best is None:
        return None
    (a, b, c), slack = _refined(best, points, nearness[lower], LOOSE * span, 0.01 * span)
    plane = Plane(a, b, c, slack)
    on = plane.at(nearness)
    if b <= 0.5 * abs(a) or np.count_nonzero(on & lower) < SHARE * np.count_nonzero(lower):
        return None
    near, far = np.percentile(nearness[on], (98, 2))
    return plane if near - far >= RISE * span else None


def widest_gap(values: Floats, total: int, narrow: float = 0.0) -> float | None:
    """Return the middle of the widest stretch of nearness that hardly any pixel has; None where nothing stands out.

    values : (n,) the nearness of what is not floor; total : the pixels of the picture; narrow : nearness, what a stretch must
    at least measure: beside a floor that reaches from the feet to the horizon, far walls hardly differ.
    On both sides there must be more than `LEAST` of the picture. The stretch must be wide (`GAP`), and what lies before it
    and behind it well apart (`APART`): of what is spread evenly, or around one depth, nothing stands out. Otsu's cut would do
    so as long as the near part is large; for a small one it would rather part the wall from the sky.
    """
    least = int(MIN_AREA * total)
    if len(values) < 2 * least + 2:
        return None
    low, high = np.percentile(values, (0.2, 99.8))
    if not high > low:
        return None
    counts, edges = np.histogram(values, 100, (low, high))
    best: tuple[float, float] | None = None
    least_wide = max(GAP, narrow / float(high - low))
    for start, stop in _runs(counts < EMPTY * len(values) / 100):
        cut = float(edges[start] + edges[stop]) / 2
        wide = (stop - start) / 100
        if wide >= least_wide and (best is None or wide > best[0]) and _apart(values, cut, least):
            best = wide, cut
    return best[1] if best else None


def _cut_above(nearness: Floats, plane: Plane | None, narrow: float) -> float | None:
    """Return the cut for what rises above the floor, in a copy without grain, whose stray pixels would fill the gaps."""
    import cv2

    smooth = np.asarray(cv2.medianBlur(np.ascontiguousarray(nearness), 5), np.float32)
    if plane is None:
        return widest_gap(smooth.ravel(), smooth.size)
    rises = smooth[plane.above(smooth)]
    cut = widest_gap(rises, smooth.size, narrow)
    return before(rises, smooth[plane.at(smooth)], smooth.size) if cut is None else cut


def before(rises: Floats, ground: Floats, total: int) -> float | None:
    """Return the middle between the floor's far end and what rises above it; None where the two meet, as floor and wall do.

    rises, ground : (n,) nearness of what is above the floor and of the floor; total : the pixels of the picture. Seen from
    above, the floor alone lies behind who stands on it: then all that rises is of one depth, and has no `gap`.
    """
    if len(rises) <= MIN_AREA * total or not len(ground):
        return None
    far, (low, high) = float(np.percentile(ground, 2)), np.percentile(rises, (5, 99.8))
    return (far + float(low)) / 2 if low - far >= GAP * (high - far) > 0 else None


def _apart(values: Floats, cut: float, least: int) -> bool:
    """Return whether a cut leaves enough on both sides, and the sides lie well apart."""
    before, behind = values[values >= cut], values[values < cut]
    if min(len(before), len(behind)) <= least:
        return False
    return float(before.mean() - behind.mean()) >= APART * float(before.std() + behind.std())


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and stop of each run of True."""
    steps = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


def _ransac(points: Floats, values: Floats, loose: float) -> NDArray[np.float64] | None:
    """Return the plane of most points, of those that recede upwards, or None; the same points give the same plane."""
    random = np.random.default_rng(0)
    some = random.permutation(len(points))[:2000]
    sample, depths = points[some].astype(np.float64), values[some].astype(np.float64)
    best, most = None, 0
    for three in random.integers(0, len(sample), (TRIES, 3)):
        try:
            plane = np.linalg.solve(sample[three], depths[three])
        except np.linalg.LinAlgError:
            continue
        if plane[1] <= 0.5 * abs(plane[0]):
            continue
        fits = int(np.count_nonzero(np.abs(sample @ plane - depths) < loose))
        if fits > most:
            best, most = plane, fits
    return best


def _refined(
    plane: NDArray[np.float64], points: Floats, values: Floats, loose: float, least: float
) -> tuple[tuple[float, float, float], float]:
    """Return the least-squares plane of the points near it, repeated, and three times their spread, from `least` to `loose`."""
    slack = loose
    for _ in range(4):
        apart = values - points @ plane
        close = np.abs(apart) < slack
        plane = np.asarray(np.linalg.lstsq(points[close].astype(np.float64), values[close], rcond=None)[0], np.float64)
        spread = 1.4826 * float(np.median(np.abs(values[close] - points[close] @ plane)))
        slack = min(max(3 * spread, least), loose)
    return (float(plane[0]), float(plane[1]), float(plane[2])), slack


def _axis(count: int) -> Floats:
    """Return the middles of so many pixels, from −1 to 1."""
    return ((np.arange(count, dtype=np.float32) + 0.5) * (2 / count) - 1).astype(np.float32)


def _shrunk(nearness: Floats) -> Floats:
    import cv2

    height, width = nearness.shape
    shrink = MAX_SIDE / max(height, width)
    if shrink >= 1:
        return nearness
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(nearness, size, interpolation=cv2.INTER_AREA), np.float32)


def _whole(shape: Shape) -> Shape:
    """Remove the 8-connected parts that are smaller than `SPECK` of the picture."""
    parts = ConnectedComponents(shape, 8)
    return parts.render(parts.areas >= SPECK * shape.size)
