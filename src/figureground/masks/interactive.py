"""Change a map by points and a box of the user, without torch.

The method: evidence spreads from a point as far as colors and map let it (geodesic distance; Bai and Sapiro, "A Geodesic
Framework for Fast Interactive Image and Video Segmentation and Matting", ICCV 2007), colors are counted inside and
outside as GrabCut does (Rother et al., SIGGRAPH 2004), and a random walker with priors settles the rest (Grady,
"Multilabel Random Walker Image Segmentation Using Prior Models", CVPR 2005). No random numbers, no state.
To add another kind of evidence: a term in `_prior`, and its weight measured by benchmarks/points.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UsageError
from figureground.masks.propagation import Floats, Indices, Shape, color_odds, geodesic_distance, logit, random_walker, sigmoid
from figureground.prompts import Places
from figureground.types import Mask, Rgb

Spots = tuple[tuple[float, float], ...]
Predict = Callable[[Rgb], Mask]
"""What the network says of a part of the picture, (h, w, 3) uint8 → (h, w) float32 in [0, 1]."""

SIDE = 320  # pixels of the longer side that all of this is done at
SURE = 3.9  # the log odds that the map is believed at most: 0.98
OUTSIDE = -9.0  # the log odds of foreground outside the box
PUSH = 7.0  # log odds that a point adds where it is
REACH = 150.0  # geodesic distance at which that has fallen to 1/e
DISC = 0.015  # share of the longer side: within this distance a point is certain
SEPARATE = 0.5  # a not-point removes a part whole where the others have at least this share of its area
COLOR, COLOR_FOUND = 1.0, 0.5  # weight of the log odds that colors give; where the map shows all that points are on
AROUND = 0.01  # share of the longer side: how far around a part its soft edge reaches
ACTS = 0.01  # a not-point takes away all where its nearness (1 where it is) exceeds that of points by this
CLOSE = 0.5  # a not-point also takes away faint foreground that is at least this near to it
WINDOWS = (0.5, 0.7)  # shares of the sides: nearer looks around points
MARGIN = 0.1  # of the box's sides, added around it for a nearer look
FITS = 0.98  # share of what the points touch that a nearer look must show
WIDE = 0.9  # a window of more than this share of the picture is no nearer look


def steer(rgb: Rgb, values: Mask, places: Places, predict: Predict | None = None) -> Mask:
    """Return the map changed by points and a box.

    A point adds what is connected with it and takes nothing away. A not-point takes away what is nearer to it than to a
    point, of the parts that it is near; all other foreground stays, with its edges. A not-point on one of several parts
    removes that part as a whole. Both spread as far as colors and map are alike. Outside the box everything becomes 0;
    inside it, colors decide together with the map, and may take away.

    The work is done at 320 pixels of the longer side and enlarged, so larger pictures cost little more.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        sRGB.
    values : (H, W) float32 in [0, 1]
        What a network says by itself.
    places : Places
        Points, not-points and box, in pixels.
    predict : callable, optional
        Returns what the network says of a part of the picture. With it, the surroundings of the points, or the box, are
        looked at again at a larger scale.

    Returns
    -------
    (H, W) float32 in [0, 1]
        `values` itself where there are neither points nor a box.

    Raises
    ------
    UsageError
        If one pixel is both a point and a not-point, or a point lies outside the box.
    """
    import cv2

    refuse_contradictions(places)
    if not (places.points or places.not_points or places.box):
        return values
    removed = _separate_parts(values, places)
    scene = _Scene.of(rgb, values, places, removed)
    prior = _prior(scene, _odds(scene, rgb, places, predict))
    fixed, wanted = scene.certain()
    on_shown = bool(scene.points) and bool((scene.values[scene.pixels(scene.points)] >= 0.5).all())
    color = (COLOR_FOUND if on_shown else COLOR) * color_odds(scene.lab, np.where(fixed, wanted, sigmoid(prior)))
    settled = random_walker(scene.lab, np.where(fixed, wanted, sigmoid(prior + color)), fixed)
    height, width = values.shape
    full = np.asarray(cv2.resize(settled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    if places.box is None:
        return _remove(_changed(values, full, scene, settled), values, removed)
    window, result = _window(places.box), np.zeros_like(full)
    result[window] = full[window]
    return _remove(result, values, removed)


def refuse_contradictions(places: Places) -> None:
    """Raise UsageError where one pixel is both a point and a not-point, or a point lies outside the box."""
    pixels, others = ({(int(x), int(y)) for x, y in spots} for spots in (places.points, places.not_points))
    if contradictions := sorted(pixels & others):
        raise UsageError(
            "the pixel {},{} is named as foreground and as background; leave out one of the two".format(*contradictions[0])
        )
    if places.box is None:
        return
    left, top, right, bottom = places.box
    for x, y in places.points:
        if not (left <= x <= right and top <= y <= bottom):
            raise UsageError(f"the point {x:g},{y:g} lies outside the box; the foreground lies inside: move one of the two")


def within_box(mask: Mask, coarse: Mask, places: Places) -> Mask:
    """Return a refined mask that adds nothing outside the box to the mask before refinement.

    Parameters
    ----------
    mask, coarse : (H, W) float32 in [0, 1]
        With and without refinement.
    places : Places

    Returns
    -------
    (H, W) float32 in [0, 1]
        `mask` itself where there is no box.
    """
    if places.box is None:
        return mask
    window, result = _window(places.box), np.minimum(mask, coarse)
    result[window] = mask[window]
    return result


def _window(box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Return rows and columns of the pixels that a box touches."""
    left, top, right, bottom = box
    return slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))


