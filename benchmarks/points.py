"""What one click, one not-point or a box does to the embedded network's answer, without torch, on labelled pictures.

python benchmarks/points.py DATA [--every N] [--start N] [--looks] [--json FILE]

The clicks are the usual simulated ones, at the deepest pixel (by distance transform) of: the true shape (`point`), what
was missed of it (`missed`), what is wrongly taken (`not-point`); and the true shape's box. Regions less deep than 2 % of
the longer side are nothing that a person would click at, and passed over. Pictures are told apart by whether the automatic
mask's IoU is below 0.6.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from common import report
from figureground.evaluation.dataset import labeled_images
from figureground.evaluation.metrics import Counts
from figureground.masks.interactive import steer
from figureground.models import load
from figureground.prompts import Places
from figureground.settings import Settings

LOW = 0.6
DEEP = 0.02
CLICKS = ("point", "missed", "not-point", "box")


@dataclass
class Row:
    """IoU before and after, of the pictures that were below LOW and of the rest."""

    kind: str
    low: list[tuple[float, float]] = field(default_factory=list)
    rest: list[tuple[float, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def deepest(shape):
    """The deepest pixel's centre, a tuple of one; empty where the shape is nowhere deep."""
    depth = cv2.distanceTransform(np.pad(shape.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if depth.max() < DEEP * max(shape.shape):
        return ()
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return ((float(column) + 0.5, float(row) + 0.5),)


def places(kind, truth, said):
    """The simulated prompt; None where there is none."""
    if kind == "box":
        rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
        if not rows.size:
            return None
        return Places(box=(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)))
    spots = deepest({"point": truth, "missed": truth & ~said, "not-point": said & ~truth}[kind])
    if not spots:
        return None
    return Places(not_points=spots) if kind == "not-point" else Places(points=spots)


def measure(data: Path, every: int = 1, looks: bool = True, start: int = 0) -> list[Row]:
    """All kinds of click on every so-many-th picture."""
    model = load("saliency", Settings(threads=2))
    rows = [Row(kind) for kind in CLICKS]
    for pair in labeled_images([data])[start::every]:
        rgb, gray = pair.read()
        truth, values = gray >= 128, model(rgb).values
        before = Counts.of(values, truth).iou
        for row in rows:
            prompt = places(row.kind, truth, values >= 0.5)
            if prompt is None:
                continue
            began = time.perf_counter()
            steered = steer(rgb, values, prompt, (lambda part: model(np.ascontiguousarray(part)).values) if looks else None)
            row.seconds.append(time.perf_counter() - began)
            (row.low if before < LOW else row.rest).append((before, Counts.of(steered, truth).iou))
    return rows


def cells(pairs_):
    if not pairs_:
        return "–"
    before, after = np.mean(pairs_, axis=0)
    return f"{before:.3f} → {after:.3f} ({after - before:+.3f}, {len(pairs_)} pictures)"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--looks", action="store_true", help="let the network look again from nearer by")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rows = [
        {
            "prompt": row.kind,
            "IoU below 0.6 before": cells(row.low),
            "the rest": cells(row.rest),
            "ms, median": f"{1000 * np.median(row.seconds):.0f}" if row.seconds else "–",
        }
        for row in measure(given.data, given.every, given.looks, given.start)
    ]
    report("Points and boxes without torch", rows, given.json)


if __name__ == "__main__":
    main()
