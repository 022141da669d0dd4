"""The maps that models return, one type for each kind, and the array types that pass between the stages.

Every map has the picture's own H and W. To add a kind of map: a frozen class here, and its name in `Map`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground._deprecated import module_attribute

Rgb = NDArray[np.uint8]
"""(H, W, 3) uint8, sRGB, upright, read-only: what models see."""
Mask = NDArray[np.float32]
"""(H, W) float32 in [0, 1]; 1 is foreground."""
Image8 = NDArray[np.uint8]
"""(H, W), (H, W, 3) or (H, W, 4) uint8; alpha is straight, not premultiplied."""
Json = Mapping[str, Any]
"""A JSON object."""
THRESHOLD = 0.5
"""A pixel of a mask is foreground from here on."""


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyMap:
    """How much each pixel belongs to the subject: `values`, (H, W) float32 in [0, 1]."""

    values: Mask


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """The class of each pixel.

    labels : (H, W) uint8 or uint16, an index into `names`.
    names : the class names, in the checkpoint's order.
    stuff : for each class, whether it is background by nature (sky, wall, floor …); as long as `names`.
    """

    labels: NDArray[np.unsignedinteger]
    names: tuple[str, ...]
    stuff: tuple[bool, ...]

    def shares(self) -> dict[int, float]:
        """Return each class's share of the picture, the largest first, ties by index; without classes that are not there."""
        counts = _counted(self.labels, len(self.names))
        order = np.argsort(-counts, kind="stable")
        return {int(index): counts[index] / self.labels.size for index in order if counts[index]}


@dataclass(frozen=True, slots=True)
class Instance:
    """One object, or one region of stuff, of an `InstanceMap`: the facts that a rule may use besides its shape."""

    name: str
    """Its class, as the checkpoint names it."""
    stuff: bool
    """Whether it is background by nature (sky, wall, floor …)."""
    score: float
    """How sure the model is of it, in [0, 1]."""
    sharpness: float = 0.0
    """Mean squared gradient of the picture's luma inside it, ≥ 0, in (gray levels / pixel)²: low where it is out of focus.
    Of a copy at most 1024 pixels long, between neighbors of one object."""
    nearness: float | None = None
    """Median nearness of its pixels, as in `DepthMap`; None where no depth is known."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceMap:
    """The object that each pixel belongs to.

    numbers : (H, W) uint16; 0 is none, k is `objects[k - 1]`.
    objects : the objects; each has at least one pixel.
    """

    numbers: NDArray[np.uint16]
    objects: tuple[Instance, ...]

    def areas(self) -> NDArray[np.int64]:
        """Return the number of pixels of each object, (objects,) int64."""
        return _counted(self.numbers, len(self.objects) + 1)[1:]


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """How near each pixel is: `nearness`, (H, W) float32, finite; larger is nearer.

    Relative, as a network sees it in one still picture: proportional to 1 / distance up to an unknown scale and shift. A
    rule may use order and ratios of differences, never the numbers themselves.
    """

    nearness: NDArray[np.float32]


Map = SaliencyMap | LabelMap | InstanceMap | DepthMap
MAP_WORDS: Mapping[type[Map], str] = {
    SaliencyMap: "how much each pixel stands out",
    LabelMap: "classes",
    InstanceMap: "single objects",
    DepthMap: "distances",
}
"""What each kind of map holds, in the words of messages."""


def _counted(indices: NDArray[np.unsignedinteger], kinds: int) -> NDArray[np.int64]:
    """Return how often each index occurs, (kinds,) int64; some rows at a time, since bincount needs 8 bytes for each pixel."""
    rows = max(1, (1 << 20) // max(1, indices.shape[1]))
    total = np.zeros(kinds, np.int64)
    for start in range(0, len(indices), rows):
        total += np.bincount(indices[start : start + rows].ravel(), minlength=kinds)
    return total


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
