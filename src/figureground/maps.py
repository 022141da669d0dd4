"""What a model says of a picture, one type for each kind of answer, and the array types that travel between the stages.

Every map has the picture's own H and W. To add a kind of map: a frozen class here, and its name in `Map`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""(H, W, 3) uint8, sRGB, upright, read-only: what models see."""
Mask = NDArray[np.float32]
"""(H, W) float32 in [0, 1]; 1 is foreground."""
Image8 = NDArray[np.uint8]
"""(H, W), (H, W, 3) or (H, W, 4) uint8; alpha is straight, not premultiplied."""


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
        """The share of the picture that each class has, the largest first, ties by index; classes not found are left out."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        order = np.argsort(-counts, kind="stable")
        return {int(index): counts[index] / self.labels.size for index in order if counts[index]}


Map = SaliencyMap | LabelMap
