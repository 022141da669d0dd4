"""Draw foregrounds with exact alpha: hair, fur, leaves, lace, rings, handles, signs, shapes; sharp, defocused or in motion.

Strands are drawn at four times the size and averaged down, so that a hair a third of a pixel wide covers a third of its pixels.
To add a kind: a function that draws it, in `KINDS`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Image8 = NDArray[np.uint8]
Generator = np.random.Generator
FINE = 4
"""How many times larger than the scene it is drawn."""
USUAL = 240
"""Pixels of a scene's side for which the counts of strands are stated; a larger one has more."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A foreground: alpha and the light on it, both (S, S) uint8. Light is 128 where it changes nothing."""

    alpha: Image8
    light: Image8


class Canvas:
    """What is being drawn: coverage and light, at `FINE` times the size. Bodies lie in its middle, or anywhere."""

    def __init__(self, size: int, *, centered: bool = False) -> None:
        self.size, self.centered = size, centered
        self.cover = np.zeros((size * FINE, size * FINE), np.uint8)
        self.light = np.full((size * FINE, size * FINE), 128, np.uint8)

    def polygon(self, points: NDArray[np.float64], value: int = 255) -> None:
        """Fill a polygon, (n, 2) in the scene's pixels; value 0 cuts it out."""
        cv2.fillPoly(self.cover, [_fine(points)], value)

    def strands(self, lines: list[NDArray[np.float64]], widths: NDArray[np.float64], lights: NDArray[np.float64]) -> None:
        """Draw lines, each (n, 2) in the scene's pixels, so wide in pixels and so bright."""
        for line, width, light in zip(lines, widths, lights, strict=True):
            thick = max(1, round(width * FINE))
            points = [_fine(line)]
            cv2.polylines(self.cover, points, False, 255, thick)
            cv2.polylines(self.light, points, False, int(light), thick)

    def scene(self, random: Generator) -> Scene:
        """Return what was drawn at the scene's size: sharp, out of focus, or moved."""
        size = (self.size, self.size)
        alpha, light = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (self.cover, self.light))
        kind = random.random()
        if kind < 0.2:
            alpha = cv2.GaussianBlur(alpha, (0, 0), float(random.uniform(0.5, 4.0)))
        elif kind < 0.3:
            length = int(random.integers(3, 16))
            kernel = np.zeros((length, length), np.float32)
            angle = random.uniform(0, np.pi)
            middle = (length - 1) / 2
            vector = np.array([np.cos(angle), np.sin(angle)]) * middle
            first, last = (np.rint(middle + sign * vector).astype(int).tolist() for sign in (-1, 1))
            cv2.line(kernel, first, last, 1.0, 1)
            alpha = cv2.filter2D(alpha, -1, kernel / kernel.sum())
        return Scene(np.asarray(alpha, np.uint8), np.asarray(light, np.uint8))


def _fine(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * FINE).astype(np.int32)


def blob(canvas: Canvas, random: Generator, rough: float = 0.12) -> NDArray[np.float64]:
    """Return the outline of a body, (n, 2), that usually reaches beyond the scene on one side, unless it is centered."""
    size = canvas.size
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = sum(
        random.normal(0, rough / order) * np.cos(order * angles + random.uniform(0, 2 * np.pi)) for order in range(1, 7)
    )
    radius = random.uniform(*((0.12, 0.4) if canvas.centered else (0.25, 0.75))) * size * (1 + waves)
    middle = random.uniform(0.1, 0.9, 2) * size + random.normal(0, 0.25, 2) * size
    if canvas.centered:
        middle = random.normal(0.5, 0.08, 2) * size
    stretch = random.uniform(0.7, 1.4)
    return np.stack([np.cos(angles) * radius * stretch, np.sin(angles) * radius / stretch], 1) + middle


def _grown(
    outline: NDArray[np.float64], random: Generator, count: int, length: tuple[float, float], curl: float, spread: float
) -> list[NDArray[np.float64]]:
    """Return strands that begin on an outline or inside it and grow outwards, in clumps that share a direction."""
    middle, steps = outline.mean(0), 10
    clumps = max(1, count // int(random.integers(4, 20)))
    clump = random.integers(0, clumps, count)
    leaning, bending = random.normal(0, spread, clumps)[clump], random.normal(0, curl, clumps)[clump]
    place = ((clump + random.random(count)) / clumps * len(outline)).astype(int) % len(outline)
    inward = random.uniform(0, random.uniform(0.02, 0.2), (count, 1))
    roots = outline[place] * (1 - inward) + middle * inward + random.normal(0, 1.5, (count, 2))
    away = outline[place] - middle
    angle = np.arctan2(away[:, 1], away[:, 0]) + leaning + random.normal(0, 0.6) + random.normal(0, spread / 3, count)
    vector = random.uniform(*length, (count, 1)) * random.uniform(0.6, 1, clumps)[clump, None] / steps
    bends = (bending + random.normal(0, curl / 2, count))[:, None] + random.normal(0, curl / 3, (count, steps))
    headings = angle[:, None] + np.cumsum(bends, 1)
    paths = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 2) * vector[..., None], 1)  # (count, steps, 2)
    return list(np.concatenate([roots[:, None], roots[:, None] + paths], 1))


