"""Run the training loop: data, network, schedule, steps, validation, checkpoint.

The schedule runs over `progress`, from 0 to 1: the share of the epochs done, or with `minutes` of the time used. With
epochs and a seed a run can be repeated to the bit on one machine; with minutes it fits the time given instead.
"""

import copy
import csv
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from figureground._files import replacing
from figureground.errors import BadData, UsageError
from figureground.evaluation.dataset import LabeledImage, shows, warn_single_class
from figureground.evaluation.metrics import Counts, Floats, max_f, mean_absolute_error, precision_recall
from figureground.evaluation.plots import plot_log
from figureground.training.augmentation import Image8, Sample
from figureground.training.calibration import calibrate
from figureground.training.config import Recipe
from figureground.training.data_loader import as_input, augmented, batches, decode, epoch_order
from figureground.training.detail.network import DetailNetwork
from figureground.training.detail.pairs import whole
from figureground.training.detail.scenes import Scene, draw_all
from figureground.training.encoder import EfficientNetLite, load_imagenet
from figureground.training.losses import total_loss
from figureground.training.networks import SaliencyNetwork
from figureground.training.optimizer import Optimizer
from figureground.training.soft_targets import soft_targets
from figureground.training.weights import build, load, save

SCENES = 1000  # drawn foregrounds; each is seen in other places, colors and lights every time
TOGETHER = 20  # pictures that validation looks at at once
PAUSE = 5.0  # seconds: a step that took longer stood still (a stopped process, a sleeping laptop) and counts as this


@dataclass(slots=True)
class State:
    """The progress in a checkpoint, besides tensors; a resumed run continues exactly there."""

    epoch: int = 0
    step: int = 0  # within the epoch
    used: float = 0.0  # seconds of work, pauses left out
    best: float = -1.0


def train(
    data: Sequence[LabeledImage],
    val: Sequence[LabeledImage],
    out: Path,
    recipe: Recipe,
    start: Path | None = None,
    *,
    encoder_weights: Path | Literal["none"] | None = None,
    weights: NDArray[np.float64] | None = None,
    quiet: bool = False,
) -> Path:
    """Train on `data`, choose the checkpoint by `val`, write everything to the folder `out`; return the best weights.

    Parameters
    ----------
    data, val
        Labeled pictures to learn from and to choose by.
    out
        Gets best.safetensors (the averaged weights of the best epoch, by max F − MAE), checkpoint.pt (if it is there already,
        the run continues from it), log.csv, loss.png and recipe.json.
    recipe
        The options of the run.
    start
        Weights of the same network to begin from.
    encoder_weights
        ImageNet weights of the encoder, where `start` is None: a file, "none" for random ones, or None for those of the
        installed package. The network `scratch` has none.
    weights
        How often an epoch shows each picture, from `sampling_weights`; None: each once.
    quiet
        Show no progress.

    Raises
    ------
    BadData
        No pictures, unreadable ones, or no mask that shows both foreground and background.
    WeightsError, MissingExtra, UnknownName, UsageError
        Weights that do not fit or are not installed, an unknown network or device.
    """
    if not data or not val:
        raise BadData("training needs at least one picture to train on and one to validate on")
    run = TrainingRun(recipe, out, _network(recipe, start, encoder_weights))
    if recipe.synthetic:
        run.scenes = draw_all(SCENES, recipe.last_size or recipe.size, recipe.seed, quiet, centered=True)
    pictures, held = decode(data, quiet), decode(val, quiet)
    for part, samples in ((data, pictures), (val, held)):
        warn_single_class([pair.name for pair in part], [shows(mask) for _, mask in samples], to_learn=True)
    if recipe.soft_targets:
        run.targets = soft_targets(pictures, recipe.soft_targets, recipe.threads, quiet)
    run.train(pictures, held, weights, quiet)
    calibrate(run.best, run.average.cpu(), held, recipe.last_size or recipe.size)
    return run.best


_BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"


