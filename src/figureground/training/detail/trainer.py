"""Train the detail network: `figureground train --network detail`. Loop, schedule and files are those of `TrainingRun`."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from figureground import models
from figureground.errors import BadData, UsageError
from figureground.evaluation.dataset import LabeledImage
from figureground.evaluation.metrics import Counts
from figureground.settings import Settings
from figureground.training.augmentation import Sample
from figureground.training.config import Recipe
from figureground.training.data_loader import decode
from figureground.training.detail.network import DetailNetwork
from figureground.training.detail.pairs import Floats, coarse, composite, crop, firm
from figureground.training.detail.scenes import draw, draw_all
from figureground.training.trainer import TrainingRun
from figureground.training.weights import load_detail

SCENES = 2000
"""Drawn foregrounds; each is seen in other places, colors and lights every time."""
ROOM = 1.25
"""How much larger a scene's side is than a window's."""
ANSWERS = 1500
"""Pictures for which the embedded network's own masks are used, half of the time that they are seen."""
COMPOSITES, WHOLE = 600, 512
"""Drawn foregrounds over photographs for which its masks are used too, and the pixels of their sides."""
LIKE = 0.5
"""The least IoU of such a mask with the truth; otherwise the network took something else for the subject."""
SHRUNK = 0.35
"""The pictures are shown to it at this share of their size, or more, so that it errs as it does on pictures not seen."""
HELD = 96
"""Windows of each kind in validation."""
UNCERTAIN = (0.03, 0.97)
FAR = 0.1
"""Weight of the pixels where the coarse mask is certain and right."""
FIXED = ("encoder_lr", "layer_decay", "freeze", "unfreeze_at", "boundary", "synthetic", "soft_targets", "last_size")
"""Fields of a recipe that this network has no use for."""


def train(
    data: Sequence[LabeledImage],
    val: Sequence[LabeledImage],
    out: Path,
    recipe: Recipe,
    start: Path | None = None,
    *,
    weights: NDArray[np.float64] | None = None,
    quiet: bool = False,
) -> Path:
    """Train the detail network; the parameters and what is raised are those of `trainer.train`.

    The pictures are backgrounds and textures of drawn foregrounds, and with their masks half of the windows. The best weights
    have the lowest error on windows of `val` and drawn ones together.
    """
    if not data or not val:
        raise BadData("training needs at least one picture to train on and one to validate on")
    unused = [name for name in FIXED if getattr(recipe, name) != getattr(Recipe(), name)]
    if unused:
        flags = ", ".join("--" + name.replace("_", "-") for name in unused)
        raise UsageError(f"the network 'detail' does not use {flags}; leave out what it does not use")
    torch.manual_seed(recipe.seed)
    network = DetailNetwork() if start is None else load_detail(start)
    run = DetailRun(recipe, out, network, decode(data, quiet), quiet)
    held = run.windows(decode(val, quiet))
    run.train(run.pictures, held, weights, quiet)
    return run.best


