"""Group labeled pictures by size, by thinness, and by categories of the user.

To add a group that is computed from masks: a row in `GROUPINGS`.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground._words import count
from figureground.errors import BadData

Truth = NDArray[np.bool_]
SMALL, LARGE = 0.1, 0.35  # shares of the picture
THIN_WIDTH = 0.05  # of the picture's longer side: a part that is narrower is thin
THIN, SOLID = 0.2, 0.04  # shares of the foreground


def size_group(truth: Truth) -> str:
    """Return the group of a mask, (H, W), by the share of the picture that is foreground."""
    share = float(truth.mean()) if truth.size else 0.0
    if share == 0:
        return "size: empty"
    names = ("small (below 10 %)", "medium (10 to 35 %)", "large (above 35 %)")
    return f"size: {names[int(share >= SMALL) + int(share > LARGE)]}"


def thinness_group(truth: Truth) -> str:
    """Return the group of a mask, (H, W), by the share of the foreground that lies in thin parts.

    A part is thin where a disc with a diameter of 5 % of the picture's longer side does not fit into it: where a
    morphological opening by this disc removes it.
    """
    area = int(np.count_nonzero(truth))
    if not area:
        return "thinness: empty"
    diameter = max(1, round(THIN_WIDTH * max(truth.shape))) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    padded = np.pad(truth.astype(np.uint8), diameter, "edge")  # what the picture's frame cuts off is not thin there
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[diameter:-diameter, diameter:-diameter]
    share = 1 - np.count_nonzero(opened) / area
    names = ("solid (below 4 % thin)", "some thin parts (4 to 20 %)", "thin (above 20 %)")
    return f"thinness: {names[int(share >= SOLID) + int(share > THIN)]}"


GROUPINGS: Mapping[str, Callable[[Truth], str]] = MappingProxyType({"size": size_group, "thinness": thinness_group})
"""(H, W) bool → the name of a group, by what is grouped."""


def read_categories(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Read a CSV file with the columns `name` and `group`; return the group of each picture that the file names.

    Parameters
    ----------
    path
        The file. A name is a picture's name as in `--csv`, its last part, or that without suffix.
    names
        The pictures' names.

    Raises
    ------
    BadData
        The file cannot be read, lacks a column, or names none of the pictures.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"name", "group"} - set(reader.fieldnames or [])
            if missing:
                raise BadData(f"'{path}' must have the columns name and group, but lacks {' and '.join(sorted(missing))}")
            categories = {row["name"].strip(): (row["group"] or "").strip() for row in reader if row["name"]}
    except (OSError, UnicodeError, csv.Error) as error:
        raise BadData(
            f"'{path}' cannot be read as a CSV file ({error}); write it as UTF-8 with columns name and group"
        ) from error
    group_by_name = {}
    for name in names:
        keys = (name, name.rpartition("/")[2], Path(name).stem)
        group = next((categories[key] for key in keys if categories.get(key)), None)
        if group is not None:
            group_by_name[name] = f"group: {group}"
    if not group_by_name:
        raise BadData(
            f"'{path}' has no row for any of the pictures ({count(len(names), 'picture')}, the first is '{names[0]}')"
        )
    return group_by_name
