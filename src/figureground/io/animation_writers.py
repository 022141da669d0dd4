"""Frames to an animated WebP, PNG or GIF, one at a time; to write another format, add a class and a row to `WRITERS`.

Pillow would join frames that look alike and hold all of them at once. Here each frame is encoded alone, cut to what changed,
and put into the container, so that every frame keeps its duration and only the encoded ones are held.
"""

import io
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import UsageError
from figureground.io.color_modes import Pixels, to_rgb8
from figureground.io.encode import FRAMED, EncodeOptions, encode, over, parse_color, to_8_bits
from figureground.io.metadata import Metadata
from figureground.types import Mask

Box = tuple[int, int, int, int]
Image8 = NDArray[np.uint8]
COLORS = 255  # of a GIF's palette; one more index is transparent
OPAQUE_FROM = 128  # alpha from which on a pixel of a GIF is opaque
SAMPLES = 40_000  # pixels of an image that a palette is made of
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) / 16 - 15 / 32
"""Thresholds of ordered dithering, which stays where it is from frame to frame."""


class AnimationWriter(ABC):
    """Takes frames of one size and kind, and gives the file's bytes.

    plays : how often it is shown; 0 is without end. options : as for one image; a profile and metadata are written once.
    """

    step: Fraction = Fraction(1)
    """Milliseconds that durations are whole multiples of; 0: any."""
    needs_sample = False
    """Whether `learn` should be called with some of the frames first."""
    even = False
    """Whether a part of the canvas must begin at even places."""

    def __init__(self, plays: int = 0, options: EncodeOptions | None = None) -> None:
        self.plays, self.options = plays, options or EncodeOptions()
        self.parts: list[bytes] = []
        self.size = (0, 0)
        self.before: Any = None
        self._shown, self._written = Fraction(0), Fraction(0)
        self.rounded = False
        """Whether some duration could not be written as it is."""

    def add(self, image: Pixels | Mask, duration: float) -> None:
        """Append a frame, (H, W), (H, W, 3) or (H, W, 4), that is shown for so many milliseconds; raises UsageError."""
        pixels = self.prepared(image)
        if self.before is None:
            self.size = (pixels.shape[1], pixels.shape[0])
        elif pixels.shape != self.before.shape:
            raise UsageError(f"all frames have one shape, here {self.before.shape}, but got {pixels.shape}")
        self.parts.append(self.encode_frame(pixels, self._whole(duration)))
        self.before = pixels

    def learn(self, image: Pixels | Mask) -> None:  # noqa: B027  # formats that need no sample do nothing
        """Look at a frame before any is written."""

    def prepared(self, image: Pixels | Mask) -> Image8:
        """Return the frame as it is written: 8 bits, over the background color where there is one."""
        pixels = to_8_bits(image)
        if self.options.background and pixels.shape[2:] == (4,):
            pixels = over(pixels, parse_color(self.options.background))
        return np.ascontiguousarray(pixels, np.uint8)

    @abstractmethod
    def encode_frame(self, pixels: Image8, duration: Fraction) -> bytes:
        """Return a frame in the container, shown for so many milliseconds."""

    @abstractmethod
    def finish(self) -> bytes:
        """Return the file, of at least one frame."""

    def changed(self, pixels: Image8) -> Box:
        """Return the smallest part that differs from the frame before: left, top, right, bottom; else one pixel."""
        if self.before is None:
            return 0, 0, *self.size
        return box_of((pixels != self.before).reshape(*pixels.shape[:2], -1).any(2), self.even)

    def _whole(self, duration: float) -> Fraction:
        """Return the duration as the format can hold it, such that errors do not sum up."""
        exact = Fraction(max(0.0, duration)).limit_denominator(1000)
        if not self.step:
            return exact
        self._shown += exact
        whole = self.step * max(0, round((self._shown - self._written) / self.step))
        self._written += whole
        self.rounded |= whole != exact
        return whole

    def _chunk_metadata(self) -> Metadata:
        return self.options.metadata or Metadata()


