"""The classes that are background by nature: the 150 of ADE20K and the 133 of COCO panoptic, from assets/*.csv.

To know another label set: a file of the same columns in assets and its name in `_SETS`.
"""

import csv
import logging
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

_SETS = ("ade20k", "coco")


def ade20k() -> tuple[tuple[str, bool], ...]:
    """Return the 150 classes in the order of the SegFormer checkpoints: name, and whether it is background by nature."""
    return _read("ade20k")


def coco() -> tuple[tuple[str, bool], ...]:
    """Return the 133 classes of COCO panoptic in the order of the usual checkpoints, the 80 things first."""
    return _read("coco")


@cache
def _read(label_set: str) -> tuple[tuple[str, bool], ...]:
    text = files("figureground").joinpath("assets", f"{label_set}.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple((row["name"], row["stuff"] == "1") for row in rows)


def stuff_flags(names: tuple[str, ...]) -> tuple[bool, ...]:
    """Return for each class name whether it is background by nature, by the label set that has most of the names.

    Names that it does not know are logged and taken for things.
    """
    plain = [name.strip().lower() for name in names]
    known = max(
        ({name.lower(): stuff for name, stuff in _read(one)} for one in _SETS), key=lambda one: sum(n in one for n in plain)
    )
    unknown = [name for name, key in zip(names, plain, strict=True) if key not in known]
    if unknown:
        shown = ", ".join(f"'{name}'" for name in unknown[:5]) + (" …" if len(unknown) > 5 else "")
        logging.getLogger("figureground").warning(
            "%d of %d class names are not among those of ADE20K or COCO and count as things: %s",
            len(unknown),
            len(names),
            shown,
        )
    return tuple(known.get(key, False) for key in plain)


def class_names(config: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    """Return the names of a checkpoint's classes, stripped, by its config.json; by their number where it only counts them.

    Checkpoints that call their 133, 80 or 150 classes LABEL_0, LABEL_1 … get the names of COCO panoptic, of its things, or of
    ADE20K, whose order such checkpoints keep.
    """
    stated = config.get("id2label")
    names_by_index = {str(key): str(name).strip() for key, name in stated.items()} if isinstance(stated, Mapping) else {}
    names = tuple(names_by_index.get(str(index), f"LABEL_{index}") for index in range(classes))
    if all(name.upper().startswith("LABEL_") for name in names):
        usual = {133: coco(), 80: coco()[:80], 150: ade20k()}.get(classes)
        return tuple(name.strip() for name, _ in usual) if usual else names
    return names
