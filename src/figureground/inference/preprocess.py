"""Preprocess pictures: resize with Pillow, scale, and normalize as preprocessor_config.json says.

What size a picture gets is the business of each model file; the rest of an image processor of transformers stands here,
without torchvision. To admit another field of the file: a field in `Normalization` and its line in `Normalization.of`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import WeightsError
from figureground.inference.resize import to_size
from figureground.types import Json, Rgb

Floats = NDArray[np.float32]
Refuse = Callable[[str], WeightsError]
"""Makes the error from its reason."""


def unusable(why: str, file: str = "preprocessor_config.json", advice: str = "name another one with --weights") -> WeightsError:
    """Return what to raise for a small file of a checkpoint that cannot be followed."""
    return WeightsError(f"the checkpoint's {file} cannot be used: {why}; {advice}", code="model_corrupt")


@dataclass(frozen=True, slots=True)
class Normalization:
    """Filter and normalization: a pixel becomes (value × scale − mean) / std."""

    resample: int
    """A filter of Pillow's, `Image.Resampling`."""
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: Json, refuse: Refuse = unusable) -> "Normalization":
        """Return what preprocessor_config.json says; raises what `refuse` makes of the reason where that makes no sense."""
        normal = config.get("do_normalize", True) is not False
        mean = numbers(config.get("image_mean") if normal else 0, "image_mean", 3, refuse)
        std = numbers(config.get("image_std") if normal else 1, "image_std", 3, refuse)
        scale = (config.get("rescale_factor") or 1 / 255) if config.get("do_rescale", True) is not False else 1.0
        resample = config.get("resample", 2)
        if resample not in range(6) or not isinstance(scale, float | int) or 0 in std:
            raise refuse("resample, rescale_factor or image_std is invalid")
        return cls(int(resample), float(scale), mean, std)

    def tensor(self, rgb: Rgb, size: tuple[int, int], padded: tuple[int, int] | None = None) -> Floats:
        """Return (1, 3, h, w) float32 of a picture (H, W, 3) uint8 at `size`, with black below and right up to `padded`."""
        height, width = size
        x = np.zeros((*(padded or size), 3), np.float32)
        x[:height, :width] = to_size(rgb, height, width, self.resample)
        x *= np.float32(self.scale)
        x -= np.array(self.mean, np.float32)
        x /= np.array(self.std, np.float32)
        return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def size_of(config: Json, *keys: str, default: object = None) -> Json:
    """Return the field `size` of preprocessor_config.json as a mapping: one number stands for each of these keys."""
    size = config.get("size", default)
    return size if isinstance(size, dict) else dict.fromkeys(keys, size)


def side(config: Json, key: str) -> int | None:
    """Return a length in pixels of the processor's `size`, None where it is not given; raises WeightsError for other things."""
    value = config.get(key)
    if value is not None and not (type(value) is int and 0 < value <= 8192):
        raise unusable(f"{key} should be a whole number from 1 to 8192, but is {value!r}")
    return value


def numbers(value: object, key: str, count: int, refuse: Refuse = unusable) -> tuple[float, ...]:
    """Return so many finite numbers, from a list or from one number for all; raises `refuse(reason)` for anything else."""
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise refuse(f"{key} should be {count} numbers, but is {value!r}")
    return tuple(float(v) for v in values)
