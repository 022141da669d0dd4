"""Animated pictures: the frames of GIF, WebP and APNG, composed as a viewer shows them, read one at a time.

To read another format: its name in `decode.ANIMATED`, and where it says how often it plays in `_plays`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from figureground.errors import PictureTooLarge
from figureground.io.color_modes import upright
from figureground.io.decode import ANIMATED, Loaded, check_size, decode_errors, open_header, quiet, rawmode
from figureground.io.encode import to_8_bits
from figureground.io.picture import Encoded, Picture, Source, encoded
from figureground.settings import Settings

MAX_FRAMES = 10_000
"""Frames of an animation, at most."""
_EXTENSION, _IMAGE = 0x21, 0x2C  # the blocks of a GIF


@dataclass(frozen=True, slots=True)
class Animation:
    """An animated picture in memory, encoded; each walk through its frames decodes them anew, one at a time.

    data : the file. name, source : as of a `Picture`. count : how many frames it has. plays : how often it is shown; 0 is
    without end. settings : the limits that it was read under.
    """

    data: bytes
    name: str
    source: str
    count: int
    plays: int
    settings: Settings

    def frames(self) -> Iterator[tuple[Picture, float]]:
        """Yield each frame as it is shown, with alpha, and for how many milliseconds.

        Raises UnreadablePicture for a broken frame; with `settings.lenient` the frames before it are all.
        """
        with decode_errors(self.source), quiet():
            image = open_header(self.data, self.source)
        for number in range(self.count):
            try:
                with decode_errors(self.source), quiet():
                    frame = self._frame(image, number)
            except PictureTooLarge:
                raise
            except Exception:
                if self.settings.lenient and number:
                    return
                raise
            yield frame

    def _frame(self, image: Any, number: int) -> tuple[Picture, float]:
        """One frame, which must be the next."""
        image.seek(number + _hidden(image))
        packed = rawmode(image)
        image.load()
        frame = image.copy()
        frame.info = dict(image.info)  # the copy's own would hold one more
        picture = Picture.loaded_by(lambda _: upright(Loaded(frame, rawmode=packed)), self.name, self.source)
        pixels: NDArray[np.uint8] = np.asarray(to_8_bits(picture.original), np.uint8)
        if pixels.shape[2] == 3:
            pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], 2)
        pixels.flags.writeable = False
        return replace(picture, original=pixels), float(image.info.get("duration") or 0)


def opaque(picture: Picture) -> Picture:
    """Return a frame without its alpha, where all of it is opaque."""
    colors: NDArray[np.uint8] = np.ascontiguousarray(picture.original[..., :3], np.uint8)
    colors.flags.writeable = False
    return replace(picture, original=picture.rgb if picture.icc is None else colors)


def read_animation(source: Source, settings: Settings | None = None) -> Animation | Source:
    """Return the animation that a source holds; a source of the same picture where it has one frame, or pages.

    Parameters
    ----------
    source : path, URL, bytes or binary stream
        Arrays and PIL images are one frame.
    settings : Settings, optional
        Its `max_pixels` is the limit of all frames together.

    Raises
    ------
    InputError
        For what cannot be read, and PictureTooLarge for too many pixels or frames.
    """
    limits = settings or Settings.from_environment()
    if isinstance(source, np.ndarray | Image.Image):
        return source
    name, label, read = encoded(source, limits)
    with decode_errors(label), quiet():
        data = read()
        try:
            image = open_header(data, label)
        except Exception:  # `decode` says what is wrong, or mends it
            return Encoded(data, label)
        check_size(*image.size, limits, label)
        count = _count(image, data) if image.format in ANIMATED else 1
        if count < 2:
            return Encoded(data, label)
        _check_frames(image.size, count, limits, label)
        return Animation(data, name, label, count, _plays(image), limits)


def _hidden(image: Any) -> int:
    """1 for an APNG whose first picture is not of the animation, else 0."""
    return int(image.format == "PNG" and bool(getattr(image, "default_image", False)))


def _count(image: Any, data: bytes) -> int:
    """How many frames there are, without decoding them; no further than MAX_FRAMES + 1."""
    if image.format == "GIF":
        return _gif_frames(data)
    return int(getattr(image, "n_frames", 1)) - _hidden(image)


def _check_frames(size: tuple[int, int], count: int, settings: Settings, source: str) -> None:
    """Raise PictureTooLarge for too many frames, or too many pixels in all of them."""
    if count > MAX_FRAMES:
        raise PictureTooLarge(f"{source} has more than {MAX_FRAMES:,} frames; at most so many are read", picture=source)
    pixels = size[0] * size[1] * count
    if pixels > settings.max_pixels:
        what = f"{count} frames of {size[0]} × {size[1]} = {pixels / 1e6:,.1f} megapixels"
        limit = f"at most {settings.max_pixels / 1e6:,.6g} are read (--max-pixels, FIGUREGROUND_MAX_PIXELS)"
        raise PictureTooLarge(f"{source} has {what}; {limit}; --frames first reads the first", picture=source)


def _gif_frames(data: bytes) -> int:
    """Count the images of a GIF file by walking from block to block; what is cut short ends it."""
    at, count = 13 + _table(data[10] if len(data) > 10 else 0), 0
    while at < len(data) and count <= MAX_FRAMES:
        kind = data[at]
        if kind == _IMAGE and at + 10 < len(data):
            count += 1
            at = _after_blocks(data, at + 11 + _table(data[at + 9]))
        elif kind == _EXTENSION:
            at = _after_blocks(data, at + 2)
        elif kind == 0:  # padding
            at += 1
        else:
            break
    return count


def _table(flags: int) -> int:
    """Bytes of the color table that follows such flags."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return the place behind the sub-blocks that begin here."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _plays(image: ImageFile.ImageFile) -> int:
    """How often the animation is shown; 0 is without end. A GIF counts how often it is repeated, or says nothing: once."""
    loop = image.info.get("loop")
    if image.format != "GIF":
        return int(loop or 0)
    return 1 if loop is None else int(loop) + 1 if loop else 0
