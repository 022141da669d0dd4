"""Writes the generated pages and pictures of the docs: `python docs/make.py [NAME ...]`.

To add a picture, add a function and a row to `PICTURES`. A test compares commands.md with the help texts.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import make_editing  # beside this file
import numpy as np
import screenshots
from diagrams import DIAGRAMS
from PIL import Image

from figureground import Method, Picture, Separation, Separator
from figureground.cli.command import ALL
from figureground.cli.main import main as command_line
from figureground.compositing.visualization import class_color
from figureground.evaluation.metrics import Counts
from figureground.inference.label_sets import ade20k
from figureground.masks.rules import RULES
from figureground.types import LabelMap

HERE = Path(__file__).parent
PHOTOGRAPHS = HERE.parent / "tests" / "pictures"


def commands() -> str:
    """The text of commands.md: every command with its help."""
    parts = [
        "# Command line\n\nThis page lists every command and option. `make docs` writes it from the help texts: `figureground COMMAND --help-all` prints the same, and `--help` prints the common options.\n"
    ]
    above = click.Context(command_line, info_name="figureground", **command_line.context_settings)
    for name in command_line.list_commands(above):
        command = command_line.get_command(above, name)
        context = command.context_class(command, above, info_name=name, terminal_width=110)
        context.meta[ALL] = True
        parts.append(f"## figureground {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def checkerboard(height: int, width: int, cell: int = 12) -> np.ndarray:
    """The usual ground to show what is transparent, (H, W, 3) uint8."""
    rows, columns = np.indices((height, width)) // cell
    return np.where(((rows + columns) % 2)[..., None], 255, 220).astype(np.uint8).repeat(3, 2)


def shown(cutout: np.ndarray) -> np.ndarray:
    """A cut-out, (H, W, 4) uint8, over a checkerboard: (H, W, 3) uint8."""
    alpha = cutout[..., 3:] / 255
    return np.rint(cutout[..., :3] * alpha + checkerboard(*cutout.shape[:2]) * (1 - alpha)).astype(np.uint8)


def before_after() -> Image.Image:
    """A photograph, its overlay, and its cut-out over a checkerboard."""
    done = Separator()(PHOTOGRAPHS / "astronaut.jpg")
    gap = np.full((done.mask.shape[0], 12, 3), 255, np.uint8)
    return Image.fromarray(np.hstack([done.picture.rgb, gap, done.overlay(), gap, shown(done.cutout())]))


def gallery() -> Image.Image:
    """The other photographs above their cut-outs."""
    separate = Separator()
    columns = []
    for name in ("chelsea", "coffee", "rocket"):
        done = separate(PHOTOGRAPHS / f"{name}.jpg")
        column = Image.fromarray(np.vstack([done.picture.rgb, shown(done.cutout())]))
        columns.append(np.asarray(column.resize((440, round(column.height * 440 / column.width)), Image.Resampling.LANCZOS)))
    height = min(column.shape[0] for column in columns)
    return Image.fromarray(np.hstack([column[:height] for column in columns]))


def side_by_side(panels: list[np.ndarray], height: int = 300, gap: int = 8) -> Image.Image:
    """Return panels (H, W, 3) uint8 of any size in one row, each scaled to `height`."""
    images = [Image.fromarray(panel) for panel in panels]
    images = [image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS) for image in images]
    sheet = Image.new("RGB", (sum(image.width for image in images) + gap * (len(images) - 1), height), "white")
    x = 0
    for image in images:
        sheet.paste(image, (x, 0))
        x += image.width + gap
    return sheet


def guide_product() -> Image.Image:
    """The cup, and the cup on white."""
    done = Separator()(PHOTOGRAPHS / "coffee.jpg")
    return side_by_side([done.picture.rgb, np.asarray(done.to_pil(background="white"))])


def guide_portrait() -> Image.Image:
    """The astronaut, the overlay, and the astronaut on a plain color."""
    done = Separator()(PHOTOGRAPHS / "astronaut.jpg")
    return side_by_side([done.picture.rgb, done.overlay(), np.asarray(done.to_pil(background="#d8e2ec"))])


def guide_hair() -> Image.Image:
    """Two details of photographs, every pixel doubled, and their cut-outs on blue with the refiners clean and auto."""
    rows = []
    for name, (top, left, side) in DETAILS.items():
        window = (slice(top, top + side), slice(left, left + side))
        done = [Separator(refiner=refiner)(PHOTOGRAPHS / f"{name}.jpg") for refiner in ("clean", "auto")]
        panels = [np.asarray(each.to_pil(background="#27408b"))[window] for each in done]
        rows.append(
            [done[0].picture.rgb[window].repeat(2, 0).repeat(2, 1), *(panel.repeat(2, 0).repeat(2, 1) for panel in panels)]
        )
    sheet = [np.asarray(side_by_side(panels, 2 * side)) for panels in rows]
    return Image.fromarray(np.vstack([sheet[0], np.full((8, *sheet[0].shape[1:]), 255, np.uint8), sheet[1]]))


def refiners() -> Image.Image:
    """Each row a detail of a photograph, every pixel doubled, then its cut-out on blue with each refiner of `SHOWN`."""
    rows = []
    for name, (top, left, side) in DETAILS.items():
        window = (slice(top, top + side), slice(left, left + side))
        done = [Separator(refiner=refiner)(PHOTOGRAPHS / f"{name}.jpg") for refiner in SHOWN]
        panels = [done[0].picture.rgb, *(np.asarray(each.to_pil(background="#27408b")) for each in done)]
        rows.append(np.asarray(side_by_side([panel[window].repeat(2, 0).repeat(2, 1) for panel in panels], 2 * side)))
    width = min(row.shape[1] for row in rows)
    return Image.fromarray(np.vstack([row[:, :width] for row in rows]))


def guide_batch() -> Image.Image:
    """The four photographs beside their cut-outs."""
    separate = Separator()
    pairs = []
    for name in NAMES:
        done = separate(PHOTOGRAPHS / f"{name}.jpg")
        pair = side_by_side([done.picture.rgb, shown(done.cutout())], 200)
        pairs.append(np.asarray(pair.resize((400, round(pair.height * 400 / pair.width)), Image.Resampling.LANCZOS)))
    columns = [np.vstack([pairs[0], pairs[2]]), np.vstack([pairs[3], pairs[1]])]
    height = min(column.shape[0] for column in columns)
    return Image.fromarray(np.hstack([column[:height] for column in columns]))


def rules(name: str) -> Image.Image:
    """A photograph, its label map as drawn by hand, and what the three rules for label maps make of it."""
    picture = Picture.read(PHOTOGRAPHS / f"{name}.jpg")
    seen = drawn(name)
    panels = [picture.rgb]
    for rule in LABEL_RULES:
        done = Separation(picture, RULES[rule](seen), seen, Method("segformer", rule))
        if rule == "stuff":
            panels.append(done.labels())
        panels.append(done.overlay())
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(panel, ((0, height - panel.shape[0]), (0, 8), (0, 0)), constant_values=255) for panel in panels]
    sheet = Image.fromarray(np.hstack(padded))
    return sheet.resize((1600, round(sheet.height * 1600 / sheet.width)), Image.Resampling.LANCZOS)


def drawn(name: str) -> LabelMap:
    """The label map of a photograph, as drawn by hand."""
    classes, flags = zip(*ade20k(), strict=True)
    with Image.open(PHOTOGRAPHS / "labels" / f"{name}.png") as image:
        return LabelMap(np.asarray(image), classes, flags)


def cells() -> Image.Image:
    """A label map as a network gives it, coarse, and as it is enlarged: filled where four corners agree, mixed elsewhere."""
    fine = drawn("astronaut").labels
    step = len(fine) // COARSE
    coarse = fine[step // 2 :: step, step // 2 :: step][:COARSE, :COARSE]
    colors = np.array([class_color(index) for index in range(150)], np.uint8)[coarse]
    corners = np.stack([coarse[:-1, :-1], coarse[:-1, 1:], coarse[1:, :-1], coarse[1:, 1:]])
    mixed = np.ptp(corners.astype(int), 0) > 0
    left = colors.repeat(CELL, 0).repeat(CELL, 1)
    right = np.where(mixed[..., None], 255, colors[:-1, :-1]).astype(np.uint8).repeat(CELL, 0).repeat(CELL, 1)
    for image in (left, right):
        image[::CELL], image[:, ::CELL] = 90, 90
    gap = np.full((len(left), CELL, 3), 255, np.uint8)
    right = np.pad(right, ((0, len(left) - len(right)), (0, 0), (0, 0)), constant_values=255)
    return Image.fromarray(np.hstack([left, gap, right]))


def results() -> str:
    """The text of results.md: what each method makes of the photographs, measured against the masks drawn by hand."""
    separate, rows = Separator(), []
    for name in NAMES:
        with Image.open(PHOTOGRAPHS / "masks" / f"{name}.png") as image:
            truth = np.asarray(image) > 127
        masks = [separate(PHOTOGRAPHS / f"{name}.jpg").mask, *(RULES[rule](drawn(name)) for rule in LABEL_RULES)]
        figures = " | ".join(f"{Counts.of(mask, truth).iou:.3f}" for mask in masks)
        rows.append(f"| {name} | {figures} |\n")
    head = f"| photograph | subject | {' | '.join(LABEL_RULES)} |\n|---|---|---|---|---|\n"
    return RESULTS.replace("TABLE\n", head + "".join(rows))


DETAILS = {"astronaut": (10, 110, 150), "rocket": (90, 130, 150)}  # top, left and side of what shows the refiners
SHOWN = ("none", "clean", "guided", "auto", "matting")  # refiners
COARSE, CELL = 40, 14  # cells of a side of the drawing of label maps, and pixels of one
NAMES = ("chelsea", "astronaut", "coffee", "rocket")
LABEL_RULES = ("stuff", "most-common", "most-common-hull")
RESULTS = """# Test photographs

