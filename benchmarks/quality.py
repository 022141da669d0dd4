"""What each way of looking gives and costs: python benchmarks/quality.py DATA... [--every N] [--threads 2]

The rows are those of `TTA` in models/saliency/tta.py, which `--quality` chooses from; `TRIED` holds what was tried and is not
offered. Figures are means over the pictures of DATA (max F and calibration error over the set), without a refiner;
the time is the median of a picture at its own size, all rows in turn. To measure another way of looking, add it to `TRIED`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import reduce
from importlib.resources import files
from operator import add
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common import Row, report
from figureground.evaluation.dataset import labeled_images
from figureground.evaluation.metrics import Counts, Reliability, boundary_iou, max_f, mean_absolute_error, precision_recall
from figureground.inference.session import session
from figureground.models.saliency import tta
from figureground.models.saliency.tta import TTA, Run, Sides
from figureground.settings import Settings
from figureground.types import Mask, Rgb


def mirrored(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """The mirror image too, in the same size."""
    return tta.upsample(tta.flip_tta(run, sides[0], rgb), rgb.shape)


def closer(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """The passes of `balanced`; then, where the subject is small, a window around it at both."""
    first = tta.two_scale_tta(run, sides, rgb)
    small = np.asarray(cv2.resize(first, (sides[2], sides[2]), interpolation=cv2.INTER_AREA), np.float32)
    window = tta.subject(small, rgb.shape)
    return first if window is None else tta.zoom_tta(run, sides[2], rgb, small, window)


def sizes(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """The mirror image too, and both in every size, whatever the subject's."""
    return tta.upsample(tta.multiscale_tta(run, sides[1:3], rgb, tta.flip_tta(run, sides[0], rgb)), rgb.shape)


TRIED: dict[str, Callable[[Run, Sides, Rgb], Mask]] = {
    "mirror image in the same size": mirrored,
    "`balanced`, and closer at small subjects": closer,
    "mirror image in three sizes": sizes,
}


def figures(
    look: Callable[[Run, Sides, Rgb], Mask], run: Run, sides: Sides, rgb: Rgb, truth: NDArray[np.bool_]
) -> dict[str, Any]:
    """What one way of looking gives of one picture."""
    began = time.perf_counter()
    said = look(run, sides, rgb)
    took = 1000 * (time.perf_counter() - began)
    shape = {"IoU": Counts.of(said, truth).iou, "edge IoU": boundary_iou(said, truth), "MAE": mean_absolute_error(said, truth)}
    return {**shape, "ms": took, "curve": precision_recall(said, truth), "reliable": Reliability.of(said, truth)}


def row(name: str, seen: list[dict[str, Any]], base: float) -> Row:
    """The table's row of one way of looking; `base` : ms of a single look."""
    means = {key: f"{np.mean([each[key] for each in seen]):.4f}" for key in ("MAE", "IoU", "edge IoU")}
    best = {"quality": f"`{name}`" if name in TTA else name, "max F": f"{max_f([each['curve'] for each in seen]):.4f}"}
    error = reduce(add, (each["reliable"] for each in seen)).error
    took = statistics.median(each["ms"] for each in seen)
    return {**best, **means, "calibration error": f"{error:.4f}", "ms": f"{took:.1f}", "of one look": f"{took / base:.1f}"}


def main() -> None:
    """Measure each way of looking on each picture, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="take each Nth picture only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--network", type=Path, help="another exported network (ONNX) than the package's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    given = parser.parse_args()
    ours = files("figureground").joinpath("assets/saliency.onnx").read_bytes()
    run = session(given.network or ours, Settings(threads=given.threads))
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in {**TTA, **TRIED}}
    for pair in tqdm(labeled_images(given.data)[:: given.every], disable=None):
        rgb, mask = pair.read()
        for name, look in {**TTA, **TRIED}.items():
            seen[name].append(figures(look, run, tta.sides(run.shape), rgb, mask > 127))
    base = statistics.median(each["ms"] for each in seen["fast"])
    title = f"Ways of looking, {len(seen['fast'])} pictures, onnxruntime, {given.threads} threads"
    report(title, [row(name, each, base) for name, each in seen.items()], given.json)


if __name__ == "__main__":
    main()
