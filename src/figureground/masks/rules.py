"""Select the foreground: pure functions from a map to a mask.

A rule's first argument says in its annotation which kind of map it reads; its keyword-only parameters are its options
and become the command's flags. To add a rule: a function here and a row in `RULES`.

Which classes are things and which are stuff (background by nature) stands in the map. `foreground_classes` makes the
classes it names things, `background_classes` makes them stuff, for one call. A class is named as the map names it, or
by a synonym where the map's name lists several ("sofa, couch" or "sofa;couch"); case and outer spaces are ignored.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UnknownName, UnknownOption, UsageError
from figureground.io.color_modes import by_strips
from figureground.masks.components import ConnectedComponents, Shape
from figureground.masks.ground_plane import foreground_from_depth
from figureground.masks.instance_ranking import attached_objects, prominence
from figureground.types import DepthMap, InstanceMap, LabelMap, Mask, SaliencyMap

Flags = NDArray[np.bool_]
"""(classes,) bool, one for each class of a map."""

Background = Annotated[tuple[str, ...], "Classes that are background, whatever the model's own list says."]
Foreground = Annotated[tuple[str, ...], "Classes that are foreground, whatever the model's own list says."]
LogitScale = Annotated[float, "How solid the mask is where the map is fairly sure; 1 keeps the map's probabilities."]
CountStuff = Annotated[bool, "Let stuff (sky, wall, floor) be the most common class too."]
HullFill = Annotated[
    Literal["things", "everything"], "What the hull adds: things that lie mostly inside it, or everything inside it."
]

Keep = Annotated[str, "How many objects are the subject: 1, 2 … or all."]
Instance = Annotated[int | None, "Which object is the subject, by its number in `figureground labels`; instead of --keep."]
Contact = Annotated[
    float, "The share of a thing's outline that must touch the subject for it to belong to it, 0 to 1; above 1: none."
]
Near = Annotated[
    float | None, "Where to cut, from 0, the farthest of the picture, to 1, the nearest; found automatically if not set."
]

ALIKE = 0.5  # the share of its outline by which one of the subject's own kind belongs to it: a child in the arms
LARGE_PART = 10  # a part of the most common class gets a hull if the largest one has at most this many times its area


def salient(map_given: SaliencyMap, *, logit_scale: LogitScale = 3.0) -> Mask:
    """Take the salient pixels: multiply the log odds of the map by `logit_scale`, so that the inside of a subject is solid.

    A map says how likely a pixel is the subject's; a mask says how much of the pixel is. Where the network is fairly sure,
    nothing should shine through. A value of 0.5 stays 0.5, and the order of the values stays.

    Parameters
    ----------
    map_given : SaliencyMap
    logit_scale : float
        Above 0; 1 leaves the map unchanged.

    Returns
    -------
    (H, W) float32 in [0, 1]

    Raises
    ------
    UsageError
        If `logit_scale` is not above 0.

    Examples
    --------
    >>> odds = SaliencyMap(np.array([[0.2, 0.5, 0.8]], np.float32))
    >>> salient(odds, logit_scale=3).round(2).tolist()
    [[0.019999999552965164, 0.5, 0.9800000190734863]]
    """
    if not 0 < logit_scale < float("inf"):
        raise UsageError(f"logit_scale must be above 0 (1 leaves the map unchanged), but got {logit_scale:g}")
    if logit_scale == 1:
        return map_given.values
    steps = np.linspace(0, 1, 1 << 16)  # a table, since powers of every pixel would cost more than the network
    raised, lowered = steps**logit_scale, (1 - steps) ** logit_scale
    curve = (raised / (raised + lowered)).astype(np.float32)
    most = np.float32(len(curve) - 1)

    def strip(rows: slice) -> Mask:
        raised: Mask = curve[np.rint(map_given.values[rows] * most).astype(np.uint16)]
        return raised

    return by_strips(map_given.values.shape, curve.dtype, strip)


def stuff(map_given: LabelMap, *, background_classes: Background = (), foreground_classes: Foreground = ()) -> Mask:
    """Take every pixel whose class is a thing; stuff is background.

    Parameters
    ----------
    map_given : LabelMap
    background_classes, foreground_classes : sequence of str
        Names of classes that count as background, or as foreground, whatever the class list says.

    Returns
    -------
    (H, W) float32
        0 or 1.

    Raises
    ------
    UnknownOption
        If a class is not in the map's list.
    """
    return _pick(map_given, _things(map_given, background_classes, foreground_classes))


def most_common(
    map_given: LabelMap,
    *,
    count_stuff: CountStuff = False,
    background_classes: Background = (),
    foreground_classes: Foreground = (),
) -> Mask:
    """Take the class with the most pixels; of equal ones, the one with the lower index.

    Where none of the counted classes is present, nothing is foreground. Result and errors are those of `stuff`.

    Parameters
    ----------
    map_given : LabelMap
    count_stuff : bool
        Count all classes but those of `background_classes`. By default only things are counted.
    background_classes, foreground_classes : sequence of str
        As of `stuff`.
    """
    things = _things(map_given, background_classes, foreground_classes)
    return _pick(map_given, _most_common_class(map_given, things, count_stuff, background_classes))


def most_common_hull(
    map_given: LabelMap,
    *,
    hull_fill: HullFill = "things",
    count_stuff: CountStuff = False,
    background_classes: Background = (),
    foreground_classes: Foreground = (),
) -> Mask:
    """Take the most common class, as `most_common`, and what its parts enclose: the dog in the person's arms.

    Each 8-connected part with at least a tenth of the largest part's area has a convex hull, of its pixels' centers. The
    other parameters, result and errors are those of `most_common`.

    Parameters
    ----------
    map_given : LabelMap
    hull_fill : {"things", "everything"}
        "things" adds every other region of a thing (8-connected pixels of one class) that has more than half of its area
        inside the hulls, as a whole. Stuff is never added, so a hole that shows the background stays. "everything" adds the
        hulls themselves: every pixel inside, stuff too, and nothing outside.
    """
    things = _things(map_given, background_classes, foreground_classes)
    chosen = _most_common_class(map_given, things, count_stuff, background_classes)
    mask = _pick(map_given, chosen) > 0
    hulls = _hulls(mask)
    if hull_fill == "everything":
        mask |= hulls
    else:
        for region in _regions_inside(map_given, things & ~chosen, hulls):
            mask |= region
    return mask.astype(np.float32)


def main_instance(map_given: InstanceMap, *, keep: Keep = "1", instance: Instance = None, contact: Contact = 0.2) -> Mask:
    """Take the object that looks most like the subject, and what belongs to it, without people in the background.

    Objects are ranked by `prominence`: large, central, sharp, certain, near, alive; of equal ones, the lower number goes
    first. Stuff is never the subject: where there is no thing, nothing is foreground. A thing that is not larger than the
    subject and shares at least `contact` of its outline with it belongs to it (the dog in the arms, the bag on the shoulder).
    A thing of the subject's own class must share half of its outline.

    Parameters
    ----------
    map_given : InstanceMap
    keep : str
        How many subjects: a count, or "all" for every thing. Each further subject is the next one that does not belong to
        those before it.
    instance : int, optional
        Take the object with this number, stuff too, and nothing that touches it.
    contact : float
        In [0, 1].

    Returns
    -------
    (H, W) float32 in [0, 1]

    Raises
    ------
    UnknownOption
        If `keep` is not a count, or there is no object with the number `instance`.
    """
    count = len(map_given.objects)
    chosen = np.zeros(count + 1, bool)
    if instance is not None:
        if not 1 <= instance <= count:
            raise UnknownOption(
                f"instance {instance} does not exist: this picture has {count} objects; see `figureground labels`"
            )
        chosen[instance] = True
        return chosen.astype(np.float32)[map_given.numbers]
    wanted = _count(keep)
    rank = prominence(map_given)
    for number in (np.argsort(-rank, kind="stable") + 1).tolist():
        if wanted == 0 or rank[number - 1] <= 0:
            break
        if not chosen[number]:
            chosen[number] = True
            chosen[1:] |= attached_objects(map_given, number, contact, max(contact, ALIKE))
            wanted -= 1
    mask: Mask = chosen.astype(np.float32)[map_given.numbers]
    return mask


def nearest(map_given: DepthMap, *, near: Near = None) -> Mask:
    """Take what stands out as near, without the floor below it.

    The cut lies in the middle of the widest stretch of depth that is nearly empty. Where there is none, as in a flat scene,
    nothing is foreground. The result does not change with the scale and the shift of nearness. See
    `ground_plane.foreground_from_depth`.

    Parameters
    ----------
    map_given : DepthMap
    near : float, optional
        The cut, from 0 to 1 between the 1st and the 99th percentile of the picture's nearness.

    Returns
    -------
    (H, W) float32
        0 or 1.

    Raises
    ------
    UnknownOption
        If `near` is not from 0 to 1.
    """
    if near is not None and not 0 <= near <= 1:
        raise UnknownOption(f"near must be from 0, the farthest, to 1, the nearest, but got {near}")
    return foreground_from_depth(map_given.nearness, near).astype(np.float32)


RULES: Mapping[str, Callable[..., Mask]] = {
    "salient": salient,
    "stuff": stuff,
    "most-common": most_common,
    "most-common-hull": most_common_hull,
    "main-instance": main_instance,
    "nearest": nearest,
}


def _count(keep: str) -> int:
    """Return how many objects to keep; −1 for all. Raises UnknownOption."""
    if keep.strip().lower() == "all":
        return -1
    if not keep.strip().isdecimal() or int(keep) < 1:
        raise UnknownOption(f"keep must be 1, 2 and so on, or all, but got '{keep}'")
    return int(keep)


def _things(map_given: LabelMap, background: tuple[str, ...], foreground: tuple[str, ...]) -> Flags:
    """Return which classes are things, after what the user said; raises UnknownName, and UsageError for a class in both."""
    things = ~np.asarray(map_given.stuff, dtype=bool)
    behind, before = _named(map_given, background), _named(map_given, foreground)
    named_twice = np.flatnonzero(behind & before)
    if named_twice.size:
        name = map_given.names[named_twice[0]].strip()
        raise UsageError(f"'{name}' is both a background class and a foreground class; name it in one of them")
    return (things | before) & ~behind


def _named(map_given: LabelMap, wanted: tuple[str, ...]) -> Flags:
    """Return which classes are called so: by the whole name, else by a synonym; raises UnknownName."""
    whole: dict[str, list[int]] = {}
    synonyms: dict[str, list[int]] = {}
    for index, name in enumerate(map_given.names):
        whole.setdefault(_plain(name), []).append(index)
        for synonym in name.replace(";", ",").split(","):
            synonyms.setdefault(_plain(synonym), []).append(index)
    flags = np.zeros(len(map_given.names), dtype=bool)
    for name in wanted:
        indices = whole.get(_plain(name)) or synonyms.get(_plain(name))
        if not indices:
            raise UnknownName("class", name, synonyms)
        flags[indices] = True
    return flags


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _most_common_class(map_given: LabelMap, things: Flags, count_stuff: bool, background: tuple[str, ...]) -> Flags:
    """Return the most common class among those that count, as flags; no class if none of them is present."""
    counted = ~_named(map_given, background) if count_stuff else things
    areas = np.bincount(map_given.labels.ravel(), minlength=len(map_given.names)) * counted
    chosen = np.zeros(len(map_given.names), dtype=bool)
    chosen[areas.argmax()] = areas.any()  # argmax takes the first of equal ones
    return chosen


def _pick(map_given: LabelMap, classes: Flags) -> Mask:
    """Return 1 where the pixel's class is one of these."""
    mask: Mask = classes.astype(np.float32)[map_given.labels]
    return mask