def bf16_is_quick(device: torch.device) -> bool:
    """Return whether bfloat16 is done in hardware here."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_amx_tile_supported())  # with AVX-512 alone its convolutions take twice the time of float32


class TrainingRun:
    """Network, averaged network, optimizer and state of one run."""

    def __init__(self, recipe: Recipe, out: Path, network: SaliencyNetwork | DetailNetwork) -> None:
        self.recipe, self.out, self.state = recipe, out, State()
        self.best = out / "best.safetensors"
        self.device = _device(recipe.device)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        cv2.setNumThreads(0)
        torch.manual_seed(recipe.seed)
        bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and bf16_is_quick(self.device))
        self.cast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        network.to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub does not know it alone
        self.model, self.average = network, copy.deepcopy(network)
        self.optimizer = Optimizer(self.model, recipe)
        self.scenes: list[Scene] = []
        self.targets: list[Image8] = []

    def train(self, pictures: list[Sample], held: Any, weights: NDArray[np.float64] | None, quiet: bool) -> None:
        """Train to the end, validating after each epoch. held : what `figures` takes. weights : as of the function `train`."""
        self.open()
        weights = np.ones(len(pictures)) if weights is None else weights
        with tqdm(total=1000, disable=quiet or None, unit="‰", desc="train", bar_format=_BAR) as bar:
            while self.progress(len(pictures)) < 1:
                loss = self.epoch(pictures, weights, bar)
                if self.state.step:
                    continue
                self.validate(held, loss, bar)
                self.save()
            bar.update(1000 - bar.n)

    def open(self) -> None:
        """Make the folder of the run, and continue from the checkpoint in it if there is one."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "recipe.json").write_text(json.dumps(asdict(self.recipe), indent=1) + "\n")
        if (self.out / "checkpoint.pt").exists():
            self._resume()

    def _resume(self) -> None:
        saved = torch.load(self.out / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = State(**saved["state"])

    def save(self) -> None:
        """Write the checkpoint; a run that starts in the same folder continues from it."""
        tensors = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        with replacing(self.out / "checkpoint.pt") as part:
            torch.save({**tensors, "optimizer": self.optimizer.state_dict(), "state": asdict(self.state)}, part)

    def progress(self, pictures: int) -> float:
        """Return the share of the run that is done, from 0 to 1."""
        if self.recipe.minutes is not None:
            return min(1.0, self.state.used / (60 * self.recipe.minutes))
        steps = max(1, pictures // self.recipe.batch)
        return min(1.0, (self.state.epoch * steps + self.state.step) / (self.recipe.epochs * steps))

    def lr(self, progress: float) -> float:
        """Return the learning rate: linear warm-up, then half a cosine down to a hundredth."""
        if progress < self.recipe.warmup:
            return self.recipe.lr * (progress / self.recipe.warmup + 1e-3)
        falling = (progress - self.recipe.warmup) / (1 - self.recipe.warmup)
        return self.recipe.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))

    def freeze(self, progress: float) -> None:
        """Set how many blocks of a pre-trained encoder are not trained at this share of the run."""
        encoder = getattr(self.model, "encoder", None)
        frozen = self.recipe.frozen_at(progress)
        if isinstance(encoder, EfficientNetLite) and encoder.frozen != frozen:
            encoder.frozen = frozen
            self.model.train()

    def epoch(self, pictures: list[Sample], weights: NDArray[np.float64], bar: "tqdm[None]") -> float:
        """Train on one epoch's pictures, in an order that the seed and the epoch decide; return the mean loss."""
        losses = []
        size = self.recipe.size_at(self.progress(len(pictures)))
        self.model.train()
        began = time.monotonic()
        for images, masks in self.batches(pictures, weights, size):
            progress = self.progress(len(pictures))
            if progress >= 1:
                break
            self.freeze(progress)
            losses.append(self.step(images, masks, self.lr(progress)))
            self.state.step += 1
            now = time.monotonic()
            self.state.used, began = self.state.used + min(now - began, PAUSE), now
            bar.update(int(1000 * progress) - bar.n)
            bar.set_postfix_str(f"epoch {self.state.epoch + 1} loss {np.mean(losses[-100:]):.3f}", refresh=False)
        self.state.epoch, self.state.step = self.state.epoch + 1, 0
        return float(np.mean(losses)) if losses else float("nan")

    def batches(self, pictures: list[Sample], weights: NDArray[np.float64], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of the epoch, stacked from what `sample` gives, from the step where it stands."""
        where = (self.recipe.seed, self.state.epoch)
        order = epoch_order(weights, where)
        return batches(partial(self.sample, pictures, size), order, self.recipe.batch, where, self.state.step)

    def sample(
        self, pictures: list[Sample], size: int, index: int, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the network gets of a picture, and what its answer is compared with."""
        if self.scenes and random.random() < self.recipe.synthetic:
            return as_input(*whole(self.scenes, pictures, size, random))
        return augmented(pictures, size, index, random, self.targets[index] if self.targets else None)

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        with self.cast:
            logits = self.model(images)
        return total_loss([part.float() for part in logits], masks, self.recipe.boundary)

    def figures(self, held: Any) -> dict[str, float]:
        """Return the figures of validation."""
        size = self.recipe.last_size or self.recipe.size
        return validation(self.average, held, size, self.device, self.cast)

    def score(self, figures: dict[str, float]) -> float:
        """Return by what the best weights are chosen."""
        return figures["max_f"] - figures["mae"]

    def step(self, images: Tensor, masks: Tensor, lr: float) -> float:
        """Run forward, backward, update and averaging; return the loss."""
        loss = self.loss(images.to(self.device, memory_format=torch.channels_last), masks.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step(lr)
        with torch.no_grad():
            # young averages follow quickly, old ones slowly
            done = self.optimizer.steps()
            keep = min(self.recipe.ema_decay, (1 + done) / (10 + done))
            for mine, theirs in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.lerp_(theirs, 1 - keep)
                else:
                    mine.copy_(theirs)
        return float(loss.item())

    def validate(self, held: Any, loss: float, bar: "tqdm[None]") -> None:
        """Validate the averaged weights, and keep the best so far."""
        figures = self.figures(held)
        score = self.score(figures)
        row = {"epoch": self.state.epoch, "minutes": round(self.state.used / 60, 2), "loss": round(loss, 5)}
        row |= {name: round(value, 5) for name, value in figures.items()}
        log = self.out / "log.csv"
        fresh = not log.exists()
        with log.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        bar.write(" ".join(f"{name} {value}" for name, value in row.items()))
        if score > self.state.best:
            self.state.best = score
            save(self.best, self.average.state_dict(), self.recipe)
        plot_log(log, self.out / "loss.png")


def _device(name: str) -> torch.device:
    """Return the device of that name; a missing one is an error and is never replaced."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device '{name}' is not available ({str(error).splitlines()[0]}); use cpu, or auto") from error
    return torch.device(name)


def _network(recipe: Recipe, start: Path | None, encoder_weights: Path | Literal["none"] | None) -> SaliencyNetwork:
    torch.manual_seed(recipe.seed)
    if start is not None:
        if encoder_weights is not None:
            raise UsageError("--from gives all weights, those of the encoder too; leave out --encoder-weights, or --from")
        return load(start, recipe.network)
    network = build(recipe.network)
    if isinstance(network.encoder, EfficientNetLite):
        if encoder_weights != "none":
            load_imagenet(network.encoder, recipe.network, encoder_weights)
    elif encoder_weights not in {None, "none"}:
        raise UsageError(f"the network '{recipe.network}' has no pre-trained encoder; leave out --encoder-weights")
    return network


@torch.no_grad()
def validation(model: nn.Module, held: list[Sample], size: int, device: torch.device, cast: torch.autocast) -> dict[str, float]:
    """Return max F, MAE and mean IoU of the pictures, each at its own size."""
    model.eval()
    curves: list[tuple[Floats, Floats]] = []
    errors, ious = [], []
    for start in range(0, len(held), TOGETHER):
        part = held[start : start + TOGETHER]
        images = torch.from_numpy(np.stack([_preprocess(rgb, size) for rgb, _ in part])).permute(0, 3, 1, 2)
        with cast:
            logits = model(images.to(device, memory_format=torch.channels_last))[0]
        for answer, (_, mask) in zip(torch.sigmoid(logits.float())[:, 0].cpu().numpy(), part, strict=True):
            prediction = np.clip(cv2.resize(answer, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), 0, 1)
            truth = mask > 127
            curves.append(precision_recall(prediction, truth))
            errors.append(mean_absolute_error(prediction, truth))
            ious.append(Counts.of(prediction, truth).iou)
    return {"max_f": max_f(curves), "mae": float(np.mean(errors)), "iou": float(np.mean(ious))}


def _preprocess(rgb: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Return the network's input for a picture, (size, size, 3) float32 in [0, 1]."""
    small = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR)
    return np.asarray(small, np.float32) / np.float32(255)
