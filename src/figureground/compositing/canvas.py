"""Where the picture lies on the output: crop, margin, square, canvas, scale, align. Numbers first, pixels after.

`plan_layout` decides, from the sizes alone, which window of the picture is shown and where; `apply_layout` carries it out on an
array. Pixels that are neither enlarged nor shrunk are copied to the bit.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.compositing.backgrounds import premultiplied, resize, straight
from figureground.compositing.lengths import Length
from figureground.errors import UsageError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""
PLACES = {
    "center": (0.5, 0.5), "top": (0.5, 0.0), "bottom": (0.5, 1.0), "left": (0.0, 0.5), "right": (1.0, 0.5),
}  # fmt: skip
"""Names for where the subject stands in the free room: shares of it that lie left of it and above it."""
MAX_SIDE = 30_000
"""Pixels of a side of the output, at most."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A window of the picture, and where it lies on the output.

    size : width and height of the output.
    source : the window of the picture that is shown.
    target : where that window lies on the output.
    zoom : how many pixels of the output are one of the picture.
    origin : the place in the picture that lies at the output's top left corner.
    """

    size: tuple[int, int]
    source: Box
    target: Box
    zoom: float = 1.0
    origin: tuple[float, float] = (0.0, 0.0)


def parse_align(text: str) -> tuple[float, float]:
    """Return the shares of the free room that lie left of the subject and above it.

    Parameters
    ----------
    text : str
        `center`, `top`, `bottom`, `left`, `right`, or `X%,Y%`.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> parse_align("bottom"), parse_align("25%,100%")
    ((0.5, 1.0), (0.25, 1.0))
    """
    if text in PLACES:
        return PLACES[text]
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*,\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if not match or max(float(match[1]), float(match[2])) > 100:
        raise UsageError(f"--align is one of {', '.join(PLACES)}, or X%,Y% from 0 to 100, but got '{text[:40]}'")
    return float(match[1]) / 100, float(match[2]) / 100


def parse_canvas(text: str) -> tuple[int, int]:
    """Return width and height of `WxH`, or of `W`, a square; raises UsageError.

    Examples
    --------
    >>> parse_canvas("1080x1350"), parse_canvas("2000")
    ((1080, 1350), (2000, 2000))
    """
    match = re.fullmatch(r"\s*(\d{1,6})(?:\s*[x×X]\s*(\d{1,6}))?\s*", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise UsageError(f"--canvas is WIDTHxHEIGHT, each from 1 to {MAX_SIDE}, such as 2000x2000, but got '{text[:40]}'")
    return size


def parse_scale(text: str) -> float:
    """Return the share that `80%` or `0.8` states, in (0, 1]; raises UsageError.

    Examples
    --------
    >>> parse_scale("80%"), parse_scale("0.8")
    (0.8, 0.8)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--scale is the subject's share of the output, above 0% to 100%, such as 80%, but got '{text[:40]}'")
    return share


def plan_layout(
    shape: tuple[int, int],
    box: Box | None,
    *,
    crop: bool = False,
    margin: Length | None = None,
    square: bool = False,
    canvas: tuple[int, int] | None = None,
    scale: float | None = None,
    align: tuple[float, float] | None = None,
    inside: bool = False,
) -> Layout:
    """Return where the picture lies on the output.

    Parameters
    ----------
    shape : height and width of the picture
    box : the subject's box; None: there is none, and the whole picture stands for it
    crop : bool
        Show the subject's box instead of the whole picture.
    margin : Length, optional
        Room around the subject. Per cent are of the longer side of its box, pixels are of the output.
    square : bool
        Make the shorter side as long as the longer.
    canvas : width and height of the output, optional
        What is shown is enlarged or shrunk to fit into it.
    scale : float, optional
        How much of the output's width or height, whichever is tighter, the subject's box takes. Without canvas and crop the
        output is as large as the picture.
    align : shares of the free room that lie left of the subject and above it, optional
        None: in the middle; but a side where the picture's frame cuts the subject off lies at the output's frame, and has no
        margin, so that no cut edge hangs in the air.
    inside : bool
        Show nothing beyond the picture: move the window into it, and narrow it where it is too large. For backgrounds that are
        the picture's own.

    Returns
    -------
    Layout

    Examples
    --------
    >>> plan_layout((100, 200), (50, 20, 90, 80), crop=True, margin=Length(5))
    Layout(size=(50, 70), source=(45, 15, 95, 85), target=(0, 0, 50, 70), zoom=1.0, origin=(45.0, 15.0))
    >>> plan_layout((100, 200), (50, 20, 90, 80), crop=True, canvas=(120, 120)).size
    (120, 120)
    """
    height, width = shape
    subject = box or (0, 0, width, height)
    content = subject if crop or scale is not None else (0, 0, width, height)
    cut = _cut_sides(subject, shape) if align is None and box is not None else (False, False, False, False)
    if scale is not None and canvas is None and not crop:
        canvas = (width, height)
    zoom, room = _zoom(content, margin, canvas, scale, cut)
    left, top, right, bottom = content[0] - room[0], content[1] - room[1], content[2] + room[2], content[3] + room[3]
    want = _wanted(right - left, bottom - top, square, canvas, zoom, scale, content)
    share = _shares(align, cut)
    x, y = left - share[0] * (want[0] - (right - left)), top - share[1] * (want[1] - (bottom - top))
    window = (x, y, x + want[0], y + want[1])
    if inside:
        window = _moved_inside(window, shape, subject, keep_shape=square or canvas is not None)
    layout = _in_pixels(window, shape, canvas)
    # a picture that covers the output leaves no row or column of it empty, however it is rounded
    return replace(layout, target=(0, 0, *layout.size)) if inside else layout


