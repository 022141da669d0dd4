"""One picture, separated, and the ways to look at it. To add a view, add a function and a row to `VIEWS`."""

import colorsys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from figureground import models
from figureground.errors import Mismatch, UnknownName
from figureground.maps import Image8, LabelMap, Map, Mask
from figureground.methods import Method
from figureground.picture import Picture

FOUND = 0.5  # a pixel is foreground from here on


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """A picture, its mask, and what the model said; `seconds` holds what each stage took."""

    picture: Picture
    mask: Mask
    map: Map
    method: Method
    seconds: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""
    """Of the weights that looked."""

    def cutout(self) -> Image8:
        """The subject alone, (H, W, 4) uint8, straight alpha; its colours are free of the old background."""
        from figureground.colours import foreground_colours

        colours = foreground_colours(self._colours(), self.mask)
        return np.dstack([colours, self._alpha()])

    def foreground(self) -> Image8:
        """The picture × the mask, (H, W, 3) uint8: the subject on black."""
        return self._times(self.mask)

    def background(self) -> Image8:
        """The picture × (1 − the mask), (H, W, 3) uint8: what lies behind, the subject black."""
        return self._times(1 - self.mask)

    def mask8(self) -> Image8:
        """The mask, (H, W) uint8; 255 is foreground."""
        return np.rint(self.mask * 255).astype(np.uint8)

    def overlay(self) -> Image8:
        """The picture with its background dimmed and a line around the subject, (H, W, 3) uint8: to judge a mask by eye."""
        import cv2

        rgb, weight = self.picture.rgb, 0.35 + 0.65 * self.mask
        image = np.empty_like(rgb)
        for channel in range(3):
            image[..., channel] = rgb[..., channel] * weight
        outlines, _ = cv2.findContours((self.mask >= FOUND).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        thick = max(1, round(max(image.shape) / 500))
        cv2.drawContours(image, outlines, -1, (255, 64, 129), thick, cv2.LINE_AA)
        return image

    def labels(self) -> Image8:
        """The classes found, each in its colour, over a legend with their names and shares, (H + legend, W, 3) uint8.

        Raises Mismatch where the method names no classes.
        """
        if not isinstance(self.map, LabelMap):
            raise Mismatch(
                f"the view 'labels' shows a LabelMap, but model '{self.method.model}' gives a {type(self.map).__name__}"
            )
        palette = np.array([class_colour(index) for index in range(len(self.map.names))], np.uint8)
        return np.concatenate([palette[self.map.labels], _legend(self.map, self.mask)])

    def view(self, name: str) -> Image8:
        """The view of that name; raises UnknownName, or Mismatch where the method does not have it."""
        return view_function(name)(self)

    def found(self) -> bool:
        """Whether there is any foreground at all."""
        return bool(self.mask.max() >= FOUND)

    def box(self) -> tuple[int, int, int, int] | None:
        """The smallest box that holds the foreground: left, top, right, bottom in pixels, the last two exclusive."""
        inside = self.mask >= FOUND
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not rows.size:
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    def info(self) -> dict[str, Any]:
        """What was found, as plain data: the line that `--json` prints."""
        height, width = self.mask.shape
        box = self.box()
        area = int(np.count_nonzero(self.mask >= FOUND))
        facts: dict[str, Any] = {
            "picture": self.picture.source,
            "width": width,
            "height": height,
            "found": self.found(),
            "box": list(box) if box else None,
            "area": area,
            "coverage": round(area / (height * width), 6),
            "method": {
                "model": self.method.model,
                "rule": self.method.rule,
                "refiner": self.method.refiner,
                "options": dict(self.method.options),
            },
            "licence": self.licence or models.card(self.method.model).licence,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "warnings": list(self.picture.warnings),
        }
        if isinstance(self.map, LabelMap):
            facts["labels"] = _labels_found(self.map, self.mask)
        return facts

    def _colours(self) -> Image8:
        """The picture's own colours, (H, W, 3) uint8."""
        own = self.picture.original[..., :3]
        return (own if own.dtype == np.uint8 else own // 257).astype(np.uint8, copy=False)

    def _alpha(self) -> Image8:
        """The mask, within what the picture itself left opaque, (H, W) uint8."""
        own = self.picture.alpha
        return self.mask8() if own is None else np.rint(self.mask * own * 255).astype(np.uint8)

    def _times(self, weight: Mask) -> Image8:
        own, image = self._colours(), np.empty((*self.mask.shape, 3), np.uint8)
        if self.picture.alpha is not None:
            own = self.picture.rgb  # over white: what is transparent has no colour to show
        for channel in range(3):  # one at a time: a float copy of all three would be four times the picture
            image[..., channel] = np.rint(own[..., channel] * weight)
        return image


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at a separation, and the kind of map that it needs, if not any."""

    make: Callable[[Separation], Image8]
    needs: type[Map] | None = None
    own_colours: bool = False
    """Whether its colours are the picture's own, so that the picture's ICC profile belongs to them."""


VIEWS: dict[str, View] = {
    "cutout": View(Separation.cutout, own_colours=True),
    "foreground": View(Separation.foreground, own_colours=True),
    "background": View(Separation.background, own_colours=True),
    "mask": View(Separation.mask8),
    "overlay": View(Separation.overlay),
    "labels": View(Separation.labels, needs=LabelMap),
}


def view_function(name: str) -> Callable[[Separation], Image8]:
    """The function that makes a view; raises UnknownName."""
    if name not in VIEWS:
        raise UnknownName("view", name, VIEWS)
    return VIEWS[name].make


def check_views(names: tuple[str, ...], method: Method) -> None:
    """Raise UnknownName or Mismatch for a view that this method cannot give, before anything is loaded."""
    gives = models.card(method.model).gives
    for name in names:
        view_function(name)
        needs = VIEWS[name].needs
        if needs is not None and needs is not gives:
            raise Mismatch(f"the view '{name}' shows a {needs.__name__}, but model '{method.model}' gives a {gives.__name__}")


def class_colour(index: int) -> tuple[int, int, int]:
    """A colour for a class: hues a golden angle apart, so that neighbours in the list look different."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.45 + 0.4 * (index % 3) / 2, 0.95 - 0.25 * (index % 2))
    return round(red * 255), round(green * 255), round(blue * 255)


def _labels_found(seen: LabelMap, mask: Mask) -> list[dict[str, Any]]:
    """Each class found, its share of the picture and the share of it that was counted as foreground."""
    total = np.bincount(seen.labels.ravel(), minlength=len(seen.names))
    inside = np.bincount(seen.labels[mask >= FOUND], minlength=len(seen.names))
    return [
        {
            "name": seen.names[index].strip(),
            "share": round(share, 6),
            "stuff": seen.stuff[index],
            "foreground": round(int(inside[index]) / int(total[index]), 4),
        }
        for index, share in seen.shares().items()
    ]


def _legend(seen: LabelMap, mask: Mask) -> Image8:
    """(rows, W, 3) uint8: a swatch, the name and the share of each class, and which are foreground."""
    from PIL import Image, ImageDraw, ImageFont

    width = seen.labels.shape[1]
    size = max(11, width // 40)
    line, entries = size + size // 2, []
    for entry, index in zip(_labels_found(seen, mask), seen.shares(), strict=True):
        mark = ", foreground" if entry["foreground"] >= 0.5 else ""
        entries.append((class_colour(index), f"{entry['name']} {entry['share']:.1%}{mark}"))
    columns = max(1, width // (size * 18))
    rows = -(-len(entries) // columns)
    image = Image.new("RGB", (width, rows * line + size), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for place, (colour, text) in enumerate(entries):
        x, y = place % columns * (width // columns) + size // 2, place // columns * line + size // 2
        draw.rectangle((x, y, x + size, y + size), fill=colour)
        draw.text((x + size + size // 3, y), text, fill="black", font=font)
    return np.asarray(image)
