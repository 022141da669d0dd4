"""Run graphs with onnxruntime, which every installation has: fp32, or int8 with weights that are quantized once.

It sends usage data to its maker from Linux too, unless told not to before it is imported; here it is told. To add a
device's own settings: a row in `_PROVIDER_OPTIONS`.
"""

import os
import tempfile
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from figureground._machine import processor
from figureground.errors import UsageError
from figureground.inference.cache import get_or_create
from figureground.inference.session import Choice, Session

_PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # TF32 rounds to 10 bits what is said to be fp32
_QUANTIZER = "2"  # to be raised with every change of `_quantized`: kept networks are then made anew
_CPU = "CPUExecutionProvider"


def _runtime() -> Any:
    """Import the module with its usage reports turned off."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # where another part of the program imported it first
    return onnxruntime


def devices() -> dict[str, str]:
    """Return its execution providers by short names: CUDAExecutionProvider as cuda. Azure is left out: it sends data away."""
    providers = _runtime().get_available_providers()
    short = {name.removesuffix("ExecutionProvider").lower(): name for name in reversed(providers)}
    return {name: provider for name, provider in short.items() if name != "azure"}


def refuse(device: str, precision: str) -> None:
    """Raise UsageError where that device does not compute in that precision."""
    if precision == "int8" and device != _CPU:
        raise UsageError(f"int8 is for the processor, but the device is {device}; take --device cpu, or --precision fp32")


def open_session(graph: Path | bytes, choice: Choice, cache: Path) -> Session:
    """Return the graph made ready; raises UsageError where the device cannot be opened, and whatever onnxruntime raises."""
    runtime_session = _session(_quantized(graph, cache) if choice.precision == "int8" else graph, choice.threads, choice.device)
    if runtime_session.get_providers()[0] != choice.device:  # it falls back with a log line where, say, a driver is missing
        raise UsageError(f"device {choice.device} cannot be opened by onnxruntime; check its driver, or use --device cpu")
    first = runtime_session.get_inputs()[0]
    shape = tuple(side if isinstance(side, int) else -1 for side in first.shape)
    return Session(lambda x: runtime_session.run(None, {first.name: x})[0], shape)


def outputs(graph: bytes, x: NDArray[Any], threads: int) -> dict[str, NDArray[Any]]:
    """Return all outputs of a graph of one input, by name, on the processor."""
    runtime_session = _session(graph, threads, _CPU)
    names = [output.name for output in runtime_session.get_outputs()]
    return dict(zip(names, runtime_session.run(names, {runtime_session.get_inputs()[0].name: x}), strict=True))


def _session(graph: Path | bytes, threads: int, provider: str) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions; its log lines on stderr would be a second voice
    providers = [(provider, _PROVIDER_OPTIONS.get(provider, {}))]
    return runtime.InferenceSession(str(graph) if isinstance(graph, Path) else graph, options, providers=providers)


def _quantized(graph: Path | bytes, cache: Path) -> Path | bytes:
    """Return the graph with the weights of its linear maps as int8, one scale for each column; kept by its content."""
    content = graph.read_bytes() if isinstance(graph, Path) else graph
    bits = weight_bits(processor()[1])
    key = sha256(content + f"{_QUANTIZER}, {bits} bits".encode()).hexdigest()
    return get_or_create(cache / "int8" / f"{key}.onnx", lambda: _quantize(content, bits))


def weight_bits(features: Collection[str]) -> int:
    """Return the bits of a weight: 7 on x86 processors without VNNI, whose 16-bit sums of two products overflow with 8."""
    return 7 if "avx2" in features and not {"avx_vnni", "avx512_vnni"} & set(features) else 8


def _quantize(graph: bytes, bits: int) -> bytes:
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it recommends a pass over the graph on the root logger, which is not ours to say
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "from.onnx"), Path(folder, "to.onnx")
            source.write_bytes(graph)
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                reduce_range=bits == 7,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": 1},  # 1: float32, of what it cannot infer
            )
            return target.read_bytes()
    finally:
        quiet.setLevel(level)