This page shows how the methods behave on the four photographs of the project. `make docs` writes it.

The figures are IoU with masks drawn by hand (`tests/pictures/draw.py`). `subject` runs on the photograph. The rules run on label maps drawn by hand, because no
SegFormer weights are part of the project; so their columns show the rules and not the network. Four pictures show behavior, not quality:
[benchmarks](benchmarks.md) has the figures of `subject` on 500 pictures.

TABLE

* **chelsea** (easy): one thing before stuff. Every rule is right. `subject` also keeps part of the blanket.
* **astronaut** (ordinary): the subject consists of several classes. `stuff` also keeps flag, table and shuttle, and `most-common` loses the helmet.
  `subject` keeps suit and helmet, and a corner of the flag; it takes a white reflection in the helmet for a hole.
* **coffee** (hard): the most common thing is the table. With `--background-classes table`, `stuff` is right, and `most-common` keeps the cup
  without its saucer. `subject` keeps both.
* **rocket** (hard): a slim subject. The class list happens to make the towers stuff. `subject` also keeps the tops of two towers; its certainty is .45.

![chelsea](pictures/rules-chelsea.jpg)
![astronaut](pictures/rules-astronaut.jpg)
![coffee](pictures/rules-coffee.jpg)
![rocket](pictures/rules-rocket.jpg)

