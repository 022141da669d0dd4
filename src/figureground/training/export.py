"""Export trained weights as one ONNX file: normalization and sigmoid inside, weights as float16, checked against torch."""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from figureground._files import replacing
from figureground.errors import WeightsError
from figureground.inference.session import session
from figureground.training.config import DETAIL
from figureground.training.detail.network import CHANNELS
from figureground.training.weights import load, load_detail, read_recipe

BEFORE, AFTER = 1e-4, 3e-3
"""How far the graph may be from torch, in probability: as exported, and with its weights rounded to float16."""

HALVED = 64
"""Numbers of a kernel or matrix from which on it is stored as float16. Vectors, such as biases, stay float32."""


class Probability(nn.Module):
    """The finest output alone, as a probability: (N, 3, S, S) in [0, 1] → (N, 1, S, S)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        """Return the probability of foreground."""
        return torch.sigmoid(self.network(picture)[0])  # (1, 1, S, S)


def kernels(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return kernels and matrices by the names that they have in the graph, without the batch norms behind them."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.ndim > 1}


def export(weights: Path, target: Path, size: int | None = None) -> dict[str, float]:
    """Write `target`, a graph (1, 3, H, W) float32 in [0, 1] → (1, 1, H, W) float32 in [0, 1].

    size : H and W, a multiple of 32; None: the graph takes every such size, from 64 to 1024.

    Returns the largest difference from torch on drawn pictures, before and after rounding to float16; raises
    WeightsError where `weights` does not fit the network or a difference is above its bound.
    """
    recipe = read_recipe(weights)
    trained = recipe.last_size or recipe.size
    detail = recipe.network == DETAIL
    model = (load_detail(weights) if detail else Probability(load(weights, recipe.network))).eval()
    graph = to_onnx(model, size or trained, free=size is None, channels=CHANNELS if detail else 3)
    generator = np.random.default_rng(0)
    pictures = [drawn_picture(generator, side) for side in ([size] * 4 if size else [trained, trained, trained + 64, 64])]
    if detail:  # it reads a coarse mask too
        pictures = [np.concatenate([picture, picture.mean(1, keepdims=True)], 1) for picture in pictures]
    apart = {"before": difference(model, graph, pictures)}
    rounded = halve(graph, kernels(model))
    apart["after"] = difference(model, rounded, pictures)
    for step, bound in (("before", BEFORE), ("after", AFTER)):
        if not apart[step] <= bound:
            raise WeightsError(
                f"the exported graph is {apart[step]:.1e} from torch ({step} rounding), but {bound:.0e} is allowed"
            )
    with replacing(target) as part:
        onnx.save(rounded, part)
    return apart


def to_onnx(model: nn.Module, size: int, free: bool = False, channels: int = 3) -> onnx.ModelProto:
    """Return the graph for pictures of that size; free: for all whose sides are multiples of 32."""
    example = torch.rand(1, channels, size, size)
    height, width = (32 * torch.export.Dim(name, min=2, max=32) for name in ("rows", "columns"))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of torchvision's absence, which we do not need
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what it will change in itself
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model, (example,), path, input_names=["picture"], output_names=["foreground"], opset_version=18,
            dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=({2: height, 3: width},) if free else None,
        )  # fmt: skip
        return onnx.load(path)


def halve(graph: onnx.ModelProto, kernels: Mapping[str, NDArray[np.float32]] = MappingProxyType({})) -> onnx.ModelProto:
    """Return the graph with kernels and matrices stored as float16, and a cast behind each, which the runtime does at load.

    kernels : as trained, by name. The exporter multiplies a kernel by the scale of the batch norm behind it; the product
    would be rounded once more. So the kernel and the scale of each channel are stored apart, which is exact for weights
    that are float16 already.
    """
    half = onnx.ModelProto()
    half.CopyFrom(graph)
    casts, scales = [], []
    for tensor in half.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2 or np.prod(tensor.dims) < HALVED:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        kernel, scale = _apart(values, kernels.get(name))
        tensor.CopyFrom(numpy_helper.from_array(kernel.astype(np.float16), f"{name}.half"))
        whole = name if scale is None else f"{name}.kernel"
        casts.append(helper.make_node("Cast", [f"{name}.half"], [whole], to=onnx.TensorProto.FLOAT))
        if scale is not None:
            scales.append(numpy_helper.from_array(scale, f"{name}.scale"))
            casts.append(helper.make_node("Mul", [whole, f"{name}.scale"], [name]))
    half.graph.initializer.extend(scales)
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


def _apart(
    values: NDArray[np.float32], kernel: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return kernel and scale, (out, 1, …), whose product is `values`; `values` and None where that is not so."""
    if kernel is None or kernel.shape != values.shape or np.array_equal(kernel, values):
        return values, None
    rows, wanted = (array.reshape(len(array), -1).astype(np.float64) for array in (kernel, values))
    scale = (rows * wanted).sum(1) / np.maximum((rows * rows).sum(1), 1e-30)
    if not np.allclose(rows * scale[:, None], wanted, rtol=1e-4, atol=1e-6 * float(np.abs(wanted).max())):
        return values, None
    return kernel, scale.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))


def drawn_picture(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Return a drawn picture with a blob in it: plain noise would leave most of the network's outputs at one value."""
    y, x = np.mgrid[:size, :size] / size
    center, radius = generator.uniform(0.3, 0.7, 2), generator.uniform(0.1, 0.3)
    inside = ((x - center[0]) ** 2 + (y - center[1]) ** 2 < radius**2)[..., None]
    colors = generator.uniform(0, 1, (2, 3))
    image = np.where(inside, colors[0], colors[1]) + generator.normal(0, 0.05, (size, size, 3))
    picture: NDArray[np.float32] = np.clip(image, 0, 1).astype(np.float32).transpose(2, 0, 1)[None]
    return picture


def difference(model: nn.Module, graph: onnx.ModelProto, pictures: list[NDArray[np.float32]]) -> float:
    """Return the largest difference between torch and the graph on these pictures, in probability."""
    run = session(graph.SerializeToString())
    with torch.no_grad():
        return max(float(np.abs(run(x) - model(torch.from_numpy(x)).numpy()).max()) for x in pictures)
