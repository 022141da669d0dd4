"""Rank the objects of an `InstanceMap` by how likely they are the subject, and find what belongs to it.

A photographer makes the subject large, central, sharp and near; nobody looks first at what does not live. Each of these is
a factor in [0, 1], and their product ranks the objects. To weigh something else: a factor here, a row in `FACTORS`, and a
drawn scene in tests/masks/test_instance_ranking.py that needs it.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from figureground.types import InstanceMap

Factor = NDArray[np.float64]
"""(objects,) float64 in [0, 1]."""
Flags = NDArray[np.bool_]
Shape = NDArray[np.bool_]
"""(H, W) bool."""

MAX_SIDE = 1024  # pixels: shapes are looked at in every so many-th row and column that the longer side is at most so long
LIVING = {
    *("person", "people", "man", "woman", "child", "boy", "girl", "baby", "rider", "animal"),
    *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
}
"""Whom people look at first (Cerf et al., "Faces and text attract gaze", 2009; Judd et al., ICCV 2009)."""
SUPPORT_CLASSES = {
    *("table", "desk", "counter", "bed", "couch", "sofa", "chair", "armchair", "bench", "seat", "stool", "shelf", "cabinet"),
    *("tray", "stage", "blanket", "cushion", "base"),
}
"""What bears the subject, and is mostly larger than it."""


def prominence(objects_map: InstanceMap) -> Factor:
    """Return how likely each object is the subject: the product of `FACTORS`.

    Parameters
    ----------
    objects_map : InstanceMap

    Returns
    -------
    (objects,) float64 in [0, 1]
        0 for stuff.
    """
    weight = np.array([0.0 if one.stuff else 1.0 for one in objects_map.objects])
    for factor in FACTORS.values():
        weight *= factor(objects_map)
    return weight


def large(objects_map: InstanceMap) -> Factor:
    """Return √(share of the picture), so that four times the area counts twice."""
    return np.sqrt(objects_map.areas() / objects_map.numbers.size).astype(float)


def central(objects_map: InstanceMap) -> Factor:
    """Return exp(−2 d²), d from the center of the picture to the object's in half sides: 1, 0.8 at a third, 0.14 at an edge.

    An object that has no pixel in the copy that is looked at counts as far out.
    """
    numbers = _thinned(objects_map)
    height, width = numbers.shape
    counts = np.maximum(_sums(numbers, np.ones(height), np.ones(width), len(objects_map.objects)), 1e-9)
    y = _sums(numbers, (np.arange(height) + 0.5) / height * 2 - 1, np.ones(width), len(objects_map.objects)) / counts
    x = _sums(numbers, np.ones(height), (np.arange(width) + 0.5) / width * 2 - 1, len(objects_map.objects)) / counts
    centerd: Factor = np.exp(-2 * np.where(counts < 1, 2.0, x * x + y * y))
    return centerd


def sharp(objects_map: InstanceMap) -> Factor:
    """Return 1 for the sharpest thing; half for a tenth of its squared gradient; 0.1 for a hundredth or less.

    1 for all where nothing is known. Things below a hundredth of the largest one's area set no measure: a label in print
    would else make everything look blurred.
    """
    values = np.array([one.sharpness for one in objects_map.objects])
    things, areas = _things(objects_map), objects_map.areas()
    measured = values[things & (areas * 100 >= areas[things].max(initial=0))]
    best = measured.max(initial=0.0)
    if best <= 0:
        return np.ones(len(values))
    steps = np.log10(np.maximum(values, 1e-12) / best)
    return np.asarray(np.clip(1 + steps / 2, 0.1, 1), float)


def sure(objects_map: InstanceMap) -> Factor:
    """Return the model's own score."""
    return np.array([one.score for one in objects_map.objects], float)


