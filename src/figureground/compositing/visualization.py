"""How maps are shown and listed: classes and objects in colours over a legend, depth as a ramp. See the views that need them.

To show another kind of map: a function here, and a view in separation.py.
"""

import colorsys
from typing import Any

import numpy as np

from figureground.io.color_modes import strips
from figureground.types import FOUND, DepthMap, Image8, InstanceMap, LabelMap, Mask


def drawn(seen: LabelMap | InstanceMap, mask: Mask) -> Image8:
    """Each class or object in its colour, over a legend, (H + legend, W, 3) uint8; objects bear their numbers."""
    if isinstance(seen, LabelMap):
        palette = np.array([class_colour(index) for index in range(len(seen.names))], np.uint8)
        rows = [
            (class_colour(index), f"{entry['name']} {entry['share']:.1%}{_mark(entry)}")
            for entry, index in zip(classes_found(seen, mask), seen.shares(), strict=True)
        ]
        return np.concatenate([_coloured(palette, seen.labels), _legend(rows, mask.shape[1])])
    colours = [class_colour(index) for index in range(len(seen.objects))]
    palette = np.array([(255, 255, 255), *colours], np.uint8)
    rows = [
        (colour, f"{entry['number']} {entry['name']} {entry['share']:.1%}{_mark(entry)}")
        for colour, entry in zip(colours, objects_found(seen, mask), strict=True)
    ]
    return np.concatenate([_numbered(_coloured(palette, seen.numbers), seen), _legend(rows, mask.shape[1])])


def nearness(seen: DepthMap) -> Image8:
    """From blue, far, to yellow, near, (H, W, 3) uint8; stretched between the 1st and the 99th percentile, to be looked at.

    The ramp is even in perceived lightness and the same to colour-blind eyes: Nuñez et al., "Optimizing colormaps with
    consideration for color vision deficiency" (PLoS ONE 2018).
    """
    import cv2

    near = seen.nearness
    low, high = np.percentile(near[:: max(1, near.shape[0] // 512), :: max(1, near.shape[1] // 512)], (1, 99))
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.asarray(cv2.convertScaleAbs(np.maximum(near - np.float32(low), 0), alpha=scale))
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB), np.uint8)


def objects_found(seen: InstanceMap, mask: Mask) -> list[dict[str, Any]]:
    """Each object by its number: name, share of the picture, score, and the share of it that was counted as foreground."""
    total = seen.areas()
    inside = _inside(seen.numbers, mask, len(seen.objects) + 1)[1:]
    return [
        {
            "number": place + 1,
            "name": one.name,
            "share": round(int(total[place]) / seen.numbers.size, 6),
            "score": round(one.score, 4),
            "stuff": one.stuff,
            "foreground": round(int(inside[place]) / int(total[place]), 4),
        }
        for place, one in enumerate(seen.objects)
    ]


def class_colour(index: int) -> tuple[int, int, int]:
    """A colour for a class: hues a golden angle apart, so that neighbours in the list look different."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.45 + 0.4 * (index % 3) / 2, 0.95 - 0.25 * (index % 2))
    return round(red * 255), round(green * 255), round(blue * 255)


def classes_found(seen: LabelMap, mask: Mask) -> list[dict[str, Any]]:
    """Each class found, its share of the picture and the share of it that was counted as foreground."""
    inside = _inside(seen.labels, mask, len(seen.names))
    return [
        {
            "name": seen.names[index].strip(),
            "share": round(share, 6),
            "stuff": seen.stuff[index],
            "foreground": round(int(inside[index]) / round(share * mask.size), 4),
        }
        for index, share in seen.shares().items()
    ]


def _inside(indices: np.typing.NDArray[np.unsignedinteger], mask: Mask, kinds: int) -> np.typing.NDArray[np.int64]:
    """How many pixels of each index are foreground, (kinds,) int64."""
    inside = np.zeros(kinds, np.int64)
    for rows in strips(*mask.shape):
        inside += np.bincount(indices[rows][mask[rows] >= FOUND], minlength=kinds)
    return inside


def _mark(entry: dict[str, Any]) -> str:
    return ", foreground" if entry["foreground"] >= 0.5 else ""


def _coloured(palette: Image8, indices: np.typing.NDArray[np.unsignedinteger]) -> Image8:
    """(H, W, 3) uint8: each index in its colour."""
    image = np.empty((*indices.shape, 3), np.uint8)
    for rows in strips(*indices.shape):
        image[rows] = palette[indices[rows]]
    return image


def _numbered(image: Image8, seen: InstanceMap) -> Image8:
    """The objects' numbers written where each object is thickest."""
    import cv2

    size = max(0.4, image.shape[1] / 900)
    for number in range(1, len(seen.objects) + 1):
        thick = cv2.distanceTransform(np.pad(seen.numbers == number, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(thick.argmax()), thick.shape)
        for colour, width in (((255, 255, 255), 3), ((0, 0, 0), 1)):
            at = (int(x) - round(10 * size), int(y) + round(10 * size))
            cv2.putText(image, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
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
    for place, (colour, text) in enumerate(entries):
        x, y = place % columns * (width // columns) + size // 2, place // columns * line + size // 2
        draw.rectangle((x, y, x + size, y + size), fill=colour)
        draw.text((x + size + size // 3, y), text, fill="black", font=font)
    return np.asarray(image)
