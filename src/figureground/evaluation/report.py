"""Write evaluations as one self-contained HTML page: figures, curves, and pictures.

To add a section: a function that gives HTML, and its line in `page`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from figureground._html import framed, small_image
from figureground._words import count
from figureground.evaluation.dataset import LabeledImage
from figureground.evaluation.evaluate import EvaluationResult
from figureground.evaluation.metrics import f_beta
from figureground.evaluation.statistics import LEVEL, difference_interval, mean_interval, paired_p
from figureground.types import Mask, Rgb

COLORS = (
    "#1467b3",
    "#c2501e",
    "#26864a",
    "#8a4fb5",
    "#9a7b00",
    "#0f8a8a",
    "#b52a60",
    "#777",
)  # of the methods, in order; on white and on black
WORST, BEST, DIFFERENT = 12, 6, 8  # how many pictures a section shows

Series = tuple[Sequence[float], Sequence[float]]
"""x and y, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The figures of one method, and a function that separates the shown pictures again."""

    name: str
    result: EvaluationResult
    separate: Callable[[Rgb], Mask]


def page(evaluated: Sequence[Evaluated], data: Sequence[LabeledImage], title: str) -> str:
    """Return the page, HTML of a few MB at most. Pictures are chosen by their IoU and separated once more."""
    first = evaluated[0]
    order = sorted(range(len(data)), key=lambda i: first.result.rows[i].figures["iou"])
    worst, best = order[:WORST], order[: WORST - 1 : -1][:BEST]
    pictures = count(len(data), "picture")
    sections = [
        f"<h1>{escape(title)}</h1><p>{pictures}; intervals hold the true mean with a confidence of {LEVEL:.0%}.</p>",
        _summary(evaluated),
        _groups(evaluated),
        _curves(evaluated),
        *(_compared(first, other, data) for other in evaluated[1:]),
        _shown(f"Worst of {first.name}", worst, evaluated, data),
        _shown(f"Best of {first.name}", best, evaluated, data) if best else "",
        _all(evaluated, data),
    ]
    return framed(title, sections)


def _summary(evaluated: Sequence[Evaluated]) -> str:
    """Return every figure of every method, its mean with an interval; a line for each figure, to fit a phone."""
    heads = [
        f'<th><span class="key" style="background:{color}"></span>{escape(one.name)}</th>'
        for color, one in zip(_colors(evaluated), evaluated, strict=True)
    ]
    lines = [("", heads), ("max F", [f"<td>{one.result.max_f:.4f}</td>" for one in evaluated])]
    lines += [
        (name, [_mean([row.figures[name] for row in one.result.rows], name) for one in evaluated])
        for name in evaluated[0].result.mean
    ]
    rows = "".join(f"<tr><td>{escape(name)}</td>{''.join(cells)}</tr>" for name, cells in lines)
    return f'<h2>Figures</h2><div class="wide"><table>{rows}</table></div>'


def _mean(values: Sequence[float], name: str) -> str:
    if name == "seconds":
        return f"<td>{np.mean(values):.3f}</td>"
    low, high = mean_interval(values)
    return f"<td>{np.mean(values):.4f}<br><small>{low:.3f} to {high:.3f}</small></td>"


def _groups(evaluated: Sequence[Evaluated]) -> str:
    """Return IoU and MAE of each method by group."""
    tables = [one.result.groups() for one in evaluated]
    if not tables[0]:
        return ""
    head = "".join(f"<th>{escape(one.name)}: IoU</th><th>MAE</th>" for one in evaluated)
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{figures['pictures']:.0f}</td>"
        + "".join(f"<td>{table[name]['iou']:.4f}</td><td>{table[name]['mae']:.4f}</td>" for table in tables)
        + "</tr>"
        for name, figures in tables[0].items()
    )
    table = f"<table><tr><th>group</th><th>pictures</th>{head}</tr>{rows}</table>"
    return f'<h2>Groups</h2><div class="wide">{table}</div>'


def _curves(evaluated: Sequence[Evaluated]) -> str:
    """Return precision over recall, F over the threshold, reliability, and how many pictures have which IoU."""
    thresholds = np.linspace(1, 0, 256).tolist()
    precision, f, reliable, spread = [], [], [], []
    for one in evaluated:
        result = one.result
        precision.append((result.recall.tolist(), result.precision.tolist()))
        f.append((thresholds, f_beta(result.precision, result.recall).tolist()))
        points = result.reliability.points()
        reliable.append(([point["said"] for point in points], [point["true"] for point in points]))
        counts, edges = np.histogram([row.figures["iou"] for row in result.rows], 20, (0, 1))
        spread.append((((edges[:-1] + edges[1:]) / 2).tolist(), (counts / max(1, counts.max())).tolist()))
    charts = [
        _chart("precision over recall", precision, evaluated),
        _chart("F (β² = 0.3) over the threshold", f, evaluated),
        _chart("true share over the probability said", reliable, evaluated, diagonal=True),
        _chart("histogram of IoU, relative to its peak", spread, evaluated),
    ]
    return f'<h2>Curves</h2><div class="charts">{"".join(charts)}</div>'


def _chart(title: str, series: Sequence[Series], evaluated: Sequence[Evaluated], diagonal: bool = False) -> str:
    """Return lines in a square whose axes go from 0 to 1, as SVG."""
    marks = "".join(
        f'<text x="{40 + 260 * v}" y="282" text-anchor="middle">{v:g}</text>'
        f'<text x="34" y="{264 - 240 * v}" text-anchor="end">{v:g}</text>'
        f'<path d="M40 {260 - 240 * v}H300M{40 + 260 * v} 20V260" stroke="#8883" fill="none"/>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    if diagonal:
        marks += '<path d="M40 260L300 20" stroke="#888" stroke-dasharray="4 4"/>'
    lines = ""
    for color, (xs, ys) in zip(_colors(evaluated), series, strict=True):
        points = " ".join(f"{40 + 260 * x:.1f},{260 - 240 * y:.1f}" for x, y in zip(xs, ys, strict=True))
        lines += f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
    label = escape(title)
    return f'<svg viewBox="0 0 320 300" role="img" aria-label="{label}"><text x="40" y="14">{label}</text>{marks}{lines}</svg>'


def _compared(first: Evaluated, other: Evaluated, data: Sequence[LabeledImage]) -> str:
    """Return whether two methods differ on the same pictures, and where they differ most."""
    differences = [
        theirs.figures["iou"] - ours.figures["iou"] for ours, theirs in zip(first.result.rows, other.result.rows, strict=True)
    ]
    low, high = difference_interval(differences)
    better = sum(difference > 0 for difference in differences)
    text = (
        f"IoU of {escape(other.name)} less that of {escape(first.name)}, picture by picture: mean {np.mean(differences):+.4f}"
        f" ({low:+.4f} to {high:+.4f}), better on {better} of {len(differences)};"
        f" sign-flip permutation test p = {paired_p(differences):.4f}."
    )
    most = sorted(range(len(differences)), key=lambda i: -abs(differences[i]))[:DIFFERENT]
    shown = _shown("", [i for i in most if differences[i]], (first, other), data)
    where = f"<p>Where they differ most:</p>{shown}" if shown else "<p>They differ on no picture.</p>"
    return f"<h2>{escape(first.name)} and {escape(other.name)}</h2><p>{text}</p>{where}"


def _shown(title: str, chosen: Sequence[int], evaluated: Sequence[Evaluated], data: Sequence[LabeledImage]) -> str:
    """Return pictures side by side with their truth and each method's mask."""
    figures = []
    for i in chosen:
        rgb, mask = data[i].read()
        parts = [("picture", small_image(rgb)), ("truth", small_image(mask))]
        for one in evaluated:
            mask8 = np.rint(np.clip(one.separate(rgb), 0, 1) * 255).astype(np.uint8)
            parts.append((f"{one.name}: IoU {one.result.rows[i].figures['iou']:.3f}", small_image(mask8)))
        row = "".join(f"<div>{image}{escape(text)}</div>" for text, image in parts)
        figures.append(f'<figure><figcaption>{escape(data[i].name)}</figcaption><div class="row">{row}</div></figure>')
    return (f"<h2>{escape(title)}</h2>" if title else "") + "".join(figures)


def _all(evaluated: Sequence[Evaluated], data: Sequence[LabeledImage]) -> str:
    """Return a line for every picture."""
    head = "".join(f"<th>{escape(one.name)}: IoU</th><th>MAE</th>" for one in evaluated)
    rows = []
    for i, pair in enumerate(data):
        figures: list[Mapping[str, float]] = [one.result.rows[i].figures for one in evaluated]
        cells = "".join(f"<td>{each['iou']:.3f}</td><td>{each['mae']:.4f}</td>" for each in figures)
        rows.append(f"<tr><td>{escape(pair.name)}</td>{cells}</tr>")
    table = f"<table><tr><th>picture</th>{head}</tr>{''.join(rows)}</table>"
    return (
        f'<h2>Every picture</h2><details><summary>{count(len(data), "line")}</summary><div class="wide">{table}</div></details>'
    )


def _colors(evaluated: Sequence[Evaluated]) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(len(evaluated))]
