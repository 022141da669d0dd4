"""JPEG to label map with SegFormer against the plain pipeline: python benchmarks/segformer.py [--shapes b0 b5] [--rounds 5].

Plain: Pillow, transformers' network (eager), torch's `interpolate` of the 150 maps to the picture's size, `argmax`. Each
pipeline has a process of its own and is told in turn which picture to do, so that rounds are interleaved; Linux counts its
peak memory anew for each size. bf16 is measured at 12 megapixels only. Weights are random and seeded. `--noise` gives label
maps of pure noise, the worst case, instead. To add a stage: a line in `plain` or `ours`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from checkpoints import CONVERTED, SHAPES, kept
from common import Row, arguments, forget_peak, interleaved, photograph, report, resident, spread
from figureground._machine import cores, processor
from figureground.inference.resize import enlarge_labels
from figureground.io.picture import Picture
from figureground.models.segformer import SegFormer, load
from figureground.pipeline import Clock
from figureground.settings import Settings

SIZES = {"0.3": (640, 480), "2": (1920, 1080), "12": (4000, 3000), "48": (8000, 6000)}
BF16 = "openvino-bf16"
OURS = ("onnxruntime", "openvino", *([BF16] if "avx512_bf16" in processor()[1] else []))
STAGES = ("decode", "network", "labels")
Go = Callable[[Path], tuple[dict[str, float], np.ndarray]]


def plain(folder: Path, threads: int) -> Go:
    """The plain pipeline, made ready."""
    import torch
    from PIL import Image
    from torch.nn.functional import interpolate

    from checkpoints import plain as network_of

    network = network_of(folder, threads)
    side = json.loads((folder / "preprocessor_config.json").read_text())["size"]
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

    def prepared(rgb: np.ndarray) -> torch.Tensor:
        small = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BILINEAR))
        pixels = (small * np.float32(1 / 255) - mean) / std
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32))

    def go(picture: Path) -> tuple[dict[str, float], np.ndarray]:
        clock = Clock()
        with torch.no_grad():
            rgb = clock("decode", lambda: np.asarray(Image.open(picture).convert("RGB")))
            logits = clock("network", lambda: network(prepared(rgb)).logits)
            large = clock("labels", lambda: interpolate(logits, size=rgb.shape[:2], mode="bilinear", align_corners=False))
            labels = clock("labels", lambda: large[0].argmax(0).numpy())
        return clock.seconds, labels

    return go


def ours(folder: Path, settings: Settings) -> Go:
    """Our pipeline, made ready."""
    from figureground.inference.resize import to_size

    model = load(settings, weights=str(folder))
    assert isinstance(model, SegFormer)
    p = model.processor

    def go(picture: Path) -> tuple[dict[str, float], np.ndarray]:
        clock = Clock()
        rgb = clock("decode", Picture.read, picture, settings).rgb
        logits = clock("network", lambda: model.session(to_size(rgb, p.height, p.width, p.resample).astype(np.float32)[None]))
        return clock.seconds, clock("labels", enlarge_labels, logits[0], *rgb.shape[:2])

    return go


def child(given: argparse.Namespace) -> None:
    """One pipeline in this process: each line on standard input is a picture to do; a line of JSON answers it."""
    folder, result = map(Path, given.child[1:])
    runtime, _, precision = given.child[0].replace("plain", "auto").partition("-")
    settings = Settings(cache=CONVERTED, threads=given.threads, runtime=runtime, precision=precision or "fp32")
    go = plain(folder, given.threads) if given.child[0] == "plain" else ours(folder, settings)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        forget_peak()
        seconds, labels = go(Path(line.strip()))
        np.save(result, labels.astype(np.uint8))
        del labels
        print(json.dumps({"seconds": seconds, "peak": resident("VmHWM")}), flush=True)


class Pipeline:
    """A pipeline in a process of its own."""

    def __init__(self, kind: str, shape: str, folder: Path, threads: int) -> None:
        self.result = folder / f"{shape}-{kind}.npy"
        words = [sys.executable, __file__, "--threads", threads, "--child", kind, kept(shape), self.result]
        self.process = subprocess.Popen([*map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self) -> dict[str, object]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a pipeline ended before its time")
        return json.loads(line)

    def go(self, picture: Path) -> tuple[dict[str, float], float]:
        """Seconds of each stage, and megabytes at the peak."""
        self.process.stdin.write(f"{picture}\n")
        self.process.stdin.flush()
        said = self.answer()
        return said["seconds"], said["peak"]

    def labels(self) -> np.ndarray:
        """Those of the picture that it did last."""
        return np.load(self.result)


def kinds(megapixels: str) -> Iterator[str]:
    """The pipelines that are measured at that size and have room for it."""
    width, height = SIZES[megapixels]
    wanted, there = 150 * width * height * 4 / 2**30, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if wanted + 2 < there:
        yield "plain"
    else:
        why = f"its maps of {width} × {height} take {wanted:.0f} GiB and its network 1 to 2, but {there:.0f} GiB are free"
        print(f"plain is left out: {why}", file=sys.stderr)
    yield from (kind for kind in OURS if kind != BF16 or megapixels == "12")


def rows_of(shape: str, megapixels: str, rounds: int, picture: Path, pipelines: Mapping[str, Pipeline]) -> Iterator[Row]:
    """Each pipeline at one size."""
    measured: dict[str, list[tuple[dict[str, float], float]]] = {kind: [] for kind in kinds(megapixels)}
    for _ in range(rounds):  # the first counts too: medians hardly see it, and it takes a sixth of the time
        for kind, each in measured.items():
            each.append(pipelines[kind].go(picture))
    labels = {kind: pipelines[kind].labels() for kind in measured}
    sums = {kind: [sum(seconds.values()) for seconds, _ in each] for kind, each in measured.items()}
    for kind, each in measured.items():
        ratio = statistics.median(sums["plain"]) / statistics.median(sums[kind]) if "plain" in sums else None
        yield {
            "network": shape,
            "megapixels": megapixels,
            "pipeline": kind,
            **{f"{stage}, s": f"{statistics.median(seconds[stage] for seconds, _ in each):.2f}" for stage in STAGES},
            "in all, s": spread(sums[kind]),
            "times plain": "" if ratio is None else f"{ratio:.1f}",
            "other labels": "" if "plain" not in labels else str(np.count_nonzero(labels[kind] != labels["plain"])),
            "peak, GB": f"{max(peak for _, peak in each) * 2**20 / 1e9:.2f}",
        }


def noise(rounds: int) -> Iterator[Row]:
    """torch's label map and ours of noise."""
    import torch
    from torch.nn.functional import interpolate

    small = np.random.default_rng(0).normal(size=(150, 160, 160)).astype(np.float32)

    def large(size: tuple[int, int]) -> np.ndarray:
        enlarged = interpolate(torch.from_numpy(small)[None], size=size[::-1], mode="bilinear", align_corners=False)
        return enlarged[0].argmax(0).numpy()

    for megapixels in ("0.3", "2", "12"):
        width, height = size = SIZES[megapixels]
        runs: Mapping[str, Callable[[], object]] = {
            "plain": lambda size=size: large(size),
            "ours": lambda h=height, w=width: enlarge_labels(small, h, w),
        }
        seconds = interleaved(rounds, runs, warm=0)
        ratio = statistics.median(seconds["plain"]) / statistics.median(seconds["ours"])
        both = {name: spread(times) for name, times in seconds.items()}
        yield {"label map of noise, megapixels": megapixels, **both, "times plain": f"{ratio:.1f}"}


def main() -> None:
    """Measure each shape at each size and report."""
    parser = arguments(__doc__, 5)
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), default=["b0", "b5"])
    parser.add_argument("--megapixels", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--noise", action="store_true", help="label maps of noise, the worst case, and nothing else")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return
    if given.noise:
        report("Label maps of noise", list(noise(given.rounds)), given.json)
        return
    rows: list[Row] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pictures = {
            megapixels: photograph(Path(folder, f"{megapixels}.jpg"), SIZES[megapixels]) for megapixels in given.megapixels
        }
        for shape in given.shapes:
            for kind in OURS:  # converted and compiled by processes of their own, whose memory is not measured
                Pipeline(kind, shape, Path(folder), given.threads).process.communicate()
            pipelines = {kind: Pipeline(kind, shape, Path(folder), given.threads) for kind in ("plain", *OURS)}
            for megapixels, picture in pictures.items():
                rows += rows_of(shape, megapixels, given.rounds, picture, pipelines)
            for pipeline in pipelines.values():
                pipeline.process.communicate()
    print(f"in all {time.perf_counter() - began:.0f} s", file=sys.stderr)
    report("JPEG to label map with SegFormer", rows, given.json)


if __name__ == "__main__":
    main()
