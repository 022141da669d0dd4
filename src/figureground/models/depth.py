"""Estimate depth from one picture: checkpoints for depth estimation, through torch.

Paper: Yang et al., "Depth Anything V2", NeurIPS 2024. Weights: the small network of its authors, Apache-2.0 (its larger
ones are CC BY-NC 4.0), model.safetensors on main, or any others named with `weights`. To add a short name: a row in `SHORT`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from figureground.inference.outputs import require_finite
from figureground.inference.preprocess import Normalization, side, size_of, unusable
from figureground.inference.torch_loader import Family, fetch, require
from figureground.inference.torch_loader import load as load_network
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.settings import Settings
from figureground.types import DepthMap, Json, Rgb

DEFAULT = "depth-anything/Depth-Anything-V2-Small-hf"
SHORT = {
    "depth-small": DEFAULT,
    "depth-indoor": "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
    "depth-outdoor": "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",
}
"""Names for those who do not know the hub's."""
FAMILY = Family("depth", "AutoModelForDepthEstimation", ("depth_anything", "dpt", "glpn", "prompt_depth_anything"), short=SHORT)
CHECKPOINTS = ((DEFAULT, FAMILY.form),)

CARD = Card(
    output_type=DepthMap,
    about="how near each pixel is; needs torch, fetched once",
    weights=DEFAULT,
    license="Apache-2.0",
    data="synthetic pictures with exact depth, then 62 million photographs labeled by a larger network; terms vary",
    permissive=True,
    source="Yang et al., Depth Anything V2, NeurIPS 2024, https://arxiv.org/abs/2406.09414",
    requires_extra="torch",
)


LONGEST = 4  # times the processor's size: no picture, however narrow, becomes longer than that for the network
LARGEST = 1280  # pixels of a side, for networks that look at a picture in its own size: they learned from ones of 640
NEAREST = 0.01  # meters: what a metric network calls nearer is taken for this near


@dataclass(frozen=True, slots=True)
class InputSize:
    """The input size: about height × width, in whole patches; with neither, the picture's own, rounded down."""

    height: int
    width: int
    keep_aspect: bool
    multiple: int

    @classmethod
    def of(cls, config: Json) -> "InputSize":
        """Read preprocessor_config.json; raises WeightsError for what is not supported."""
        if "size" not in config and (divisor := side(config, "size_divisor")) and config.get("do_resize", True) is not False:
            return cls(0, 0, keep_aspect=True, multiple=divisor)
        size = size_of(config, "height", "width")
        height, width = side(size, "height"), side(size, "width")
        multiple = side(config, "ensure_multiple_of") or 1
        if height is None or width is None or config.get("do_resize", True) is False or config.get("do_pad"):
            raise unusable("expected do_resize to a height and a width, and no do_pad")
        return cls(height, width, bool(config.get("keep_aspect_ratio")), multiple)

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Return the network's height and width for a picture: of the two scales the one nearer to 1, for both sides."""
        if not self.height:
            scale = min(1.0, LARGEST / max(height, width))
            return self._floor(height * scale), self._floor(width * scale)
        tall, wide = self.height / height, self.width / width
        if self.keep_aspect:
            tall = wide = wide if abs(1 - wide) < abs(1 - tall) else tall
            tall = wide = min(tall, LONGEST * max(self.height, self.width) / max(height, width))
        return self._whole(tall * height), self._whole(wide * width)

    def _floor(self, length: float) -> int:
        return max(1, int(length) // self.multiple) * self.multiple

    def _whole(self, length: float) -> int:
        return max(1, round(length / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True)
class Depth(LoadedCheckpoint):
    """A loaded network for depth."""

    size: InputSize
    normalization: Normalization
    metric: bool
    """Whether the network says meters; else something proportional to 1 / distance, up to a shift."""
    network: Any

    def __call__(self, rgb: Rgb, /) -> DepthMap:
        """Return the nearness of each pixel of (H, W, 3) uint8 sRGB; raises WeightsError where the network gives no numbers."""
        import cv2
        import torch

        height, width = rgb.shape[:2]
        x = torch.from_numpy(self.normalization.tensor(rgb, self.size.fit(height, width)))
        with torch.inference_mode():
            answer = self.network(pixel_values=x).predicted_depth[0].numpy()
        require_finite(self.weights, answer)
        full = np.asarray(cv2.resize(answer, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        if self.metric:
            np.maximum(full, NEAREST, out=full)
            np.reciprocal(full, out=full)
        return DepthMap(full)


def is_metric(config: Json) -> bool:
    """Return whether a checkpoint predicts meters, which grow with distance; all others here grow with nearness."""
    return config.get("depth_estimation_type") == "metric" or config.get("model_type") == "glpn"


def load(settings: Settings, *, weights: Weights = DEFAULT) -> Model:
    """Load the model; raises MissingExtra, WeightsError. `weights` may also be one of `SHORT`."""
    require(FAMILY)
    checkpoint = fetch(weights, settings, FAMILY)
    config = checkpoint.preprocessor
    normalization = Normalization.of(config if "image_mean" in config else {**config, "do_normalize": False})
    size, metric = InputSize.of(config), is_metric(checkpoint.config)
    return Depth(checkpoint.name, checkpoint.license, size, normalization, metric, load_network(checkpoint, settings, FAMILY))


def pull(settings: Settings, weights: str = DEFAULT) -> Path:
    """Fetch beforehand; return the folder of the checkpoint, which `load` will find. Raises WeightsError. Needs no torch."""
    return fetch(weights, settings, FAMILY).folder
