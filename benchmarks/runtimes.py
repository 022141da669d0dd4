"""One SegFormer in each runtime and precision: python benchmarks/runtimes.py [--shapes b0 b5] [--rounds 5] [--json FILE].

The network alone, random seeded weights, against transformers' own (eager), in interleaved rounds: time, agreement of the
classes, and the share of what the processor reaches in a large product of matrices of that precision, measured here too.
"""

import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch

from checkpoints import CONVERTED, SHAPES, kept, plain
from common import Row, arguments, interleaved, report, spread
from figureground._machine import cores
from figureground.errors import FigureGroundError
from figureground.inference.session import Session
from figureground.models import segformer
from figureground.models.segformer import SegFormer
from figureground.settings import Settings

SETTINGS = [("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "fp32"), ("openvino", "bf16")]
SIDE = 2048


def ceiling(kind: torch.dtype) -> float:
    """Operations a second in a product of two matrices: the best of five."""
    one, other = (torch.rand(SIDE, SIDE, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(seconds)


def operations(graph: Path) -> float:
    """Multiplications and additions of a graph's products and convolutions, counted from its shapes."""
    model = onnx.shape_inference.infer_shapes(onnx.load(graph))
    shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in model.graph.value_info}
    shapes |= {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in model.graph.output}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    count = 0.0
    for node in model.graph.node:
        out = math.prod(shapes.get(node.output[0], [0]))
        if node.op_type == "Conv":
            count += 2 * out * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            count += 2 * out * shapes[node.input[0]][-1]
    return count


def loaded(folder: Path, runtime: str, precision: str, threads: int) -> tuple[Session, float]:
    """The network ready to run, from a cache that holds it, and the seconds which that took."""
    settings = Settings(cache=CONVERTED, threads=threads, runtime=runtime, precision=precision)  # type: ignore[arg-type]
    segformer.load(settings, weights=str(folder))  # which converts it where that has not been done
    began = time.perf_counter()
    model = segformer.load(settings, weights=str(folder))
    seconds = time.perf_counter() - began
    assert isinstance(model, SegFormer)
    return model.session, seconds


def measure(shape: str, rounds: int, threads: int) -> list[Row]:
    """The rows of one shape."""
    folder = kept(shape)
    side, network = SHAPES[shape][1], plain(folder, threads)
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3)).astype(np.float32)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((picture / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())

    def eager() -> np.ndarray:
        with torch.no_grad():
            return network(pixels).logits.numpy()

    runs, starts = {"torch, eager · fp32": eager}, {}
    for runtime, precision in SETTINGS:
        try:
            session, seconds = loaded(folder, runtime, precision, threads)
        except FigureGroundError as error:
            print(f"{runtime} · {precision} is left out: {error}")
            continue
        runs[f"{runtime} · {precision}"] = lambda session=session: session(picture)
        starts[f"{runtime} · {precision}"] = f"{seconds:.2f}"
    answers = {name: run() for name, run in runs.items()}
    times = interleaved(rounds, runs, warm=0)  # the answers have warmed them
    work = operations(segformer.pull(Settings(cache=CONVERTED, runtime="openvino"), str(folder)))
    limits = {"fp32": ceiling(torch.float32), "bf16": ceiling(torch.bfloat16)}
    first = answers["torch, eager · fp32"]
    rows = []
    for name, seconds in times.items():
        limit, other = limits.get(name.split(" · ")[1]), answers[name]
        rate = work / np.median(seconds)
        rows.append(
            {
                f"{shape}, {side}², {work / 1e9:.0f} GFLOP": name,
                "start, s": starts.get(name, ""),
                "a picture, s": spread(seconds),
                "times the first": f"{np.median(times['torch, eager · fp32']) / np.median(seconds):.1f}",
                "same classes": f"{(first.argmax(1) == other.argmax(1)).mean():.4%}",
                "relative L2": f"{np.linalg.norm(first - other) / np.linalg.norm(first):.0e}",
                "share of the ceiling": f"{rate / limit:.0%} of {limit / 1e9:.0f} GFLOP/s" if limit and name in starts else "",
            }
        )
    return rows


def main() -> None:
    """Measure each shape and report."""
    parser = arguments(__doc__, 5)
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=["b0", "b5"])
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    rows: list[Row] = []
    for shape in given.shapes:
        for row in measure(shape, given.rounds, given.threads):
            (head, name), *rest = row.items()
            rows.append({"network": head, "runtime": name, **dict(rest)})
    note = "Start: from the kept conversion to ready; for `int8` and what openvino compiled, from what is kept of these too."
    report("SegFormer's runtimes and precisions, the network alone", rows, given.json, note)


if __name__ == "__main__":
    main()
