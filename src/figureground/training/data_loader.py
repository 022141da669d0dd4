"""Load labeled pictures for training: decode them once into memory, then augment batches in threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from figureground.errors import UsageError
from figureground.evaluation.dataset import LabeledImage
from figureground.training.augmentation import Sample, sample

AHEAD = 4  # batches that are prepared before they are needed


def decode(data: Sequence[LabeledImage], quiet: bool) -> list[Sample]:
    """Return every picture, decoded once into memory."""
    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(LabeledImage.read, data), "read", len(data), disable=quiet or None, unit="picture"))


def sampling_weights(counts: Sequence[int], shares: Sequence[float | None]) -> NDArray[np.float64]:
    """Return how often an epoch shows each picture on average, (n,), so that every source has its share.

    Parameters
    ----------
    counts
        Pictures of each source; n is their sum, and as many samples make an epoch.
    shares
        Of each source, above 0 and below 1; sources without a share (None) divide what is left by their counts.

    Raises
    ------
    UsageError
        A share is not between 0 and 1, or the shares do not leave room for the sources without one, or do not sum to 1.
    """
    stated = sum(share for share in shares if share is not None)
    free = sum(count for count, share in zip(counts, shares, strict=True) if share is None)
    if any(share is not None and not 0 < share <= 1 for share in shares):
        raise UsageError(f"a share must be above 0 and at most 1, but the shares are {_listed(shares)}")
    if (free and stated >= 1) or (not free and abs(stated - 1) > 1e-6):
        room = "be below 1, to leave room for the data without a share" if free else "sum to 1"
        raise UsageError(f"the shares of the data must {room}, but they sum to {stated:g} ({_listed(shares)})")
    total = sum(counts)
    weights = []
    for count, share in zip(counts, shares, strict=True):
        each = (1 - stated) * total / free if share is None else share * total / count
        weights.append(np.full(count, each))
    return np.concatenate(weights)


def _listed(shares: Sequence[float | None]) -> str:
    return ", ".join("none" if share is None else f"{share:g}" for share in shares)


def epoch_order(weights: NDArray[np.float64], where: tuple[int, int]) -> NDArray[np.int64]:
    """Return the pictures of one epoch by number, in random order; as many as there are pictures.

    Each picture is there ⌊weight⌋ or ⌈weight⌉ times, by systematic sampling. where : seed and epoch.
    """
    random = np.random.default_rng(where)
    order = random.permutation(len(weights))
    edges = np.cumsum(weights[order])
    places = (random.random() + np.arange(len(weights))) * edges[-1] / len(weights)
    chosen = order[np.minimum(np.searchsorted(edges, places, "right"), len(order) - 1)]
    return random.permutation(chosen)


Make = Callable[[int, np.random.Generator], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""(number of a picture, random numbers) → the network's input (C, S, S) and what it is compared with (K, S, S)."""


def batches(
    make: Make, order: NDArray[np.int64], batch: int, where: tuple[int, int], skip: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one epoch except for the first `skip`, made by two threads ahead of the network.

    Gives inputs (N, C, S, S) and targets (N, K, S, S). order : from `epoch_order`. where : seed and epoch; they decide the
    augmentation, whatever the threads.
    """
    whole = max(1, len(order) // batch) * batch
    starts = range(0, min(whole, len(order)), batch)[skip:]

    def together(start: int) -> tuple[Tensor, Tensor]:
        places = range(start, min(start + batch, len(order)))
        samples = [make(int(order[place]), np.random.default_rng([*where, place])) for place in places]
        inputs, targets = (torch.from_numpy(np.stack(each)) for each in zip(*samples, strict=True))
        return inputs, targets

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(together, start) for start in starts[:AHEAD]]
        for ahead in range(AHEAD, len(starts) + AHEAD):
            done = waiting.pop(0).result() if waiting else None
            if ahead < len(starts):
                waiting.append(pool.submit(together, starts[ahead]))
            if done is not None:
                yield done


def augmented(
    pictures: list[Sample], size: int, index: int, random: np.random.Generator, target: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an augmented picture (3, size, size) in [0, 1]; and its mask (2, size, size): truth, and weight of its edges.

    target : what the network learns instead of the mask, (H, W) uint8.
    """
    return as_input(*sample(pictures, index, size, random, target))


def as_input(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a picture (S, S, 3) and its mask (S, S) in the shapes and types of `augmented`."""
    return rgb.transpose(2, 0, 1).astype(np.float32) / np.float32(255), _with_weight(mask)


def _with_weight(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return of a mask (S, S) uint8 its truth in [0, 1] and the edge weights of `total_loss`, (2, S, S)."""
    truth = mask.astype(np.float32) / 255
    field = mask.shape[0] // 8 | 1
    return np.stack([truth, 1 + 2 * np.abs(cv2.blur(truth, (field, field)) - truth)])
