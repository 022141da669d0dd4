"""One picture, separated, and the ways to look at it. To add a view, add a function and a row to `VIEWS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from figureground import models
from figureground._deprecated import old_names, with_old_keys
from figureground.errors import IncompatibleParts, UnknownName, UsageError
from figureground.io.color_modes import Pixels, by_strips
from figureground.io.picture import Picture
from figureground.masks.components import ConnectedComponents
from figureground.methods import Method
from figureground.types import THRESHOLD, DepthMap, Image8, InstanceMap, LabelMap, Map, Mask, SaliencyMap

CERTAINTY_SIDE = 512  # rows and columns of the mask that certainty is taken from, at most


@old_names
@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """A picture, its mask, and what the model said; `seconds` holds what each stage took."""

    picture: Picture
    mask: Mask
    map: Map
    method: Method
    seconds: Mapping[str, float] = field(default_factory=dict)
    license: str = ""
    """Of the weights that looked."""
    agreement: float | None = None
    """Of two methods joined: the intersection over union of what each of them found, in [0, 1]."""

    def cutout(self) -> Pixels:
        """The subject alone, (H, W, 4) in the picture's depth, straight alpha; its colors are free of the old background."""
        from figureground.compositing.foreground_colors import cut_out

        return cut_out(self._whole().original, self.mask, self.picture.alpha)

    def foreground(self) -> Pixels:
        """The picture × the mask, (H, W, 3) in the picture's depth: the subject on black."""
        return self._times(lambda mask: mask)

    def background(self) -> Pixels:
        """The picture × (1 − the mask), (H, W, 3) in the picture's depth: what lies behind, the subject black."""
        return self._times(lambda mask: 1 - mask)

    def mask8(self) -> Image8:
        """The mask, (H, W) uint8; 255 is foreground."""
        import cv2

        return np.asarray(cv2.convertScaleAbs(self.mask, alpha=255), np.uint8)

    def overlay(self) -> Image8:
        """The picture with its background dimmed and a line around the subject, (H, W, 3) uint8: to judge a mask by eye."""
        import cv2

        rgb = self._whole().rgb
        image = by_strips(rgb.shape, rgb.dtype, lambda rows: _weighed(rgb[rows], 0.35 + 0.65 * self.mask[rows]))
        outlines, _ = cv2.findContours((self.mask >= THRESHOLD).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        thick = max(1, round(max(image.shape) / 500))
        cv2.drawContours(image, outlines, -1, (255, 64, 129), thick, cv2.LINE_AA)
        return image

    def labels(self) -> Image8:
        """The classes or objects found, each in its color, over a legend with names and shares, (H + legend, W, 3) uint8.

        Raises Mismatch where the method names neither.
        """
        from figureground.compositing.visualization import render

        if not isinstance(self.map, LabelMap | InstanceMap):
            raise _mismatch("labels", type(self.map), self.method)
        return render(self.map, self.mask)

    def depth(self) -> Image8:
        """How near each pixel is, (H, W, 3) uint8: from blue, far, to yellow, near.

        Raises Mismatch where the method knows no depth.
        """
        from figureground.compositing.visualization import nearness

        if not isinstance(self.map, DepthMap):
            raise _mismatch("depth", type(self.map), self.method)
        return nearness(self.map)

    def _whole(self) -> Picture:
        """The picture; raises UsageError where it is a draft."""
        if self.picture.own_shape is not None:
            raise _no_pixels("this view")
        return self.picture

    def view(self, name: str) -> Pixels:
        """The view of that name; raises UnknownName, or Mismatch where the method does not have it."""
        return view_function(name)(self)

    def has_foreground(self) -> bool:
        """Whether there is any foreground at all."""
        return bool(self.mask.max() >= THRESHOLD)

    def box(self) -> tuple[int, int, int, int] | None:
        """The smallest box that holds the foreground: left, top, right, bottom in pixels, the last two exclusive."""
        inside = self.mask >= THRESHOLD
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not rows.size:
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    def certainty(self) -> float | None:
        """Return how sure the method is of the foreground, in [0, 1]; None where there is none.

        The soft intersection over union of the foreground (mask ≥ 0.5) with the model's own probabilities, or with the mask
        where the model gives none; times √(share of the foreground in its largest connected part); times 1 − (share of holes
        in the foreground with its holes filled). 1 for a solid subject of which every pixel is certain. Taken from every
        n-th row and column, at most 512 of each.
        """
        if not self.has_foreground():
            return None
        step = -(-max(self.mask.shape) // CERTAINTY_SIDE)
        probability = self.map.values if isinstance(self.map, SaliencyMap) else self.mask
        thinned = probability[::step, ::step]
        foreground = self.mask[::step, ::step] >= THRESHOLD
        count = np.count_nonzero(foreground)
        if not count:  # it lies between the rows and columns that are looked at
            return 0.0
        inside = float(thinned.sum(where=foreground, dtype=np.float64))
        overlap = inside / (count + float(thinned.sum(dtype=np.float64)) - inside)
        largest = ConnectedComponents(foreground, 8).areas.max()
        gaps = ConnectedComponents(~foreground, 4)
        (height, width), (left, top, right, bottom) = foreground.shape, gaps.boxes.T
        holes = gaps.areas[(left > 0) & (top > 0) & (right < width) & (bottom < height)].sum()
        return float(overlap * np.sqrt(largest / count) * count / (count + holes))

    def info(self) -> dict[str, Any]:
        """What was found, as plain data: the line that `--json` prints."""
        height, width = self.mask.shape
        box = self.box()
        area = int(np.count_nonzero(self.mask >= THRESHOLD))
        facts: dict[str, Any] = {
            "picture": self.picture.source,
            "width": width,
            "height": height,
            "found": self.has_foreground(),
            "box": list(box) if box else None,
            "area": area,
            "coverage": round(area / (height * width), 6),
            "certainty": None if (sure := self.certainty()) is None else round(sure, 4),
            "method": {
                "model": self.method.model,
                "rule": self.method.rule,
                "refiner": self.method.refiner,
                "options": with_old_keys(self.method.options),
            },
            "license": self.license or models.card(self.method.model).license,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "warnings": list(self.picture.warnings),
        }
        if self.method.second is not None:
            facts["method"] |= {"second": self.method.second.model, "combine": self.method.combine}
            facts["agreement"] = round(self.agreement or 0.0, 4)
        if isinstance(self.map, LabelMap | InstanceMap):
            from figureground.compositing.visualization import classes_found, objects_found

            if isinstance(self.map, LabelMap):
                facts["labels"] = classes_found(self.map, self.mask)
            else:
                facts["instances"] = objects_found(self.map, self.mask)
        facts["method"] = with_old_keys(facts["method"])
        return with_old_keys(facts)

    def _times(self, weight: Callable[[Mask], Mask]) -> Pixels:
        own = self._whole().original
        most = np.float32(np.iinfo(own.dtype).max)

        def strip(rows: slice) -> Pixels:
            colors: Pixels = own[rows, :, :3]
            if own.shape[2] == 4:  # over white: what is transparent has no color to show
                opaque = own[rows, :, 3:] / most
                colors = np.rint(colors * opaque + most * (1 - opaque)).astype(own.dtype)  # type: ignore[assignment]
            return _weighed(colors, weight(self.mask[rows]))

        return by_strips((*self.mask.shape, 3), own.dtype, strip)


def _weighed(colors: Pixels, weight: Mask) -> Pixels:
    """(h, w, 3) × (h, w), rounded."""
    import cv2

    kind = cv2.CV_8U if colors.dtype == np.uint8 else cv2.CV_16U
    weighed: Pixels = cv2.multiply(colors, cv2.merge((weight, weight, weight)), dtype=kind)  # type: ignore[assignment]
    return weighed


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at a separation, and the kinds of map that it can show."""

    render: Callable[[Separation], Pixels]
    needs: tuple[type[Map], ...] = get_args(Map)
    pixels: bool = False
    """Whether it shows the picture's own pixels, which a draft (`Settings.draft`) does not have."""
    own_colors: bool = False
    """Whether its colors are the picture's own, so that the picture's ICC profile belongs to them."""


VIEWS: dict[str, View] = {
    "cutout": View(Separation.cutout, pixels=True, own_colors=True),
    "foreground": View(Separation.foreground, pixels=True, own_colors=True),
    "background": View(Separation.background, pixels=True, own_colors=True),
    "mask": View(Separation.mask8),
    "overlay": View(Separation.overlay, pixels=True),
    "labels": View(Separation.labels, needs=(LabelMap, InstanceMap)),
    "depth": View(Separation.depth, needs=(DepthMap,)),
}


def view_function(name: str) -> Callable[[Separation], Pixels]:
    """The function that makes a view; raises UnknownName."""
    if name not in VIEWS:
        raise UnknownName("view", name, VIEWS)
    return VIEWS[name].render


def check_views(names: tuple[str, ...], method: Method, draft: bool = False) -> None:
    """Raise UnknownName, Mismatch or UsageError for a view that this method, or a draft, cannot give, before all loading."""
    output_type = models.card(method.model).output_type
    for name in names:
        view_function(name)
        if output_type not in VIEWS[name].needs:
            raise _mismatch(name, output_type, method)
        if draft and VIEWS[name].pixels:
            raise _no_pixels(f"the view '{name}'")


def _no_pixels(what: str) -> UsageError:
    able = ", ".join(name for name, view in VIEWS.items() if not view.pixels)
    return UsageError(f"{what} shows the picture's own pixels, which a draft lacks; leave out --draft, or take --view {able}")


def _mismatch(view: str, output_type: type[Map], method: Method) -> IncompatibleParts:
    needs = " or ".join(kind.__name__ for kind in VIEWS[view].needs)
    return IncompatibleParts(f"the view '{view}' shows a {needs}, but model '{method.model}' gives a {output_type.__name__}")
