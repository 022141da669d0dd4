"""The embedded network: an encoder, a global context block and a decoder up to half resolution.

The encoder of `lite0`, `lite1` and `lite2` is EfficientNet-Lite with ImageNet weights (encoder.py); that of `scratch` is a
residual network that starts from random weights. Residual blocks after He et al., "Deep Residual Learning for Image
Recognition" (CVPR 2016); pyramid pooling after Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017); self-attention
after Vaswani et al., "Attention Is All You Need" (2017); top-down decoder after Lin et al., "Feature Pyramid Networks"
(CVPR 2017). To try another network, add a row to `NETWORKS`.

Shapes are written for a batch of N pictures of S × S pixels; S is a multiple of 32.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.training.encoder import VARIANTS, EfficientNetLite

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, in [0, 1]: the usual constants; any would do, these never change
STD = (0.229, 0.224, 0.225)


def conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and ReLU: (N, inside, h, w) → (N, outside, h / stride, w / stride)."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut: (N, inside, h, w) → (N, outside, h / stride, w / stride)."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(inside, outside, 3, stride)
        norm = nn.BatchNorm2d(outside)
        nn.init.zeros_(norm.weight)  # starts as the shortcut alone, which lets the learning rate be high
        self.conv2 = nn.Sequential(nn.Conv2d(outside, outside, 3, 1, 1, bias=False), norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            pool: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))  # (N, outside, h / stride, w / stride)


def means(x: Tensor, cells: int) -> Tensor:
    """Return means over cells × cells fields: (N, c, h, w) → (N, c, cells, cells).

    As `F.adaptive_avg_pool2d`, but as two products, which a graph for any size can hold.
    """

    def share(length: int) -> Tensor:
        """Return how much each of `length` places has of each field, (cells, length)."""
        places, field = torch.arange(length, device=x.device), torch.arange(cells, device=x.device)[:, None]
        inside = (places >= field * length // cells) & (places < ((field + 1) * length + cells - 1) // cells)
        return inside.to(x.dtype) / inside.sum(1, keepdim=True)

    return share(x.shape[2]) @ x @ share(x.shape[3]).T


class PyramidPooling(nn.Module):
    """Means over 1, 2 × 2 and 4 × 4 fields, laid beside the map itself: (N, c, h, w) → (N, c, h, w)."""

    def __init__(self, width: int, fields: tuple[int, ...] = (1, 2, 4)) -> None:
        super().__init__()
        self.fields = fields
        part = width // 4
        self.convs = nn.ModuleList(nn.Conv2d(width, part, 1) for _ in fields)
        self.fuse = conv(width + part * len(fields), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        maps = [x]  # (N, c, h, w)
        for cells, conv1x1 in zip(self.fields, self.convs, strict=True):
            pooled = F.relu(conv1x1(means(x, cells)))  # (N, c / 4, cells, cells)
            maps.append(F.interpolate(pooled, size=size, mode="bilinear", align_corners=False))  # (N, c / 4, h, w)
        joined: Tensor = self.fuse(torch.cat(maps, 1))  # (N, c, h, w)
        return joined


class Attention(nn.Module):
    """Self-attention over the coarse map: (N, c, h, w) → (N, c, h, w).

    Position enters through a depthwise 3 × 3 convolution, so that the block runs at any size.
    """

    def __init__(self, width: int, heads: int = 6) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x + self.position(x)  # (N, c, h, w)
        tokens = x.flatten(2).transpose(1, 2)  # (N, h w, c)
        qkv = self.qkv(self.norm1(tokens))  # (N, h w, 3 c)
        q, k, v = qkv.reshape(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)  # (N, heads, h w, c / heads)
        attended = torch.softmax(q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5, -1) @ v  # (N, heads, h w, c / heads)
        tokens = tokens + self.proj(attended.transpose(1, 2).reshape(n, h * w, c))  # (N, h w, c)
        tokens = tokens + self.mlp(self.norm2(tokens))  # (N, h w, c)
        mixed: Tensor = tokens.transpose(1, 2).reshape(n, c, h, w)  # (N, c, h, w)
        return mixed


class ResidualEncoder(nn.Module):
    """Pictures (N, 3, S, S) in [0, 1] → five maps, (N, `channels[i]`, S / 2^(i + 1), S / 2^(i + 1)); from random weights."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stem: int = 16,
        widths: tuple[int, int, int, int] = (32, 64, 128, 192),
        blocks: tuple[int, int, int, int] = (2, 3, 4, 2),
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.channels = (stem, *widths)
        self.stem = nn.Sequential(conv(3, stem, 3, 2), conv(stem, stem))
        self.stages = nn.ModuleList(
            nn.Sequential(
                Residual(self.channels[i], widths[i], 2), *(Residual(widths[i], widths[i]) for _ in range(blocks[i] - 1))
            )
            for i in range(4)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.stem((x - self.mean) / self.std)]  # (N, 16, S/2, S/2)
        for stage in self.stages:
            maps.append(stage(maps[-1]))  # (N, 32, S/4, S/4) (N, 64, S/8, S/8) (N, 128, S/16, S/16) (N, 192, S/32, S/32)
        return maps


