"""Whether background seen through a foreground is background: 40 composites of rings, frames, letters, handles and arms.

python benchmarks/holes.py [--method NAME] [--quality NAME] [--sheet FILE.png] [--json FILE]

Each shape is filled with the texture of one test photograph's subject and laid over the background of another. A case is
right where the hole that the mask shows inside the shape's outer outline has an IoU of at least 0.5 with the true one.
Textures are repeated by reflection and not enlarged. To add a kind of hole: a function that draws it, in `SHAPES`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from common import PHOTOGRAPHS, report
from figureground.methods import find
from figureground.pipeline import Separator

HEIGHT, WIDTH = 360, 480
EACH = 8  # cases of a kind
FINE = 4  # shapes are drawn at this many times the size, so that their edges are soft
PURE = 0.99  # share of a texture's pixels that are the subject's, or the background's
RIGHT = 0.5  # IoU of the hole
Canvas = np.ndarray
"""(FINE × HEIGHT, FINE × WIDTH) uint8, 255 where the foreground is."""


def ring(canvas: Canvas, random: np.random.Generator) -> None:
    """An elliptic ring."""
    outer = random.uniform(0.28, 0.42, 2) * HEIGHT * FINE
    inner = outer * random.uniform(0.45, 0.72)
    for radii, value in ((outer, 255), (inner, 0)):
        cv2.ellipse(canvas, _middle(), tuple(map(int, radii)), random.uniform(0, 5), 0, 360, value, -1)


def frame(canvas: Canvas, random: np.random.Generator) -> None:
    """A picture frame."""
    half = random.uniform((0.25, 0.28), (0.42, 0.4)) * (WIDTH, HEIGHT) * FINE
    border = random.uniform(0.05, 0.11) * HEIGHT * FINE
    angle = random.uniform(-12, 12)
    for size, value in ((2 * half, 255), (2 * (half - border), 0)):
        corners = cv2.boxPoints((_middle(), tuple(size), angle))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], value)


def letter(canvas: Canvas, random: np.random.Generator) -> None:
    """One of the letters that enclose something."""
    text, thick = str(random.choice(list("OADPQR"))), int(random.uniform(0.07, 0.11) * HEIGHT * FINE)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_DUPLEX, int(0.6 * HEIGHT * FINE), thick)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    x, y = _middle()
    cv2.putText(canvas, text, (x - width // 2, y + height // 2), cv2.FONT_HERSHEY_DUPLEX, scale, 255, thick)


def handle(canvas: Canvas, random: np.random.Generator) -> None:
    """A mug with a handle."""
    x, y = _middle()
    wide, high = (random.uniform((0.2, 0.27), (0.27, 0.36)) * HEIGHT * FINE).astype(int)
    x -= wide // 2
    cv2.rectangle(canvas, (x - wide, y - high), (x + wide, y + high), 255, -1)
    radii = (int(random.uniform(0.7, 0.95) * wide), int(random.uniform(0.55, 0.75) * high))
    side = int(random.choice([-1, 1])) * wide
    cv2.ellipse(canvas, (x + side, y), radii, 0, 0, 360, 255, int(random.uniform(0.05, 0.08) * HEIGHT * FINE))


def arm(canvas: Canvas, random: np.random.Generator) -> None:
    """A person with a hand on the hip: the gap is between arm and body."""
    unit = HEIGHT * FINE
    x, y = _middle()
    cv2.circle(canvas, (x, y - int(0.3 * unit)), int(random.uniform(0.08, 0.1) * unit), 255, -1)
    shoulder, hip = random.uniform(0.13, 0.17) * unit, random.uniform(0.11, 0.14) * unit
    body = [(-shoulder, -0.19), (shoulder, -0.19), (hip, 0.2), (hip * 1.1, 0.6), (-hip * 1.1, 0.6), (-hip, 0.2)]
    cv2.fillPoly(canvas, [np.array([(x + across, y + down * unit) for across, down in body], np.int32)], 255)
    cv2.rectangle(canvas, (x - int(0.04 * unit), y - int(0.25 * unit)), (x + int(0.04 * unit), y), 255, -1)
    elbow, thick = random.uniform(0.32, 0.4) * unit, int(random.uniform(0.055, 0.075) * unit)
    for side in (-1, 1) if random.random() < 0.5 else (int(random.choice([-1, 1])),):
        joints = [(0.9 * shoulder, -0.15), (elbow, 0.03), (0.9 * hip, 0.17)]
        line = np.array([(x + side * across, y + down * unit) for across, down in joints], np.int32)
        cv2.polylines(canvas, [line], False, 255, thick)


SHAPES: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
    "ring": ring, "frame": frame, "letter": letter, "handle": handle, "arm": arm
}  # fmt: skip


def _middle() -> tuple[int, int]:
    return WIDTH * FINE // 2, HEIGHT * FINE // 2


@dataclass(frozen=True)
class Case:
    """A composite, (H, W, 3) uint8, its foreground (H, W) bool, and what of its outline's inside is hole, (H, W) bool."""

    rgb: np.ndarray
    foreground: np.ndarray
    hole: np.ndarray


