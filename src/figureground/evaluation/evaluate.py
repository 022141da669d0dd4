"""Evaluate a method on a data set. To add a figure from counts, see metrics.py; for others, `_judge` and `_pooled`."""

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.util import find_spec
from operator import add
from typing import Any

import numpy as np
from tqdm import tqdm

from figureground._words import count
from figureground.errors import BadData
from figureground.evaluation.dataset import LabeledImage, Shows, shows
from figureground.evaluation.groups import GROUPINGS
from figureground.evaluation.metrics import (
    FIGURES,
    Counts,
    Floats,
    Reliability,
    boundary_iou,
    max_f,
    mean_absolute_error,
    precision_recall,
)
from figureground.evaluation.sod_metrics import e_measure, s_measure, weighted_f
from figureground.evaluation.statistics import LEVEL, Interval, interval, mean_interval
from figureground.types import Mask, Rgb


@dataclass(frozen=True, slots=True)
class PictureScores:
    """The figures of one picture, by name: `FIGURES`, those of `_judge`, and `seconds` without decoding."""

    name: str
    figures: Mapping[str, float]
    truth: Shows
    """What the true mask shows."""
    groups: tuple[str, ...] = ()
    """The groups that the picture is in, by size, thinness and the user's category."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The figures of a method on a data set.

    mean : each figure averaged over the pictures, so that every picture counts the same.
    pooled : each figure of all pixels together, so that every pixel counts the same; `seconds` in all.
    max_f : precision and recall averaged over pictures at each of 256 thresholds, F with β² = 0.3, its maximum.
    curves : precision and recall of each picture, (pictures, 2, 256), at the thresholds 255, 254, …, 0 of 255.
    alignment : the E-measure averaged over pictures at these thresholds, (256,).
    reliability : whether probabilities mean what they say, over all pixels of all pictures.
    """

    rows: tuple[PictureScores, ...]
    mean: Mapping[str, float]
    pooled: Mapping[str, float]
    max_f: float
    curves: Floats
    alignment: Floats
    reliability: Reliability

    @property
    def precision(self) -> Floats:
        """Averaged over the pictures at each threshold, (256,)."""
        precision: Floats = self.curves[:, 0].mean(axis=0)
        return precision

    @property
    def recall(self) -> Floats:
        """Averaged over the pictures at each threshold, (256,)."""
        recall: Floats = self.curves[:, 1].mean(axis=0)
        return recall

    def intervals(self) -> dict[str, Interval]:
        """Return the interval of max F and of each mean, with the confidence `statistics.LEVEL`."""
        intervals = {"max_f": interval(lambda chosen: max_f(self.curves[chosen]), len(self.rows))}
        names = [name for name in self.mean if name != "seconds"]
        return intervals | {name: mean_interval([row.figures[name] for row in self.rows]) for name in names}

    def groups(self) -> dict[str, dict[str, float]]:
        """Return for each group how many `pictures` it has, their `max_f`, and the mean of every figure; in order of names."""
        names = sorted({group for row in self.rows for group in row.groups})
        groups = {}
        for name in names:
            chosen = [number for number, row in enumerate(self.rows) if name in row.groups]
            means = {figure: float(np.mean([self.rows[i].figures[figure] for i in chosen])) for figure in self.mean}
            groups[name] = {"pictures": len(chosen), "max_f": max_f(self.curves[chosen]), **means}
        return groups

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        rows = [{"name": row.name, **row.figures} for row in self.rows]
        overall: dict[str, Any] = {"max_f": self.max_f, "max_e": float(self.alignment.max())}
        overall |= {"mean_e": float(self.alignment.mean()), "mean": dict(self.mean), "pooled": dict(self.pooled)}
        overall["intervals"] = {name: list(ends) for name, ends in self.intervals().items()}
        overall["calibration"] = {"error": self.reliability.error, "bins": self.reliability.points()}
        overall["groups"] = self.groups()
        return {"pictures": len(self.rows), **overall, "per_picture": rows}

    def csv(self) -> str:
        """Return a line for each picture, under a line of headings."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", *self.mean])
        writer.writerows([row.name, *(f"{value:.6f}" for value in row.figures.values())] for row in self.rows)
        return text.getvalue()

    def table(self) -> str:
        """Return the overall figures, to be read by people."""
        intervals = self.intervals()
        low, high = intervals["max_f"]
        pictures = count(len(self.rows), "picture")
        best = f"{pictures}, max F {self.max_f:.4f} ({low:.3f} to {high:.3f}), max E {self.alignment.max():.4f}"
        lines = [f"{best}, calibration error {self.reliability.error:.4f}"]
        lines.append(f"{'':14}{'mean':>8}  {f'with {LEVEL:.0%} between':18}{'pooled':>8}")
        for name, value in self.mean.items():
            ends = f"{intervals[name][0]:.3f} and {intervals[name][1]:.3f}" if name in intervals else ""
            pooled = f"{self.pooled[name]:8.4f}" if name in self.pooled else ""
            lines.append(f"{name:14}{value:8.4f}  {ends:18}{pooled}".rstrip())
        groups = self.groups()
        if groups:
            lines.append(f"{'':44}{'pictures':>8}" + "".join(f"{name:>8}" for name in ("max F", "MAE", "IoU")))
        for name, figures in groups.items():
            values = "".join(f"{figures[figure]:8.4f}" for figure in ("max_f", "mae", "iou"))
            lines.append(f"{name:44}{figures['pictures']:8.0f}{values}")
        return "\n".join(lines)


def evaluate(
    separate: Callable[[Rgb], Mask],
    data: Sequence[LabeledImage],
    progress: bool = False,
    categories: Mapping[str, str] | None = None,
) -> EvaluationResult:
    """Judge the masks that a function returns for labeled pictures, each at the picture's own size.

    The truth is mask ≥ 128 of 255; the foreground of an answer is mask ≥ 0.5.

    Parameters
    ----------
    separate : callable
        Gets a picture (H, W, 3) uint8 and returns its mask (H, W) float32 in [0, 1].
    data : sequence of LabeledImage
    progress : bool
        Show a bar on stderr if that is a terminal.
    categories : mapping of str to str, optional
        The group of each picture by its name, as `groups.read_categories` returns them.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    BadData
        If there is no picture, or one cannot be read. Errors of `separate` are passed on.
    """
    if not data:
        raise BadData("there is nothing to evaluate on: the data set holds no pictures")
    bar = tqdm(data, "evaluate", unit="picture", disable=None if progress else True)
    judged = [_judge(separate, pair, (categories or {}).get(pair.name)) for pair in bar]
    rows = tuple(one.row for one in judged)
    mean = {name: float(np.mean([row.figures[name] for row in rows])) for name in rows[0].figures}
    curves = np.stack([one.curves for one in judged])
    alignment: Floats = np.mean([one.alignment for one in judged], axis=0)
    reliability = reduce(add, (one.reliability for one in judged))
    pooled = _pooled(rows, [one.counts for one in judged])
    return EvaluationResult(rows, mean, pooled, max_f(curves), curves, alignment, reliability)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What evaluation keeps of one picture."""

    row: PictureScores
    counts: Counts
    curves: Floats
    """Precision and recall, (2, 256)."""
    alignment: Floats
    reliability: Reliability


