"""How pictures reach the torch networks: resized by Pillow, scaled, and normalized as preprocessor_config.json says.

What size a picture gets is the business of each model file; the rest of an image processor of transformers stands here,
without torchvision. To admit another field of the file: a field in `Tones` and its line in `Tones.of`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import WeightsError
from figureground.inference.resize import to_size
from figureground.types import Json, Rgb

Floats = NDArray[np.float32]
Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Normalization:
    """Filter and normalization: a pixel becomes (value × scale − mean) / std."""

    resample: int
    """A filter of Pillow's, `Image.Resampling`."""
    scale: float
    mean: Three
    std: Three

    @classmethod
    def of(cls, config: Json) -> "Normalization":
        """What preprocessor_config.json says; raises WeightsError where that makes no sense."""
        normal = config.get("do_normalize", True) is not False
        scale = config.get("rescale_factor") or 1 / 255
        normalization = cls(
            resample=config.get("resample", 2),
            scale=scale if config.get("do_rescale", True) is not False else 1.0,
            mean=_three(config.get("image_mean") if normal else 0.0, "image_mean"),
            std=_three(config.get("image_std") if normal else 1.0, "image_std"),
        )
        if normalization.resample not in range(6) or not isinstance(normalization.scale, float | int) or 0 in normalization.std:
            raise unusable("resample, rescale_factor or image_std make no sense")
        return normalization

    def tensor(self, rgb: Rgb, size: tuple[int, int], padded: tuple[int, int] | None = None) -> Floats:
        """(1, 3, h, w) float32 of a picture (H, W, 3) uint8 at `size`, with black below and right up to `padded`."""
        height, width = size
        x = np.zeros((*(padded or size), 3), np.float32)
        x[:height, :width] = to_size(rgb, height, width, self.resample)
        x *= np.float32(self.scale)
        x -= np.array(self.mean, np.float32)
        x /= np.array(self.std, np.float32)
        return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def unusable(why: str) -> WeightsError:
    """What to raise for a preprocessor_config.json that cannot be followed."""
    return WeightsError(
        f"the checkpoint's preprocessor_config.json cannot be used: {why}; name another one with --weights",
        code="model_corrupt",
    )


def side(config: Json, key: str) -> int | None:
    """A length in pixels of the processor's `size`, None where it is not given; raises WeightsError for other things."""
    value = config.get(key)
    if value is not None and not (type(value) is int and 0 < value <= 8192):
        raise unusable(f"{key} should be a whole number from 1 to 8192, but is {value!r}")
    return value


def _three(value: object, key: str) -> Three:
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3 or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise unusable(f"{key} should be three numbers, but is {value!r}")
    return float(values[0]), float(values[1]), float(values[2])