def _body(
    canvas: Canvas,
    random: Generator,
    rough: float,
    counts: tuple[float, float],
    length: tuple[float, float, float],
    curl: tuple[float, float],
    spread: tuple[float, float],
    width: tuple[float, float],
) -> None:
    """Draw a body with strands. Pairs are ranges; length : the shortest, and the range of the longest, in pixels."""
    outline = blob(canvas, random, rough)
    canvas.polygon(outline)
    low, high = (float(np.log(each)) for each in counts)
    count = int(np.exp(random.uniform(low, high)) * canvas.size / USUAL)
    shortest, longest = length[0], length[1:]
    lines = _grown(outline, random, count, (shortest, random.uniform(*longest)), random.uniform(*curl), random.uniform(*spread))
    wide = random.uniform(*width)
    canvas.strands(lines, wide * random.uniform(0.6, 1.5, count), random.uniform(90, 170, count))


def hair(canvas: Canvas, random: Generator) -> None:
    """Draw a head with long strands, of which some fly."""
    _body(canvas, random, 0.06, (60, 900), (12, 30, 120), (0.01, 0.12), (0.15, 0.7), (0.25, 1.2))


def fur(canvas: Canvas, random: Generator) -> None:
    """Draw a body with short, dense fur."""
    _body(canvas, random, 0.1, (500, 3500), (4, 10, 45), (0.01, 0.08), (0.2, 0.6), (0.3, 1.6))


def leaves(canvas: Canvas, random: Generator) -> None:
    """Draw twigs with leaves, between which the background shows."""
    size = canvas.size
    root, step = random.normal(0.5, 0.1, 2) * size, random.uniform(0.015, 0.04) if canvas.centered else 1 / 16
    longest = random.uniform(16, 70) if canvas.centered else 32.0
    for _ in range(int(random.integers(2, 12 if canvas.centered else 7))):
        start, angle = random.uniform(0, size, 2), random.uniform(0, 2 * np.pi)
        if canvas.centered:
            start = root + random.normal(0, 0.04, 2) * size
        twig = start + np.cumsum(
            np.stack([np.cos(turn := angle + np.cumsum(random.normal(0, 0.15, 14))), np.sin(turn)], 1) * size * step, 0
        )
        canvas.strands([twig], random.uniform(1, 5, 1), random.uniform(80, 140, 1))
        for place in random.integers(0, len(twig), int(random.integers(6, 30))):
            long, heading = random.uniform(5, longest), random.uniform(0, 2 * np.pi)
            t = np.linspace(0, np.pi, 9)
            half = np.stack([np.linspace(0, long, 9), np.sin(t) * long * random.uniform(0.12, 0.35)], 1)
            leaf = np.vstack([half, half[::-1] * [1, -1]])
            turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
            canvas.polygon(leaf @ turn + twig[place])


def lace(canvas: Canvas, random: Generator) -> None:
    """Draw a cloth with a regular pattern of holes, or a net."""
    outline = blob(canvas, random)
    canvas.polygon(outline)
    pitch, angle = random.uniform(6, 36), random.uniform(0, np.pi)
    radius = pitch * random.uniform(0.2, 0.47)
    corners = int(random.integers(4, 12))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    around = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    hole = np.stack([np.cos(around), np.sin(around)], 1) * radius
    vector = int(canvas.size / pitch) + 1
    for row in range(-vector, vector):
        for column in range(-vector, vector):
            place = (np.array([column + 0.5 * (row % 2), row]) * pitch) @ turn + canvas.size / 2
            if -radius < place.min() and place.max() < canvas.size + radius:
                canvas.polygon(hole + place, 0)


