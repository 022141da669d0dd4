"""Draws the pipeline and the packages from the code, as SVG that can be read on a light and on a dark page."""

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path
from typing import get_args

from figureground import models
from figureground.io.encode import ENCODERS
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.separation import VIEWS
from figureground.types import Map

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "figureground"
LINE = "#7a828c"  # 4:1 against white and against black
STAGE, DATA, TEXT = "#cfe3f7", "#fdebc8", "#1c2733"
FONT = "font-family='system-ui, sans-serif'"


def text(x: float, y: float, words: str, size: int = 13, weight: str = "normal", color: str = TEXT) -> str:
    """Return a line of text, centered on x."""
    return f"<text x='{x:g}' y='{y:g}' font-size='{size}' font-weight='{weight}' fill='{color}' text-anchor='middle'>{escape(words)}</text>"


def box(x: float, y: float, width: float, height: float, color: str) -> str:
    """Return a rounded box."""
    return f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='6' fill='{color}' stroke='{LINE}'/>"


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return an arrow."""
    return f"<line x1='{x1:g}' y1='{y1:g}' x2='{x2:g}' y2='{y2:g}' stroke='{LINE}' stroke-width='2' marker-end='url(#tip)'/>"


def drawing(width: float, height: float, title: str, parts: list[str]) -> str:
    """Return the SVG file."""
    tip = f"<marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='6' markerHeight='6' orient='auto'><path d='M0 0L8 4L0 8z' fill='{LINE}'/></marker>"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' height='{height:g}' {FONT} role='img'>"
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<defs>{tip}</defs>", *parts, "</svg>", ""])


def pipeline() -> str:
    """Draw the stages, the names that each can have, and the data between them."""
    stages = [
        ("Picture.read", ["path, URL, bytes,", "stdin, array, PIL"], "Picture", ["rgb (H, W, 3) uint8"]),
        ("Model", list(models.names()), "Map", [kind.__name__ for kind in get_args(Map)]),
        ("Rule", list(RULES), "Mask", ["(H, W) float32", "1 is foreground"]),
        ("Refiner", list(REFINERS), "Mask", ["(H, W) float32"]),
        ("View", list(VIEWS), "image", ["uint8 or uint16"]),
        ("Encoder", list(ENCODERS), "file", ["written whole"]),
    ]
    column, wide, left = 178, 150, 12
    rows = max(len(names) for _, names, _, _ in stages)
    tall, below = 44 + 17 * rows, 74 + 17 * rows
    parts = []
    for number, (stage, names, data, details) in enumerate(stages):
        x = left + number * column
        parts += [box(x, 10, wide, tall, STAGE), text(x + wide / 2, 33, stage, 15, "600")]
        parts += [text(x + wide / 2, 56 + 17 * line, name) for line, name in enumerate(names)]
        parts += [arrow(x + wide / 2, 10 + tall, x + wide / 2, below - 2)]
        parts += [box(x, below, wide, 100, DATA), text(x + wide / 2, below + 23, data, 15, "600")]
        parts += [text(x + wide / 2, below + 43 + 16 * line, detail, 12) for line, detail in enumerate(details)]
        if number:
            parts.append(arrow(x - column + wide, below + 20, x - 2, 10 + tall - 20))
    return drawing(left * 2 + column * 5 + wide, below + 112, "The pipeline, from a source to a file", parts)


def layers() -> list[list[str]]:
    """Return the layers of the import contract, the highest first, without private modules."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip() for name in row.split("|")] for row in contract["layers"]]
    return [shown for row in rows if (shown := [name for name in row if not name.startswith("_")])]


def modules(name: str) -> list[str]:
    """Return the modules of a package; none of a module."""
    folder = SOURCE / name
    return sorted(
        path.stem
        for path in folder.glob("*")
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    )


def imports(name: str) -> set[str]:
    """Return the packages and modules of the project that a package or module imports."""
    files = sorted((SOURCE / name).rglob("*.py")) or [SOURCE / f"{name}.py"]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    named |= {
        f"figureground.{each.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "figureground"
        for each in node.names
    }
    return {each.split(".")[1] for each in named if each.startswith("figureground.")} - {name}


def packages() -> str:
    """Draw the layers, with the modules of each package and the number of its neighbors below."""
    wide, gap, y, parts = 1000, 12, 10.0, []
    for row in layers():
        width = (wide - gap * (len(row) - 1)) / len(row)
        lines = {name: textwrap.wrap(", ".join(modules(name)), int(width / 6.6)) for name in row}
        height = 32 + 15 * max(len(each) for each in lines.values())
        for number, name in enumerate(row):
            x = 10 + number * (width + gap)
            used = ", ".join(sorted(each for each in imports(name) if not each.startswith("_")))
            parts += [f"<g><title>{escape(name)} imports {escape(used or 'nothing')}</title>"]
            parts += [box(x, y, width, height, STAGE if modules(name) else DATA), text(x + width / 2, y + 21, name, 15, "600")]
            parts += [text(x + width / 2, y + 38 + 15 * line, words, 11) for line, words in enumerate(lines[name])] + ["</g>"]
        y += height + gap
    parts += [arrow(wide + 30, 16, wide + 30, y - gap - 4)]
    label = text(0, 0, "imports point down", 13, "normal", LINE)
    parts.append(f"<g transform='translate({wide + 50} {y / 2:g}) rotate(90)'>{label}</g>")
    return drawing(wide + 70, y, "The packages in layers; each imports only what is below it", parts)


DIAGRAMS = {"pipeline.svg": pipeline, "packages.svg": packages}
