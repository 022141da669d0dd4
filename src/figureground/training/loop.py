"""The training loop, read top to bottom: data, network, schedule, steps, validation, checkpoint.

The schedule runs over `progress`, from 0 to 1: the share of the epochs done, or with `minutes` of the time used. With
epochs and a seed a run can be repeated to the bit on one machine; with minutes it fits the time given instead.
"""

import csv
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from figureground.dataset import Pair, shows, tell_one_class
from figureground.errors import BadData, UnknownName, UsageError, WeightsError
from figureground.metrics import Counts, Floats, max_f, mean_absolute_error, precision_recall
from figureground.training.augment import Sample
from figureground.training.calibrate import calibrate
from figureground.training.feed import batches, decode
from figureground.training.loss import total_loss
from figureground.training.networks import NETWORKS
from figureground.training.optimiser import Optimiser
from figureground.training.plot import plot_log
from figureground.training.recipe import Recipe

TOGETHER = 20  # pictures that validation looks at at once
PAUSE = 5.0  # seconds: a step that took longer stood still (a stopped process, a sleeping laptop) and counts as this


@dataclass(slots=True)
class State:
    """What a checkpoint holds besides tensors; a resumed run goes on at exactly this place."""

    epoch: int = 0
    step: int = 0  # within the epoch
    used: float = 0.0  # seconds of work, pauses left out
    best: float = -1.0


def train(
    data: Sequence[Pair], val: Sequence[Pair], out: Path, recipe: Recipe, start: Path | None = None, quiet: bool = False
) -> Path:
    """Train on `data`, choose the checkpoint by `val`, write everything to the folder `out`; returns the best weights.

    `out` gets best.safetensors (the averaged weights of the best epoch, by max F − MAE), checkpoint.pt (to resume from;
    found there, the run goes on), log.csv, loss.png and recipe.json. `start` are weights to begin from. Raises BadData for no
    or unreadable pictures and where no mask shows both classes.
    """
    if not data or not val:
        raise BadData("training wants at least one picture to learn from and one to validate on")
    pictures, held = decode(data, quiet), decode(val, quiet)
    for part, samples in ((data, pictures), (val, held)):
        tell_one_class([pair.name for pair in part], [shows(mask) for _, mask in samples], to_learn=True)
    run = _Run(recipe, out, start)
    with tqdm(total=1000, disable=quiet or None, unit="‰", desc="train", bar_format=_BAR) as bar:
        while run.progress(len(pictures)) < 1:
            loss = run.epoch(pictures, bar)
            if run.state.step:
                continue
            run.validate(held, loss, bar)
            run.save()
        bar.update(1000 - bar.n)
    calibrate(run.best, run.average.cpu(), held, recipe.last_size or recipe.size)
    return run.best


_BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"


