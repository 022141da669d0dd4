"""The detail network: a picture's window and its coarse mask → the window's mask, at full resolution.

A small U-Net (Ronneberger et al., MICCAI 2015) that reads what Lin et al., "Real-Time High-Resolution Background Matting"
(CVPR 2021), give their refiner: colors and coarse alpha. Its last layer starts at zero, so that an untrained network returns
the coarse mask. Maps grow by sub-pixel convolution (Shi et al., CVPR 2016), which is faster than interpolation in onnxruntime.
"""

import torch
from torch import Tensor, nn

from figureground.training.networks import Residual, conv

CHANNELS = 4
"""Of the input: red, green, blue and the coarse mask, each in [0, 1]."""
CERTAIN = 0.02
"""The coarse mask is read as at least this and at most 1 − this, so that its logit is finite."""
WIDTHS = (16, 32, 64, 96)
"""Channels at 1/2, 1/4, 1/8 and 1/16."""


class Grow(nn.Module):
    """Twice the size: (N, inside, h, w) and a map of the finer level (N, outside, 2h, 2w) → (N, outside, 2h, 2w)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(inside, 4 * outside, 1), nn.PixelShuffle(2))
        self.merge = conv(outside, outside)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """Return the sum of both, convolved."""
        y: Tensor = self.merge(self.expand(x) + finer)
        return y


class DetailNetwork(nn.Module):
    """(N, 4, H, W) in [0, 1] → alpha (N, 1, H, W) in [0, 1]; H and W are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.down = nn.ModuleList(
            [
                nn.Sequential(conv(CHANNELS, half, 3, 2), conv(half, half)),
                Residual(half, quarter, 2),
                nn.Sequential(Residual(quarter, eighth, 2), Residual(eighth, eighth)),
                nn.Sequential(Residual(eighth, sixteenth, 2), Residual(sixteenth, sixteenth)),
            ]
        )
        self.up = nn.ModuleList([Grow(sixteenth, eighth), Grow(eighth, quarter), Grow(quarter, half)])
        self.expand = nn.Sequential(nn.Conv2d(half, 16, 1), nn.PixelShuffle(2))
        self.finish = conv(4 + CHANNELS, 8)
        self.head = nn.Conv2d(8, 1, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, window: Tensor) -> Tensor:
        """Return the alpha of a window."""
        coarse = window[:, 3:].clamp(CERTAIN, 1 - CERTAIN)
        x = window - 0.5
        maps = []
        y = x
        for level in self.down:
            y = level(y)  # (N, 16, H/2, W/2) (N, 32, H/4, W/4) (N, 64, H/8, W/8) (N, 96, H/16, W/16)
            maps.append(y)
        for level, finer in zip(self.up, reversed(maps[:-1]), strict=True):
            y = level(y, finer)
        y = self.finish(torch.cat([self.expand(y), x], 1))  # (N, 8, H, W)
        return torch.sigmoid(torch.log(coarse) - torch.log(1 - coarse) + self.head(y))
