"""SegFormer against the plain pipeline, in interleaved runs: python benchmarks/segformer.py [--shapes b0 b5] [--rounds 5].

The network (random seeded weights, batch-norm statistics included) in onnxruntime against transformers' own, eager; the
label map against `interpolate` and `argmax` of torch, on smooth logits, as a photograph's are, and on pure noise. Extra
memory is the growth of a fresh process's peak. To measure another shape, add it to `SHAPES`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from figureground.models._checkpoint import Architecture, Processor
from figureground.models._resize import enlarge_labels
from figureground.models._runtime import session
from figureground.models._segformer_onnx import write
from figureground.models._tensors import read

LARGE = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
SHAPES: dict[str, tuple[dict[str, Any], int]] = {
    "b0": ({}, 512),
    "b2": ({**LARGE, "depths": [3, 4, 6, 3]}, 512),
    "b5": ({**LARGE, "depths": [3, 6, 40, 3]}, 640),
}
Run = Callable[[], np.ndarray]


def interleaved(rounds: int, runs: dict[str, Run]) -> dict[str, list[float]]:
    """Seconds of each run in each round; one round more comes first and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def networks(shape: str, threads: int) -> dict[str, Run]:
    """transformers' network and ours on the same picture: logits, (1, 150, h, w)."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    changes, size = SHAPES[shape]
    torch.manual_seed(0)
    model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=150, **changes)).eval()
    model.set_attn_implementation("eager")
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
    norm = model.decode_head.batch_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 3)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads(Path(folder, "config.json").read_text())
        graph = write(Architecture.of(config), Processor.of({"size": size}), read(Path(folder, "model.safetensors")))
    run = session(graph, threads)
    picture = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((picture / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())

    def plain() -> np.ndarray:
        with torch.no_grad():
            return model(pixels).logits.numpy()

    return {"plain": plain, "ours": lambda: run(picture)}


def logits(kind: str) -> np.ndarray:
    """(150, 160, 160) float32: smooth, with regions as a photograph's have, or noise."""
    random = np.random.default_rng(0)
    if kind == "noise":
        return random.normal(size=(150, 160, 160)).astype(np.float32)
    coarse = torch.from_numpy(4 * random.normal(size=(1, 150, 10, 10)).astype(np.float32))
    return F.interpolate(coarse, size=(160, 160), mode="bicubic")[0].numpy()


def label_maps(kind: str, height: int, width: int) -> dict[str, Run]:
    """torch's label map and ours of the same logits: (height, width)."""
    small = logits(kind)

    def plain() -> np.ndarray:
        enlarged = F.interpolate(torch.from_numpy(small)[None], size=(height, width), mode="bilinear", align_corners=False)
        return enlarged[0].argmax(0).numpy()

    return {"plain": plain, "ours": lambda: enlarge_labels(small, height, width)}


def extra_memory(kind: str, height: int, width: int, name: str) -> float:
    """Megabytes by which the peak of a fresh process grows while it makes one label map."""
    words = [sys.executable, __file__, "--peak", kind, str(height), str(width), name]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def peak(kind: str, height: int, width: int, name: str) -> None:
    run = label_maps(kind, height, width)[name]
    before = resident("VmRSS")
    run()
    print(resident("VmHWM") - before)


def resident(key: str) -> float:
    """Megabytes of this process's memory, now (VmRSS) or at its peak (VmHWM), as Linux counts them."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


def row(what: str, seconds: dict[str, list[float]], same: str, *more: str) -> None:
    """A line of the table: medians, the spread (lowest to highest), the ratio of the medians."""
    cells = [f"{statistics.median(s):.3f} s ({min(s):.3f} – {max(s):.3f})" for s in seconds.values()]
    ratio = statistics.median(seconds["plain"]) / statistics.median(seconds["ours"])
    print("|", " | ".join([what, *cells, f"{ratio:.1f}", same, *more]), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=["b0", "b5"])
    parser.add_argument("--sizes", nargs="*", default=["1920x1080", "4000x3000"], help="of label maps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        kind, height, width, name = given.peak
        peak(kind, int(height), int(width), name)
        return
    torch.set_num_threads(given.threads)
    print("| | plain | ours | ratio | same labels | extra memory, MB: plain, ours |\n|---|---|---|---|---|---|")
    for shape in given.shapes:
        runs = networks(shape, given.threads)
        one, other = (run() for run in runs.values())
        distance = np.linalg.norm(one - other) / np.linalg.norm(one)
        same = f"{(one.argmax(1) == other.argmax(1)).mean():.6f}, logits' relative L2 {distance:.1e}"
        row(f"network {shape}, {SHAPES[shape][1]}²", interleaved(given.rounds, runs), same, "")
    for size in given.sizes:
        width, height = map(int, size.split("x"))
        for kind in ("smooth", "noise"):
            runs = label_maps(kind, height, width)
            differ = np.count_nonzero(np.not_equal(*(run() for run in runs.values())))
            memory = ", ".join(f"{extra_memory(kind, height, width, name):.0f}" for name in runs)
            row(f"label map {size}, {kind}", interleaved(given.rounds, runs), f"all but {differ}", memory)


if __name__ == "__main__":
    main()
