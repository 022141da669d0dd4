"""Turn the masks and class scores of a network into an `InstanceMap`, without full-size stacks of masks.

What decides happens at the network's own size; only the number of the winning mask is enlarged, by resize.py. The steps
and thresholds are those of transformers' `post_process_panoptic_segmentation`, and tests/models/test_panoptic.py compares the
two. There is one exception: a pixel that no mask claims belongs to no object, in every architecture, as in Mask2Former's own
code; transformers gives it to the least unlikely one. To read another architecture: a
`PanopticConfig` in __init__.py, and a field
here where it differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from figureground.inference.outputs import require_finite
from figureground.inference.resize import enlarge_labels, winners_of
from figureground.types import Instance, InstanceMap, Rgb

Floats = NDArray[np.float32]
Numbers = NDArray[np.uint16]

MASK, OVERLAP = 0.5, 0.8  # a pixel is in a mask from here on; the least share of a mask that must win
MAX_SIDE = 1024  # pixels: sharpness is measured in a copy whose longer side is at most so long


@dataclass(frozen=True, slots=True)
class PanopticConfig:
    """How the output of an architecture is read."""

    threshold: float
    """The least class score of a mask that counts."""
    weighed: bool = False
    """Whether a mask is measured after it is multiplied with its score."""
    padded: bool = False
    """Whether masks show the padded picture, and are compared at its size."""
    grid: tuple[int, int] | None = None
    """The size at which masks are compared; None: as the network gives them."""
    inside: tuple[int, int] | None = None
    """The part of the grid that shows the picture: the rest is padding."""

    def on(self, size: tuple[int, int], padded: tuple[int, int]) -> "PanopticConfig":
        """Return the same for a picture that reaches the network with `size`, and padding up to `padded`."""
        return replace(self, grid=padded, inside=size) if self.padded else self


def instances(
    rgb: Rgb, masks: Floats, classes: Floats, config: PanopticConfig, names: Sequence[str], stuff: Sequence[bool], weights: str
) -> InstanceMap:
    """Return the objects that a network saw in a picture (H, W, 3).

    masks : (Q, h, w) logits. classes : (Q, C + 1) logits, the last for no object. names, stuff : of the C classes.
    Objects stand in this order: things before stuff, each by area, the largest first. All stuff of a class is one object.
    Raises WeightsError where the numbers are not finite.
    """
    require_finite(weights, masks, classes)
    scores, labels = _best(classes)
    queries_kept = np.flatnonzero((labels < len(names)) & (scores > config.threshold))
    height, width = rgb.shape[:2]
    if not queries_kept.size:
        return InstanceMap(np.zeros((height, width), np.uint16), ())
    shapes = _shapes(masks[queries_kept], config)
    weighed = shapes * scores[queries_kept, None, None]
    valid = _valid(weighed if config.weighed else shapes, winners_of(weighed))
    owner = _owners(labels[queries_kept], valid, stuff)
    queries = enlarge_labels(np.ascontiguousarray(weighed), height, width)
    numbers = np.concatenate([owner, [0]]).astype(np.uint16)[queries]
    _cut(numbers, queries, shapes, owner)
    queries_by_number = {int(number): queries_kept[owner == number] for number in np.unique(owner[owner > 0])}
    return _listed(
        rgb, numbers, {n: (int(labels[q[0]]), float(scores[q].max())) for n, q in queries_by_number.items()}, names, stuff
    )


def _best(classes: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the highest probability of each mask's classes, (Q,), and which one it is."""
    powers = np.exp(classes - classes.max(1, keepdims=True))
    return powers.max(1) / powers.sum(1), classes.argmax(1)


def _shapes(masks: Floats, config: PanopticConfig) -> Floats:
    """Return the masks as probabilities, on the grid and without padding; mask by mask, since hundreds may count."""
    import cv2

    height, width = config.inside or config.grid or masks.shape[1:]
    shapes = np.empty((len(masks), height, width), np.float32)
    for mask, shape in zip(masks, shapes, strict=True):
        large = cv2.resize(mask, config.grid[::-1], interpolation=cv2.INTER_LINEAR) if config.grid else mask
        np.clip(large[:height, :width], -80, 80, out=shape)
    np.negative(shapes, out=shapes)  # in place: the stack is the largest thing there is
    np.exp(shapes, out=shapes)
    shapes += 1
    return np.reciprocal(shapes, out=shapes)


