"""Labelled pictures on their way to the network: decoded once into memory, then augmented into batches by threads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from figureground.dataset import Pair
from figureground.training.augment import Sample, sample


def decode(data: Sequence[Pair], quiet: bool) -> list[Sample]:
    """Every picture, decoded once into memory."""
    with ThreadPoolExecutor(2) as pool:
        return list(tqdm(pool.map(Pair.read, data), "read", len(data), disable=quiet or None, unit="picture"))


def batches(
    pictures: list[Sample], size: int, batch: int, where: tuple[int, int], skip: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch but for the first `skip`, made by two threads ahead of the network.

    Gives pictures (N, 3, size, size) float32 in [0, 1] and masks (N, 2, size, size): truth, and the weight of its edges.
    where : seed and epoch; they decide order and augmentation, whatever the threads.
    """
    order = np.random.default_rng(where).permutation(len(pictures))
    whole = max(1, len(pictures) // batch) * batch
    picks = [order[i : i + batch] for i in range(0, min(whole, len(order)), batch)][skip:]

    def make(chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        made = [sample(pictures, int(i), size, np.random.default_rng([*where, int(i)])) for i in chosen]
        images = np.stack([rgb for rgb, _ in made]).astype(np.float32) / 255  # (N, S, S, 3)
        masks = np.stack([_with_weight(mask) for _, mask in made])  # (N, 2, S, S)
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(make, pick) for pick in picks[:4]]
        for ahead in range(4, len(picks) + 4):
            done = waiting.pop(0).result() if waiting else None
            if ahead < len(picks):
                waiting.append(pool.submit(make, picks[ahead]))
            if done is not None:
                yield done


def _with_weight(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S) uint8 → (2, S, S): truth in [0, 1], and the edge weight of `total_loss`, its field an eighth of the side."""
    truth = mask.astype(np.float32) / 255
    field = mask.shape[0] // 8 | 1
    return np.stack([truth, 1 + 2 * np.abs(cv2.blur(truth, (field, field)) - truth)])
