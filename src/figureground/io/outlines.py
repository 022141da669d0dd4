"""The outline of a mask as Bézier curves, and as an SVG file.

The outline is where the mask crosses a level, between pixels. Corners part it into pieces, and each piece is fitted with as few
cubic curves as stay within a tolerance.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from figureground.types import THRESHOLD, Mask

Points = NDArray[np.float64]
"""(n, 2): x and y in pixels; the picture's corner is 0, 0 and the center of its first pixel 0.5, 0.5."""
CORNER = 0.6
"""Radians: where the outline turns by more within its neighborhood, it has a corner."""
NEAR = 4
"""Points on either side that the direction at a corner is taken from."""


def contours(mask: Mask, level: float = THRESHOLD, least: int = 8) -> list[Points]:
    """Return the closed lines along which the mask crosses a level.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    level : float
        In (0, 1).
    least : int
        Lines of fewer points are left out as specks.

    Returns
    -------
    list of (n, 2) float64
        x and y; the last point is not the first again.

    Examples
    --------
    >>> mask = np.zeros((8, 8), np.float32)
    >>> mask[2:6, 2:6] = 1
    >>> [line] = contours(mask)
    >>> line.min(0).tolist(), line.max(0).tolist()
    ([2.0, 2.0], [6.0, 6.0])
    """
    import cv2

    framed = np.pad(mask, 2)
    inside = framed >= level
    lines, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [_crossings(framed, inside, line[:, 0, :].astype(int), level) - 1.5 for line in lines if len(line) >= least]


def _crossings(values: Mask, inside: NDArray[np.bool_], line: NDArray[np.int64], level: float) -> Points:
    """Return where the mask crosses the level, next to each pixel of the outline: the mean over its outer neighbors."""
    total, count = np.zeros((len(line), 2)), np.zeros(len(line))
    x, y = line.T
    own = values[y, x].astype(np.float64)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        outer = ~inside[y + dy, x + dx]
        other = values[y + dy, x + dx].astype(np.float64)
        share = np.clip((own - level) / np.maximum(own - other, 1e-9), 0, 1)
        total[outer] += np.stack([x + dx * share, y + dy * share], 1)[outer]
        count[outer] += 1
    points = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], line)
    return np.asarray(points, np.float64)