@cache
def photograph(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A test photograph, (h, w, 3) uint8, and where its subject is, (h, w) bool."""
    path = PHOTOGRAPHS[number]
    with Image.open(path) as image, Image.open(path.parent / "masks" / f"{path.stem}.png") as mask:
        return np.asarray(image.convert("RGB")), np.asarray(mask.convert("L")) > 127


def texture(number: int, subject: bool, random: np.random.Generator, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A part of a photograph that shows its subject (or its background) alone, reflected to this height and width, float32."""
    rgb, mask = photograph(number)
    wanted = cv2.integral((mask == subject).astype(np.uint8))
    side = min(mask.shape)
    while True:
        sums = wanted[side:, side:] - wanted[:-side, side:] - wanted[side:, :-side] + wanted[:-side, :-side]
        rows, columns = np.nonzero(sums >= PURE * side**2)
        if rows.size:
            break
        side = int(0.9 * side)
    chosen = int(random.integers(rows.size))
    part = rgb[rows[chosen] : rows[chosen] + side, columns[chosen] : columns[chosen] + side]
    height, width = shape
    return np.pad(part, [(0, height), (0, width), (0, 0)], "symmetric")[:height, :width].astype(np.float32)


def case(kind: str, seed: int) -> Case:
    """The composite of that kind and number."""
    random = np.random.default_rng([list(SHAPES).index(kind), seed])
    canvas = np.zeros((FINE * HEIGHT, FINE * WIDTH), np.uint8)
    SHAPES[kind](canvas, random)
    shift = np.column_stack([np.eye(2), random.uniform(-0.05, 0.05, 2) * HEIGHT * FINE])
    canvas = cv2.warpAffine(canvas, shift, canvas.shape[::-1])
    alpha = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / np.float32(255)
    front, back = random.permutation(len(PHOTOGRAPHS))[:2]
    light = np.linspace(*random.uniform(0.75, 1.25, 2), WIDTH, dtype=np.float32)[:, None]
    above = np.clip(texture(int(front), True, random) * light, 0, 255)
    below = cv2.GaussianBlur(texture(int(back), False, random), (0, 0), random.uniform(0.5, 3))
    mixed = above * alpha[..., None] + below * (1 - alpha[..., None])
    rgb = np.clip(np.rint(mixed + random.normal(0, 2, mixed.shape)), 0, 255).astype(np.uint8)
    foreground = alpha >= 0.5
    return Case(rgb, foreground, inside(foreground) & ~foreground)


def inside(shape: np.ndarray) -> np.ndarray:
    """A shape with all its holes filled."""
    outlines, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(shape.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, -1)
    return filled.astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="subject")
    parser.add_argument("--quality", choices=("fast", "balanced", "best"))
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw all cases and what was found in them here")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    method = find(given.method)
    if given.quality:
        method = replace(method, options={**method.options, "quality": given.quality})
    separate = Separator(method)
    rows, drawn = [], []
    total, parts = 0, []
    for kind in SHAPES:
        holes, shapes = [], []
        for seed in range(EACH):
            one = case(kind, seed)
            mask = separate(one.rgb).mask
            found = mask >= 0.5
            holes.append(iou(inside(one.foreground) & ~found, one.hole))
            shapes.append(iou(found, one.foreground))
            drawn.append(np.vstack([one.rgb, np.where(found[..., None], one.rgb, one.rgb // 5)])[::3, ::3])
        right = sum(score >= RIGHT for score in holes)
        total += right
        parts += shapes
        rows.append(
            {
                "holes": kind,
                "right": f"{right} of {EACH}",
                "IoU of the hole, mean": f"{np.mean(holes):.3f}",
                "least": f"{min(holes):.3f}",
                "IoU of the mask, mean": f"{np.mean(shapes):.3f}",
            }
        )
    rows.append({"holes": "all", "right": f"{total} of {EACH * len(SHAPES)}", "IoU of the mask, mean": f"{np.mean(parts):.3f}"})
    if given.sheet:
        lines = [np.hstack(drawn[start : start + EACH]) for start in range(0, len(drawn), EACH)]
        Image.fromarray(np.vstack(lines)).save(given.sheet)
    report("Background seen through the foreground", rows, given.json)


if __name__ == "__main__":
    main()