def ring(canvas: Canvas, random: Generator) -> None:
    """Draw bars, frames and rings, through which the background shows."""
    size = canvas.size
    for _ in range(int(random.integers(1, 4))):
        middle, outer = random.uniform(0.2, 0.8, 2) * size, random.uniform(0.15, 0.5, 2) * size
        if canvas.centered:
            middle, outer = random.normal(0.5, 0.08, 2) * size, random.uniform(0.1, 0.4, 2) * size
        corners = int(random.choice([4, 4, 64]))
        around = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(0, np.pi)
        shape = np.stack([np.cos(around), np.sin(around)], 1)
        canvas.polygon(shape * outer + middle)
        canvas.polygon(shape * np.maximum(outer * random.uniform(0.5, 0.92), outer - 40) + middle, 0)
    for _ in range(0 if canvas.centered else int(random.integers(0, 5))):
        ends = random.uniform(-0.2, 1.2, (2, 2)) * size
        canvas.strands([ends], random.uniform(1, 12, 1), random.uniform(90, 170, 1))


def handles(canvas: Canvas, random: Generator) -> None:
    """Draw a body with handles or arms, between which and the body the background shows."""
    outline = blob(canvas, random, random.uniform(0.02, 0.12))
    canvas.polygon(outline)
    middle, radius = outline.mean(0), np.ptp(outline, axis=0).mean() / 2
    for _ in range(int(random.integers(1, 4))):
        first = int(random.integers(len(outline)))
        last = (first + int(random.integers(8, 40))) % len(outline)
        away = (outline[first] + outline[last]) / 2 - middle
        elbow = middle + away * (1 + random.uniform(0.4, 1.1) * radius / max(1.0, float(np.linalg.norm(away))))
        t = np.linspace(0, 1, 16)[:, None]
        ends = [point * 0.85 + middle * 0.15 for point in (outline[first], outline[last])]
        curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * (2 * elbow - (ends[0] + ends[1]) / 2) + t**2 * ends[1]
        line = curve if random.random() < 0.6 else np.array([ends[0], elbow, ends[1]])
        canvas.strands([line], random.uniform(0.08, 0.3, 1) * radius, random.uniform(100, 150, 1))


def sign(canvas: Canvas, random: Generator) -> None:
    """Draw a letter or a digit, of which many enclose the background."""
    text, font = str(random.choice(list("ABDOPQRSU4680&@e"))), int(random.integers(0, 8))
    thick = max(2, round(random.uniform(0.03, 0.09) * canvas.size * FINE))
    scale = cv2.getFontScaleFromHeight(font, max(8, round(random.uniform(0.35, 0.75) * canvas.size * FINE)), thick)
    (width, height), _ = cv2.getTextSize(text, font, scale, thick)
    x, y = (random.normal(0.5, 0.06, 2) * canvas.size * FINE + (-width / 2, height / 2)).astype(int).tolist()
    cv2.putText(canvas.cover, text, (x, y), font, scale, 255, thick)


def shapes(canvas: Canvas, random: Generator) -> None:
    """Draw plain bodies with a clean outline, and pieces cut out of them."""
    canvas.polygon(blob(canvas, random, random.uniform(0.02, 0.35)))
    for _ in range(int(random.integers(0, 4))):
        corners = int(random.integers(3, 9))
        around = np.sort(random.uniform(0, 2 * np.pi, corners))
        piece = np.stack([np.cos(around), np.sin(around)], 1) * random.uniform(6, 60) + random.uniform(0, canvas.size, 2)
        canvas.polygon(piece, int(random.choice([0, 255])))


KINDS: dict[Callable[[Canvas, Generator], None], tuple[float, float]] = {
    hair: (0.3, 0.18), fur: (0.2, 0.08), leaves: (0.12, 0.22), lace: (0.06, 0.06), ring: (0.1, 0.16), handles: (0.08, 0.16),
    sign: (0.04, 0.08), shapes: (0.1, 0.06),
}  # fmt: skip
"""Each kind, its share of the scenes for windows, and of those with a centered body. Single strands are too fine for a network
that looks at the whole picture; holes and gaps are not."""


def draw(size: int, random: Generator, *, centered: bool = False) -> Scene:
    """Return a scene of a random kind, (size, size)."""
    canvas = Canvas(size, centered=centered)
    shares = [share[centered] for share in KINDS.values()]
    kind = list(KINDS)[int(random.choice(len(KINDS), p=shares))]
    kind(canvas, random)
    return canvas.scene(random)


def draw_all(count: int, size: int, seed: int, quiet: bool, *, centered: bool = False) -> list[Scene]:
    """Return so many scenes, each of a seed of its own."""
    with ThreadPoolExecutor(2) as pool:
        generated = pool.map(lambda place: draw(size, np.random.default_rng((seed, 1, place)), centered=centered), range(count))
        return list(tqdm(generated, "draw", count, disable=quiet or None, unit="scene"))