def near(objects_map: InstanceMap) -> Factor:
    """Return 1 for the nearest thing, a half for the farthest, linear in between; 1 for all if some depth is not known."""
    known = [one.nearness for one, thing in zip(objects_map.objects, _things(objects_map), strict=True) if thing]
    if len(known) < 2 or any(value is None for value in known):
        return np.ones(len(objects_map.objects))
    values = np.array([one.nearness if one.nearness is not None else -np.inf for one in objects_map.objects], float)
    low, high = min(known), max(known)  # type: ignore[type-var]
    if low == high:
        return np.ones(len(values))
    return 0.5 + 0.5 * np.clip((values - low) / (high - low), 0, 1)  # type: ignore[operator]


def kind(objects_map: InstanceMap) -> Factor:
    """Return 1 for people and animals, 0.5 for other things, 0.15 for furniture.

    So the cup on the table is the subject, and the table where there is nothing else.

    A class is known by a synonym of its name ("sofa, couch"), furniture by the last word of one ("dining table").
    """
    factor = np.full(len(objects_map.objects), 0.5)
    for index, one in enumerate(objects_map.objects):
        names = {name.strip() for name in one.name.lower().replace(";", ",").split(",")}
        if names & LIVING:
            factor[index] = 1
        elif {name.split()[-1] for name in names if name} & SUPPORT_CLASSES:
            factor[index] = 0.15
    return factor


FACTORS: Mapping[str, Callable[[InstanceMap], Factor]] = {
    "large": large,
    "central": central,
    "sharp": sharp,
    "sure": sure,
    "near": near,
    "kind": kind,
}


def attached_objects(objects_map: InstanceMap, main: int, contact: float, alike: float) -> Flags:
    """Return which objects stay with object number `main`, (objects,) bool, itself not among them.

    A thing stays where it is not larger and at least the share `contact` of its outline touches the main object, or `alike`
    where both are of one class: a bag hangs on its bearer, but somebody beside somebody does not belong to them. Outlines
    along the picture's edge do not count. Touching is within a two-hundredth of the longer side, at least one pixel: networks
    leave gaps.
    """
    import cv2

    numbers = _thinned(objects_map)
    radius = max(1, round(max(numbers.shape) / 200))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE if radius > 1 else cv2.MORPH_RECT, (2 * radius + 1, 2 * radius + 1))
    neighborhood = cv2.dilate((numbers == main).astype(np.uint8), disc) > 0
    areas, things = objects_map.areas(), _things(objects_map)
    stays = np.zeros(len(objects_map.objects), bool)
    for number in np.unique(numbers[neighborhood]).tolist():
        if number in (0, main) or not things[number - 1] or areas[number - 1] > areas[main - 1]:
            continue
        same = objects_map.objects[number - 1].name == objects_map.objects[main - 1].name
        stays[number - 1] = _touching(numbers == number, neighborhood) >= (alike if same else contact)
    return stays


def _touching(shape: Shape, neighborhood: Shape) -> float:
    """Return the share of a shape's outline that lies in `beside`; 0 where it has no outline inside the picture."""
    import cv2

    square = np.ones((3, 3), np.uint8)
    whole = shape.astype(np.uint8)
    inner = cv2.erode(whole, square)  # what lies beyond the picture's edge does not erode
    outline = whole > inner
    total = np.count_nonzero(outline)
    return np.count_nonzero(outline & neighborhood) / total if total else 0.0


def _things(objects_map: InstanceMap) -> Flags:
    return np.array([not one.stuff for one in objects_map.objects], bool)


def _thinned(objects_map: InstanceMap) -> NDArray[np.uint16]:
    """Return the numbers; of large pictures every n-th row and column."""
    step = -(-max(objects_map.numbers.shape) // MAX_SIDE)
    return objects_map.numbers[::step, ::step]


def _sums(numbers: NDArray[np.uint16], rows: Factor, columns: Factor, count: int) -> Factor:
    """Return Σ row × column weight over each object's pixels, (objects,)."""
    weights = rows[:, None] * columns
    return np.asarray(np.bincount(numbers.ravel(), weights.ravel(), minlength=count + 1)[1:], float)
