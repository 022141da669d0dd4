"""A method × a data set → figures. To add a figure from counts: see metrics.py; another: `_judge`, `_pooled`."""

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from tqdm import tqdm

from figureground.dataset import Pair
from figureground.errors import BadData
from figureground.maps import Mask, Rgb
from figureground.metrics import FIGURES, Counts, Floats, max_f, mean_absolute_error, precision_recall


@dataclass(frozen=True, slots=True)
class Row:
    """One picture's figures, by name: those of `FIGURES`, `mae`, and the `seconds` that it took without decoding."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a method on a data set.

    mean : each figure averaged over the pictures, so that every picture counts the same.
    pooled : each figure of all pixels together, so that every pixel counts the same; `seconds` in all.
    max_f : precision and recall averaged over pictures at each of 256 thresholds, F with β² = 0.3, its maximum.
    """

    rows: tuple[Row, ...]
    mean: Mapping[str, float]
    pooled: Mapping[str, float]
    max_f: float

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        rows = [{"name": row.name, **row.figures} for row in self.rows]
        overall = {"max_f": self.max_f, "mean": dict(self.mean), "pooled": dict(self.pooled)}
        return {"pictures": len(self.rows), **overall, "per_picture": rows}

    def csv(self) -> str:
        """A line for each picture, under a line of headings."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", *self.mean])
        writer.writerows([row.name, *(f"{value:.6f}" for value in row.figures.values())] for row in self.rows)
        return text.getvalue()

    def table(self) -> str:
        """The overall figures, to be read by people."""
        lines = [f"{len(self.rows)} pictures, max F {self.max_f:.4f}", f"{'':10}{'mean':>10}{'pooled':>10}"]
        lines += [f"{name:10}{self.mean[name]:10.4f}{self.pooled[name]:10.4f}" for name in self.mean]
        return "\n".join(lines)


def evaluate(separate: Callable[[Rgb], Mask], data: Sequence[Pair], progress: bool = False) -> Result:
    """Judge the masks that `separate` gives of the pictures, each at the picture's own size.

    Truth is mask ≥ 128 of 255, an answer's foreground mask ≥ 0.5. `progress` shows a bar on stderr when that is a
    terminal. Raises BadData where there is no picture or one cannot be read, and whatever `separate` raises.
    """
    if not data:
        raise BadData("there is nothing to evaluate on: the data set holds no pictures")
    rows: list[Row] = []
    counts: list[Counts] = []
    curves: list[tuple[Floats, Floats]] = []
    for pair in tqdm(data, "evaluate", unit="picture", disable=None if progress else True):
        row, count, curve = _judge(separate, pair)
        rows.append(row)
        counts.append(count)
        curves.append(curve)
    mean = {name: float(np.mean([row.figures[name] for row in rows])) for name in rows[0].figures}
    return Result(tuple(rows), mean, _pooled(rows, counts), max_f(curves))


def _judge(separate: Callable[[Rgb], Mask], pair: Pair) -> tuple[Row, Counts, tuple[Floats, Floats]]:
    """One picture's row, counts, and curves of precision and recall."""
    rgb, mask = pair.read()
    began = time.perf_counter()
    said = separate(rgb)
    seconds = time.perf_counter() - began
    if said.shape != mask.shape:
        raise ValueError(f"'{pair.name}': the mask must have the picture's shape, {mask.shape}, but has {said.shape}")
    truth = mask > 127
    count = Counts.of(said, truth)
    figures = {name: figure(count) for name, figure in FIGURES.items()}
    figures |= {"mae": mean_absolute_error(said, truth), "seconds": seconds}
    return Row(pair.name, figures), count, precision_recall(said, truth)


def _pooled(rows: Sequence[Row], counts: Sequence[Counts]) -> dict[str, float]:
    """Each figure of all pixels of all pictures; the seconds are summed."""
    pooled = {name: figure(reduce(add, counts)) for name, figure in FIGURES.items()}
    errors, seconds = ([row.figures[name] for row in rows] for name in ("mae", "seconds"))
    return pooled | {"mae": float(np.average(errors, weights=[c.pixels for c in counts])), "seconds": sum(seconds)}
