"""How maps are shown and listed: classes and objects in colors over a legend, depth as a ramp. See the views that need them.

To show another kind of map: a function here, and a view in separation.py.
"""

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.io.color_modes import strips
from figureground.types import THRESHOLD, DepthMap, Image8, InstanceMap, LabelMap, Mask


def render(map_shown: LabelMap | InstanceMap, mask: Mask) -> Image8:
    """Return each class or object in its color, over a legend; objects have their numbers.

    Parameters
    ----------
    map_shown : LabelMap or InstanceMap
    mask : (H, W) float32 in [0, 1]
        The foreground.

    Returns
    -------
    (H + legend, W, 3) uint8
    """
    if isinstance(map_shown, LabelMap):
        palette = np.array([class_color(index) for index in range(len(map_shown.names))], np.uint8)
        rows = [
            (class_color(index), f"{entry['name']} {entry['share']:.1%}{_mark(entry)}")
            for entry, index in zip(classes_found(map_shown, mask), map_shown.shares(), strict=True)
        ]
        return np.concatenate([_colored(palette, map_shown.labels), _legend(rows, mask.shape[1])])
    colors = [class_color(index) for index in range(len(map_shown.objects))]
    palette = np.array([(255, 255, 255), *colors], np.uint8)
    rows = [
        (color, f"{entry['number']} {entry['name']} {entry['share']:.1%}{_mark(entry)}")
        for color, entry in zip(colors, objects_found(map_shown, mask), strict=True)
    ]
    return np.concatenate([_numbered(_colored(palette, map_shown.numbers), map_shown), _legend(rows, mask.shape[1])])


def nearness(map_shown: DepthMap) -> Image8:
    """Return a depth map in color: from blue, far, to yellow, near.

    Values are stretched between the 1st and the 99th percentile. The colors change evenly in perceived lightness, also for
    color-blind eyes.

    Parameters
    ----------
    map_shown : DepthMap

    Returns
    -------
    (H, W, 3) uint8

    References
    ----------
    Nuñez et al., "Optimizing colormaps with consideration for color vision deficiency" (PLoS ONE 2018).
    """
    import cv2

    near = map_shown.nearness
    low, high = np.percentile(near[:: max(1, near.shape[0] // 512), :: max(1, near.shape[1] // 512)], (1, 99))
    scale = 255 / (high - low) if high > low else 0.0
    gray = np.asarray(cv2.convertScaleAbs(np.maximum(near - np.float32(low), 0), alpha=scale))
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(gray, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB), np.uint8)


def objects_found(map_shown: InstanceMap, mask: Mask | NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return each object by its number.

    Parameters
    ----------
    map_shown : InstanceMap
    mask : (H, W) float32 in [0, 1], or bool
        The foreground.

    Returns
    -------
    list of dict
        Name, share of the picture, score, and the share of the object that is foreground.
    """
    total = map_shown.areas()
    inside = _inside(map_shown.numbers, mask, len(map_shown.objects) + 1)[1:]
    return [
        {
            "number": place + 1,
            "name": one.name,
            "share": round(int(total[place]) / map_shown.numbers.size, 6),
            "score": round(one.score, 4),
            "stuff": one.stuff,
            "foreground": round(int(inside[place]) / int(total[place]), 4),
        }
        for place, one in enumerate(map_shown.objects)
    ]


def class_color(index: int) -> tuple[int, int, int]:
    """Return a color for a class: hues a golden angle apart, so that neighbors in the list look different."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.45 + 0.4 * (index % 3) / 2, 0.95 - 0.25 * (index % 2))
    return round(red * 255), round(green * 255), round(blue * 255)


def classes_found(map_shown: LabelMap, mask: Mask | NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return each class that was found.

    Parameters
    ----------
    map_shown : LabelMap
    mask : (H, W) float32 in [0, 1], or bool
        The foreground.

    Returns
    -------
    list of dict
        Name, share of the picture, and the share of the class that is foreground.
    """
    inside = _inside(map_shown.labels, mask, len(map_shown.names))
    return [
        {
            "name": map_shown.names[index].strip(),
            "share": round(share, 6),
            "stuff": map_shown.stuff[index],
            "foreground": round(int(inside[index]) / round(share * mask.size), 4),
        }
        for index, share in map_shown.shares().items()
    ]


def _inside(indices: NDArray[np.unsignedinteger], mask: Mask | NDArray[np.bool_], kinds: int) -> NDArray[np.int64]:
    """How many pixels of each index are foreground, (kinds,) int64."""
    inside = np.zeros(kinds, np.int64)
    for rows in strips(*mask.shape):
        foreground = mask[rows] if mask.dtype == np.bool_ else mask[rows] >= THRESHOLD
        inside += np.bincount(indices[rows][foreground], minlength=kinds)
    return inside


def _mark(entry: dict[str, Any]) -> str:
    return ", foreground" if entry["foreground"] >= 0.5 else ""


def _colored(palette: Image8, indices: NDArray[np.unsignedinteger]) -> Image8:
    """(H, W, 3) uint8: each index in its color."""
    image = np.empty((*indices.shape, 3), np.uint8)
    for rows in strips(*indices.shape):
        image[rows] = palette[indices[rows]]
    return image


def _numbered(image: Image8, map_shown: InstanceMap) -> Image8:
    """Write each object's number where the object is thickest."""
    import cv2

    size = max(0.4, image.shape[1] / 900)
    for number in range(1, len(map_shown.objects) + 1):
        thick = cv2.distanceTransform(np.pad(map_shown.numbers == number, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(thick.argmax()), thick.shape)
        for color, width in (((255, 255, 255), 3), ((0, 0, 0), 1)):
            at = (int(x) - round(10 * size), int(y) + round(10 * size))
            cv2.putText(image, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, color, width, cv2.LINE_AA)
    return image


def _legend(entries: list[tuple[tuple[int, int, int], str]], width: int) -> Image8:
    """(rows, W, 3) uint8: a swatch and a text for each entry."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(11, width // 40)
    line = size + size // 2
    columns = max(1, width // (size * 18))
    rows = -(-len(entries) // columns)
    image = Image.new("RGB", (width, rows * line + size), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for place, (color, text) in enumerate(entries):
        x, y = place % columns * (width // columns) + size // 2, place // columns * line + size // 2
        draw.rectangle((x, y, x + size, y + size), fill=color)
        draw.text((x + size + size // 3, y), text, fill="black", font=font)
    return np.asarray(image)