Each row: the photograph, its label map, and the rules `stuff`, `most-common`, `most-common-hull`. [Methods](methods.md) explains them.
"""

PICTURES = (
    make_editing.PICTURES
    | screenshots.PICTURES
    | {f"rules-{name}.jpg": partial(rules, name) for name in NAMES}
    | {
        "before-after.jpg": before_after,
        "gallery.jpg": gallery,
        "guide-product.jpg": guide_product,
        "guide-portrait.jpg": guide_portrait,
        "guide-hair.jpg": guide_hair,
        "guide-batch.jpg": guide_batch,
        "refiners.jpg": refiners,
        "rewrite-labels.png": cells,
    }
)


PAGES: dict[str, Callable[[], str]] = {"commands.md": commands, "results.md": results} | {
    f"pictures/{name}": draw for name, draw in DIAGRAMS.items()
}


def main() -> None:
    """Write the named files, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join([*PAGES, *PICTURES])}; all by default")
    names = parser.parse_args().names
    if unknown := set(names) - {*PAGES, *PICTURES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join([*PAGES, *PICTURES])}")
    for name in names or [*PAGES, *PICTURES]:
        if name in PAGES:
            (HERE / name).write_text(PAGES[name](), "utf-8")
        else:
            (HERE / "pictures").mkdir(exist_ok=True)
            picture = PICTURES[name]()
            if isinstance(picture, bytes):
                (HERE / "pictures" / name).write_bytes(picture)
            else:
                picture.save(HERE / "pictures" / name, quality=88, optimize=True)


if __name__ == "__main__":
    main()
