"""Does moving the level, or level and slope, make probabilities truer? python benchmarks/calibration.py DATA... [--every N]

Both are fitted on every second picture and judged on the others, then the other way round, on the pixels of the network's own
size, each third row and column: `training/calibration.py` moves the level alone. To add a way, add it to `WAYS`.
"""

import argparse
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common import Row, report
from figureground.evaluation.dataset import labeled_images
from figureground.evaluation.metrics import Counts, Reliability
from figureground.inference.session import session
from figureground.models.saliency import tta
from figureground.settings import Settings
from figureground.training.calibration import fit

Floats = NDArray[np.float64]
THIN = 3

WAYS: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "as it is": lambda slope, offset: (1.0, 0.0),
    "level": lambda slope, offset: (1.0, offset / slope),
    "slope and level": lambda slope, offset: (slope, offset),
}
"""From the slope and offset of the fit those that are used."""


def seen(data: list[str], every: int, threads: int) -> dict[str, Floats]:
    """Logits of one look and of both, and the truth in [0, 1]; (pictures, h, w) each."""
    run = session(files("figureground").joinpath("assets/saliency.onnx").read_bytes(), Settings(threads=threads))
    side = tta.sides(run.shape)[0]
    kept: dict[str, list[NDArray[np.generic]]] = {"once": [], "mirror image": [], "truth": []}
    for pair in tqdm(labeled_images(data)[::every], disable=None):
        rgb, mask = pair.read()
        for name, look in (("once", tta.whole), ("mirror image", tta.flip_tta)):
            sure = np.clip(look(run, side, rgb).astype(np.float64), 1e-6, 1 - 1e-6)
            kept[name].append(np.log(sure / (1 - sure))[::THIN, ::THIN])
        kept["truth"].append(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)[::THIN, ::THIN] / 255)
    return {name: np.stack(each) for name, each in kept.items()}


def judged(logits: Floats, truth: Floats) -> Row:
    """How true the probabilities of these logits are."""
    said, real = 1 / (1 + np.exp(-logits)), truth > 0.5
    likely = -np.mean(truth * np.log(said) + (1 - truth) * np.log(1 - said))
    iou = np.mean([Counts.of(*each).iou for each in zip(said, real, strict=True)])
    figures = {"log loss": likely, "calibration error": Reliability.of(said, real).error, "IoU": iou}
    return {name: f"{value:.4f}" for name, value in {**figures, "MAE": np.abs(said - real).mean()}.items()}


def main() -> None:
    """Fit on one half, judge on the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="take each Nth picture only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    given = parser.parse_args()
    answers = seen(given.data, given.every, given.threads)
    truth, rows = answers.pop("truth"), []
    for looks, logits in answers.items():
        for half in (0, 1):
            slope, offset = fit(logits[half::2].ravel(), truth[half::2].ravel())
            for way, chosen in WAYS.items():
                a, b = chosen(slope, offset)
                figures = judged(a * logits[1 - half :: 2] + b, truth[1 - half :: 2])
                rows.append(
                    {"looks": looks, "half": half + 1, "moved": way, "slope": f"{a:.3f}", "level": f"{b:+.3f}", **figures}
                )
    report(f"Calibration, {len(truth)} pictures", rows, given.json)


if __name__ == "__main__":
    main()
