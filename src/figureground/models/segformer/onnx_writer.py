"""Write a SegFormer checkpoint as an ONNX graph, without torch and without tracing.

SegFormer: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021.
Three parts are rewritten, with the same result: a convolution whose kernel is its stride is a product over blocks, the
feed-forward layers' linear maps are 1×1 convolutions, so that channels stay first from one to the other, and the decode
head's fuse layer is moved before the enlargement with which it commutes, where it costs a fraction (weights in float64).
To admit another variant: a field of `Architecture`, nodes in `_Writer`, and a row in
tests/models/test_segformer_onnx_writer.py. With every change of what is written,
`_WRITER` in __init__.py is raised, so that kept networks are made anew.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from figureground._machine import cores
from figureground.errors import WeightsError
from figureground.inference.preprocess import Normalization
from figureground.inference.resize import positions
from figureground.models.segformer.config import Architecture, Processor
from figureground.models.segformer.self_check import EPSILON, compare_with_plain_head

Array = NDArray[Any]
Tensors = Mapping[str, Array]

_OPSETS, _IR = (("", 20), ("com.microsoft", 1)), 9

_RENAMED = [  # transformers 5 names the layers anew; a checkpoint may have either form
    (r"stages\.(\d+)\.patch_embeddings\.", r"encoder.patch_embeddings.\1."),
    (r"stages\.(\d+)\.blocks\.", r"encoder.block.\1."),
    (r"stages\.(\d+)\.layer_norm\.", r"encoder.layer_norm.\1."),
    (r"attention\.sequence_reduction\.sequence_reduction\.", "attention.self.sr."),
    (r"attention\.sequence_reduction\.layer_norm\.", "attention.self.layer_norm."),
    (r"attention\.q_proj\.", "attention.self.query."),
    (r"attention\.k_proj\.", "attention.self.key."),
    (r"attention\.v_proj\.", "attention.self.value."),
    (r"attention\.o_proj\.", "attention.output.dense."),
    (r"mlp\.fc(\d)\.", r"mlp.dense\1."),
    (r"layernorm_before\.", "layer_norm_1."),
    (r"layernorm_after\.", "layer_norm_2."),
    (r"decode_head\.linear_projections\.", "decode_head.linear_c."),
]


def write(
    shape: Architecture,
    processor: Processor,
    tensors: Tensors,
    *,
    whole: bool = False,
    threads: int = 0,
    read: Callable[[], object] = lambda: None,
) -> bytes:
    """Return the graph: (1, height, width, 3) float32 pixels in 0 … 255 → logits (1, C, h, w) float32.

    h and w are a quarter of the processor's height and width in the usual checkpoints. whole : attention as
    onnxruntime's own operator, quicker there; else of plain ones, which openvino fuses better. threads : with which the
    graph is tried out. read : called after each tensor. Raises WeightsError where a tensor is missing, of another shape than
    the config says, or holds what is no finite number, and where the graph's logits are not those of the plain decode head.
    """
    writer = _Writer(tensors, whole, read)
    picture = writer.prepared("picture", processor.normalization)
    stages, height, width = [], processor.height, processor.width
    for index in range(len(shape.depths)):
        stage = _Stage(writer, shape, index, height, width)
        tokens = stage.write(picture)
        picture, height, width = stage.planes(tokens), stage.height, stage.width
        stages.append((tokens, height, width))
    _head(writer, shape, stages)
    height, width = stages[0][1:]
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    writer.graph.input.append(value("picture", kind, [1, processor.height, processor.width, 3]))
    writer.graph.output.append(value("logits", kind, [1, len(shape.names), height, width]))
    compare_with_plain_head(
        writer.model, shape, [(h, wide) for _, h, wide in stages], _Writer(tensors).tensor, threads or cores()
    )
    serialized: bytes = writer.model.SerializeToString()
    return serialized


class _Writer:
    """Nodes and constants, and the checkpoint's tensors by their older names."""

    def __init__(self, tensors: Tensors, whole: bool = False, read: Callable[[], object] = lambda: None) -> None:
        self.tensors, self.whole, self.read = tensors, whole, read
        self.stored = {_older(name): name for name in tensors}
        self.model = onnx.ModelProto(ir_version=_IR, opset_import=[helper.make_opsetid(*opset) for opset in _OPSETS])
        self.graph = self.model.graph  # filled in place: a copy of all weights would be as large again
        self.graph.name = "segformer"

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a tensor of the checkpoint; raises WeightsError if it is missing, or of another shape, or not finite."""
        if name not in self.stored:
            raise _unsound(name, "is missing")
        tensor = self.tensors[self.stored[name]]
        self.read()
        if tensor.shape != shape or tensor.dtype.kind != "f":
            raise _unsound(name, f"should be {shape} floating-point numbers, but is {tensor.shape} {tensor.dtype}")
        if not np.isfinite(tensor).all():
            raise _unsound(name, "holds what is no finite number")
        return tensor.astype(np.float32, copy=False)

    def constant(self, values: object, dtype: Any = np.float32) -> str:
        array = np.asarray(values, dtype)
        kind, name = helper.np_dtype_to_tensor_dtype(array.dtype), f"c{len(self.graph.initializer)}"
        self.graph.initializer.add(name=name, dims=array.shape, data_type=kind, raw_data=array.tobytes())
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.graph.node)}"
        self.graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def reshape(self, x: str, *shape: int, output: str = "") -> str:
        return self.node("Reshape", x, self.constant(shape, np.int64), output=output)

    def prepared(self, x: str, normalization: Normalization) -> str:
        """Return the picture as the checkpoint's image processor gives it, rounded as it rounds: (1, 3, height, width)."""
        exact = self.node("Cast", x, to=onnx.TensorProto.DOUBLE)
        x = self.node("Mul", exact, self.constant(normalization.scale, np.float64))
        x = self.node("Cast", x, to=onnx.TensorProto.FLOAT)
        x = self.node("Sub", x, self.constant(normalization.mean))
        x = self.node("Div", x, self.constant(normalization.std))
        return self.node("Transpose", x, perm=[0, 3, 1, 2])

    def linear(self, x: str, name: str, outputs: int, inputs: int, factor: float = 1.0) -> str:
        """Add a linear map (N, inputs) → (N, outputs), times `factor`."""
        weight = self.tensor(f"{name}.weight", outputs, inputs) * np.float32(factor)
        bias = self.tensor(f"{name}.bias", outputs) * np.float32(factor)
        return self.node("Gemm", x, self.constant(weight.T), self.constant(bias))

    def convolution(self, x: str, weight: Array, bias: Array, **attributes: Any) -> str:
        return self.node("Conv", x, self.constant(weight), self.constant(bias), kernel_shape=weight.shape[2:], **attributes)

    def norm(self, x: str, name: str, channels: int, output: str = "") -> str:
        weight, bias = self.tensor(f"{name}.weight", channels), self.tensor(f"{name}.bias", channels)
        scaled = (x, self.constant(weight), self.constant(bias))
        return self.node("LayerNormalization", *scaled, output=output, epsilon=EPSILON)


