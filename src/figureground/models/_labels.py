"""Which classes are background by nature, by name: the 150 of ADE20K, from assets/ade20k.csv.

To know another label set: a file of the same columns in assets and a line in `_known`.
"""

import csv
import logging
from functools import cache
from importlib.resources import files


@cache
def ade20k() -> tuple[tuple[str, bool], ...]:
    """The 150 classes in the order of the SegFormer checkpoints: name, and whether it is background by nature."""
    text = files("figureground").joinpath("assets", "ade20k.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple((row["name"], row["stuff"] == "1") for row in rows)


@cache
def _known() -> dict[str, bool]:
    return {name.lower(): stuff for name, stuff in ade20k()}


def stuff_flags(names: tuple[str, ...]) -> tuple[bool, ...]:
    """For each class name whether it is background by nature; names not known are logged and taken for things."""
    unknown = [name for name in names if name.strip().lower() not in _known()]
    if unknown:
        shown = ", ".join(f"'{name}'" for name in unknown[:5]) + (" …" if len(unknown) > 5 else "")
        logging.getLogger("figureground").warning(
            "%d of %d class names are not among ADE20K's and count as things: %s", len(unknown), len(names), shown
        )
    return tuple(_known().get(name.strip().lower(), False) for name in names)
