"""What remove.bg's parameters make of a separation, in the worker: region, crop, size, channels, file format."""

import math
from dataclasses import dataclass, replace

import numpy as np

from figureground._files import zipped
from figureground.errors import NoForeground, UsageError
from figureground.io.color_modes import Pixels
from figureground.io.encode import EncodeOptions, encode, to_8_bits
from figureground.io.picture import Encoded
from figureground.jobs import JobResult, JobSpec
from figureground.pipeline import Clock, Separator, memory_errors
from figureground.prompts import Coordinate
from figureground.separation import Separation
from figureground.server.worker import LABEL
from figureground.types import Mask

Corners = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
MAX_MARGIN = (0.5, 500.0)
"""The largest margin: as a share of the subject's side, and in pixels."""


@dataclass(frozen=True, slots=True)
class CutoutLayout:
    """A `Finish` for a worker. Plain data.

    roi : left, top, right, bottom of where foreground can be. crop : whether the result is cut to the subject.
    margin : around it: top, right, bottom, left. pixels : of the result, at most; 0: no limit.
    alpha : the mask instead of colors. suffix : ``.png``, ``.jpg``, ``.webp``, or ``.zip`` for color.jpg and alpha.png.
    """

    roi: Corners | None = None
    crop: bool = False
    margin: Corners | None = None
    pixels: int = 0
    alpha: bool = False
    suffix: str = ".png"

    def __call__(self, spec: JobSpec, separate: Separator, source: Encoded, clock: Clock) -> JobResult:
        """Return the one file, and where the subject lies in the picture. Raises NoForeground, UsageError."""
        with memory_errors(LABEL):
            done = separate(source)
            clock.seconds.update(done.seconds)
            if self.roi is not None:
                done = replace(done, mask=clock("view", _within, done.mask, self.roi))
            box = done.box()
            if box is None:
                raise NoForeground("no foreground was found", picture=LABEL)
            image = clock("view", self._image, done, box)
            data = clock("encode", self._encoded, image, spec.encode_options)
        left, top, right, bottom = box
        facts: dict[str, object] = {
            "foreground": {"top": top, "left": left, "width": right - left, "height": bottom - top},
            "width": image.shape[1],
            "height": image.shape[0],
            "warnings": list(done.picture.warnings),
        }
        return JobResult(facts, {"cutout": data})

    def _image(self, done: Separation, box: tuple[int, int, int, int]) -> Pixels:
        """Return the cut-out, cropped and shrunk as wanted, (H, W, 4) uint8."""
        image = to_8_bits(done.cutout())
        if self.crop:
            left, top, right, bottom = _widened(box, self.margin, done.mask.shape)
            image = _whole(image[top:bottom, left:right])
        return _shrunk(image, self.pixels) if self.pixels else image

    def _encoded(self, image: Pixels, options: EncodeOptions) -> bytes:
        if self.suffix == ".zip":
            color = encode(_whole(image[..., :3]), ".jpg", replace(options, background=None, quality=None))
            alpha = encode(_whole(image[..., 3]), ".png", EncodeOptions())
            return zipped({"color.jpg": color, "alpha.png": alpha})
        if self.alpha:
            return encode(_whole(image[..., 3]), self.suffix, replace(options, background=None))
        return encode(image, self.suffix, options)


def _whole(image: Pixels) -> Pixels:
    """Return the part of an image as an array of its own."""
    part: Pixels = np.ascontiguousarray(image)  # type: ignore[assignment]  # numpy forgets the type
    return part


def _within(mask: Mask, roi: Corners) -> Mask:
    """Return the mask with nothing outside a region; raises UsageError where the picture has no part of it."""
    height, width = mask.shape
    left, top, right, bottom = (
        min(max(0, round(side.on((width, height)[i % 2]))), (width, height)[i % 2]) for i, side in enumerate(roi)
    )
    if left >= right or top >= bottom:
        raise UsageError("the region of interest holds no part of the picture", code="roi_region_empty")
    result: Mask = np.zeros_like(mask)
    result[top:bottom, left:right] = mask[top:bottom, left:right]
    return result


def _widened(box: tuple[int, int, int, int], margin: Corners | None, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box with a margin, within the picture."""
    left, top, right, bottom = box
    if margin is None:
        return box
    share, most = MAX_MARGIN
    sides = (bottom - top, right - left, bottom - top, right - left)
    above, after, below, before = (
        round(min(one.on(side), share * side if one.percent else most)) for one, side in zip(margin, sides, strict=True)
    )
    return max(0, left - before), max(0, top - above), min(shape[1], right + after), min(shape[0], bottom + below)


def _shrunk(image: Pixels, pixels: int) -> Pixels:
    """Return the image with at most so many pixels; colors count as much as they are opaque."""
    import cv2

    height, width = image.shape[:2]
    if height * width <= pixels:
        return image
    scale = math.sqrt(pixels / (height * width))
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    alpha = image[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([image[..., :3] * alpha, alpha], axis=2)
    small = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA)
    colors = small[..., :3] / np.maximum(small[..., 3:], 1 / 255)
    result: Pixels = np.rint(np.clip(np.concatenate([colors, small[..., 3:] * 255], axis=2), 0, 255)).astype(np.uint8)
    return result
