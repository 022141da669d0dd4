"""What each refiner gives and costs: python benchmarks/refiners.py DATA... [--method subject | --coarse 64].

Figures are means over the pictures of DATA (max F over the set), from the masks of a method without its refiner, or with
--coarse N from the true masks brought to N × N and back. Times are medians of interleaved runs on one enlarged picture.
To measure another refiner, add it to `REFINERS`; it is measured here by itself.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from figureground.evaluation.dataset import LabeledImage, labeled_images
from figureground.evaluation.metrics import Counts, boundary_iou, max_f, mean_absolute_error, precision_recall
from figureground.masks.refine import REFINERS
from figureground.methods import find
from figureground.pipeline import Separator
from figureground.types import Mask, Rgb

SIZES = {"2 MP": (1920, 1080), "12 MP": (4000, 3000)}
RUNS = 5


def rough_by_method(name: str) -> Callable[[Rgb, Mask], Mask]:
    separate = Separator(replace(find(name), refiner="none"))
    return lambda rgb, truth: separate(rgb).mask


def rough_by_shrinking(size: int) -> Callable[[Rgb, Mask], Mask]:
    def rough(rgb: Rgb, truth: Mask) -> Mask:
        small = cv2.resize(truth, (size, size), interpolation=cv2.INTER_AREA)
        return np.clip(cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_LINEAR), 0, 1)

    return rough


def quality(samples: list[tuple[Rgb, Mask, Mask]]) -> Iterator[tuple[str, list[float]]]:
    """IoU, MAE, max F and boundary IoU of each refiner."""
    for name, refine in REFINERS.items():
        rows, curves = [], []
        for rgb, rough, soft in samples:
            truth, mask = soft > 0.5, refine(rgb, rough)
            rows.append((Counts.of(mask, truth).iou, mean_absolute_error(mask, truth), boundary_iou(mask, truth)))
            curves.append(precision_recall(mask, truth))
        iou, mae, boundary = np.mean(rows, axis=0)
        yield name, [iou, mae, max_f(curves), boundary]


def seconds(rgb: Rgb, rough: Mask, size: tuple[int, int]) -> dict[str, float]:
    """Median time of each refiner on the picture enlarged to this width and height."""
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    rough = np.clip(cv2.resize(rough, size), 0, 1)
    taken: dict[str, list[float]] = {name: [] for name in REFINERS}
    for _ in range(RUNS):
        for name, refine in REFINERS.items():
            began = time.perf_counter()
            refine(rgb, rough)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def sample(pair: LabeledImage, make: Callable[[Rgb, Mask], Mask]) -> tuple[Rgb, Mask, Mask]:
    rgb, mask = pair.read()
    truth = mask.astype(np.float32) / 255
    return rgb, make(rgb, truth), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--method", default="subject")
    parser.add_argument("--coarse", type=int, help="pixels of a side to which the true masks are brought instead")
    parser.add_argument("--every", type=int, default=1, help="take each Nth picture only")
    args = parser.parse_args()
    make = rough_by_shrinking(args.coarse) if args.coarse else rough_by_method(args.method)
    samples = [sample(pair, make) for pair in labeled_images(args.data)[:: args.every]]
    times = [seconds(*samples[0][:2], size) for size in SIZES.values()]
    print(f"{len(samples)} pictures, rough masks: {f'truth at {args.coarse}²' if args.coarse else args.method}")
    print(f"{'refiner':14}{'IoU':>8}{'MAE':>8}{'max F':>8}{'edge':>8}" + "".join(f"{size:>10}" for size in SIZES))
    for name, figures in quality(samples):
        print(f"{name:14}" + "".join(f"{f:8.4f}" for f in figures) + "".join(f"{t[name]:8.3f} s" for t in times))


if __name__ == "__main__":
    main()