def _valid(shapes: Floats, winners: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Return which masks keep more than `OVERLAP` of their area after the others have taken theirs."""
    valid = np.zeros(len(shapes), bool)
    for index, shape in enumerate(shapes):
        won, claimed = winners == index, shape >= MASK
        valid[index] = (won & claimed).any() and won.sum() > OVERLAP * claimed.sum()
    return valid


def _owners(labels: NDArray[np.intp], valid: NDArray[np.bool_], stuff: Sequence[bool]) -> NDArray[np.intp]:
    """Return the number of each mask's object; 0 for masks of no object, one number for all stuff of a class."""
    owner = np.zeros(len(labels), np.intp)
    merged: dict[int, int] = {}
    for index in np.flatnonzero(valid):
        label = int(labels[index])
        owner[index] = merged.get(label) or owner.max() + 1
        if stuff[label]:
            merged[label] = int(owner[index])
    return owner


def _cut(numbers: Numbers, queries: NDArray[np.unsignedinteger], shapes: Floats, owner: NDArray[np.intp]) -> None:
    """Remove, in place, the pixels where the winning mask is below `MASK`; each mask is enlarged only where it wins."""
    import cv2

    scale_y, scale_x = shapes.shape[1] / numbers.shape[0], shapes.shape[2] / numbers.shape[1]
    for index in np.flatnonzero(owner):
        won = (queries == index).view(np.uint8)
        x, y, width, height = cv2.boundingRect(won)
        if not width:
            continue
        back = np.array([[scale_x, 0, (x + 0.5) * scale_x - 0.5], [0, scale_y, (y + 0.5) * scale_y - 0.5]])  # to the grid
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        shape = cv2.warpAffine(shapes[index], back, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
        window = np.s_[y : y + height, x : x + width]
        numbers[window][(won[window] > 0) & (np.asarray(shape) < MASK)] = 0


def _listed(
    rgb: Rgb, numbers: Numbers, scores_by_number: dict[int, tuple[int, float]], names: Sequence[str], stuff: Sequence[bool]
) -> InstanceMap:
    """Return the objects that have a pixel, in their order, renumbered."""
    areas = np.bincount(numbers.ravel(), minlength=max(scores_by_number, default=0) + 1)
    order = sorted((n for n in scores_by_number if areas[n]), key=lambda n: (stuff[scores_by_number[n][0]], -areas[n], n))
    anew = np.zeros(len(areas), np.uint16)
    anew[order] = np.arange(1, len(order) + 1)
    renumbered = anew[numbers]
    sharp = sharpness(rgb, renumbered, len(order))
    objects = [
        Instance(names[label], bool(stuff[label]), round(score, 6), float(sharp[place]))
        for place, (label, score) in enumerate(scores_by_number[n] for n in order)
    ]
    return InstanceMap(renumbered, tuple(objects))


def sharpness(rgb: Rgb, numbers: Numbers, count: int) -> NDArray[np.float64]:
    """Return how sharp each object is, (count,) float64 ≥ 0: the mean squared gradient of its luma, (gray levels / pixel)².

    rgb : (H, W, 3) uint8. numbers : (H, W), 0 for none. Measured in a copy of the picture whose longer side is at most
    `LOOK` pixels, so that the grain of large pictures does not count, and only between neighboring pixels of one object:
    its outline says nothing of its focus. 0 where an object has no such neighbors.
    """
    import cv2

    height, width = numbers.shape
    shrink = min(1.0, MAX_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if shrink < 1 else rgb
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
    which = np.asarray(cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST)) if shrink < 1 else numbers
    total = np.zeros(count + 1)
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        same = which[before] == which[after]
        inside = which[before][same]
        steps = (luma[after] - luma[before])[same] ** 2
        pairs = np.bincount(inside, minlength=count + 1)
        total += np.bincount(inside, steps, minlength=count + 1) / np.maximum(pairs, 1)
    return total[1:]
