"""Small ONNX files with random weights: one picture in, one map out."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

HANN = np.outer(np.hanning(9)[1:-1], np.hanning(9)[1:-1])


def small_onnx(side: int | None, output: str = "probability", seed: int = 0) -> bytes:
    """A blurred random mixture of the colors, of a picture of side × side or of any size; logits, or a probability of them."""
    colors = np.random.default_rng(seed).normal(0, 1, (1, 3, 1, 1))
    weight = (colors * HANN / HANN.sum() * 20).astype(np.float32)
    end = "Identity" if output == "logit" else "Sigmoid"
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[3] * 4), helper.make_node(end, ["c"], ["y"])]
    shape = [1, 3, side or "h", side or "w"]
    ends = [helper.make_tensor_value_info("x", 1, shape)], [helper.make_tensor_value_info("y", 1, [1, 1, *shape[2:]])]
    graph = helper.make_graph(nodes, "small", *ends, [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def plain(data: bytes, x: np.ndarray) -> np.ndarray:
    """The convolution of such a file in numpy, (h, w) float64, before any sigmoid; x : (1, 3, h, w)."""
    [weight] = (numpy_helper.to_array(each).astype(np.float64) for each in onnx.load_from_string(data).graph.initializer)
    padded = np.pad(x[0].astype(np.float64), ((0, 0), (3, 3), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (1, 2))
    return np.einsum("chwij,cij->hw", windows, weight[0])


def save(folder: Path, name: str, side: int | None, output: str = "probability") -> Path:
    """Such a file under a name of rembg's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    path.write_bytes(small_onnx(side, output))
    return path
