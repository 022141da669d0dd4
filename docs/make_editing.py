"""The pictures of guides/editing.md: each panel is a photograph and the words of the command line that make it of it.

To show another option: its words, in a row of `SHEETS`.
"""

import shlex
import textwrap
from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from figureground import Separation, Separator
from figureground.animation import remove_animation
from figureground.compositing.backgrounds import checker
from figureground.compositing.blend import composite
from figureground.compositing.fill import fill
from figureground.compositing.options import EditOptions, with_preset
from figureground.editing import compose, edit, filled_background
from figureground.io.animation import read_animation
from figureground.io.animation_writers import animation_writer
from figureground.io.encode import EncodeOptions
from figureground.io.outlines import contours, fit_beziers
from figureground.masks.adjust import grow

PHOTOGRAPHS = Path(__file__).parent.parent / "tests" / "pictures"
WIDTH = 1500  # pixels of a sheet, about
HEIGHT = 300  # pixels of a panel
LABEL = 58  # pixels of the words below it
FLAGS = {field.name: field.default for field in fields(EditOptions)}


def sheet(rows: tuple[str, ...]) -> Image.Image:
    """Return edited photographs in rows, each above the words that make it."""
    lines: list[list[Image.Image]] = [[]]
    for words in rows:
        panel = labeled(render(words), words.partition(" ")[2] or "(the picture)")
        if lines[-1] and sum(each.width for each in lines[-1]) + panel.width > WIDTH:
            lines.append([])
        lines[-1].append(panel)
    width = max(sum(each.width for each in line) for line in lines)
    result = Image.new("RGB", (width, len(lines) * (HEIGHT + LABEL)), "white")
    for row, line in enumerate(lines):
        x = 0
        for panel in line:
            result.paste(panel, (x, row * (HEIGHT + LABEL)))
            x += panel.width
    return result


