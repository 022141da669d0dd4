"""Check a written SegFormer: compare its fused decode head with the plain one in numpy, on a drawn picture.

The encoder's outputs are taken from the graph itself; from there the plain head goes the paper's way: each stage projected,
enlarged, all side by side, fused, normalized, classified. To check another rewrite: its plain form here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from figureground.errors import WeightsError
from figureground.inference.onnxruntime import outputs
from figureground.inference.resize import Positions, positions
from figureground.models.segformer.config import Architecture

Array = NDArray[Any]
Tensor = Callable[..., NDArray[np.float32]]
"""A tensor of the checkpoint by its older name and its shape."""

EPSILON = 1e-5  # of layer and batch norms alike; config.json's layer_norm_eps is not read by transformers either
TOLERANCE = 1e-4
"""Relative L2 distance of the logits; float32 leaves below 1e-6 of random weights."""
_POINTS = 24  # the plain head costs more than the network: along each axis it is computed at so many places


def compare_with_plain_head(
    model: onnx.ModelProto, shape: Architecture, sizes: Sequence[tuple[int, int]], tensor: Tensor, threads: int
) -> None:
    """Raise WeightsError unless the graph's logits are those of the plain decode head, on a drawn picture.

    sizes : height and width of each stage; the graph names the stages' tokens, (height · width, channels), `stage0` and so on.
    """
    names = [f"stage{index}" for index in range(len(sizes))]
    model.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    try:
        shape_given = tuple(side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim)
        results = outputs(model.SerializeToString(), drawn_picture(*shape_given[1:3])[None], threads)
    finally:
        del model.graph.output[1:]
    rows, columns = (np.unique(np.linspace(0, side - 1, _POINTS).astype(int)) for side in sizes[0])
    stages = [results[name].reshape(*size, -1) for name, size in zip(names, sizes, strict=True)]
    wanted = _head(shape, stages, tensor, rows, columns)
    logits = results["logits"][0][:, rows[:, None], columns].transpose(1, 2, 0)
    apart, scale = np.linalg.norm(logits - wanted), np.linalg.norm(wanted)
    if not apart <= TOLERANCE * scale:  # also where either is no number
        raise WeightsError(
            f"the converted network's answers are {apart / scale:.1e} from the checkpoint's own, more than {TOLERANCE:.0e};"
            " fetch the checkpoint again, or report it",
            code="model_corrupt",
        )


def drawn_picture(height: int, width: int) -> NDArray[np.float32]:
    """Return a picture of waves, another one in each color: (height, width, 3) float32, whole numbers from 0 to 255."""
    y, x = np.mgrid[:height, :width]
    waves = np.sin(np.stack([x / 9 + y / 31, x / 23 - y / 7, x * y / 900], axis=-1).astype(np.float32))
    picture: NDArray[np.float32] = np.round(np.float32(127.5) * (1 + waves))
    return picture


def _head(shape: Architecture, stages: Sequence[Array], tensor: Tensor, rows: Array, columns: Array) -> Array:
    """Return the plain decode head at some rows and columns of the first stage: (rows, columns, classes)."""
    d, (height, width) = shape.decoder, stages[0].shape[:2]
    parts = []
    for index, tokens in enumerate(stages):
        weight = tensor(f"decode_head.linear_c.{index}.proj.weight", d, tokens.shape[-1])
        projected = tokens @ weight.T + tensor(f"decode_head.linear_c.{index}.proj.bias", d)
        ys, xs = positions(tokens.shape[0], height), positions(tokens.shape[1], width)
        parts.append(_enlarged(projected, _at(ys, rows), _at(xs, columns)))
    x = np.concatenate(parts[::-1], axis=-1) @ tensor("decode_head.linear_fuse.weight", d, d * len(stages), 1, 1)[:, :, 0, 0].T
    norm = {part: tensor(f"decode_head.batch_norm.{part}", d) for part in ("weight", "bias", "running_mean", "running_var")}
    x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + EPSILON) * norm["weight"] + norm["bias"]
    count = len(shape.names)
    weight = tensor("decode_head.classifier.weight", count, d, 1, 1)[:, :, 0, 0]
    result: Array = np.maximum(x, 0) @ weight.T + tensor("decode_head.classifier.bias", count)
    return result


def _at(axis: Positions, places: Array) -> Positions:
    return Positions(axis.low[places], axis.high[places], axis.fraction[places])


def _enlarged(x: Array, ys: Positions, xs: Positions) -> Array:
    """Return (h, w, d) interpolated bilinearly at those positions: (rows, columns, d)."""
    tall = x[ys.low] + (x[ys.high] - x[ys.low]) * ys.fraction[:, None, None]
    wide: Array = tall[:, xs.low] + (tall[:, xs.high] - tall[:, xs.low]) * xs.fraction[:, None]
    return wide
