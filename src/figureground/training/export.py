"""Trained weights to one ONNX file: normalisation and sigmoid inside, weights stored as float16, checked against torch."""

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from figureground.errors import WeightsError
from figureground.models._runtime import session
from figureground.training.weights import load, read_recipe

BEFORE, AFTER = 1e-4, 3e-3
"""How far the graph may be from torch, in probability: as exported, and with its weights rounded to float16."""

HALVED = 64
"""Numbers of a tensor from which on it is stored as float16."""


class _Probability(nn.Module):
    """The finest output alone, as a probability."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        return torch.sigmoid(self.network(picture)[0])  # (1, 1, S, S)


def export(weights: Path, target: Path, size: int | None = None) -> dict[str, float]:
    """Write `target`: (1, 3, H, W) float32 in [0, 1] → (1, 1, H, W) float32 in [0, 1].

    size : H and W, a multiple of 32; None: the graph takes every such size, from 64 to 1024.

    Returns the largest difference from torch on drawn pictures, before and after rounding to float16; raises
    WeightsError where `weights` does not fit the network or a difference is above its bound.
    """
    recipe = read_recipe(weights)
    trained = recipe.last_size or recipe.size
    model = _Probability(fused(load(weights, recipe.network))).eval()
    graph = _graph(model, size or trained, free=size is None)
    generator = np.random.default_rng(0)
    pictures = [_picture(generator, side) for side in ([size] * 4 if size else [trained, trained, trained + 64, 64])]
    apart = {"before": _difference(model, graph, pictures)}
    rounded = _halve(graph)
    apart["after"] = _difference(model, rounded, pictures)
    for step, bound in (("before", BEFORE), ("after", AFTER)):
        if not apart[step] <= bound:
            raise WeightsError(
                f"the exported graph is {apart[step]:.1e} from torch ({step} rounding), but {bound:.0e} is allowed"
            )
    part = target.with_suffix(".part")
    onnx.save(rounded, part)
    part.replace(target)
    return apart


def fused(model: nn.Module) -> nn.Module:
    """The network with each convolution and the batch norm behind it joined into one; for inference."""
    model.eval()
    for block in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for i in range(len(block) - 1):
            first, second = block[i], block[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return model


def _graph(model: nn.Module, size: int, free: bool = False) -> onnx.ModelProto:
    """The graph for pictures of that size; free: for all whose sides are multiples of 32."""
    example = torch.rand(1, 3, size, size)
    height, width = (32 * torch.export.Dim(name, min=2, max=32) for name in ("rows", "columns"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of torchvision's absence, which we do not need
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what it will change in itself
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model, (example,), path, input_names=["picture"], output_names=["foreground"], opset_version=18,
            dynamo=True, external_data=False, verbose=False,
            dynamic_shapes={"picture": {2: height, 3: width}} if free else None,
        )  # fmt: skip
        return onnx.load(path)


def _halve(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with float32 weights stored as float16 and a cast behind each; the runtime undoes it once, at load."""
    half = onnx.ModelProto()
    half.CopyFrom(graph)
    casts = []
    for tensor in half.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    del half.graph.value_info[:]
    half.producer_name, half.doc_string = "figureground", ""
    for node in half.graph.node:  # names of files and lines of the machine that exported it
        node.doc_string = ""
        del node.metadata_props[:]
    del half.graph.metadata_props[:]
    onnx.checker.check_model(half, full_check=True)
    return half


def _picture(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A drawn picture with a blob in it: plain noise would leave most of the network's answers at one value."""
    y, x = np.mgrid[:size, :size] / size
    centre, radius = generator.uniform(0.3, 0.7, 2), generator.uniform(0.1, 0.3)
    inside = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2)[..., None]
    colours = generator.uniform(0, 1, (2, 3))
    image = np.where(inside, colours[0], colours[1]) + generator.normal(0, 0.05, (size, size, 3))
    picture: NDArray[np.float32] = np.clip(image, 0, 1).astype(np.float32).transpose(2, 0, 1)[None]
    return picture


def _difference(model: nn.Module, graph: onnx.ModelProto, pictures: list[NDArray[np.float32]]) -> float:
    run = session(graph.SerializeToString())
    with torch.no_grad():
        return max(float(np.abs(run(x) - model(torch.from_numpy(x)).numpy()).max()) for x in pictures)
