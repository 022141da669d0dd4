"""The frozen networks that `adapt` builds on: their features of a picture, and one ONNX graph with a head.

Here the embedded one, in backbone.py SegFormer. To add one: a class with the attributes and methods of `Base`, and its
choice in adapt.py.
"""

from collections.abc import Mapping
from importlib.resources import as_file, files
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from figureground.errors import WeightsError
from figureground.models.saliency import CARD
from figureground.training import export
from figureground.training.adapt.head import Head
from figureground.training.weights import load, read_recipe


class FrozenNetwork(Protocol):
    """A frozen network."""

    name: str
    license: str
    permissive: bool
    size: int
    """S: pixels of a side of the pictures it looks at."""
    has_answer: bool
    """Whether it finds a foreground by itself; one that does not takes the whole picture for it."""

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return of pictures (N, 3, S, S) in [0, 1] feature maps (N, c, h, w), and own logits (N, 1, H, W) or zeros."""
        ...

    def graph(self, head: Head | None) -> onnx.ModelProto:
        """Return (1, 3, S, S) in [0, 1] → (1, 1, S, S) in [0, 1], weights as float16; None: the network as it was.

        Raises WeightsError where the graph is further from torch than export.BEFORE and export.AFTER allow.
        """
        ...


def checked(
    graph: onnx.ModelProto, answer: Any, size: int, kernels: Mapping[str, NDArray[np.float32]] = MappingProxyType({})
) -> onnx.ModelProto:
    """Return the graph with its weights rounded to float16, checked against the function `said` before and after.

    kernels : as for `export._halve`. Raises WeightsError.
    """
    generator = np.random.default_rng(0)
    pictures = [export.drawn_picture(generator, size) for _ in range(3)]
    rounded = export.halve(graph, kernels)
    for candidate, step, bound in ((graph, "before", export.BEFORE), (rounded, "after", export.AFTER)):
        apart = export.difference(answer, candidate, pictures)
        if not apart <= bound:
            raise WeightsError(f"the adapted graph is {apart:.1e} from torch ({step} rounding), but {bound:.0e} is allowed")
    return rounded


class Own:
    """The embedded network; the maps of encoder and decoder are features, and a head starts from its output."""

    name, license, permissive, has_answer = "saliency", CARD.license, CARD.permissive, True

    def __init__(self) -> None:
        with as_file(files("figureground").joinpath("assets/saliency.safetensors")) as weights:
            recipe = read_recipe(weights)
            self.network: Any = rounded(load(weights, recipe.network).eval().requires_grad_(False))
        self.size = recipe.last_size or recipe.size

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the features, as `Base.seen`, and the network's logits at S / 2."""
        with torch.no_grad():
            return read_out(self.network, x)

    def graph(self, head: Head | None) -> onnx.ModelProto:
        """Return the graph, as `Base.graph`; with None, the package's own, which gives exactly the masks of `subject`."""
        if head is None:
            return onnx.load_model_from_string(files("figureground").joinpath("assets/saliency.onnx").read_bytes())
        return exported(WithHead(self.network, head), self.size)


def exported(network: nn.Module, size: int) -> onnx.ModelProto:
    """Return the checked graph of a network that gives a list of logits, finest first."""
    model = export.Probability(network).eval()
    return checked(export.to_onnx(model, size), model, size, export.kernels(model))


def rounded(network: nn.Module) -> nn.Module:
    """Return the network with its weights rounded as its file stores them, so that training sees the rounding."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1 and weight.numel() >= export.HALVED:
                weight.copy_(weight.half().float())
    return network


def decoded(network: Any, maps: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return the decoder's maps at 1/16, 1/8, 1/4 and 1/2, and the logits, (N, 1, S/2, S/2)."""
    maps_decoded = network.decode(maps)
    return maps_decoded[::-1], network.heads[0](maps_decoded[0])


def read_out(network: Any, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return all maps of the embedded network, those at 1/2 averaged down to 1/4, and its logits at 1/2."""
    maps = network.encode(x)
    above, own = decoded(network, maps)
    return [F.avg_pool2d(m, 2) if m.shape[-1] == own.shape[-1] else m for m in [*maps, *above]], own


class WithHead(nn.Module):
    """The embedded network with a head: as `networks.SaliencyNetwork` in eval mode."""

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return (N, 3, S, S) in [0, 1] → logits [(N, 1, S, S)]."""
        logits = self.head(*read_out(self.network, x))
        return [F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)]