def box_of(inside: NDArray[np.bool_], even: bool = False) -> Box:
    """Return the smallest box that holds all that is True, at even places if asked for; one pixel where nothing is."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return 0, 0, 1, 1
    left, top = int(columns[0]), int(rows[0])
    if even:
        left, top = left & ~1, top & ~1
    return left, top, int(columns[-1]) + 1, int(rows[-1]) + 1


class WebpWriter(AnimationWriter):
    """Animated WebP, as in Google's "WebP Container Specification"; lossless without a quality."""

    even = True
    ICC, ALPHA, EXIF, XMP, ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02

    def encode_frame(self, pixels: Image8, duration: Fraction) -> bytes:
        """Return an ANMF chunk that replaces its part of the canvas."""
        left, top, right, bottom = self.changed(pixels)
        still = encode(
            np.ascontiguousarray(pixels[top:bottom, left:right]), ".webp", EncodeOptions(quality=self.options.quality)
        )
        place = (_int24(left // 2), _int24(top // 2), _int24(right - left - 1), _int24(bottom - top - 1))
        flags = 0b10  # the part replaces what was there, and stays
        header = b"".join([*place, _int24(min(int(duration), 0xFFFFFF)), bytes([flags])])
        return _riff_chunk(b"ANMF", header + _image_chunks(still))

    def finish(self) -> bytes:
        """Return the file."""
        metadata = self._chunk_metadata().with_resolution(self.options.dpi)
        extra = [(self.ICC, b"ICCP", self.options.icc), (self.EXIF, b"EXIF", metadata.exif), (self.XMP, b"XMP ", metadata.xmp)]
        flags = (
            self.ANIMATION | (self.ALPHA if self.before.shape[2:] == (4,) else 0) | sum(bit for bit, _, data in extra if data)
        )
        canvas = struct.pack("<I", flags) + _int24(self.size[0] - 1) + _int24(self.size[1] - 1)
        chunks = {kind: _riff_chunk(kind, data) for _, kind, data in extra if data}
        animation = _riff_chunk(b"ANIM", struct.pack("<IH", 0, min(self.plays, 0xFFFF)))
        first = [_riff_chunk(b"VP8X", canvas), chunks.get(b"ICCP", b""), animation]
        body = b"".join([b"WEBP", *first, *self.parts, chunks.get(b"EXIF", b""), chunks.get(b"XMP ", b"")])
        return b"RIFF" + struct.pack("<I", len(body)) + body


def _int24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _image_chunks(still: bytes) -> bytes:
    """Return the chunks of a WebP file that are its pixels."""
    chunks, at = [], 12
    while at + 8 <= len(still):
        size = int.from_bytes(still[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if still[at : at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            chunks.append(still[at:end])
        at = end
    return b"".join(chunks)


class PngWriter(AnimationWriter):
    """Animated PNG, as in the third edition of the W3C's "Portable Network Graphics (PNG) Specification"."""

    step = Fraction(0)

    def __init__(self, plays: int = 0, options: EncodeOptions | None = None) -> None:
        super().__init__(plays, options)
        self.head: list[tuple[bytes, bytes]] = []
        self.count = 0  # numbers of the chunks that make the animation

    def encode_frame(self, pixels: Image8, duration: Fraction) -> bytes:
        """Return the chunks of a frame; of the first, what comes before them is kept for `finish`."""
        left, top, right, bottom = self.changed(pixels)
        first = self.before is None
        options = self.options if first else EncodeOptions(png_effort=self.options.png_effort)
        still = encode(np.ascontiguousarray(pixels[top:bottom, left:right]), ".png", replace(options, background=None))
        chunks = _png_chunks(still)
        if first:
            self.head = [each for each in chunks if each[0] not in (b"IDAT", b"IEND")]
        place = (right - left, bottom - top, left, top)
        control = struct.pack(">5I2H2B", self._number(), *place, *_delay(duration), 0, 0)
        parts = [_png_chunk(b"fcTL", control)]
        for kind, data in chunks:
            if kind == b"IDAT":
                parts.append(_png_chunk(kind, data) if first else _png_chunk(b"fdAT", struct.pack(">I", self._number()) + data))
        return b"".join(parts)

    def _number(self) -> int:
        self.count += 1
        return self.count - 1

    def finish(self) -> bytes:
        """Return the file."""
        control = _png_chunk(b"acTL", struct.pack(">II", len(self.parts), self.plays))
        first, *others = [_png_chunk(*each) for each in self.head]
        return b"".join([b"\x89PNG\r\n\x1a\n", first, control, *others, *self.parts, _png_chunk(b"IEND", b"")])


def _delay(duration: Fraction) -> tuple[int, int]:
    """Numerator and denominator of the seconds, of 16 bits each; the longest is 65535 s."""
    if (duration * 1).denominator == 1 and duration <= 0xFFFF:
        return int(duration), 1000
    seconds = (duration / 1000).limit_denominator(0xFFFF)
    if seconds.numerator > 0xFFFF:
        seconds = seconds.limit_denominator(max(1, int(0xFFFF / seconds)))
    return min(seconds.numerator, 0xFFFF), seconds.denominator


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _png_chunks(still: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at + 8 <= len(still):
        size = int.from_bytes(still[at : at + 4])
        chunks.append((still[at + 4 : at + 8], still[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


class GifWriter(AnimationWriter):
    """Animated GIF, as in CompuServe's "Graphics Interchange Format, Version 89a".

    One palette serves all frames, so that colors do not flicker; it is made of the frames that `learn` gets, else of the first.
    """

    step = Fraction(10)
    needs_sample = True

    def __init__(self, plays: int = 0, options: EncodeOptions | None = None) -> None:
        super().__init__(plays, options)
        self.samples: list[Image8] = []
        self.palette: Any = None

    def learn(self, image: Pixels | Mask) -> None:
        """Take some colors of the frame for the palette."""
        pixels = self.prepared(image)
        colors = pixels[..., :3].reshape(-1, 3)
        if pixels.shape[2] == 4:
            colors = colors[pixels[..., 3].ravel() >= OPAQUE_FROM]
        self.samples.append(colors[:: max(1, len(colors) // SAMPLES)])

    def prepared(self, image: Pixels | Mask) -> Image8:
        """Return the frame in sRGB, (H, W, 3) or (H, W, 4): the format has no profiles."""
        pixels = super().prepared(image)
        if pixels.ndim == 2:
            return np.repeat(pixels[..., None], 3, 2)
        if not self.options.icc:
            return pixels
        colors = to_rgb8(np.ascontiguousarray(pixels[..., :3]), self.options.icc)
        return colors if pixels.shape[2] == 3 else np.dstack([colors, pixels[..., 3]])

    def encode_frame(self, pixels: Image8, duration: Fraction) -> bytes:
        """Return a graphic control extension and an image."""
        if self.palette is None:
            if not self.samples:
                self.learn(pixels)
            self.palette = _palette(np.concatenate(self.samples))
        if pixels.shape[2] == 4:  # each frame is taken away before the next, since nothing else makes a pixel transparent
            clear = pixels[..., 3] < OPAQUE_FROM
            left, top, right, bottom = box_of(~clear)
            disposal = 2
        else:
            clear = None
            left, top, right, bottom = self.changed(pixels)
            disposal = 1
        indices = _indices(pixels[..., :3], self.palette, (left, top, right, bottom))
        if clear is not None:
            indices[clear[top:bottom, left:right]] = COLORS
        flags = disposal << 2 | (clear is not None)
        delay = min(int(duration / 10), 0xFFFF)
        control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, delay, COLORS if clear is not None else 0, 0)
        place = struct.pack("<BHHHHB", 0x2C, left, top, right - left, bottom - top, 0)
        return control + place + _lzw(indices)

    def finish(self) -> bytes:
        """Return the file."""
        table = self.palette.getpalette()[: 3 * COLORS]
        screen = struct.pack("<HHBBB", *self.size, 0xF7, 0, 0)
        # the format counts repetitions; one that is played once says nothing
        loop = (
            b""
            if self.plays == 1
            else b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(0, min(self.plays, 65536) - 1), 0)
        )
        return b"".join([b"GIF89a", screen, bytes(table).ljust(768, b"\0"), loop, *self.parts, b";"])


def _palette(colors: Image8) -> Image.Image:
    """Return an image with a palette of these colors: all of them up to 255, else a median cut."""
    distinct = np.unique(colors, axis=0)
    if len(distinct) <= COLORS:
        result = Image.new("P", (1, 1))
        chosen = distinct if len(distinct) else np.zeros((1, 3), np.uint8)
        result.putpalette(np.vstack([chosen, np.repeat(chosen[-1:], COLORS - len(chosen), 0)]).tobytes())
        return result
    rows = colors[: len(colors) // 100 * 100].reshape(-1, 100, 3) if len(colors) >= 100 else colors[None]
    return Image.fromarray(np.ascontiguousarray(rows)).quantize(COLORS, Image.Quantize.MEDIANCUT)


def _indices(pixels: Image8, palette: Image.Image, box: Box) -> Image8:
    """Return the palette's numbers of a part of an image, dithered by as much as the palette misses its colors."""
    left, top, right, bottom = box
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    table = np.asarray((palette.getpalette() or [])[: 3 * COLORS], np.float32).reshape(-1, 3)
    nearest = np.asarray(Image.fromarray(part).quantize(palette=palette, dither=Image.Dither.NONE))
    error = np.abs(table[np.minimum(nearest, len(table) - 1)] - part).max(2)
    y, x = np.mgrid[top:bottom, left:right]
    shifted = part + (2 * error * BAYER[y % 4, x % 4])[..., None]
    dithered = Image.fromarray(np.clip(np.rint(shifted), 0, 255).astype(np.uint8))
    return np.array(dithered.quantize(palette=palette, dither=Image.Dither.NONE))


def _lzw(indices: Image8) -> bytes:
    """Return the compressed data of an image: the size of its codes, its blocks, and their end."""
    image = Image.fromarray(indices)
    image = image.convert("L")
    image.putpalette(bytes(range(256)) * 3)
    buffer = io.BytesIO()
    image.save(buffer, format="GIF", interlace=0, optimize=False)
    data = buffer.getvalue()
    at = 13 + (3 << (1 + (data[10] & 7)) if data[10] & 0x80 else 0)
    while data[at] == 0x21:  # extensions
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    flags = data[at + 9]
    return data[at + 10 + (3 << (1 + (flags & 7)) if flags & 0x80 else 0) : -1]


WRITERS: Mapping[str, type[AnimationWriter]] = dict(zip(FRAMED, (WebpWriter, PngWriter, PngWriter, GifWriter), strict=True))
"""By the suffix of the file."""


def animation_writer(suffix: str, plays: int = 0, options: EncodeOptions | None = None) -> AnimationWriter:
    """Return what writes an animation to a file of that suffix; raises UsageError for a format that holds one image.

    Examples
    --------
    >>> writer = animation_writer(".webp", plays=2)
    >>> for level in (0, 255):
    ...     writer.add(np.full((4, 6, 3), level, np.uint8), duration=40)
    >>> image = Image.open(io.BytesIO(writer.finish()))
    >>> image.size, image.n_frames, image.info["loop"]
    ((6, 4), 2, 2)
    """
    if suffix.lower() not in WRITERS:
        raise UsageError(f"the frames of an animation go to {', '.join(WRITERS)} files, but got the suffix {suffix}")
    return WRITERS[suffix.lower()](plays, options)