def fit_beziers(points: Points, tolerance: float = 0.5) -> list[Points]:
    """Return cubic Bézier curves that follow a closed line.

    Parameters
    ----------
    points : (n, 2) float64
        x and y of the line.
    tolerance : float
        How far a curve may be from the points, in pixels.

    Returns
    -------
    list of (4, 2) float64
        Start, two handles, end; each starts where the one before ends, the first where the last ends.

    References
    ----------
    Schneider, "An Algorithm for Automatically Fitting Digitized Curves", Graphics Gems (1990).

    Examples
    --------
    >>> angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    >>> circle = np.stack([50 * np.cos(angles), 50 * np.sin(angles)], 1)
    >>> len(fit_beziers(circle, 0.5)) <= 8
    True
    """
    stops = _corners(points, tolerance)
    points = _sharpened(points, stops)
    if not stops:
        middle = len(points) // 2
        stops = [0, middle]
    elif len(stops) == 1:
        stops = sorted({stops[0], (stops[0] + len(points) // 2) % len(points)})
    curves: list[Points] = []
    for first, last in zip(stops, [*stops[1:], stops[0] + len(points)], strict=True):
        piece = np.take(points, range(first, last + 1), axis=0, mode="wrap")
        curves += _fit_piece(piece, tolerance)
    return curves


def _corners(points: Points, tolerance: float) -> list[int]:
    """Return the points at which the simplified line turns sharply, if the line itself is sharp there too."""
    import cv2

    count = len(points)
    if count <= 4 * NEAR:
        return []
    smooth = points
    for _ in range(2):
        smooth = (np.roll(smooth, 1, 0) + 2 * smooth + np.roll(smooth, -1, 0)) / 4
    ahead, behind = np.roll(smooth, -NEAR, 0) - smooth, smooth - np.roll(smooth, NEAR, 0)
    across = behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0]
    turn = np.abs(np.arctan2(across, (behind * ahead).sum(1)))
    simple = cv2.approxPolyDP(points.astype(np.float32)[:, None], tolerance, True)[:, 0]
    places = {int(np.abs(points - each).sum(1).argmin()) for each in simple}
    return sorted(place for place in places if turn[place] > CORNER)


def _sharpened(points: Points, stops: list[int]) -> Points:
    """Return the line with each corner where its two sides meet; the pixels cut these corners off."""
    result = points.copy()
    for stop in stops:
        (a, b), (c, d) = (np.take(points, (stop + 2 * side, stop + (NEAR + 1) * side), axis=0, mode="wrap") for side in (-1, 1))
        along, other = b - a, d - c
        determinant = float(along[0] * other[1] - along[1] * other[0])
        if abs(determinant) > 1e-9:
            share = ((c[0] - a[0]) * other[1] - (c[1] - a[1]) * other[0]) / determinant
            meeting = a + share * along
            if np.hypot(*(meeting - points[stop])) < 1.5:
                result[stop] = meeting
    return result


def _fit_piece(points: Points, tolerance: float) -> list[Points]:
    """Curves for an open piece, without a stack of calls: pieces that do not fit are split where they are worst."""
    result: list[Points] = []
    pieces = [(0, len(points) - 1)]
    last_point = len(points) - 1
    while pieces:
        first, last = pieces.pop()
        begin = _tangent(points, 0, 1) if first == 0 else _middle_tangent(points, first)
        end = _tangent(points, last_point, -1) if last == last_point else -_middle_tangent(points, last)
        part = points[first : last + 1]
        curve, error, worst = _one_curve(part, begin, end, tolerance)
        if error <= tolerance or len(part) <= 3:
            result.append(curve)
        else:
            pieces += [(first + worst, last), (first, first + worst)]
    return result


def _tangent(points: Points, at: int, step: int) -> Points:
    """Return the direction into the piece at its end."""
    other = min(max(at + step * min(NEAR, len(points) - 1), 0), len(points) - 1)
    return _unit(points[other] - points[at])


def _middle_tangent(points: Points, at: int) -> Points:
    before, after = max(at - NEAR, 0), min(at + NEAR, len(points) - 1)
    return _unit(points[after] - points[before])


def _unit(vector: Points) -> Points:
    length = float(np.hypot(*vector))
    return np.asarray(vector / length if length > 1e-12 else np.array([1.0, 0.0]))


def _one_curve(points: Points, begin: Points, end: Points, tolerance: float) -> tuple[Points, float, int]:
    """Return a curve through the ends, its largest distance from the points, and where that is."""
    if len(points) == 2:
        third = np.hypot(*(points[1] - points[0])) / 3
        return np.stack([points[0], points[0] + begin * third, points[1] + end * third, points[1]]), 0.0, 0
    steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    t = steps / max(steps[-1], 1e-12)
    curve, error, worst = points[[0, 0, -1, -1]], np.inf, len(points) // 2
    for _ in range(4):
        curve = _least_squares(points, t, begin, end)
        apart = np.hypot(*(_at(curve, t) - points).T)
        worst = int(apart[1:-1].argmax()) + 1
        error = float(apart[worst])
        if error <= tolerance or error > 16 * tolerance:
            break
        t = _reparametrized(curve, points, t)
    return curve, error, worst


def _least_squares(points: Points, t: Points, begin: Points, end: Points) -> Points:
    """Return the lengths of both handles that fit best."""
    first, last = points[0], points[-1]
    s = 1 - t
    b0, b1, b2, b3 = s**3, 3 * t * s**2, 3 * t**2 * s, t**3
    a1, a2 = b1[:, None] * begin, b2[:, None] * end
    rest = points - (b0 + b1)[:, None] * first - (b2 + b3)[:, None] * last
    c11, c12, c22 = (a1 * a1).sum(), (a1 * a2).sum(), (a2 * a2).sum()
    x1, x2 = (a1 * rest).sum(), (a2 * rest).sum()
    span = float(np.hypot(*(last - first)))
    determinant = c11 * c22 - c12 * c12
    if abs(determinant) > 1e-12:
        one, two = (x1 * c22 - x2 * c12) / determinant, (c11 * x2 - c12 * x1) / determinant
    else:
        one = two = 0.0
    if not (1e-6 * span < one < 3 * span + 1 and 1e-6 * span < two < 3 * span + 1):
        one = two = span / 3
    return np.stack([first, first + begin * one, last + end * two, last])


def _at(curve: Points, t: Points) -> Points:
    s = 1 - t
    weights = np.stack([s**3, 3 * t * s**2, 3 * t**2 * s, t**3], 1)
    return np.asarray(weights @ curve)


def _reparametrized(curve: Points, points: Points, t: Points) -> Points:
    """Move each point towards its nearest place on the curve by a step of Newton's method."""
    first = 3 * np.diff(curve, axis=0)
    second = 2 * np.diff(first, axis=0)
    s = 1 - t
    apart = _at(curve, t) - points
    speed = np.stack([s**2, 2 * t * s, t**2], 1) @ first
    bend = np.stack([s, t], 1) @ second
    slope = (speed * speed).sum(1) + (apart * bend).sum(1)
    step = np.where(np.abs(slope) > 1e-9, (apart * speed).sum(1) / np.where(np.abs(slope) > 1e-9, slope, 1), 0)
    return np.clip(np.maximum.accumulate(np.clip(t - step, 0, 1)), 0, 1)


def svg(mask: Mask, tolerance: float = 0.5, color: str = "black") -> str:
    """Return an SVG document of the mask's outline, filled, holes left open.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    tolerance : float
        How far the curves may be from the outline, in pixels.
    color : str
        Of the filling.

    Returns
    -------
    str

    Examples
    --------
    >>> mask = np.zeros((8, 8), np.float32)
    >>> mask[2:6, 2:6] = 1
    >>> svg(mask).startswith('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8" viewBox="0 0 8 8">')
    True
    """
    height, width = mask.shape
    data = " ".join(_path(fit_beziers(line, tolerance)) for line in contours(mask))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return f'{head}<path fill="{color}" fill-rule="evenodd" d="{data}"/></svg>\n'


def _path(curves: list[Points]) -> str:
    return "".join(_commands(curves)) + "Z"


def _commands(curves: list[Points]) -> Iterator[str]:
    yield "M" + _pair(curves[0][0])
    for curve in curves:
        yield "C" + " ".join(_pair(point) for point in curve[1:])


def _pair(point: Points) -> str:
    return ",".join(f"{value:.1f}".rstrip("0").rstrip(".") for value in point)
