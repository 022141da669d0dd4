"""How exact each refiner's edges are: 40 composites of fur, hair, leaves and rings, whose alpha is known to the last strand.

python benchmarks/edges.py [--method NAME] [--refiner NAME …] [--count N] [--sheet FILE.png] [--json FILE]

A body with the texture of one test photograph's subject stands before the background of another, 1024 × 1024. Textures are
repeated by reflection, not enlarged. SAD is the sum of absolute differences of alpha in the band (within ten pixels of a soft
pixel), in thousands; the gradient error is that of Rhemann et al., "A Perceptually Motivated Online Benchmark for Image
Matting" (CVPR 2009), in thousands; the color error is the cut-out's in soft pixels, as a share of the picture's own.
Strands are drawn by other code than those that the detail network learns from. To add a kind: a function in `KINDS`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from common import PHOTOGRAPHS, report
from figureground.compositing.foreground_colors import cut_out
from figureground.masks.refine import REFINERS
from figureground.methods import find
from figureground.pipeline import Separator
from holes import texture

SIDE, FINE = 1024, 3
REFINED = ("none", "clean", "guided", "auto")


@dataclass(frozen=True)
class Case:
    """A composite (S, S, 3) uint8, its alpha (S, S) float32, and the foreground's colors (S, S, 3) float32."""

    rgb: np.ndarray
    alpha: np.ndarray
    colors: np.ndarray


def body(random: np.random.Generator) -> np.ndarray:
    """The outline of an upright body with a head, (n, 2) in pixels."""
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    trunk = np.stack([np.cos(t) * random.uniform(0.19, 0.27), np.sin(t) * random.uniform(0.26, 0.34) + 0.68], 1) * SIDE
    head = np.stack([np.cos(t) * random.uniform(0.13, 0.17), np.sin(t) * random.uniform(0.14, 0.19) + 0.3], 1) * SIDE
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    shift = np.array([SIDE * random.uniform(0.45, 0.55), random.uniform(-0.03, 0.06) * SIDE])
    for part in (trunk, head):
        cv2.fillPoly(canvas, [np.rint(part + shift).astype(np.int32)], 255)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 14)
    lines, _ = cv2.findContours((canvas > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(lines, key=len)[:, 0].astype(np.float64)


def taper(canvas: np.ndarray, points: np.ndarray, width: float) -> None:
    """Fill a quadratic curve through three points, (3, 2), that is `width` pixels wide at its root and ends in a tip."""
    t = np.linspace(0, 1, 14)[:, None]
    line = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
    along = np.gradient(line, axis=0)
    across = along[:, ::-1] * [1, -1] / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    half = across * width * 0.5 * (1 - t) ** 0.7
    cv2.fillPoly(canvas, [np.rint(np.vstack([line + half, (line - half)[::-1]]) * FINE).astype(np.int32)], 255)


def strands(
    canvas: np.ndarray, outline: np.ndarray, random: np.random.Generator, count: int, length: float, width: float
) -> None:
    """Grow tapering strands outwards from an outline."""
    smooth = cv2.GaussianBlur(outline.astype(np.float32), (1, 61), 12)
    tangent = np.gradient(smooth, axis=0)
    away = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    away *= np.sign(((outline - outline.mean(0)) * away).sum(1).mean())
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    lean = random.normal(0, 0.5)
    for place in random.integers(0, len(outline), count):
        angle = np.arctan2(away[place, 1], away[place, 0]) + lean + random.normal(0, 0.35)
        reach = length * random.uniform(0.4, 1.2)
        root = outline[place] - away[place] * 6
        bend = angle + random.normal(0, 0.35)
        middle = root + np.array([np.cos(bend), np.sin(bend)]) * reach * 0.5
        tip = middle + np.array([np.cos(angle), np.sin(angle)]) * reach * 0.6 + [0, 0.1 * reach]
        taper(canvas, np.array([root, middle, tip]), width * random.uniform(0.6, 1.4))


def fur(canvas: np.ndarray, random: np.random.Generator) -> None:
    outline = body(random)
    cv2.fillPoly(canvas, [np.rint(outline * FINE).astype(np.int32)], 255)
    strands(canvas, outline, random, int(random.integers(2500, 6000)), random.uniform(14, 34), random.uniform(1.0, 2.2))


def hair(canvas: np.ndarray, random: np.random.Generator) -> None:
    outline = body(random)
    cv2.fillPoly(canvas, [np.rint(outline * FINE).astype(np.int32)], 255)
    head = outline[outline[:, 1] < np.quantile(outline[:, 1], 0.4)]
    strands(canvas, head, random, int(random.integers(500, 1500)), random.uniform(50, 130), random.uniform(0.8, 1.8))


def leaves(canvas: np.ndarray, random: np.random.Generator) -> None:
    center = np.array([0.5, 0.5]) * SIDE
    for _ in range(int(random.integers(60, 140))):
        root = center + random.normal(0, 0.13, 2) * SIDE
        heading, long = random.uniform(0, 2 * np.pi), random.uniform(25, 80)
        tip = root + np.array([np.cos(heading), np.sin(heading)]) * long
        middle = (root + tip) / 2 + random.normal(0, 0.1, 2) * long
        taper(canvas, np.array([root, middle, tip]), random.uniform(0.25, 0.45) * long)
        taper(canvas, np.array([root, middle, center]), 3)


def ring(canvas: np.ndarray, random: np.random.Generator) -> None:
    for _ in range(int(random.integers(2, 4))):
        middle = tuple((random.uniform(0.4, 0.6, 2) * SIDE * FINE).astype(int).tolist())
        axes = tuple((random.uniform(0.16, 0.34, 2) * SIDE * FINE).astype(int).tolist())
        cv2.ellipse(canvas, middle, axes, random.uniform(0, 180), 0, 360, 255, int(random.uniform(26, 60) * FINE))


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], None]] = {"fur": fur, "hair": hair, "leaves": leaves, "ring": ring}