def labeled(image: Image.Image, text: str) -> Image.Image:
    """Return an image of the height of a panel with a text below."""
    small = image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)
    panel = Image.new("RGB", (small.width + 12, HEIGHT + LABEL), "white")
    panel.paste(small, (0, 0))
    font = ImageFont.load_default(14)
    for number, line in enumerate(textwrap.wrap(text, max(8, small.width // 8), break_on_hyphens=False)[:3]):
        ImageDraw.Draw(panel).text((0, HEIGHT + 2 + 17 * number), line, fill="black", font=font)
    return panel


def render(words: str) -> Image.Image:
    """Return a photograph as the words make it, over a checkerboard where it is transparent."""
    name, options = parse(words)
    view, preset = options.pop("view", "cutout"), options.pop("preset", None)
    if str(options.get("background", "")).endswith(".jpg"):
        options["background"] = str(PHOTOGRAPHS / options["background"])
    chosen = with_preset(preset, options)
    chosen.validate()
    done = edit(separated(name), chosen).separation
    if view == "picture":
        return Image.fromarray(done.picture.rgb)
    if view == "svg":
        return outline_drawn(done)
    if view == "background" and chosen.fill:
        pixels = filled_background(done)
    else:
        pixels = compose(done, chosen) if view == "cutout" else done.view(view)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = composite(pixels, checker(pixels.shape[:2]))
    return Image.fromarray(pixels)


def parse(words: str) -> tuple[str, dict[str, Any]]:
    """Return the photograph's name and the options by name."""
    name, *rest = shlex.split(words)
    options: dict[str, Any] = {}
    while rest:
        key = rest.pop(0).removeprefix("--").replace("-", "_")
        value: Any = True if FLAGS.get(key) is False else rest.pop(0)
        options[key] = float(value) if key in ("threshold", "crop_threshold", "shadow_opacity") else value
    return name, options


@cache
def separator() -> Separator:
    """Return the default method, loaded once."""
    return Separator()


@cache
def separated(name: str) -> Separation:
    """Return a photograph, separated."""
    return separator()(PHOTOGRAPHS / f"{name}.jpg")


def outline_drawn(done: Separation) -> Image.Image:
    """Return the curves of the outline over the faded photograph, with a dot where one curve ends and the next begins."""
    scale = 2
    faded = Image.fromarray((255 - (255 - done.picture.rgb.astype(int)) // 3).astype(np.uint8))
    image = faded.resize((faded.width * scale, faded.height * scale), Image.Resampling.LANCZOS)
    draw, t = ImageDraw.Draw(image), np.linspace(0, 1, 16)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    for line in contours(done.mask):
        for curve in fit_beziers(line):
            points = sum(weight * point for weight, point in zip(weights, curve, strict=True)) * scale
            draw.line([(float(x), float(y)) for x, y in points], fill="#d6246e", width=3)
            x, y = curve[0] * scale
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill="#1b1b1b")
    return image


SHEETS: dict[str, tuple[str, ...]] = {
    "background": (
        "astronaut --background '#bfe3d0'",
        "astronaut --background '#ff000080'",
        "astronaut --background rocket.jpg",
        "astronaut --background blur",
        "astronaut --background gray",
        "astronaut --background original",
        "astronaut --background checker",
        "astronaut --background '#bfe3d0' --keep-colors",
    ),
    "background-fit": (
        "coffee --background chelsea.jpg --background-fit cover --canvas 400x600",
        "coffee --background chelsea.jpg --background-fit contain --canvas 400x600",
        "coffee --background chelsea.jpg --background-fit stretch --canvas 400x600",
        "coffee --background chelsea.jpg --background-fit tile --canvas 900x1350",
    ),
    "fill": ("coffee --view background", "coffee --view background --fill", "rocket --view background --fill"),
    "shadow": (
        "coffee --background white --shadow drop",
        "coffee --background white --shadow drop --shadow-blur 1% --shadow-offset 3%,4%",
        "coffee --background white --shadow drop --shadow-opacity 0.9",
        "coffee --background white --shadow keep",
        "coffee --background '#e9d8a6' --shadow keep --shadow-opacity 0.6",
    ),
    "outline": (
        "astronaut --outline 8:white",
        "astronaut --outline '2%:#ff4d6d' --background white",
        "coffee --outline 6:white --shadow drop --background '#88aacc'",
    ),
    "mask": (
        "coffee --view mask",
        "coffee --view mask --threshold 0.5",
        "coffee --view mask --grow 5%",
        "coffee --view mask --shrink 5%",
        "coffee --view mask --feather 8%",
        "coffee --invert",
    ),
    "views": ("astronaut --view trimap", "astronaut --view svg"),
    "crop": (
        "coffee --background '#e4e4e4'",
        "coffee --background '#e4e4e4' --crop",
        "coffee --background '#e4e4e4' --crop --margin 10%",
        "coffee --background '#e4e4e4' --crop --square",
        "astronaut --background '#e4e4e4' --crop --crop-to head --margin 20%",
        "rocket --background '#e4e4e4' --crop",
        "rocket --background '#e4e4e4' --crop --crop-threshold 0.95",
    ),
    "canvas": (
        "coffee --background '#cfdcec' --crop --canvas 400x600",
        "coffee --background '#cfdcec' --crop --canvas 400x600 --align bottom",
        "coffee --background '#cfdcec' --scale 50%",
        "coffee --background '#cfdcec' --scale 50% --align 100%,0%",
        "astronaut --background blur --crop --crop-to head --margin 60% --canvas 600x400",
    ),
    "presets": (
        "coffee --preset shop",
        "astronaut --preset sticker",
        "astronaut --preset portrait",
        "astronaut --preset passport",
        "astronaut --preset social",
    ),
}
"""Each sheet's panels."""


def frames() -> bytes:
    """Return an animation of a cup that is pushed over its table, beside what is made of it."""
    done = separated("coffee")
    size = (240, 160)
    empty = fill(done.picture.original[..., :3], grow(done.mask, 24))
    table = Image.fromarray(empty).resize(size, Image.Resampling.LANCZOS)
    cup = Image.fromarray(done.cutout()).resize(size, Image.Resampling.LANCZOS)
    scene = animation_writer(".png")
    for step in range(FRAMES):
        image = table.copy()
        image.paste(cup, (round(14 * np.sin(2 * np.pi * step / FRAMES)), 0), cup)
        scene.add(np.asarray(image), 90)
    made = [
        remove_animation(scene.finish(), ".png", separator(), options=EditOptions(**options))
        for options in ({"background": "checker"}, {"crop": True, "margin": "5%", "background": "#bfe3d0", "shadow": "drop"})
    ]
    result = animation_writer(".webp", options=EncodeOptions(quality=60))
    panels = [read_animation(data).frames() for data in (scene.finish(), *made)]  # type: ignore[union-attr]
    for three in zip(*panels, strict=True):
        result.add(np.hstack([resized(picture.rgb, size[1]) for picture, _ in three]), three[0][1])
    return result.finish()


def resized(image: np.ndarray, height: int) -> np.ndarray:
    """Return an image at another height, with white on its right."""
    small = Image.fromarray(image).resize((round(image.shape[1] * height / image.shape[0]), height), Image.Resampling.LANCZOS)
    return np.pad(np.asarray(small), ((0, 0), (0, 6), (0, 0)), constant_values=255)


FRAMES = 10
"""Of the animation."""
PICTURES: dict[str, Callable[[], Image.Image | bytes]] = {
    **{f"editing-{name}.webp": partial(sheet, rows) for name, rows in SHEETS.items()},
    "editing-frames.webp": frames,
}
