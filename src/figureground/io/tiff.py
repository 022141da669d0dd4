"""TIFF, written with 8 or 16 bits, alpha, profile, resolution and several pages, which Pillow writes only in part.

The format is Adobe's "TIFF, Revision 6.0" with deflate (Technical Note 3) and the horizontal predictor. Strips are packed by
zlib-ng in threads.
"""

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from PIL import Image, TiffImagePlugin
from zlib_ng import zlib_ng

from figureground.errors import UsageError
from figureground.executor import map_parts
from figureground.io.color_modes import Pixels
from figureground.io.metadata import EXIF, GPS, Metadata

STRIP_BYTES = 1 << 20  # that a thread packs at once
MAX_BYTES = 4_000_000_000  # offsets have 32 bits
LONG, UNDEFINED, BYTE = 4, 7, 1  # the format's numbers for types


def tiff(
    pages: Sequence[Pixels],
    icc: Sequence[bytes | None] = (),
    dpi: tuple[float, float] | None = None,
    names: Sequence[str] = (),
    metadata: Metadata | None = None,
) -> bytes:
    """Return a TIFF file's bytes.

    Parameters
    ----------
    pages : sequence of (H, W) or (H, W, 1 to 4) uint8 or uint16
        Gray, gray and alpha, RGB, or RGB and alpha; alpha is straight. At least one.
    icc : sequence of bytes or None
        Each page's profile; may be shorter.
    dpi : dots per inch, across and down, optional
    names : sequence of str
        Each page's name; may be shorter.
    metadata : Metadata, optional
        Written to the first page.

    Raises
    ------
    UsageError
        Where the file would have more than 4 GB.

    Examples
    --------
    >>> import numpy as np
    >>> data = tiff([np.zeros((2, 3, 3), np.uint16)])
    >>> data[:4]
    b'II*\\x00'
    """
    parts, at, link = [b"II*\0\0\0\0\0"], 8, (0, 4)  # the place of the pointer to the next directory: part, and byte in it
    for number, page in enumerate(pages):
        strips, rows = _strips(page)
        counts = [len(strip) for strip in strips]
        starts = [0, *accumulate(count + count % 2 for count in counts)]
        if at + starts[-1] > MAX_BYTES:
            raise UsageError("the TIFF file would have more than 4 GB; write PNG files, or fewer views")
        directory = _directory(page, starts[:-1], counts, rows, dpi)
        if number < len(icc) and icc[number]:
            directory[34675] = icc[number]
            directory.tagtype[34675] = UNDEFINED
        if number < len(names):
            directory[285] = names[number]
        if number == 0 and metadata:
            _describe(directory, metadata)
        data = directory.tobytes(at)  # counts the strips' offsets from its own end
        parts[link[0]] = _linked(parts[link[0]], link[1], at)
        parts.append(data)
        link = (len(parts) - 1, 2 + 12 * struct.unpack("<H", data[:2])[0])
        parts += [strip + b"\0" * (len(strip) % 2) for strip in strips]
        at += len(data) + starts[-1]
    return b"".join(parts)


def _linked(part: bytes, place: int, target: int) -> bytes:
    return part[:place] + struct.pack("<I", target) + part[place + 4 :]


def _strips(page: Pixels) -> tuple[list[bytes], int]:
    """Return the packed strips, and how many rows each has."""
    image: Any = page.reshape(*page.shape[:2], -1)
    rows = max(1, STRIP_BYTES // image[0].nbytes)

    def pack(top: int) -> bytes:
        part = image[top : top + rows].astype(image.dtype.newbyteorder("<"))
        part[:, 1:] -= image[top : top + rows, :-1]  # the predictor: modulo 2⁸ or 2¹⁶
        data: bytes = zlib_ng.compress(part.tobytes(), 5)
        return data

    return map_parts(pack, range(0, len(image), rows)), rows


def _directory(page: Pixels, offsets: list[int], counts: list[int], rows: int, dpi: tuple[float, float] | None) -> Any:
    channels = 1 if page.ndim == 2 else page.shape[2]
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    directory[256], directory[257] = page.shape[1], page.shape[0]
    directory[258] = (8 * page.itemsize,) * channels
    directory[259], directory[262] = 8, 2 if channels > 2 else 1
    directory[273], directory[279], directory[278] = tuple(offsets), tuple(counts), rows
    directory.tagtype[273] = directory.tagtype[279] = LONG
    directory[277], directory[284], directory[317] = channels, 1, 2
    if channels in (2, 4):
        directory[338] = 2
    directory[339] = (1,) * channels
    if dpi:
        directory[282], directory[283], directory[296] = dpi[0], dpi[1], 2
    return directory


def _describe(directory: Any, metadata: Metadata) -> None:
    if metadata.exif:
        exif = Image.Exif()
        exif.load(metadata.exif)
        for tag, value in exif.items():
            if tag not in (EXIF, GPS, 282, 283, 296):
                directory[tag] = value
        for tag in (EXIF, GPS):
            if values := dict(exif.get_ifd(tag)):
                directory[tag] = values
    if metadata.xmp:
        directory[700] = metadata.xmp
        directory.tagtype[700] = BYTE
