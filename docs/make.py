"""Makes what the docs show: `python docs/make.py [NAME ...]` writes commands.md from the help texts, results.md and the pictures.

To add a picture: a function, and its name in `PICTURES`. A test holds commands.md to the help texts.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import make_editing  # beside this file
import numpy as np
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
        "# Commands\n\nWritten by `make docs` from the help texts; `figureground COMMAND --help-all` shows the same, `--help` the common options.\n"
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


COARSE, CELL = 40, 14  # cells of a side of the drawing of label maps, and pixels of one
NAMES = ("chelsea", "astronaut", "coffee", "rocket")
LABEL_RULES = ("stuff", "most-common", "most-common-hull")
RESULTS = """# Results

Written by `make docs`. IoU against masks drawn by hand (`tests/pictures/draw.py`) on the four photographs that the project carries:
`subject` on the photograph itself, the rules on label maps drawn by hand, since no SegFormer weights are part of the project. So a
column of a rule shows what the rule can do with perfect labels, and nothing of the network. Four pictures show behaviour, not
quality; [docs/training.md](training.md) has the figures of `subject` on 500.

TABLE

* **chelsea** (easy): one thing before stuff; every rule is right; `subject` takes a part of the blanket at the right with the cat.
* **astronaut** (ordinary): several classes make the subject. `stuff` takes flag, table and shuttle too, `most-common` loses the helmet;
  `subject` finds her with suit and helmet, and a corner of the flag.
* **coffee** (hard): the commonest thing is the table. With `--background-classes table`, `stuff` is right, and `most-common` finds the cup
  without its saucer. `subject` finds both.
* **rocket** (hard): a slim subject. The class list happens to make the towers stuff; `subject` takes two lamps and a part of a tower with the rocket, and its certainty is .39.

![chelsea](pictures/rules-chelsea.jpg)
![astronaut](pictures/rules-astronaut.jpg)
![coffee](pictures/rules-coffee.jpg)
![rocket](pictures/rules-rocket.jpg)

Each row: the photograph, its label map, and the rules `stuff`, `most-common`, `most-common-hull`. [docs/methods.md](methods.md) explains them.
"""

PICTURES = (
    make_editing.PICTURES
    | {f"rules-{name}.jpg": partial(rules, name) for name in NAMES}
    | {
        "before-after.jpg": before_after,
        "gallery.jpg": gallery,
        "rewrite-labels.png": cells,
    }
)


PAGES: dict[str, Callable[[], str]] = {"commands.md": commands, "results.md": results}


def main() -> None:
    """Write the files that are named, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*PAGES, *PICTURES])}; all without one")
    names = parser.parse_args().names
    if unknown := set(names) - {*PAGES, *PICTURES}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join([*PAGES, *PICTURES])}")
    for name in names or [*PAGES, *PICTURES]:
        if name in PAGES:
            (HERE / name).write_text(PAGES[name](), "utf-8")
        else:
            (HERE / "pictures").mkdir(exist_ok=True)
            PICTURES[name]().save(HERE / "pictures" / name, quality=88)


if __name__ == "__main__":
    main()
