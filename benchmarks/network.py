"""The embedded network against a U²-Netp-shaped one (random weights), both in onnxruntime, in one interleaved run.

python benchmarks/network.py [--rounds 15] [--threads 2]

The shape is that of U²-Net's small version (Qin et al., "U²-Net", Pattern Recognition 2020): eleven residual U-blocks of
16 and 64 channels, 1.13 M parameters, at its own 320 × 320. Time does not depend on what the weights are.
"""

import statistics
import tempfile
import warnings
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import arguments, interleaved, report, spread
from figureground.inference.session import session
from figureground.models.saliency.tta import SIDES
from figureground.settings import Settings


def unit(inside: int, outside: int, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(inside, outside, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


class Block(nn.Module):
    """A residual U-block of `depth` levels: (N, inside, h, w) → (N, 64, h, w); flat ones dilate instead of shrinking."""

    def __init__(self, depth: int, inside: int, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        steps = [2**level if flat else 1 for level in range(depth)]
        self.first = unit(inside, 64)
        self.down = nn.ModuleList(unit(64 if level == 0 else 16, 16, steps[level]) for level in range(depth - 1))
        self.deepest = unit(16, 16, 2 ** (depth - 1) if flat else 2)
        self.up = nn.ModuleList(unit(32, 16 if level else 64, steps[level]) for level in range(depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        whole = self.first(x)
        x, kept = whole, []
        for level, step in enumerate(self.down):
            x = step(x if level == 0 or self.flat else F.max_pool2d(x, 2, ceil_mode=True))
            kept.append(x)
        x = self.deepest(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([F.interpolate(x, size=kept[level].shape[-2:], mode="bilinear"), kept[level]], 1))
        return x + whole


class U2NetpShaped(nn.Module):
    """(N, 3, S, S) → (N, 1, S, S)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(7, False), (6, False), (5, False), (4, False), (4, True)]
        self.encoder = nn.ModuleList(Block(depth, 64 if place else 3, flat) for place, (depth, flat) in enumerate(shapes))
        self.bottom = Block(4, 64, True)
        self.decoder = nn.ModuleList(Block(depth, 128, flat) for depth, flat in shapes)
        self.sides = nn.ModuleList(nn.Conv2d(64, 1, 3, padding=1) for _ in range(6))
        self.join = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        size, kept = x.shape[-2:], []
        for place, stage in enumerate(self.encoder):
            x = stage(x if place == 0 else F.max_pool2d(x, 2, ceil_mode=True))
            kept.append(x)
        x = self.bottom(F.max_pool2d(x, 2, ceil_mode=True))
        maps = [self.sides[5](x)]
        for place in reversed(range(5)):
            x = F.interpolate(x, size=kept[place].shape[-2:], mode="bilinear")
            x = self.decoder[place](torch.cat([x, kept[place]], 1))
            maps.append(self.sides[place](x))
        return torch.sigmoid(self.join(torch.cat([F.interpolate(part, size=size, mode="bilinear") for part in maps], 1)))


def graph(model: nn.Module, side: int) -> bytes:
    """The network as an ONNX file's bytes."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(model.eval(), (torch.rand(1, 3, side, side),), path, dynamo=True, external_data=False, verbose=False)
        return path.read_bytes()


def main() -> None:
    """Time both, in turn, and print a table."""
    parser = arguments(__doc__, 15)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.manual_seed(0)
    model = U2NetpShaped()
    ours = files("figureground").joinpath("assets/saliency.onnx").read_bytes()
    settings = Settings(threads=given.threads)
    networks = {"`small`": session(ours, settings), "U²-Netp-shaped": session(graph(model, 320), settings)}
    sides = {"`small`": SIDES[0], "U²-Netp-shaped": 320}
    inputs = {name: np.random.default_rng(0).random((1, 3, side, side), np.float32) for name, side in sides.items()}
    seconds = interleaved(given.rounds, {name: partial(run, inputs[name]) for name, run in networks.items()}, warm=2)
    base = statistics.median(seconds["U²-Netp-shaped"])
    rows = [
        {
            "network": name,
            "input": f"{sides[name]}²",
            "ms": spread([1000 * one for one in each], 1),
            "share": f"1/{base / statistics.median(each):.1f}",
        }
        for name, each in seconds.items()
    ]
    note = f"The U²-Netp-shaped network has {sum(p.numel() for p in model.parameters()):,} parameters, random ones."
    report("The embedded network against a U²-Netp-shaped one, onnxruntime", rows, given.json, note)


if __name__ == "__main__":
    main()