class SaliencyNetwork(nn.Module):
    """(N, 3, S, S) in [0, 1] → logits (N, 1, S, S), and in training those of the coarser maps too, finest first.

    encoder : gives five maps of `encoder.channels`. decoder : channels at 1/2, 1/4, 1/8 and 1/16. width : channels at 1/32.
    """

    def __init__(
        self,
        encoder: Any,
        decoder: tuple[int, int, int, int] = (16, 32, 64, 96),
        width: int = 192,
        attention: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, last = encoder.channels
        self.reduce = conv(last, width, 1) if last != width else nn.Identity()
        self.context = nn.Sequential(*(Attention(width) for _ in range(attention)), PyramidPooling(width))
        above = (*decoder[1:], width)  # channels that come up from the level below
        self.lateral = nn.ModuleList(nn.Conv2d(skips[i], decoder[i], 1) for i in range(4))
        self.upsample = nn.ModuleList(nn.Conv2d(above[i], decoder[i], 1) for i in range(4))
        self.fuse = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(inplace=True),
                conv(decoder[i], decoder[i]),
                Residual(decoder[i], decoder[i]) if i else nn.Identity(),  # at 1/2 one convolution and the head must do
            )
            for i in range(4)
        )
        self.heads = nn.ModuleList(nn.Conv2d(decoder[i], 1, 3, 1, 1) for i in range(4))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's maps at 1/2 to 1/16, and at 1/32 the map with context, (N, 192, S/32, S/32)."""
        *maps, last = self.encoder(x)
        return [*maps, self.context(self.reduce(last))]

    def decode(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the decoder's maps for those of `encode`: (N, 16, S/2, S/2) … (N, 96, S/16, S/16), finest first."""
        x = maps[4]
        decoded: list[Tensor] = []
        for i in (3, 2, 1, 0):
            x = F.interpolate(self.upsample[i](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.fuse[i](x + self.lateral[i](maps[i]))
            decoded.insert(0, x)
        return decoded

    def forward(self, x: Tensor) -> list[Tensor]:
        decoded = self.decode(self.encode(x))
        count = len(decoded) if self.training else 1
        logits = [head(features) for head, features in zip(self.heads, decoded[:count], strict=False)]
        logits[0] = F.interpolate(logits[0], size=x.shape[-2:], mode="bilinear", align_corners=False)  # (N, 1, S, S)
        return logits


def _lite(variant: str) -> SaliencyNetwork:
    return SaliencyNetwork(EfficientNetLite(variant))


def _scratch() -> SaliencyNetwork:
    return SaliencyNetwork(ResidualEncoder())


NETWORKS: Mapping[str, Callable[[], SaliencyNetwork]] = MappingProxyType(
    {**{variant: partial(_lite, variant) for variant in VARIANTS}, "scratch": _scratch}
)