def _separate_parts(values: Mask, places: Places) -> Shape | None:
    """Return the parts of the map's foreground, (H, W), that not-points remove as a whole; None if there are none.

    A part is separate where no point lies on it, and points lie elsewhere or the other parts are large enough.
    """
    import cv2

    pixels, others = ([(int(x), int(y)) for x, y in spots] for spots in (places.points, places.not_points))
    if not any(values[y, x] >= 0.5 for x, y in others):
        return None
    shown = (values >= 0.5).astype(np.uint8)
    area, removed = int(np.count_nonzero(shown)), np.zeros(values.shape, np.uint8)
    for x, y in others:
        if not shown[y, x] or removed[y, x]:
            continue
        part = np.zeros((values.shape[0] + 2, values.shape[1] + 2), np.uint8)
        cv2.floodFill(shown, part, (x, y), 1, flags=8 | cv2.FLOODFILL_MASK_ONLY | 1 << 8)
        part = part[1:-1, 1:-1]
        if not any(part[row, column] for column, row in pixels):
            removed |= part
    size = int(np.count_nonzero(removed))
    if not size or not (pixels or area - size >= SEPARATE * size):
        return None
    return removed.view(np.bool_)


def _changed(values: Mask, full: Mask, scene: "_Scene", settled: Floats) -> Mask:
    """Return `values` with the parts of `full` at points added and those at not-points removed, (H, W)."""
    import cv2

    def enlarged(share: Floats) -> Mask:
        return np.asarray(cv2.resize(share, values.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    result = values.copy()
    if scene.points:
        change = enlarged(_connected(scene, settled).astype(np.float32))
        change *= np.maximum(full - values, 0)
        result += change
    if scene.not_points:
        away = scene.near_not_points
        if scene.points:
            away = away - scene.near_points
        share = np.where(scene.removed, 1, np.clip(away / np.float32(ACTS), 0, 1)).astype(np.float32)
        change = enlarged(share * _around(scene.removed | _gone(scene, settled)))
        change *= np.minimum(full - values, 0)
        result += change
    return result


def _remove(mask: Mask, values: Mask, removed: Shape | None) -> Mask:
    """Set the parts that not-points remove as a whole to background, in place; return the mask."""
    if removed is not None:
        np.minimum(mask, np.float32(0.98) * (1 - values), out=mask, where=removed)
    return mask


@dataclass(frozen=True)
class _Scene:
    """The picture, its map and the points at the working size, h × w."""

    lab: NDArray[np.uint8]
    values: Floats
    points: Spots
    not_points: Spots
    inside: Shape
    """The box; all of the picture where there is none."""
    removed: Shape
    """The parts that not-points remove as a whole, with their soft edges."""

    @classmethod
    def of(cls, rgb: Rgb, values: Mask, places: Places, removed: Shape | None = None) -> "_Scene":
        import cv2

        height, width = values.shape
        scale = min(1.0, SIDE / max(height, width))
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        across, down = w / width, h / height
        points, not_points = (tuple((x * across, y * down) for x, y in spots) for spots in (places.points, places.not_points))
        inside = np.ones((h, w), bool)
        if places.box is not None:
            left, top, right, bottom = places.box
            inside[:] = False
            inside[_window((left * across, top * down, right * across, bottom * down))] = True
        lab = cv2.cvtColor(cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
        small = cv2.resize(values, (w, h), interpolation=cv2.INTER_AREA)
        gone = np.zeros((h, w), bool)
        if removed is not None:
            gone = np.asarray(cv2.resize(removed.view(np.uint8) * 255, (w, h), interpolation=cv2.INTER_AREA)) >= 128
            gone |= _grown(gone) & (small < 0.5)
        return cls(np.asarray(lab, np.uint8), np.asarray(small, np.float32), points, not_points, inside, gone)

    @cached_property
    def near_points(self) -> Floats:
        """How near each pixel is to the nearest point, (h, w), 1 where it is."""
        return self._near(self.points)

    @cached_property
    def near_not_points(self) -> Floats:
        """How near each pixel is to the nearest not-point, (h, w), 1 where it is."""
        return self._near(self.not_points)

    def _near(self, spots: Spots) -> Floats:
        """Return how near each pixel is to the nearest spot, computed at half the size: it varies slowly."""
        import cv2

        h, w = self.values.shape
        size = -(-w // 2), -(-h // 2)
        lab, values = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (self.lab, self.values))
        rows, columns = self.pixels(spots)
        far = geodesic_distance(np.asarray(lab, np.uint8), np.asarray(values, np.float32), (rows // 2, columns // 2), step=2)
        near: Floats = np.exp(-cv2.resize(far, (w, h), interpolation=cv2.INTER_LINEAR) / np.float32(REACH))
        return near

    def pixels(self, spots: Spots) -> Indices:
        """Return rows and columns of spots."""
        h, w = self.values.shape
        columns, rows = np.array(spots, np.float64).reshape(-1, 2).T.astype(np.intp)
        return np.minimum(rows, h - 1), np.minimum(columns, w - 1)

    def picked(self) -> Shape:
        """Return the parts of what the map shows that points touch, (h, w)."""
        import cv2

        if not self.points:
            return np.zeros(self.values.shape, bool)
        numbers = np.asarray(cv2.connectedComponents((self.values >= 0.5).astype(np.uint8), connectivity=8)[1])
        touched = numbers[self.pixels(self.points)]
        parts: Shape = np.isin(numbers, touched[touched > 0])
        return parts

    def certain(self) -> tuple[Shape, Floats]:
        """Return which pixels the user has decided, (h, w), and what they are: those near a point go with the nearest one."""
        h, w = self.values.shape
        y, x = np.ogrid[0.5 : h + 0.5, 0.5 : w + 0.5]
        nearest, wanted = np.full((h, w), np.inf), np.zeros((h, w), np.float32)
        for spots, value in ((self.points, 1.0), (self.not_points, 0.0)):
            for across, down in spots:
                distance = np.hypot(x - across, y - down)
                wanted[distance < nearest] = value
                nearest = np.minimum(nearest, distance)
        near = nearest <= max(1.0, DISC * max(h, w))
        return near | ~self.inside | self.removed, wanted * near * self.inside


def _odds(scene: _Scene, rgb: Rgb, places: Places, predict: Predict | None) -> Floats:
    """Return the map as log odds, (h, w), averaged with closer passes of the network if there are any."""
    import cv2

    h, w = scene.values.shape
    across, down = w / rgb.shape[1], h / rgb.shape[0]
    total, weights = logit(scene.values, SURE), np.ones((h, w), np.float32)
    picked = scene.picked()
    for rows, columns in _windows(places, rgb.shape[1], rgb.shape[0]) if predict else ():
        top, left = int(rows.start * down), int(columns.start * across)
        bottom, right = min(h, int(np.ceil(rows.stop * down))), min(w, int(np.ceil(columns.stop * across)))
        if picked[top:bottom, left:right].sum() < FITS * picked.sum():
            continue  # a part of a subject that does not fit into the window looks like anything but it
        answer = predict(rgb[rows, columns]) if predict else rgb
        placed = cv2.resize(answer, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        total[top:bottom, left:right] += logit(np.asarray(placed, np.float32), SURE)
        weights[top:bottom, left:right] += 1
    joined: Floats = total / weights
    return joined


def _windows(places: Places, width: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Return the windows for closer passes: the box with a margin, else one around all points."""
    if places.box is not None:
        left, top, right, bottom = places.box
        spans = [((left, right, MARGIN * (right - left)), (top, bottom, MARGIN * (bottom - top)))]
    elif places.points:
        xs, ys = zip(*places.points, strict=True)
        (x0, x1), (y0, y1) = (min(xs), max(xs)), (min(ys), max(ys))
        spans = [((x0, x1, part * width / 2), (y0, y1, part * height / 2)) for part in WINDOWS]
    else:
        return
    for over, down in spans:
        columns, rows = _cut(*over, width), _cut(*down, height)
        if (columns.stop - columns.start) * (rows.stop - rows.start) <= WIDE * width * height:
            yield rows, columns


def _cut(low: float, high: float, margin: float, length: int) -> slice:
    """Return the range from low to high with the margin, cut to lie within 0 … length, at least one pixel."""
    wanted = min(high - low + 2 * margin, length)
    start = int(min(max(low - margin, 0.0), length - wanted))
    return slice(start, max(start + 1, min(length, int(np.ceil(start + wanted)))))


def _prior(scene: _Scene, odds: Floats) -> Floats:
    """Return the log odds of foreground after what points and box say, (h, w)."""
    if scene.points:
        odds = odds + PUSH * scene.near_points
    if scene.not_points:
        odds = odds - PUSH * scene.near_not_points
    prior: Floats = np.where(scene.inside, odds, np.float32(OUTSIDE))
    return prior


def _connected(scene: _Scene, settled: Floats) -> Shape:
    """Return the foreground, of the map or of `settled`, that is connected with a point, with its soft edge, (h, w)."""
    import cv2

    shown = np.maximum(settled, scene.values) >= 0.5
    numbers = np.asarray(cv2.connectedComponents(shown.astype(np.uint8), connectivity=8)[1])
    touched = numbers[scene.pixels(scene.points)]
    return _grown(np.isin(numbers, touched[touched > 0]))


def _gone(scene: _Scene, settled: Floats) -> Shape:
    """Return where not-points act, (h, w): near to them, and on foreground that is lost of the parts that they are near."""
    import cv2

    close = scene.near_not_points >= CLOSE
    numbers = np.asarray(cv2.connectedComponents((scene.values >= 0.5).astype(np.uint8), connectivity=8)[1])
    lost = (numbers > 0) & (settled < 0.5) & np.isin(numbers, numbers[close])
    opened = cv2.morphologyEx(lost.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return (opened > 0) | close


def _around(shape: Shape) -> Floats:
    """Return a shape with its surroundings, (h, w): 1 on the shape and its soft edge, falling to 0 over twice that width."""
    import cv2

    radius = max(1, round(2 * AROUND * max(shape.shape)))
    return np.asarray(cv2.blur(_grown(_grown(shape)).astype(np.float32), (2 * radius + 1, 2 * radius + 1)), np.float32)


def _grown(shape: Shape) -> Shape:
    """Return a shape with the soft edge around it, (h, w)."""
    import cv2

    radius = max(1, round(AROUND * max(shape.shape)))
    around = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(shape.astype(np.uint8), around), np.uint8).view(np.bool_)
