"""Write PNG fast: filter rows in numpy, compress with zlib-ng in threads. To add a filter, add a row to `FILTERS`.

The format is the W3C's "Portable Network Graphics (PNG) Specification". A filter takes from each byte what its neighbors tell
of it; of a photograph, Paeth's filter and the neighbors' mean leave least. What is left hardly repeats itself, so that zlib's
search for repeats costs much and finds little: its strategy RLE only looks for runs, such as what is transparent. zlib-ng does
that in half of zlib's time.
"""

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from figureground.executor import map_parts
from figureground.io.color_modes import Pixels

Bytes = NDArray[np.uint8]
Effort = Literal["fast", "best"]
Packer = Callable[[memoryview, int], bytes]
"""Filtered rows, and zlib's word for how the part ends (Z_SYNC_FLUSH, Z_FINISH) → raw deflate data (RFC 1951)."""

COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # the format's numbers for gray, gray and alpha, RGB, RGBA
PART = 1 << 20  # bytes that a thread filters, by one filter, and packs at once
SAMPLE = 13  # of so many bytes, one decides which filter is the better; odd, so that all channels have their turn


def png(
    image: Pixels,
    icc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    effort: Effort = "fast",
    exif: bytes = b"",
    xmp: bytes = b"",
) -> bytes:
    """Return a PNG file's bytes.

    image : (H, W) or (H, W, 1 to 4) gray, gray and alpha, RGB, or RGBA; uint8 or uint16, which the file keeps.
    icc : the profile of its colors. dpi : dots per inch, across and down.
    exif, xmp : what is said of the picture, as `Metadata` has it.
    effort : `fast`, or `best`: about as small as zlib makes it, in many times the time.
    """
    height, width = image.shape[:2]
    rows = image.reshape(height, width, -1)
    shape = struct.pack(">IIBBBBB", width, height, 8 * image.itemsize, COLORS[rows.shape[2]], 0, 0, 0)
    chunks = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", shape)]
    if icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if dpi:
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in dpi), 1)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif))
    if xmp:
        chunks.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    return b"".join([*chunks, *_data(rows, EFFORTS[effort]), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib_ng.crc32(data, zlib_ng.crc32(kind)))])


def _data(image: Pixels, packers: Sequence[Packer]) -> list[bytes]:
    """Return the IDAT chunks: one zlib stream, compressed in threads."""
    height = len(image)
    step = max(1, PART // image[0].nbytes)

    def part(top: int) -> tuple[bytes, int, int]:
        rows = _filtered(image, top, min(top + step, height)).data
        end = zlib.Z_FINISH if top + step >= height else zlib.Z_SYNC_FLUSH
        packed = min((packer(rows, end) for packer in packers), key=len)
        return _chunk(b"IDAT", packed), zlib_ng.adler32(rows), rows.nbytes

    parts = map_parts(part, range(0, height, step))
    checksum = 1
    for _, after, size in parts:
        checksum = _joined(checksum, after, size)
    return [_chunk(b"IDAT", b"\x78\x01"), *(data for data, _, _ in parts), _chunk(b"IDAT", struct.pack(">I", checksum))]


def _runs(rows: memoryview, end: int) -> bytes:
    packer = zlib_ng.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1, zlib.Z_RLE)
    return packer.compress(rows) + packer.flush(end)


def _repeats(rows: memoryview, end: int) -> bytes:
    packer = zlib.compressobj(8, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1, zlib.Z_FILTERED)
    return packer.compress(rows) + packer.flush(end)


EFFORTS: Mapping[Effort, Sequence[Packer]] = {"fast": (_runs,), "best": (_runs, _repeats)}
"""What is tried on each part: the smallest is taken."""


def _joined(before: int, after: int, size: int) -> int:
    """Return Adler-32 of two joined pieces from that of each; the second has `size` bytes (RFC 1950: sums modulo 65521)."""
    low = (before & 0xFFFF) + (after & 0xFFFF) - 1
    high = (before >> 16) + (after >> 16) + size * ((before & 0xFFFF) - 1)
    return high % 65521 << 16 | low % 65521


def _filtered(image: Pixels, top: int, bottom: int) -> Bytes:
    """Return rows `top` to `bottom` filtered, (bottom − top, 1 + bytes of a row): the filter's number, then its bytes."""
    result = np.empty((bottom - top, 1 + image[0].nbytes), np.uint8)
    result[:, 0], result[:, 1:] = _best(*_neighbors(image, top, bottom))
    return result


def _neighbors(image: Pixels, top: int, bottom: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Return the bytes of these rows, and of the pixels on their left, above, and above on the left; 0 outside the picture."""
    pixel = image[0, 0].nbytes
    framed = np.zeros((bottom - top + 1, image[0].nbytes + pixel), np.uint8)
    start = max(0, top - 1)
    rows = np.ascontiguousarray(image[start:bottom], image.dtype.newbyteorder(">"))
    framed[start - bottom :, pixel:] = rows.view(np.uint8).reshape(len(rows), -1)
    return framed[1:, pixel:], framed[1:, :-pixel], framed[:-1, pixel:], framed[:-1, :-pixel]


def _best(x: Bytes, *around: Bytes) -> tuple[int, Bytes]:
    """Return the number of the filter with the least entropy on a sample of these rows, and that entropy."""
    sample = [each[:, ::SAMPLE].ravel() for each in (x, *around)]
    number = min(FILTERS, key=lambda number: _bits(sample[0] - FILTERS[number](*sample[1:])))
    return number, x - FILTERS[number](*around)


def _bits(sample: Bytes) -> float:
    """Return Shannon's entropy of the sample, times its size: about the size after zlib."""
    counts = np.bincount(sample)
    counts = counts[counts > 0]
    return float(counts @ np.log2(sample.size / counts))


def _mean(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Apply filter 3: the mean of left and above, rounded down."""
    mean: Bytes = left & above
    mean += (left ^ above) >> 1
    return mean


def _paeth(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Apply filter 4: the one of left, above and corner that is nearest to left + above − corner, the first of equal ones.

    In bytes alone: corner is the nearest only where it lies between the other two, and then its distance is the difference
    of theirs.
    """
    from_left = np.maximum(above, corner) - np.minimum(above, corner)
    from_above = np.maximum(left, corner) - np.minimum(left, corner)
    nearer = np.minimum(from_left, from_above)
    from_corner = np.maximum(from_left, from_above) - nearer
    between = ((left < corner) != (above < corner)) & (from_corner < nearer)
    # masks of all bits instead of np.where, which takes several times as long for bytes
    guess: Bytes = left ^ ((left ^ above) & np.negative((from_left > from_above).view(np.uint8)))
    guess ^= (guess ^ corner) & np.negative(between.view(np.uint8))
    return guess


FILTERS: Mapping[int, Callable[[Bytes, Bytes, Bytes], Bytes]] = {3: _mean, 4: _paeth}
"""The filters that are tried, by the format's numbers: what each guesses of a byte from its three neighbors."""