class _Stage:
    """One stage of the encoder: (1, c, H, W) in, its tokens out, (height · width, channels)."""

    def __init__(self, writer: _Writer, shape: Architecture, index: int, height: int, width: int) -> None:
        self.writer, self.shape, self.index = writer, shape, index
        self.inputs = shape.channels[index - 1] if index else 3
        self.channels, self.heads, self.reduction = shape.channels[index], shape.heads[index], shape.reductions[index]
        self.kernel, self.stride = shape.kernels[index], shape.strides[index]
        self.height, self.width = ((n + self.kernel // 2 * 2 - self.kernel) // self.stride + 1 for n in (height, width))
        if min(self.height, self.width) < self.reduction:
            raise WeightsError(
                f"pictures of the checkpoint's size leave {self.width} × {self.height} tokens in stage {index}, too few for"
                f" its sr_ratio {self.reduction}; its two JSON files do not belong together",
                code="model_corrupt",
            )

    def write(self, picture: str) -> str:
        w, name = self.writer, f"segformer.encoder.patch_embeddings.{self.index}"
        weight = w.tensor(f"{name}.proj.weight", self.channels, self.inputs, self.kernel, self.kernel)
        bias = w.tensor(f"{name}.proj.bias", self.channels)
        x = w.convolution(picture, weight, bias, strides=[self.stride] * 2, pads=[self.kernel // 2] * 4)
        x = w.norm(self.tokens(x), f"{name}.layer_norm", self.channels)
        for layer in range(self.shape.depths[self.index]):
            name = f"segformer.encoder.block.{self.index}.{layer}"
            x = w.node("Add", x, self.attention(w.norm(x, f"{name}.layer_norm_1", self.channels), f"{name}.attention"))
            x = w.node("Add", x, self.feed_forward(w.norm(x, f"{name}.layer_norm_2", self.channels), f"{name}.mlp"))
        return w.norm(x, f"segformer.encoder.layer_norm.{self.index}", self.channels, f"stage{self.index}")

    def tokens(self, planes: str) -> str:
        rows = self.writer.node("Transpose", planes, perm=[0, 2, 3, 1])
        return self.writer.reshape(rows, self.height * self.width, self.channels)

    def planes(self, tokens: str) -> str:
        rows = self.writer.reshape(tokens, 1, self.height, self.width, self.channels)
        return self.writer.node("Transpose", rows, perm=[0, 3, 1, 2])

    def attention(self, x: str, name: str) -> str:
        """Add attention: the queries of all tokens and the keys of fewer, (N, C) → (N, C)."""
        w, c, each = self.writer, self.channels, self.channels // self.heads
        few = self.reduced(x, f"{name}.self") if self.reduction > 1 else x
        query = w.linear(x, f"{name}.self.query", c, c, each**-0.5)
        key, value = (w.linear(few, f"{name}.self.{part}", c, c) for part in ("key", "value"))
        if w.whole:
            whole = (w.reshape(part, 1, -1, c) for part in (query, key, value))
            mixed = w.node("MultiHeadAttention", *whole, domain="com.microsoft", num_heads=self.heads, scale=1.0)
        else:
            heads = [w.reshape(part, 1, -1, self.heads, each) for part in (query, key, value)]
            orders = [0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]
            query, key, value = (w.node("Transpose", h, perm=order) for h, order in zip(heads, orders, strict=True))
            weights = w.node("Softmax", w.node("MatMul", query, key), axis=-1)
            mixed = w.node("Transpose", w.node("MatMul", weights, value), perm=[0, 2, 1, 3])
        return w.linear(w.reshape(mixed, -1, c), f"{name}.output.dense", c, c)

    def reduced(self, x: str, name: str) -> str:
        """Add one token for each block of reduction × reduction: its tokens side by side, times one matrix."""
        w, c, r = self.writer, self.channels, self.reduction
        height, width = self.height // r, self.width // r
        if (height * r, width * r) != (self.height, self.width):  # the convolution leaves out what fills no block
            x = w.reshape(x, self.height, self.width, c)
            ends = w.constant((height * r, width * r), np.int64)
            x = w.node("Slice", x, w.constant((0, 0), np.int64), ends, w.constant((0, 1), np.int64))
        x = w.node("Transpose", w.reshape(x, height, r, width, r * c), perm=[0, 2, 1, 3])
        x = w.reshape(x, height * width, r * r * c)
        weight = w.tensor(f"{name}.sr.weight", c, c, r, r).transpose(2, 3, 1, 0).reshape(r * r * c, c)
        x = w.node("Gemm", x, w.constant(weight), w.constant(w.tensor(f"{name}.sr.bias", c)))
        return w.norm(x, f"{name}.layer_norm", c)

    def feed_forward(self, x: str, name: str) -> str:
        w, c, inner = self.writer, self.channels, self.shape.inner[self.index]
        first, last = w.tensor(f"{name}.dense1.weight", inner, c), w.tensor(f"{name}.dense2.weight", c, inner)
        around = w.tensor(f"{name}.dwconv.dwconv.weight", inner, 1, 3, 3)
        x = w.convolution(self.planes(x), first[:, :, None, None], w.tensor(f"{name}.dense1.bias", inner))
        x = w.convolution(x, around, w.tensor(f"{name}.dwconv.dwconv.bias", inner), group=inner, pads=[1] * 4)
        x = w.node(self.shape.activation, x)
        x = w.convolution(x, last[:, :, None, None], w.tensor(f"{name}.dense2.bias", c))
        return self.tokens(x)


def _head(w: _Writer, shape: Architecture, stages: list[tuple[str, int, int]]) -> None:
    """Add the decode head: each stage's tokens times one matrix, enlarged to the first stage's size, summed, classified.

    Enlarging is two products with sparse matrices, first down the columns, then along the rows, where one product over all
    stages side by side sums them as well.
    """
    matrices, bias = _fused(w, shape)
    first, height, width = stages[0]
    d = shape.decoder
    total = w.node("Gemm", first, w.constant(matrices[0].T), w.constant(bias))
    parts, along = [], []
    for (tokens, h, wide), matrix in zip(stages[1:], matrices[1:], strict=True):
        x = w.reshape(w.node("MatMul", tokens, w.constant(matrix.T)), h, wide * d)
        parts.append(w.reshape(w.node("MatMul", w.constant(_enlarging(h, height)), x), height, wide, d))
        along.append(_enlarging(wide, width))
    if parts:
        side_by_side = w.node("Concat", *parts, axis=1)
        enlarged = w.node("MatMul", w.constant(np.concatenate(along, axis=1)), side_by_side)
        total = w.node("Add", total, w.reshape(enlarged, height * width, d))
    count = len(shape.names)
    weight = w.tensor("decode_head.classifier.weight", count, d, 1, 1)[:, :, 0, 0]
    column = w.tensor("decode_head.classifier.bias", count)[:, None]
    scores = w.node("Gemm", w.constant(weight), w.node("Relu", total), w.constant(column), transB=1)
    w.reshape(scores, 1, count, height, width, output="logits")


def _fused(w: _Writer, shape: Architecture) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return projection, fuse layer and batch norm as one (decoder, channels) matrix for each stage, and one bias for all."""
    d, count = shape.decoder, len(shape.channels)
    norm = {
        part: w.tensor(f"decode_head.batch_norm.{part}", d).astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    gain = norm["weight"] / np.sqrt(norm["running_var"] + EPSILON)
    bias = norm["bias"] - gain * norm["running_mean"]
    fuse = gain[:, None] * w.tensor("decode_head.linear_fuse.weight", d, d * count, 1, 1)[:, :, 0, 0].astype(np.float64)
    matrices = []
    for stage, channels in enumerate(shape.channels):
        part = fuse[:, (count - 1 - stage) * d : (count - stage) * d]  # the last stage stands first
        matrices.append(part @ w.tensor(f"decode_head.linear_c.{stage}.proj.weight", d, channels))
        bias = bias + part @ w.tensor(f"decode_head.linear_c.{stage}.proj.bias", d)
    return matrices, bias


def _enlarging(source: int, target: int) -> NDArray[np.float64]:
    """Return bilinear enlargement of an axis as a matrix, (target, source)."""
    at = positions(source, target)
    matrix = np.zeros((target, source))
    np.add.at(matrix, (np.arange(target), at.low), 1 - at.fraction)
    np.add.at(matrix, (np.arange(target), at.high), at.fraction)
    return matrix


def _older(name: str) -> str:
    for newer, older in _RENAMED:
        name = re.sub(newer, older, name)
    return name


def _unsound(name: str, why: str) -> WeightsError:
    return WeightsError(f"the checkpoint's tensor '{name}' {why}; fetch it again or name another one", code="model_corrupt")