def _cut_sides(box: Box, shape: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
    """On which sides the picture's frame cuts the subject off; a subject that fills a whole axis is cut on both."""
    return box[0] <= 0, box[1] <= 0, box[2] >= shape[1], box[3] >= shape[0]


def _zoom(
    content: Box,
    margin: Length | None,
    canvas: tuple[int, int] | None,
    scale: float | None,
    cut: tuple[bool, bool, bool, bool],
) -> tuple[float, tuple[float, ...]]:
    """Output pixels for each of the picture, and the room on each side in the picture's pixels."""
    size = (content[2] - content[0], content[3] - content[1])
    given = margin or Length(0)
    room = given.pixels(max(size)) if given.percent else given.value
    free = [0.0 if side else room for side in cut]
    if canvas is None:
        return 1.0, tuple(float(round(each)) for each in free)
    if scale is not None:
        return min(scale * canvas[0] / size[0], scale * canvas[1] / size[1]), (0.0, 0.0, 0.0, 0.0)
    if given.percent:
        across, down = size[0] + free[0] + free[2], size[1] + free[1] + free[3]
        return min(canvas[0] / across, canvas[1] / down), tuple(free)
    across, down = canvas[0] - free[0] - free[2], canvas[1] - free[1] - free[3]
    if min(across, down) < 1:
        raise UsageError(f"a margin of {given} pixels leaves nothing of a canvas of {canvas[0]} × {canvas[1]}")
    zoom = min(across / size[0], down / size[1])
    return zoom, tuple(each / zoom for each in free)


def _wanted(
    width: float,
    height: float,
    square: bool,
    canvas: tuple[int, int] | None,
    zoom: float,
    scale: float | None,
    content: Box,
) -> tuple[float, float]:
    """Width and height of the window, in the picture's pixels."""
    if canvas is not None:
        return canvas[0] / zoom, canvas[1] / zoom
    if scale is not None:
        width, height = float(round((content[2] - content[0]) / scale)), float(round((content[3] - content[1]) / scale))
    side = max(width, height)
    return (side, side) if square else (width, height)


def _shares(align: tuple[float, float] | None, cut: tuple[bool, bool, bool, bool]) -> tuple[float, float]:
    if align is not None:
        return align
    across = 0.5 if cut[0] == cut[2] else 0.0 if cut[0] else 1.0
    down = 0.5 if cut[1] == cut[3] else 0.0 if cut[1] else 1.0
    return across, down


def _moved_inside(
    window: tuple[float, float, float, float], shape: tuple[int, int], subject: Box, keep_shape: bool
) -> tuple[float, float, float, float]:
    """Move the window into the picture; if it is too large, narrow it around the middle of the subject."""
    sides = [window[2] - window[0], window[3] - window[1]]
    limits = (shape[1], shape[0])
    if keep_shape:
        factor = min(1.0, limits[0] / sides[0], limits[1] / sides[1])
        wanted = [side * factor for side in sides]
    else:
        wanted = [min(side, limit) for side, limit in zip(sides, limits, strict=True)]
    result = []
    for axis in (0, 1):
        start, end = window[axis], window[axis + 2]
        if wanted[axis] < sides[axis]:
            middle = (subject[axis] + subject[axis + 2]) / 2 if keep_shape else (start + end) / 2
            start = middle - wanted[axis] / 2
            if not keep_shape:  # only what lies beyond the picture goes
                start = max(window[axis], 0.0)
                wanted[axis] = min(window[axis + 2], limits[axis]) - start
        elif not keep_shape:
            first, last = max(start, 0.0), min(end, float(limits[axis]))
            start, wanted[axis] = first, last - first
        result.append(min(max(start, 0.0), limits[axis] - wanted[axis]))
    return result[0], result[1], result[0] + wanted[0], result[1] + wanted[1]


def _in_pixels(window: tuple[float, float, float, float], shape: tuple[int, int], canvas: tuple[int, int] | None) -> Layout:
    """Return the window in whole pixels: its part inside the picture, and where that part is put."""
    if canvas is None:
        left, top = round(window[0]), round(window[1])
        size = (max(1, round(window[2] - window[0])), max(1, round(window[3] - window[1])))
        zoom, origin, window = 1.0, (float(left), float(top)), (left, top, left + size[0], top + size[1])
    else:
        size, origin, zoom = canvas, (window[0], window[1]), canvas[0] / (window[2] - window[0])
    if max(size) > MAX_SIDE:
        raise UsageError(f"the output would be {size[0]} × {size[1]}; a side has at most {MAX_SIDE} pixels")
    source, target = [0] * 4, [0] * 4
    for axis in (0, 1):
        limit = shape[1 - axis]
        first = min(max(math.floor(window[axis] + 1e-6), 0), limit - 1)
        last = max(first + 1, min(math.ceil(window[axis + 2] - 1e-6), limit))
        to = min(max(round((first - origin[axis]) * zoom), 0), size[axis] - 1)
        source[axis], source[axis + 2] = first, last
        target[axis], target[axis + 2] = to, max(to + 1, min(round((last - origin[axis]) * zoom), size[axis]))
    return Layout(size, _box(source), _box(target), zoom, origin)


def _box(sides: list[int]) -> Box:
    left, top, right, bottom = sides
    return left, top, right, bottom


def apply_layout(array: NDArray[Any], layout: Layout, nearest: bool = False, edge: bool = False) -> NDArray[Any]:
    """Return an array as `layout` lays it out.

    Parameters
    ----------
    array : (H, W) or (H, W, C)
        An image, a mask, or with `nearest` a map of labels.
    layout : Layout
    nearest : bool
        Keep values as they are instead of mixing neighbors.
    edge : bool
        Continue the window's outermost pixels around it; else there is 0.

    Returns
    -------
    (h, w) or (h, w, C) of the same type

    Examples
    --------
    >>> layout = Layout((4, 2), (1, 0, 3, 2), (2, 0, 4, 2))
    >>> apply_layout(np.arange(6, dtype=np.uint8).reshape(2, 3), layout).tolist()
    [[0, 0, 1, 2], [0, 0, 4, 5]]
    """
    import cv2

    left, top, right, bottom = layout.source
    to_left, to_top, to_right, to_bottom = layout.target
    width, height = layout.size
    if layout.zoom > 1 and not nearest:
        return _enlarged(array, layout, edge)
    part, shape = array[top:bottom, left:right], (to_bottom - to_top, to_right - to_left)
    if part.shape[:2] != shape:
        part = _nearest(part, shape) if nearest else resize(np.ascontiguousarray(part), shape)
    if shape == (height, width):
        return np.array(part, order="C")
    if edge:
        rooms = (to_top, height - to_bottom, to_left, width - to_right)
        return np.asarray(cv2.copyMakeBorder(np.ascontiguousarray(part), *rooms, cv2.BORDER_REPLICATE))
    result = np.zeros((height, width, *array.shape[2:]), array.dtype)
    result[to_top:to_bottom, to_left:to_right] = part
    return result


def _enlarged(array: NDArray[Any], layout: Layout, edge: bool) -> NDArray[Any]:
    """Resize the array bicubically, with positions exact to a fraction of a pixel; transparent pixels' colors do not bleed."""
    import cv2

    left, top, right, bottom = layout.source
    part = np.ascontiguousarray(array[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2])
    x, y = layout.origin[0] - max(0, left - 2), layout.origin[1] - max(0, top - 2)
    step = 1 / layout.zoom
    # output x ← picture (x + ½) / zoom + origin − ½
    matrix = np.array([[step, 0, step / 2 + x - 0.5], [0, step, step / 2 + y - 0.5]])
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT

    def warp(values: NDArray[Any]) -> NDArray[Any]:
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(values, matrix, layout.size, flags=flags, borderMode=border))

    if array.ndim == 3 and array.shape[2] == 4:
        return straight(warp(premultiplied(part)), array.dtype)
    warped = warp(part)
    if warped.dtype.kind == "f":
        np.clip(warped, part.min(), part.max(), out=warped)
    return warped


def _nearest(part: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, part.shape[:2], strict=True)
    )
    picked: NDArray[Any] = part[rows][:, columns]
    return picked


def subject_box(mask: NDArray[np.float32], level: float) -> Box | None:
    """Return the smallest box that holds every pixel of at least `level`; None where there is none.

    Examples
    --------
    >>> subject_box(np.array([[0, 0.2, 1, 0]], np.float32), 0.5)
    (2, 0, 3, 1)
    """
    inside = mask >= np.float32(level)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