def bf16_is_quick(device: torch.device) -> bool:
    """Whether bfloat16 is done in hardware here."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.backends.cpu.get_cpu_capability().startswith("AVX512") and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _Run:
    """Network, averaged network, optimiser and state of one run."""

    def __init__(self, recipe: Recipe, out: Path, start: Path | None) -> None:
        self.recipe, self.out, self.state = recipe, out, State()
        self.best = out / "best.safetensors"
        self.device = _device(recipe.device)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        cv2.setNumThreads(0)
        torch.manual_seed(recipe.seed)
        bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and bf16_is_quick(self.device))
        self.cast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        self.model, self.average = (self._place(_network(recipe, start)) for _ in range(2))
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = Optimiser(self.model, recipe.rate, recipe.decay)
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
        if (out / "checkpoint.pt").exists():
            self._resume()

    def _place(self, network: nn.Module) -> nn.Module:
        network.to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub does not know it alone
        return network

    def _resume(self) -> None:
        saved = torch.load(self.out / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.state = State(**saved["state"])

    def save(self) -> None:
        """Write the checkpoint; a run that starts in the same folder goes on from it."""
        tensors = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        part = self.out / "checkpoint.part"
        torch.save({**tensors, "optimiser": self.optimiser.state_dict(), "state": asdict(self.state)}, part)
        part.replace(self.out / "checkpoint.pt")

    def progress(self, pictures: int) -> float:
        """The share of the run that is done, from 0 to 1."""
        if self.recipe.minutes is not None:
            return min(1.0, self.state.used / (60 * self.recipe.minutes))
        steps = max(1, pictures // self.recipe.batch)
        return min(1.0, (self.state.epoch * steps + self.state.step) / (self.recipe.epochs * steps))

    def rate(self, progress: float) -> float:
        """Linear warm-up, then half a cosine down to a hundredth."""
        if progress < self.recipe.warm_up:
            return self.recipe.rate * (progress / self.recipe.warm_up + 1e-3)
        falling = (progress - self.recipe.warm_up) / (1 - self.recipe.warm_up)
        return self.recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))

    def epoch(self, pictures: list[Sample], bar: "tqdm[None]") -> float:
        """One pass over the pictures in an order that the seed and the epoch decide; returns the mean loss."""
        losses = []
        size = self.recipe.size_at(self.progress(len(pictures)))
        self.model.train()
        began = time.monotonic()
        where = (self.recipe.seed, self.state.epoch)
        for images, masks in batches(pictures, size, self.recipe.batch, where, self.state.step):
            progress = self.progress(len(pictures))
            if progress >= 1:
                break
            losses.append(self.step(images, masks, self.rate(progress)))
            self.state.step += 1
            now = time.monotonic()
            self.state.used, began = self.state.used + min(now - began, PAUSE), now
            bar.update(int(1000 * progress) - bar.n)
            bar.set_postfix_str(f"epoch {self.state.epoch + 1} loss {np.mean(losses[-100:]):.3f}", refresh=False)
        self.state.epoch, self.state.step = self.state.epoch + 1, 0
        return float(np.mean(losses)) if losses else float("nan")

    def step(self, images: Tensor, masks: Tensor, rate: float) -> float:
        """Forward, backward, update, average; returns the loss."""
        with self.cast:
            logits = self.model(images.to(self.device, memory_format=torch.channels_last))
        loss = total_loss([part.float() for part in logits], masks.to(self.device))
        self.optimiser.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step(rate)
        with torch.no_grad():
            # young averages follow quickly, old ones slowly
            done = self.optimiser.steps()
            keep = min(self.recipe.ema, (1 + done) / (10 + done))
            for mine, theirs in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.lerp_(theirs, 1 - keep)
                else:
                    mine.copy_(theirs)
        return float(loss.item())

    def validate(self, held: list[Sample], loss: float, bar: "tqdm[None]") -> None:
        """Figures of the averaged weights; the best so far are kept."""
        size = self.recipe.last_size or self.recipe.size
        figures = validation(self.average, held, size, self.device, self.cast)
        score = figures["max_f"] - figures["mae"]
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
            part = self.best.with_suffix(".part")
            # kernels and matrices at half precision: what is exported is rounded so too, and the file is half the size
            tensors = {name: (t.half() if t.ndim > 1 else t).contiguous() for name, t in self.average.state_dict().items()}
            save_file(tensors, part, {"recipe": json.dumps(asdict(self.recipe))})
            part.replace(self.best)
        plot_log(log, self.out / "loss.png")


def _device(name: str) -> torch.device:
    """The device of that name; one that is not here is an error, never another in its place."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device '{name}' is not here ({str(error).splitlines()[0]}); use cpu, or auto") from error
    return torch.device(name)


def _network(recipe: Recipe, start: Path | None) -> nn.Module:
    if recipe.network not in NETWORKS:
        raise UnknownName("network", recipe.network, NETWORKS)
    model = NETWORKS[recipe.network]()
    if start is not None:
        try:
            model.load_state_dict(load_file(start))
        except Exception as error:
            raise WeightsError(
                f"'{start}' does not hold weights of network '{recipe.network}' ({error})", code="model_corrupt"
            ) from error
    return model


@torch.no_grad()
def validation(model: nn.Module, held: list[Sample], size: int, device: torch.device, cast: torch.autocast) -> dict[str, float]:
    """max F, MAE and mean IoU of the pictures, each judged at its own size."""
    model.eval()
    curves: list[tuple[Floats, Floats]] = []
    errors, ious = [], []
    for start in range(0, len(held), TOGETHER):
        part = held[start : start + TOGETHER]
        images = torch.from_numpy(np.stack([_fitted(rgb, size) for rgb, _ in part])).permute(0, 3, 1, 2)
        with cast:
            logits = model(images.to(device, memory_format=torch.channels_last))[0]
        for answer, (_, mask) in zip(torch.sigmoid(logits.float())[:, 0].cpu().numpy(), part, strict=True):
            said = np.clip(cv2.resize(answer, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), 0, 1)
            truth = mask > 127
            curves.append(precision_recall(said, truth))
            errors.append(mean_absolute_error(said, truth))
            ious.append(Counts.of(said, truth).iou)
    return {"max_f": max_f(curves), "mae": float(np.mean(errors)), "iou": float(np.mean(ious))}


def _fitted(rgb: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """A picture as the network wants it, (size, size, 3) float32 in [0, 1]."""
    small = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR)
    return np.asarray(small, np.float32) / np.float32(255)
