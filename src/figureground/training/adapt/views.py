"""Prepare the user's pictures for a frozen network: read, check, augment, and keep the features.

To alter them in another way: `_altered`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from figureground.errors import UsageError
from figureground.evaluation.dataset import LabeledImage, Shows, shows, warn_single_class
from figureground.models.saliency.tta import preprocess
from figureground.training.adapt.head import Views
from figureground.training.augmentation import Sample, sample

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_PICTURES = 5  # pictures: with fewer nothing can be held back that says anything
MOST_VIEWS = 8  # of one picture
MANY_VIEWS = 320  # in all, but one of each picture in any case
MEMORY = 1 << 29  # bytes of kept features, likewise
SHARE = 0.35  # of the time given, for looking


def read(data: Sequence[LabeledImage], size: int, quiet: bool) -> list[Sample]:
    """Return every picture, (size, size, 3) uint8, and its mask, (size, size) uint8.

    Raises UsageError for fewer than `LEAST`, BadData for what cannot be read and where no mask shows both classes; masks
    that are empty or full are told of, counted.
    """
    if len(data) < MIN_PICTURES:
        raise UsageError(f"expected at least {MIN_PICTURES} labeled pictures, but got {len(data)}; label more pictures")

    def one(pair: LabeledImage) -> tuple[Sample, Shows]:
        rgb, mask = pair.read()
        small = np.rint(preprocess(rgb, size)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
        return (small, shrunk(mask, size)), shows(mask)

    with ThreadPoolExecutor(2) as pool:
        samples = list(tqdm(pool.map(one, data), "read", len(data), disable=quiet or None, unit="picture"))
    warn_single_class([pair.name for pair in data], [shown for _, shown in samples], to_learn=True)
    return [one_sample for one_sample, _ in samples]


def shrunk(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a mask (H, W) uint8 → (size, size) uint8, averaged over what falls together."""
    height, width = mask.shape
    smaller = cv2.resize(mask, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(smaller, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def collect_views(
    samples: list[Sample], features: "Callable[[Tensor], tuple[list[Tensor], Tensor]]", seed: int, seconds: float, quiet: bool
) -> Views:
    """Return each picture, its mirror image and altered versions, as time and memory allow, as the frozen network sees them.

    seen : of pictures (1, 3, S, S) in [0, 1]: levels and own logits, as `bases.Base.seen`. seconds : for all of adapting.
    """
    began, count, row = time.monotonic(), len(samples), 0
    most = max(1, min(MOST_VIEWS, MANY_VIEWS // count))
    rooms: list[Tensor] = []  # levels, own, truth: room for all that may come; what is never written to takes no memory
    with tqdm(total=most * count, desc="look", disable=quiet or None, unit="picture") as bar:
        for view in range(most):
            for index in range(count):
                rgb, mask = _altered(samples, index, view, seed)
                x = torch.from_numpy(rgb.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()
                levels, own = features(x)
                truth = torch.from_numpy(shrunk(mask, own.shape[-1]).astype(np.float32) / 255)[None, None]
                parts = [*levels, own, truth]
                rooms = rooms or [torch.empty(most * count, *part.shape[1:], dtype=torch.float16) for part in parts]
                for room, part in zip(rooms, parts, strict=True):
                    room[row] = part[0]
                row += 1
                bar.update()
            rounds, bytes_each = view + 1, sum(2 * room[0].numel() for room in rooms[:-2])
            too_long = (time.monotonic() - began) * (rounds + 1) / rounds > SHARE * seconds
            if too_long or bytes_each * count * (rounds + 1) > MEMORY:
                break
        bar.total = bar.n
    *all_levels, owns, truths = (room[:row] for room in rooms)
    return Views(all_levels, owns, truths, torch.arange(row) % count, torch.arange(row) < count)


def _altered(samples: list[Sample], index: int, view: int, seed: int) -> Sample:
    """Return a view of a picture: 0 is the picture, 1 its mirror image, and more are other crops, turns and colors."""
    rgb, mask = samples[index]
    if view == 0:
        return rgb, mask
    if view == 1:
        return np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return sample(samples, index, len(rgb), np.random.default_rng([seed, index, view]))
