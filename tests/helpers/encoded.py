"""Files that neither Pillow nor OpenCV writes: PNG and TIFF of any depth, and colour profiles of a few bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(array: np.ndarray, *extra: bytes, depth: int | None = None, late: bytes = b"") -> bytes:
    """A PNG of (H, W, 1 to 4) values, 16 bits where they are uint16, else `depth` bits (8); `extra` chunks before IDAT."""
    height, width, channels = array.shape
    depth = depth or array.itemsize * 8
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    if depth < 8:
        bits = np.unpackbits(array.reshape(height, -1, 1), axis=2)[..., 8 - depth :].reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in bits]
    else:
        rows = [row.astype(f">u{depth // 8}").tobytes() for row in array]
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [png_chunk(b"IHDR", head), *extra, png_chunk(b"IDAT", data), late, png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def unpacked_png(data: bytes) -> np.ndarray:
    """What a PNG of 8 or 16 bits holds, (H, W) or (H, W, channels), by the letter of its specification; checks all sums."""
    at, packed, head = 8, b"", b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body, at = data[at + 8 : at + 8 + size], at + 12 + size
        assert data[at - 4 : at] == struct.pack(">I", zlib.crc32(kind + body))
        head, packed = (body if kind == b"IHDR" else head), packed + body * (kind == b"IDAT")
    width, height, depth, kind = struct.unpack(">IIBB", head[:10])
    channels, size = {0: 1, 4: 2, 2: 3, 6: 4}[kind], depth // 8
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1).astype(int)
    known = np.zeros((height + 1, rows.shape[1] - 1 + channels * size), int)
    for y, row in enumerate(rows):
        for x, value in enumerate(row[1:], channels * size):
            left, above, corner = known[y + 1, x - channels * size], known[y, x], known[y, x - channels * size]
            guess = left + above - corner
            nearest = min((abs(guess - each), place, each) for place, each in enumerate((left, above, corner)))[2]
            known[y + 1, x] = (value + (0, left, above, (left + above) // 2, nearest)[row[0]]) % 256
    pixels = known[1:, channels * size :].astype(np.uint8).view(f">u{size}").astype(f"u{size}")
    return pixels.reshape((height, width) if channels == 1 else (height, width, channels))


def tiff(
    array: np.ndarray, orientation: int = 1, photometric: int | None = None, bits: int | None = None, tile: int = 0
) -> bytes:
    """An uncompressed little-endian TIFF of (H, W, 1 or 3) unsigned values; `tile` states a (wrong) tile size."""
    height, width, channels = array.shape
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    photometric = photometric if photometric is not None else {1: 1, 3: 2}[channels]
    bits = bits or array.itemsize * 8
    depths = struct.pack(f"<{channels}H", *[bits] * channels)
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    entries += [(274, 3, orientation), (277, 3, channels), (278, 4, height)]
    count = len(entries) + (4 if tile else 2)
    depth_at = 8 + 2 + count * 12 + 4
    at, size = depth_at + len(depths), len(raw)
    entries += [(322, 4, tile), (323, 4, tile), (324, 4, at), (325, 4, size)] if tile else [(273, 4, at), (279, 4, size)]
    packed = b""
    for tag, kind, value in sorted(entries):
        if tag == 258 and channels == 3:
            packed += struct.pack("<HHII", tag, 3, 3, depth_at)
        else:
            packed += struct.pack("<HHI", tag, kind, 1) + (
                struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value)
            )
    return b"II*\0" + struct.pack("<IH", 8, count) + packed + b"\0\0\0\0" + depths + raw


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile, version 2.4."""
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr" if pcs == b"Lab " else b"mntr", space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)  # D50
    return head.ljust(128, b"\0") + table + body


def gray_profile() -> bytes:
    """Grey, linear in light: the middle value is far lighter than sRGB's."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return profile(b"GRAY", {b"wtpt": white, b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0)})


def cmyk_profile() -> bytes:
    """Four inks of which the first is printed in red and the last in black; the others cannot be seen."""
    white, red, black = (255, 128, 128), (136, 208, 195), (0, 128, 128)  # 8-bit Lab
    corners = bytes(value for index in range(16) for value in (black if index & 1 else red if index & 8 else white))
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(np.eye(3, dtype=int) * 65536).ravel())
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + corners + ramp * 3
    return profile(b"CMYK", {b"A2B0": table, b"A2B1": table}, b"Lab ")


def srgb_profile() -> bytes:
    """The profile of sRGB, as Little CMS writes it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged: a red picture is seen as blue."""
    return srgb_profile().replace(b"rXYZ", b"swap").replace(b"bXYZ", b"rXYZ").replace(b"swap", b"bXYZ")