class DetailRun(TrainingRun):
    """Pictures, scenes and the embedded network's masks, besides what a `TrainingRun` has."""

    def __init__(self, recipe: Recipe, out: Path, network: DetailNetwork, pictures: list[Sample], quiet: bool = False) -> None:
        super().__init__(recipe, out, network)
        self.pictures = pictures
        side = round(ROOM * recipe.size)
        self.scenes = draw_all(SCENES, side, recipe.seed, quiet)
        self._ask(quiet)

    def _ask(self, quiet: bool) -> None:
        """Keep the embedded network's masks of some pictures, by their number, and of composites."""
        model = models.load("saliency", Settings(threads=self.recipe.threads or 0), quality="fast")
        seed = self.recipe.seed

        def answer(rgb: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
            share = random.uniform(SHRUNK, 1)
            small = np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)
            values = model(small).values  # type: ignore[union-attr]
            return np.rint(cv2.resize(values, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR) * 255).astype(np.uint8)

        count = min(ANSWERS, len(self.pictures))
        chosen = np.random.default_rng((seed, 2)).choice(len(self.pictures), count, replace=False)
        self.answers: dict[int, NDArray[np.uint8]] = {}
        for number in tqdm(chosen.tolist(), "look", disable=quiet or None, unit="picture"):
            self.answers[number] = answer(self.pictures[number][0], np.random.default_rng((seed, 5, number)))
        self.composites: list[Sample] = []
        for number in tqdm(range(COMPOSITES), "compose", disable=quiet or None, unit="picture"):
            random = np.random.default_rng((seed, 6, number))
            rgb, alpha = composite([draw(WHOLE, random)], self.pictures, WHOLE, random, blurred=True)
            mask = answer(rgb, random)
            counts = Counts.of(mask / np.float32(255), alpha > 0.5)
            if counts.iou >= LIKE and (alpha > 0.5).any():
                self.composites.append((rgb, np.dstack([np.rint(alpha * 255).astype(np.uint8), mask])))

    def sample(self, pictures: list[Sample], size: int, index: int, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Return a window (4, S, S) and its target (2, S, S): alpha, and the weight of each pixel."""
        answered: Sample | None = None
        if random.random() < 0.5:
            if random.random() < 0.5 and self.composites:
                answered = self.composites[int(random.integers(len(self.composites)))]
            else:
                rgb, alpha = composite(self.scenes, pictures, size, random)
        elif random.random() < 0.5 and index in self.answers:
            answered = pictures[index][0], np.dstack([pictures[index][1], self.answers[index]])
        else:
            rgb, alpha = crop(pictures[index], size, random)
        if answered is None:
            return _window(rgb, alpha, coarse(alpha, random))
        rgb, planes = crop(answered, size, random)
        return _window(rgb, np.ascontiguousarray(planes[..., 0]), firm(np.ascontiguousarray(planes[..., 1]), random))

    def windows(self, held: list[Sample]) -> list[tuple[Floats, Floats]]:
        """Return the windows of validation, the same each time: drawn ones, and ones of labeled pictures."""
        size, windows = self.recipe.size, []
        scenes = [draw(round(ROOM * size), np.random.default_rng((3, seed))) for seed in range(HELD // 2)]
        for place in range(HELD):
            random = np.random.default_rng((4, place))
            for rgb, alpha in (composite(scenes, held, size, random), crop(held[place % len(held)], size, random)):
                windows.append(_window(rgb, alpha, coarse(alpha, random)))
        return windows

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the loss of a batch of windows, a scalar."""
        with self.cast:
            alpha = self.model(images)
        return detail_loss(alpha.float(), masks)

    @torch.no_grad()
    def figures(self, held: list[tuple[Floats, Floats]]) -> dict[str, float]:
        """Return the mean error of the band in drawn and in real windows, and that of the coarse mask."""
        self.average.eval()
        rows = []
        for window, target in held:
            answer = self.average(torch.from_numpy(window)[None].to(self.device))[0, 0].cpu().numpy()
            band = target[1] > FAR
            rows.append([np.abs(each - target[0])[band].sum() / max(1, band.sum()) for each in (answer, window[3])])
        synthetic, real = (np.mean(part, 0).tolist() for part in (rows[::2], rows[1::2]))
        return {"drawn": synthetic[0], "real": real[0], "drawn_coarse": synthetic[1], "real_coarse": real[1]}

    def score(self, figures: dict[str, float]) -> float:
        """Return by what the best weights are chosen."""
        return 1 - figures["drawn"] - figures["real"]


def _window(rgb: NDArray[np.uint8], alpha: Floats, rough: Floats) -> tuple[Floats, Floats]:
    """Return (4, S, S): colors and coarse mask; and (2, S, S): alpha, and the weight of each pixel."""
    colors = rgb.transpose(2, 0, 1).astype(np.float32) / 255
    low, high = UNCERTAIN
    band = ((rough > low) & (rough < high)) | (np.abs(rough - alpha) > 0.1)
    wide = cv2.dilate(band.astype(np.uint8), np.ones((9, 9), np.uint8))
    return np.concatenate([colors, rough[None]]), np.stack([alpha, np.where(wide, np.float32(1), np.float32(FAR))])


def detail_loss(alpha: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error of alpha in four sizes and of its differences between neighbors, a scalar.

    alpha : (N, 1, S, S). target : (N, 2, S, S), the truth and the weight of each pixel.
    """
    truth, weight = target[:, :1], target[:, 1:]
    error = alpha - truth
    total = (error.abs() * weight).sum() / weight.sum()
    for axis in (2, 3):
        near = weight.narrow(axis, 1, weight.shape[axis] - 1)
        total = total + (error.diff(dim=axis).abs() * near).sum() / near.sum()
    for _ in range(3):
        error, weight = F.avg_pool2d(error, 2), F.avg_pool2d(weight, 2)
        total = total + 0.5 * (error.abs() * weight).sum() / weight.sum()
    return total
