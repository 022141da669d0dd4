"""The options of a training run besides its data. Each field is an option of `figureground train`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from figureground.errors import UsageError

DETAIL = "detail"
"""The name of the network that refines edges."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The recipe of one run; it is written beside the weights and into them."""

    network: Annotated[
        str, "Network: lite0, lite1 or lite2, with an encoder that has ImageNet weights, scratch, or detail."
    ] = "lite2"
    epochs: Annotated[int, "Passes over the pictures."] = 12
    minutes: Annotated[float | None, "Fit the schedule to this time instead of counting epochs."] = None
    size: Annotated[int, "Pixels of a side, a multiple of 32."] = 256
    last_size: Annotated[
        int | None, "Pixels of a side at the end, and in validation; the second half of the run grows towards it."
    ] = None
    batch: Annotated[int, "Pictures in a step."] = 16
    optimizer: Annotated[
        Literal["muon", "adamw"], "Optimizer; muon is used for the inner layers that start from random weights."
    ] = "muon"
    lr: Annotated[float, "Peak learning rate."] = 1e-3
    weight_decay: Annotated[float, "Weight decay of kernels and matrices."] = 1e-2
    encoder_lr: Annotated[float, "Learning rate of a pre-trained encoder's last block, as a share of --lr."] = 0.25
    layer_decay: Annotated[float, "Each earlier block of a pre-trained encoder has this share of the next one's rate."] = 1.0
    freeze: Annotated[int, "Blocks of a pre-trained encoder, stem first, that are not trained at the beginning."] = 4
    unfreeze_at: Annotated[float, "Share of the run after which all blocks are trained."] = 0.6
    warmup: Annotated[float, "Share of the run in which the learning rate rises."] = 0.03
    boundary: Annotated[float, "Weight of the boundary term in the loss."] = 0.0
    synthetic: Annotated[float, "Share of the samples that are drawn: hair, fur, leaves, lace, rings, handles, signs."] = 0.0
    soft_targets: Annotated[float, "Weight of the packaged network's answers in the targets; the masks have the rest."] = 0.0
    ema_decay: Annotated[float, "How much of the averaged weights each step keeps."] = 0.999
    seed: Annotated[int, "Seed of the first weights, the order and the augmentation."] = 0
    threads: Annotated[int | None, "Processor threads; as many as torch chooses without it."] = None
    device: Annotated[str, "Device: cpu, cuda, or auto for a GPU if there is one."] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], "Precision; auto is bf16 where the hardware has it."] = "auto"

    def size_at(self, progress: float) -> int:
        """Return the side at this share of the run: `size` for half of it, then in equal turns up to `last_size`."""
        last = self.last_size or self.size
        steps = abs(last - self.size) // 32
        done = min(steps, max(0, math.floor((2 * progress - 1) * steps) + 1)) if steps else 0
        return self.size + (32 if last > self.size else -32) * done

    def frozen_at(self, progress: float) -> int:
        """Return how many blocks of a pre-trained encoder are not trained at this share of the run."""
        return self.freeze if progress < self.unfreeze_at else 0

    def __post_init__(self) -> None:
        for name in ("size", "last_size"):
            side = getattr(self, name)
            if side is not None and (side < 64 or side % 32):
                raise UsageError(f"{name} must be a multiple of 32 and at least 64, but is {side}")
        for name in ("epochs", "minutes", "batch", "lr", "encoder_lr", "layer_decay", "threads"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, but is {value}")
        for name in ("freeze", "boundary", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must be at least 0, but is {getattr(self, name)}")
        for name in ("warmup", "ema_decay", "synthetic", "soft_targets"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 0 and below 1, but is {getattr(self, name)}")
        if not 0 <= self.unfreeze_at <= 1:
            raise UsageError(f"unfreeze_at must be from 0 to 1, but is {self.unfreeze_at}")


RENAMED = {"rate": "lr", "decay": "weight_decay", "warm_up": "warmup", "ema": "ema_decay"}
"""Fields of version 0.2.0 and their names now."""


def recipe_from(saved: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a weights file holds, also one of version 0.2.0; raises TypeError for unknown fields."""
    fields = {RENAMED.get(name, name): value for name, value in saved.items()}
    if fields.get("network", "small") == "small":
        fields["network"] = "scratch"
    return Recipe(**fields)
