"""A SegFormer checkpoint as the base of `adapt --from`: its four stages are features for a linear head.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021. The stages
run through the graph that models/segformer/onnx_writer.py writes, without its decode head. To admit another backbone: a class
beside `Backbone` with its attributes and methods, and a graph whose outputs are its maps.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from figureground.inference.checkpoint import Checkpoint, verified
from figureground.inference.licenses import PERMISSIVE
from figureground.inference.session import session
from figureground.models import segformer
from figureground.models.segformer.config import Architecture, Processor
from figureground.settings import Settings
from figureground.training.adapt.bases import checked
from figureground.training.adapt.head import Head
from figureground.training.export import HALVED


class Backbone:
    """The four stages of a SegFormer checkpoint in an ONNX graph; there is no foreground output to start from."""

    has_answer = False

    def __init__(self, weights: str, settings: Settings) -> None:
        checkpoint = segformer.fetch_checkpoint(weights, settings)
        self.name, self.license = checkpoint.name, checkpoint.license
        self.permissive = checkpoint.license in PERMISSIVE
        shape, processor = Architecture.of(checkpoint.config), Processor.of(checkpoint.preprocessor)
        self.size = processor.height
        self.stages = _stages(checkpoint, shape, replace(processor, width=processor.height), settings)
        self.widths = list(shape.channels)
        self.run = session(_joined(self.stages, len(self.widths)).SerializeToString(), settings, segformer.RUNTIMES)
        self.sides: list[int] = []
        for kernel, stride in zip(shape.kernels, shape.strides, strict=True):
            before = self.sides[-1] if self.sides else self.size
            self.sides.append((before + kernel // 2 * 2 - kernel) // stride + 1)

    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the features, as `Base.seen`."""
        levels: list[list[Tensor]] = [[] for _ in self.widths]
        for picture in x:
            numbers = self.run(picture[None].numpy()).ravel()
            start = 0
            for level_maps, width, side in zip(levels, self.widths, self.sides, strict=True):
                stop = start + width * side * side
                level_maps.append(torch.from_numpy(numbers[start:stop].reshape(side, side, width)).permute(2, 0, 1))
                start = stop
        return [torch.stack(level_maps) for level_maps in levels], torch.zeros(len(x), 1, self.sides[0], self.sides[0])

    def graph(self, head: Head | None) -> onnx.ModelProto:
        """Return the graph, as `Base.graph`; with None, the head knows nothing."""
        head = head or Head(self.widths)

        def answer(x: Tensor) -> Tensor:
            logits = head(*self.features(x))
            return torch.sigmoid(F.interpolate(logits, size=self.size, mode="bilinear", align_corners=False)).detach()

        return checked(_with_head(self.stages, head, self.sides, self.size), answer, self.size)


def _stages(checkpoint: Checkpoint, shape: Architecture, processor: Processor, settings: Settings) -> onnx.ModelProto:
    """Return the encoder alone: (1, 3, S, S) in [0, 1] → `stage0` and so on, (h · w, channels) each."""
    from figureground.inference.tensors import read
    from figureground.models.segformer.onnx_writer import write

    tensors = read(*verified(checkpoint))
    model = onnx.load_model_from_string(write(shape, processor, tensors, threads=settings.threads))
    wanted = {f"stage{i}" for i in range(len(shape.channels))}
    needed = []
    for node in reversed(model.graph.node):  # whatever the stages need, from the last to the first
        if wanted.intersection(node.output):
            wanted.update(node.input)
            needed.append(node)
    nodes = [
        helper.make_node("Transpose", ["picture"], ["rows"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["rows", "255"], ["bytes"]),
        *(_fed(node) for node in reversed(needed)),
    ]
    constants = [_rounded(tensor) for tensor in model.graph.initializer if tensor.name in wanted]
    constants.append(_constant("255", 255))
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    inputs = [value("picture", kind, [1, 3, processor.height, processor.width])]
    outputs = [value(f"stage{i}", kind, None) for i in range(len(shape.channels))]
    graph = helper.make_graph(nodes, "adapted", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _rounded(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return the weights rounded as the file stores them, as `bases.rounded`."""
    values = numpy_helper.to_array(tensor)
    if values.dtype != np.float32 or values.ndim < 2 or values.size < HALVED:
        return tensor
    return numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name)


def _fed(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the node, reading `bytes` where it read the picture of the whole graph."""
    node.input[:] = ["bytes" if name == "picture" else name for name in node.input]
    return node


def _joined(stages: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """Return the same graph with all numbers in one output, (1, numbers), because runtimes return one."""
    flat = numpy_helper.from_array(np.array([1, -1], np.int64), "flat")
    nodes = [helper.make_node("Reshape", [f"stage{i}", "flat"], [f"flat{i}"]) for i in range(count)]
    nodes.append(helper.make_node("Concat", [f"flat{i}" for i in range(count)], ["seen"], axis=1))
    return _extended(stages, nodes, [flat], "seen", None)


def _with_head(stages: onnx.ModelProto, head: Head, sides: list[int], size: int) -> onnx.ModelProto:
    """Return the same graph with a head: → `foreground`, (1, 1, S, S)."""
    constants = [_constant("bias", head.bias.detach().numpy()), _sizes("full", size)]
    nodes, parts = [], []
    for i, (weight, side) in enumerate(zip(head.weights, sides, strict=True)):
        constants += [_constant(f"head{i}", weight.detach().numpy().reshape(-1, 1)), _sizes(f"map{i}", side)]
        nodes.append(helper.make_node("MatMul", [f"stage{i}", f"head{i}"], [f"said{i}"]))
        nodes.append(helper.make_node("Reshape", [f"said{i}", f"map{i}"], [f"part{i}"]))
        parts.append(f"part{i}")
        if side != sides[0]:
            nodes.append(_resize(f"part{i}", "map0", f"large{i}"))
            parts[-1] = f"large{i}"
    nodes += [
        helper.make_node("Sum", [*parts, "bias"], ["logits"]),
        _resize("logits", "full", "enlarged"),
        helper.make_node("Sigmoid", ["enlarged"], ["foreground"]),
    ]
    return _extended(stages, nodes, constants, "foreground", [1, 1, size, size])


def _constant(name: str, values: NDArray[Any] | float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def _sizes(name: str, side: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([1, 1, side, side], np.int64), name)


def _resize(x: str, sizes: str, output: str) -> onnx.NodeProto:
    """Resize as torch's bilinear interpolation with align_corners=False."""
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return helper.make_node("Resize", [x, "", "", sizes], [output], **how)


def _extended(
    stages: onnx.ModelProto, nodes: list[Any], constants: list[Any], output: str, shape: list[int] | None
) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(stages)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, shape))
    return model
