"""Train a linear head over the feature maps of a frozen network, starting from the network's output.

For each pixel: logit = gain · the network's own logit + Σ weight · feature + bias; gain 1 and all else 0 is the network
itself. Logistic regression with an L2 penalty on the distance from that start, by L-BFGS, from a strong penalty to weaker
ones: each step of the path may move a little further away, and held-back pictures say where to stop (adapt.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Of the penalty, strongest first; the features are of variance 1."""
ITERATIONS = 12  # of L-BFGS at each strength
BATCH = 16  # views whose features are float32 at once
PIXELS = 512  # of each view that are learnt from, or fewer
MEMORY = 1 << 29  # bytes of their features


@dataclass(frozen=True, slots=True)
class Views:
    """The features of pictures, their mirror images and altered versions; n of them.

    levels : feature maps, (n, channels, h, w) float16 each, of several sizes.
    own : the network's own logits, (n, 1, H, W) float16; zeros where it has none.
    truth : (n, 1, H, W) float16 in [0, 1].
    picture : (n,) int64, which picture each is of; plain : (n,) bool, whether it is the picture as it is.
    """

    levels: list[Tensor]
    own: Tensor
    truth: Tensor
    picture: Tensor
    plain: Tensor

    def batch(self, rows: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return levels, own logits and truth of some rows, float32."""
        return [level[rows].float() for level in self.levels], self.own[rows].float(), self.truth[rows].float()


class Head(nn.Module):
    """Feature maps, the largest (N, c, h, w), and own logits (N, 1, H, W) → logits (N, 1, H, W)."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.weights = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in widths)

    def forward(self, levels: list[Tensor], own: Tensor) -> Tensor:
        """Return the logits of unscaled maps, (N, 1, H, W)."""
        return self.gain * own + weighed(levels, list(self.weights), own) + self.bias


def weighed(levels: list[Tensor], weights: list[Tensor], own: Tensor) -> Tensor:
    """Return the sum of all maps (N, c, h, w) times their weights (1, c, 1, 1), at the size of `own`: (N, 1, H, W)."""
    parts = [F.conv2d(level, weight) for level, weight in zip(levels, weights, strict=True)]  # (N, 1, h, w)
    grid = max(tuple(part.shape[-2:]) for part in parts)
    total = torch.stack([_enlarged(part, grid) for part in parts]).sum(0)
    return _enlarged(total, tuple(own.shape[-2:]))


def _enlarged(x: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)


class LinearLearner:
    """A trainer of a `Head` on some views: a path of heads, each allowed further from the start than the one before.

    Of each view a few hundred pixels are learnt from, drawn by `seed`; features are brought to mean 0 and variance 1.
    """

    def __init__(self, views: Views, seed: int) -> None:
        self.views = views
        self.widths = [level.shape[1] for level in views.levels]
        self.x, self.own, self.truth = _sample_pixels(views, seed)  # (n, P, all channels), (n, P), (n, P)
        flat = self.x.view(-1, self.x.shape[2])
        self.mean, self.scale = flat.mean(0), flat.std(0).clamp(min=1e-3)
        flat.sub_(self.mean).div_(self.scale)

    def regularization_path(self, rows: Tensor) -> Iterator[Head]:
        """Return the heads that these rows of the views teach, one for each of `STRENGTHS`."""
        used = torch.zeros(len(self.x)).index_fill_(0, rows, 1 / len(rows))  # (n,)
        gain, bias, weight = torch.ones(()), torch.zeros(()), torch.zeros(self.x.shape[2])
        numbers = [number.requires_grad_(True) for number in (gain, bias, weight)]
        for strength in STRENGTHS:
            optimizer = torch.optim.LBFGS(numbers, max_iter=ITERATIONS, line_search_fn="strong_wolfe")

            def closure(strength: float = strength, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
                optimizer.zero_grad()
                answer = gain * self.own + self.x @ weight + bias  # (n, P)
                loss = (logits_loss(answer, self.truth) * used).sum() + strength * ((gain - 1) ** 2 + (weight**2).sum())
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            optimizer.step(closure)  # type: ignore[no-untyped-call]
            yield self._head(gain, bias, weight)

    @torch.no_grad()
    def _head(self, gain: Tensor, bias: Tensor, weight: Tensor) -> Head:
        """Return the head for unscaled features, its weights rounded to float16 as they are stored."""
        plain = (weight / self.scale).half().float()
        head = Head(self.widths)
        head.gain.copy_(gain)
        head.bias.copy_(bias - (plain * self.mean).sum())
        for mine, part in zip(head.weights, torch.split(plain, self.widths), strict=True):
            mine.copy_(part[None, :, None, None])
        return head.requires_grad_(False)

    @torch.no_grad()
    def logits(self, head: Head, rows: Tensor) -> Tensor:
        """Return the logits of a head of the path, (n, 1, H, W) float32."""
        batches = (self.views.batch(some) for some in torch.split(rows, BATCH))
        return torch.cat([head(levels, own) for levels, own, _ in batches])


def _sample_pixels(views: Views, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sample P pixels of each view: features (n, P, all channels), own logits (n, P), truth (n, P)."""
    grid = max((level.shape[-2], level.shape[-1]) for level in views.levels)
    count, channels = len(views.own), sum(level.shape[1] for level in views.levels)
    pixels = min(PIXELS, grid[0] * grid[1], max(64, MEMORY // (4 * count * channels)))
    generator = torch.Generator().manual_seed(seed)
    x, own, truth = torch.empty(count, pixels, channels), torch.empty(count, pixels), torch.empty(count, pixels)
    for row in range(count):
        levels, mine, wanted = views.batch(torch.tensor([row]))
        place = torch.randperm(grid[0] * grid[1], generator=generator)[:pixels]
        start = 0
        for level in levels:
            stop = start + level.shape[1]
            x[row, :, start:stop] = at(level, grid, place)
            start = stop
        own[row] = F.adaptive_avg_pool2d(mine, grid).flatten()[place]
        truth[row] = F.adaptive_avg_pool2d(wanted, grid).flatten()[place]
    return x, own, truth


def at(level: Tensor, grid: tuple[int, ...], place: Tensor) -> Tensor:
    """Return some pixels (P,) of a map (1, c, h, w) enlarged to `grid`, without enlarging the others: (P, c)."""
    size = torch.tensor([grid[1], grid[0]])
    centers = (torch.stack([place % grid[1], place // grid[1]], -1) + 0.5) / size  # (P, 2)
    where = (2 * centers - 1)[None, None]
    return F.grid_sample(level, where, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T


def logits_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return BCE + soft IoU of each view, (N,), over the pixels of (N, …) each."""
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").flatten(1).mean(1)
    probability = torch.sigmoid(logits)
    intersection = (probability * truth).flatten(1).sum(1)
    union = (probability + truth).flatten(1).sum(1) - intersection
    return bce + 1 - (intersection + 1) / (union + 1)
