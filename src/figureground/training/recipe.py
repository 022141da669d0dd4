"""All that decides a training run besides its data. A field here is an option of `figureground train`."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from figureground.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """The recipe of one run; it is written beside the weights and into them."""

    network: Annotated[str, "A name in training/networks.py."] = "small"
    epochs: Annotated[int, "Passes over the pictures."] = 60
    minutes: Annotated[float | None, "Fit the schedule to this time instead of counting epochs."] = None
    size: Annotated[int, "Pixels of a side, a multiple of 32."] = 256
    last_size: Annotated[
        int | None, "Pixels of a side at the end, and in validation; the second half of the run grows towards it."
    ] = None
    batch: Annotated[int, "Pictures in a step."] = 16
    rate: Annotated[float, "Peak learning rate."] = 1.5e-3
    decay: Annotated[float, "Weight decay of kernels and matrices."] = 1e-2
    warm_up: Annotated[float, "Share of the run in which the rate rises."] = 0.03
    ema: Annotated[float, "How much of the averaged weights each step keeps."] = 0.999
    seed: Annotated[int, "Of the first weights, the order and the augmentation."] = 0
    threads: Annotated[int | None, "Processor threads; as many as torch chooses without it."] = None
    device: Annotated[str, "cpu, cuda, or auto: a GPU if there is one."] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], "auto: bf16 where the hardware has it."] = "auto"

    def size_at(self, progress: float) -> int:
        """Pixels of a side when this share of the run is done: `size` for half of it, then in equal turns up to `last_size`."""
        last = self.last_size or self.size
        steps = abs(last - self.size) // 32
        done = min(steps, max(0, math.floor((2 * progress - 1) * steps) + 1)) if steps else 0
        return self.size + (32 if last > self.size else -32) * done

    def __post_init__(self) -> None:
        for name in ("size", "last_size"):
            side = getattr(self, name)
            if side is not None and (side < 64 or side % 32):
                raise UsageError(f"{name} must be a multiple of 32 and at least 64, but is {side}")
        for name in ("epochs", "minutes", "batch", "rate", "threads"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, but is {value}")
        for name in ("warm_up", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 0 and below 1, but is {getattr(self, name)}")
