"""The embedded network: a residual encoder, a global context block and a decoder up to half resolution.

Residual blocks after He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); pyramid pooling after Zhao et
al., "Pyramid Scene Parsing Network" (CVPR 2017); self-attention after Vaswani et al., "Attention Is All You Need" (2017);
top-down decoder after Lin et al., "Feature Pyramid Networks" (CVPR 2017). To try another network, add a class here with
the same `forward` and a row in `NETWORKS`.

Shapes are written for a batch of N pictures of S × S pixels; S is a multiple of 32.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, in [0, 1]: the usual constants; any would do, these never change
STD = (0.229, 0.224, 0.225)


def conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU: (N, inside, h, w) → (N, outside, h / stride, w / stride)."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut: (N, inside, h, w) → (N, outside, h / stride, w / stride)."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv(inside, outside, 3, stride)
        norm = nn.BatchNorm2d(outside)
        nn.init.zeros_(norm.weight)  # starts as the shortcut alone, which lets the learning rate be high
        self.second = nn.Sequential(nn.Conv2d(outside, outside, 3, 1, 1, bias=False), norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            pool: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))  # (N, outside, h / stride, w / stride)


def means(x: Tensor, cells: int) -> Tensor:
    """Means over cells × cells fields: (N, c, h, w) → (N, c, cells, cells).

    As `F.adaptive_avg_pool2d`, but as two products, which a graph for any size can hold.
    """

    def share(length: int) -> Tensor:
        """How much each of `length` places has of each field, (cells, length)."""
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
        self.parts = nn.ModuleList(nn.Conv2d(width, part, 1) for _ in fields)
        self.join = conv(width + part * len(fields), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        maps = [x]  # (N, c, h, w)
        for cells, part in zip(self.fields, self.parts, strict=True):
            pooled = F.relu(part(means(x, cells)))  # (N, c / 4, cells, cells)
            maps.append(F.interpolate(pooled, size=size, mode="bilinear", align_corners=False))  # (N, c / 4, h, w)
        joined: Tensor = self.join(torch.cat(maps, 1))  # (N, c, h, w)
        return joined


class Attention(nn.Module):
    """Every place of the coarse map looks at every other: (N, c, h, w) → (N, c, h, w).

    Position enters through a depthwise 3 × 3 convolution, so that the block runs at any size.
    """

    def __init__(self, width: int, heads: int = 6) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.before = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x + self.place(x)  # (N, c, h, w)
        tokens = x.flatten(2).transpose(1, 2)  # (N, h w, c)
        qkv = self.query_key_value(self.before(tokens))  # (N, h w, 3 c)
        q, k, v = qkv.reshape(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)  # (N, heads, h w, c / heads)
        seen = torch.softmax(q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5, -1) @ v  # (N, heads, h w, c / heads)
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(n, h * w, c))  # (N, h w, c)
        tokens = tokens + self.mlp(self.between(tokens))  # (N, h w, c)
        mixed: Tensor = tokens.transpose(1, 2).reshape(n, c, h, w)  # (N, c, h, w)
        return mixed


class Small(nn.Module):
    """(N, 3, S, S) in [0, 1] → logits (N, 1, S, S), and in training those of the coarser maps too, finest first."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stem: int = 16,
        widths: tuple[int, int, int, int] = (32, 64, 128, 192),
        blocks: tuple[int, int, int, int] = (2, 3, 4, 2),
        decoder: tuple[int, int, int, int] = (16, 32, 64, 96),
        attention: int = 2,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.Sequential(conv(3, stem, 3, 2), conv(stem, stem))
        inside = (stem, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(inside[i], widths[i], 2), *(Residual(widths[i], widths[i]) for _ in range(blocks[i] - 1)))
            for i in range(4)
        )
        self.context = nn.Sequential(*(Attention(widths[3]) for _ in range(attention)), PyramidPooling(widths[3]))
        skips = (stem, *widths[:3])  # channels at 1/2, 1/4, 1/8, 1/16
        above = (*decoder[1:], widths[3])  # what comes up from the level below
        self.lateral = nn.ModuleList(nn.Conv2d(skips[i], decoder[i], 1) for i in range(4))
        self.rise = nn.ModuleList(nn.Conv2d(above[i], decoder[i], 1) for i in range(4))
        self.mend = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(inplace=True),
                conv(decoder[i], decoder[i]),
                Residual(decoder[i], decoder[i]) if i else nn.Identity(),  # at 1/2 one convolution and the head must do
            )
            for i in range(4)
        )
        self.heads = nn.ModuleList(nn.Conv2d(decoder[i], 1, 3, 1, 1) for i in range(4))

    def forward(self, x: Tensor) -> list[Tensor]:
        size = x.shape[-2:]
        x = (x - self.mean) / self.std  # (N, 3, S, S)
        maps = [self.stem(x)]  # (N, 16, S/2, S/2)
        for stage in self.stages:
            maps.append(stage(maps[-1]))  # (N, 32, S/4, S/4) (N, 64, S/8, S/8) (N, 128, S/16, S/16) (N, 192, S/32, S/32)
        x = self.context(maps[4])  # (N, 192, S/32, S/32)
        logits: list[Tensor] = []
        for i in (3, 2, 1, 0):
            x = F.interpolate(self.rise[i](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.mend[i](x + self.lateral[i](maps[i]))  # (N, 96, S/16, S/16) … (N, 16, S/2, S/2)
            if self.training or i == 0:
                logits.insert(0, self.heads[i](x))  # (N, 1, S/16, S/16) … (N, 1, S/2, S/2)
        logits[0] = F.interpolate(logits[0], size=size, mode="bilinear", align_corners=False)  # (N, 1, S, S)
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {"small": Small}