def _judge(separate: Callable[[Rgb], Mask], pair: LabeledImage, category: str | None) -> _Judged:
    """Separate one picture and compare its mask with the truth."""
    rgb, mask = pair.read()
    began = time.perf_counter()
    prediction = separate(rgb)
    seconds = time.perf_counter() - began
    if prediction.shape != mask.shape:
        raise ValueError(f"'{pair.name}': the mask must have the picture's shape, {mask.shape}, but has {prediction.shape}")
    truth = mask > 127
    counts = Counts.of(prediction, truth)
    figures = {name: figure(counts) for name, figure in FIGURES.items()}
    figures |= {"mae": mean_absolute_error(prediction, truth), "s_measure": s_measure(prediction, truth)}
    figures |= {"weighted_f": weighted_f(prediction, truth)} if find_spec("scipy") else {}
    figures |= {"boundary_iou": boundary_iou(prediction, truth), "seconds": seconds}
    curves = np.stack(precision_recall(prediction, truth))
    groups = tuple(group(truth) for group in GROUPINGS.values()) + ((category,) if category else ())
    row = PictureScores(pair.name, figures, shows(mask), groups)
    return _Judged(row, counts, curves, e_measure(prediction, truth), Reliability.of(prediction, truth))


def _pooled(rows: Sequence[PictureScores], counts: Sequence[Counts]) -> dict[str, float]:
    """Return each figure of all pixels of all pictures; the seconds are summed."""
    pooled = {name: figure(reduce(add, counts)) for name, figure in FIGURES.items()}
    errors, seconds = ([row.figures[name] for row in rows] for name in ("mae", "seconds"))
    return pooled | {"mae": float(np.average(errors, weights=[c.pixels for c in counts])), "seconds": sum(seconds)}