def _hulls(mask: Shape) -> Shape:
    """Return the convex hulls of the large parts."""
    filled = np.zeros_like(mask)
    parts = ConnectedComponents(mask, 8)
    for part in np.flatnonzero(LARGE_PART * parts.areas >= parts.areas.max(initial=0)):
        left, top, right, bottom = parts.boxes[part].tolist()
        window = slice(top, bottom), slice(left, right)
        filled[window] |= _hull(parts.render(np.arange(parts.count) == part, window))
    return filled


def _hull(part: Shape) -> Shape:
    """Return the pixels whose centers lie in the closed convex hull of the part's centers, in whole numbers and so exact.

    The part touches all four sides of its window: it has pixels in every row.
    """
    import cv2

    height, width = part.shape
    rows = np.arange(height)
    ends = np.stack([part.argmax(axis=1), width - 1 - part[:, ::-1].argmax(axis=1)])  # (2, H): first and last column
    points = np.stack([ends, np.stack([rows, rows])], axis=-1).reshape(-1, 1, 2).astype(np.int32)
    corners = cv2.convexHull(points)[:, 0].astype(np.int64)  # (corners, 2): x, y
    first, last = ends.astype(np.int64)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = min(y0, y1), max(y0, y1)
        if low == high:
            continue
        across = x0 * (y1 - y0) + (np.arange(low, high + 1) - y0) * (x1 - x0)  # x of the edge in these rows × (y1 − y0)
        first[low : high + 1] = np.minimum(first[low : high + 1], -(-across // (y1 - y0)))  # rounded up
        last[low : high + 1] = np.maximum(last[low : high + 1], across // (y1 - y0))  # rounded down
    columns = np.arange(width)
    inside: Shape = (first[:, None] <= columns) & (columns <= last[:, None])
    return inside


def _regions_inside(map_given: LabelMap, classes: Flags, hulls: Shape) -> Iterator[Shape]:
    """Return for each of these classes its regions with more than half of their area inside the hulls."""
    present = np.bincount(map_given.labels[hulls], minlength=len(map_given.names)) > 0
    for index in np.flatnonzero(present & classes):
        parts = ConnectedComponents(map_given.labels, 8, partial(np.equal, index))
        yield parts.render(2 * parts.sums(hulls) > parts.areas)