def case(number: int) -> Case:
    """The composite of that number; kinds take turns."""
    random = np.random.default_rng((20, number))
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    list(KINDS.values())[number % len(KINDS)](canvas, random)
    alpha = np.asarray(cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    alpha = cv2.GaussianBlur(alpha, (0, 0), random.uniform(0.5, 1.2))
    front, back = random.permutation(len(PHOTOGRAPHS))[:2]
    light = cv2.GaussianBlur(random.uniform(0.75, 1.25, (SIDE, SIDE)).astype(np.float32), (0, 0), 1.5)
    colors = np.clip(texture(int(front), True, random, (SIDE, SIDE)) * light[..., None], 0, 255)
    behind = cv2.GaussianBlur(texture(int(back), False, random, (SIDE, SIDE)), (0, 0), random.uniform(3, 10))
    mixed = colors * alpha[..., None] + behind * (1 - alpha[..., None]) + random.normal(0, 2, (SIDE, SIDE, 3))
    return Case(np.clip(np.rint(mixed), 0, 255).astype(np.uint8), alpha, colors)


def gradient(alpha: np.ndarray) -> np.ndarray:
    """The length of the gradient of alpha under a Gaussian of 1.4 pixels."""
    smooth = cv2.GaussianBlur(alpha.astype(np.float64), (0, 0), 1.4)
    down, right = np.gradient(smooth)
    return np.hypot(down, right)


def errors(one: Case, mask: np.ndarray) -> list[float]:
    """SAD and gradient error of the band, in thousands, the color error of the cut-out, and the mask's IoU."""
    soft = (one.alpha > 0) & (one.alpha < 1)
    band = cv2.dilate(soft.astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    sad = np.abs(mask - one.alpha)[band].sum() / 1000
    slope = ((gradient(mask) - gradient(one.alpha)) ** 2)[band].sum() / 1000
    seen = soft & (one.alpha > 0.1) & (mask > 0.1)
    cut = cut_out(one.rgb, mask.astype(np.float32))[..., :3].astype(np.float32)
    ours, naive = (np.abs(each - one.colors)[seen].mean() for each in (cut, one.rgb.astype(np.float32)))
    found, truth = mask >= 0.5, one.alpha >= 0.5
    return [float(sad), float(slope), float(ours / naive), float((found & truth).sum() / max(1, (found | truth).sum()))]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="subject")
    parser.add_argument("--refiner", nargs="+", choices=sorted(REFINERS), default=REFINED)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="draw crops of the first cases, and each refiner's alpha, here"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    separate = Separator(replace(find(given.method), refiner="none", options={}))
    measured: dict[str, list[list[float]]] = {name: [] for name in given.refiner}
    drawn = []
    for number in range(given.count):
        one = case(number)
        rough = separate(one.rgb).mask
        strip = [one.rgb, np.repeat(np.rint(one.alpha * 255).astype(np.uint8)[..., None], 3, 2)]
        for name in given.refiner:
            mask = REFINERS[name](one.rgb, rough)
            measured[name].append(errors(one, mask))
            strip.append(np.repeat(np.rint(mask * 255).astype(np.uint8)[..., None], 3, 2))
        if len(drawn) < 8:
            window = np.s_[100:420, 340:660]
            drawn.append(np.hstack([each[window] for each in strip]))
    rows = []
    for name, table in measured.items():
        for kind, part in (("all", table), *((kind, table[place :: len(KINDS)]) for place, kind in enumerate(KINDS))):
            sad, slope, color, iou = np.mean(part, 0) if part else [np.nan] * 4
            rows.append(
                {
                    "refiner": name,
                    "kind": kind,
                    "SAD": f"{sad:.1f}",
                    "gradient": f"{slope:.2f}",
                    "color": f"{color:.2f}",
                    "IoU": f"{iou:.3f}",
                }
            )
    if given.sheet:
        Image.fromarray(np.vstack(drawn)).save(given.sheet)
    report("Edges of composites with known alpha", rows, given.json)


if __name__ == "__main__":
    main()
