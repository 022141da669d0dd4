"""Split labeled pictures into lists for training, validation and test, with near-duplicates in one list.

The perceptual hash: low frequencies of the cosine transform of a small gray picture, above or below their median, after
Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010). It sees through other sizes,
compression, mild changes of color and mirroring, not through crops or turns.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figureground.errors import BadData, UsageError
from figureground.evaluation.dataset import LabeledImage, Shows, shows, warn_single_class
from figureground.types import Rgb

BITS = 256
ALIKE = 48  # bits of 256: pictures whose hashes differ in no more are near-duplicates

Bits = NDArray[np.bool_]
"""(256,) bool."""


def perceptual_hash(rgb: Rgb) -> Bits:
    """Return 16 × 16 low frequencies of the picture, (H, W, 3) uint8, each above their median or not: (256,) bool."""
    import cv2

    gray = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(gray.astype(np.float32))[:16, :16].ravel()
    waves[0] = 0  # the mean: how bright the picture is
    bits: Bits = waves > np.median(waves)
    return bits


def near_duplicates(hashes: NDArray[np.bool_], mirrored: NDArray[np.bool_], alike: int = ALIKE) -> list[list[int]]:
    """Return groups of similar pictures, each sorted, in the order of their first member.

    If A is similar to B and B to C, all three are one group.

    Parameters
    ----------
    hashes, mirrored : (n, 256) bool
        Of the pictures, and of their mirror images, as `perceptual_hash` returns them.
    alike : int
        Bits in which the hashes of similar pictures may differ.

    Returns
    -------
    list of list of int
    """
    group = list(range(len(hashes)))

    def head(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    signs, other = (np.where(bits, 1, -1).astype(np.float32) for bits in (hashes, mirrored))
    for start in range(0, len(signs), 1024):
        some = signs[start : start + 1024]
        closest = np.maximum(some @ signs.T, some @ other.T)  # BITS − 2 × the bits that differ
        for i, j in zip(*np.nonzero(closest >= BITS - 2 * alike), strict=True):
            a, b = head(start + int(i)), head(int(j))
            group[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(group)):
        groups.setdefault(head(i), []).append(i)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Split:
    """The lists, each in the order of the data, and the groups of near-duplicates of more than one picture."""

    parts: Mapping[str, tuple[LabeledImage, ...]]
    groups: tuple[tuple[str, ...], ...]


def split(data: Sequence[LabeledImage], val: float = 0.1, test: float = 0.1, seed: int = 0, alike: int = ALIKE) -> Split:
    """Divide pictures into lists for training, validation and test; near-duplicates stay together.

    The same data and seed give the same lists, in any order of the data. Whole groups are assigned while they fit, in an
    order that the seed and their names decide, so validation and test never get more than their share.

    Parameters
    ----------
    data : sequence of LabeledImage
    val, test : float
        Shares of the pictures.
    seed : int
    alike : int
        Bits of 256 in which the hashes of near-duplicates may differ.

    Returns
    -------
    Split

    Raises
    ------
    UsageError
        If the shares leave nothing to train on.
    BadData
        If there is no picture, or one cannot be read.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(f"--val and --test are shares of which the sum is below 1, but got {val:g} and {test:g}")
    if not data:
        raise BadData("there is nothing to split: the data set holds no pictures")
    groups = near_duplicates(*_hashes(data), alike)
    order = sorted(groups, key=lambda group: min(_lot(data[i].name, seed) for i in group))
    part_of = dict.fromkeys(range(len(data)), "train")
    for part, share in (("test", test), ("val", val)):
        room = round(share * len(data))
        for group in order:
            if len(group) <= room and part_of[group[0]] == "train":
                part_of |= dict.fromkeys(group, part)
                room -= len(group)
    parts = {part: tuple(p for i, p in enumerate(data) if part_of[i] == part) for part in ("train", "val", "test")}
    return Split(parts, tuple(tuple(data[i].name for i in group) for group in groups if len(group) > 1))


def _lot(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _hashes(data: Sequence[LabeledImage]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (n, 256) bool each: of the pictures, and of their mirror images."""
    from tqdm import tqdm

    def one(pair: LabeledImage) -> tuple[Bits, Bits, Shows]:
        rgb, mask = pair.read()
        return perceptual_hash(rgb), perceptual_hash(np.ascontiguousarray(rgb[:, ::-1])), shows(mask)

    with ThreadPoolExecutor(2) as pool:
        hashes = list(tqdm(pool.map(one, data), "read", len(data), disable=None, unit="picture"))
    warn_single_class([pair.name for pair in data], [shown for _, _, shown in hashes], to_learn=False)
    return np.array([h for h, _, _ in hashes]), np.array([m for _, m, _ in hashes])


def lines(pairs: Sequence[LabeledImage], folder: Path) -> str:
    """Return a list of pictures as `dataset.pairs` reads it, for a file in `folder`.

    Raises UsageError for a name with a tab or a line break.
    """
    text = []
    for pair in pairs:
        place = os.path.relpath(pair.source, folder)
        if any(mark in place + pair.key for mark in "\t\n\r"):
            raise UsageError(f"'{pair.name}' has a tab or a line break in its name, which no list can hold; rename it")
        text.append(f"{place}\t{pair.key}\n")
    return "".join(text)
