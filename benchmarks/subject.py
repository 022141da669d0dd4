"""How often the rule main-instance takes the labelled subject for the subject, among other things set into the picture.

python benchmarks/subject.py DATA [--every N] [--start N] [--json FILE]

No data set here says of each object whether it is the subject, so this is a stand-in. DATA has pictures and masks of their
subjects. Each connected part of a mask is an object, and any of them is right. The others are subjects of other pictures,
cut out by their masks and set behind it (`small`: 5 to 40 % of its area, anywhere; `at the border`: about as large, their
middle on the border; `blurred`: about as large, out of focus, in the outer thirds), or `patches`, the background itself in
two dozen parts, as a network might find things in it. No class is known and every score is 1, so place, size and sharpness
decide alone. To add a kind: a function and a row in `KINDS`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from common import Row, report
from figureground.evaluation.dataset import labeled_images
from figureground.masks.instance_ranking import FACTORS, prominence
from figureground.models.panoptic.postprocess import sharpness
from figureground.types import Instance, InstanceMap

Cut = tuple[np.ndarray, np.ndarray]
"""A picture (h, w, 3) uint8 and the shape (h, w) bool of what is cut out of it."""
PART = 0.05  # of the subject's largest part: smaller ones are no objects


class Composed:
    """A picture and the number of the object that each pixel shows; the first `own` are the subject's parts."""

    def __init__(self, rgb: np.ndarray, subject: np.ndarray) -> None:
        _, parts, stats, _ = cv2.connectedComponentsWithStats(subject.astype(np.uint8))
        large = stats[:, 4] >= PART * stats[1:, 4].max()
        large[0] = False
        self.rgb, self.own = rgb.copy(), int(np.count_nonzero(large))
        self.numbers = np.where(large, large.cumsum(), 0).astype(np.uint16)[parts]
        self.subject = subject
        self.area, self.shape = np.count_nonzero(subject), subject.shape

    def paste(self, cut: Cut, y: int, x: int, sigma: float = 0.0) -> None:
        """Set something behind the subject and before all else, its middle at (y, x), blurred by so many pixels."""
        colors, shape = cut
        height, width = self.shape
        move = np.float64([[1, 0, x - shape.shape[1] / 2], [0, 1, y - shape.shape[0] / 2]])
        weight = cv2.warpAffine(shape.astype(np.float32), move, (width, height))
        colors = cv2.warpAffine(colors, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        if sigma:
            weight, colors = (cv2.GaussianBlur(array, (0, 0), sigma) for array in (weight, colors))
        behind = (weight > 0) & ~self.subject
        mixed = self.rgb * (1 - weight[..., None]) + colors * weight[..., None]
        self.rgb[behind] = mixed[behind].round().astype(np.uint8)
        self.numbers[behind & (weight >= 0.5)] = self.numbers.max() + 1

    def seen(self) -> InstanceMap:
        """As a perfect network would see it; what is hidden is no object."""
        there = np.unique(self.numbers[self.numbers > 0])
        numbers = np.zeros(self.numbers.max() + 1, np.uint16)
        numbers[there] = np.arange(1, len(there) + 1)
        shown = numbers[self.numbers]
        sharp = sharpness(self.rgb, shown, len(there))
        return InstanceMap(shown, tuple(Instance("thing", False, 1.0, float(value)) for value in sharp))


def scaled(cut: Cut, area: float) -> Cut:
    """Something cut to its box, and enlarged or shrunk to so many pixels."""
    colors, shape = cut
    x, y, width, height = cv2.boundingRect(shape.astype(np.uint8))
    window = np.s_[y : y + height, x : x + width]
    factor = (area / np.count_nonzero(shape)) ** 0.5
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(shape[window].astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    return cv2.resize(colors[window], size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), small


def small(made: Composed, cuts: list[Cut], random: Generator) -> None:
    """Four smaller things, anywhere."""
    height, width = made.shape
    for cut in cuts:
        made.paste(scaled(cut, made.area * random.uniform(0.05, 0.4)), random.integers(height), random.integers(width))


def at_the_border(made: Composed, cuts: list[Cut], random: Generator) -> None:
    """Two things about as large, cut by the picture's left or right border."""
    height, width = made.shape
    for cut, x in zip(cuts, (0, width), strict=False):
        made.paste(scaled(cut, made.area * random.uniform(0.5, 1.2)), random.integers(height // 4, height), x)


def blurred(made: Composed, cuts: list[Cut], random: Generator) -> None:
    """Two things about as large and out of focus, their middles in the picture's outer thirds."""
    height, width = made.shape
    sigma = random.uniform(0.01, 0.03) * max(height, width)
    for cut, x in zip(cuts, (random.uniform(0, 1 / 3), random.uniform(2 / 3, 1)), strict=False):
        made.paste(scaled(cut, made.area * random.uniform(0.5, 1.5)), random.integers(height), round(x * width), sigma)


def patches(made: Composed, cuts: list[Cut], random: Generator) -> None:
    """The background in two dozen parts, along its own edges: a watershed from a grid."""
    height, width = made.shape
    seeds = np.zeros((height, width), np.int32)
    for number, (row, column) in enumerate(np.ndindex(4, 6), 1):
        y, x = round((row + 0.5) * height / 4), round((column + 0.5) * width / 6)
        seeds[y - 1 : y + 2, x - 1 : x + 2] = number
    parts = cv2.watershed(cv2.GaussianBlur(made.rgb, (0, 0), 2), seeds)
    behind = ~made.subject & (parts > 0)
    made.numbers[behind] = parts[behind] + made.numbers.max()


def everything(made: Composed, cuts: list[Cut], random: Generator) -> None:
    """One small, one at a border, one blurred."""
    small(made, cuts[:1], random)
    at_the_border(made, cuts[1:2], random)
    blurred(made, cuts[2:3], random)


KINDS: dict[str, Callable[[Composed, list[Cut], Generator], None]] = {
    "four small ones": small,
    "two at the border": at_the_border,
    "two blurred ones": blurred,
    "one of each": everything,
    "patches of the background": patches,
}


def read(data: Path, every: int, start: int) -> list[Cut]:
    """The pictures with their subjects, of at least a hundredth of the picture."""
    found = [(rgb, gray >= 128) for rgb, gray in (pair.read() for pair in labeled_images([data])[start::every])]
    return [(rgb, shape) for rgb, shape in found if shape.mean() >= 0.01]


def measured(cuts: list[Cut], kind: str) -> Row:
    """How often a part of the subject is ranked first, with all factors and with each of three left out."""
    hits: dict[str, list[bool]] = {name: [] for name in ("", "large", "central", "sharp")}
    for number, (rgb, subject) in enumerate(cuts):
        random = np.random.default_rng(number)
        others = [cuts[index] for index in random.permutation(len(cuts)) if index != number][:4]
        made = Composed(rgb, subject)
        KINDS[kind](made, others, random)
        seen = made.seen()
        whole = prominence(seen)
        for name, hit in hits.items():
            rank = whole / FACTORS[name](seen) if name else whole
            hit.append(int(rank.argmax()) < made.own)
    shares = {f"without `{name}`" if name else "the subject is first": f"{np.mean(hit):.1%}" for name, hit in hits.items()}
    return {"beside the subject": kind, **shares}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    cuts = read(given.data, given.every, given.start)
    rows = [measured(cuts, kind) for kind in KINDS]
    report("The subject among other things", rows, given.json, f"{len(cuts)} pictures.")


if __name__ == "__main__":
    main()
