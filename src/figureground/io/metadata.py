"""What a file says of its picture besides the pixels: EXIF and XMP, read, and freed of what should not travel.

Positions are dropped unless they are asked for. Orientation, thumbnail and size are dropped always, since the output is
upright and may have another size.
"""

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
DESCRIPTIVE = (
    *(270, 271, 272, 305, 306, 315, 316, 18246, 33432),  # description, make, model, software, date, artist, host, rating, ©
    *(0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),  # title, comment, author, keywords, subject, as Windows writes them
)
"""Tags of the first directory that say something of the picture; the others lay out the file."""
LAYOUT = frozenset({0xA002, 0xA003, INTEROP})  # width and height, and a directory of their own kind
MAKER_NOTE = 0x927C
_PLACE = rb"[\w-]+:(?:GPS\w*|lat|long|lon|latitude|longitude)"
_ATTRIBUTE = re.compile(rb"\s+" + _PLACE + rb"\s*=\s*(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_ELEMENT = re.compile(rb"<(" + _PLACE + rb")\b[^>]*?(?:/>|>.*?</\1\s*>)", re.IGNORECASE | re.DOTALL)
_LEFT = re.compile(rb"gps", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Metadata:
    """EXIF as TIFF bytes without the prefix `Exif`, and an XMP packet; empty where there is none."""

    exif: bytes = b""
    xmp: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp)

    def with_resolution(self, dpi: tuple[float, float] | None) -> "Metadata":
        """Return the same with dots per inch in its EXIF, for formats that keep them nowhere else."""
        if dpi is None:
            return self
        exif = Image.Exif()
        if self.exif:
            exif.load(self.exif)
            exif.get_ifd(EXIF), exif.get_ifd(GPS)
        exif[282], exif[283], exif[296] = dpi[0], dpi[1], 2
        return Metadata(_bytes(exif), self.xmp)


def read_metadata(image: Image.Image) -> Metadata:
    """Return what a loaded picture's file says; what is broken is passed over."""
    try:
        exif = _bytes(_copied(image.getexif()))
    except Exception:  # whatever is wrong with the EXIF data, the picture can be seen
        exif = b""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return Metadata(exif, xmp.encode() if isinstance(xmp, str) else bytes(xmp))


def without_gps(metadata: Metadata) -> Metadata:
    """Return the same without positions, and without the maker's note, whose contents nobody knows.

    Examples
    --------
    >>> without_gps(Metadata(xmp=b'<rdf:Description exif:GPSLatitude="48,8N" dc:title="A"/>')).xmp
    b'<rdf:Description dc:title="A"/>'
    """
    exif = Image.Exif()
    if metadata.exif:
        exif.load(metadata.exif)
        camera = exif.get_ifd(EXIF)
        camera.pop(MAKER_NOTE, None)
        exif.get_ifd(GPS).clear()
        exif.pop(GPS, None)
    xmp = _ELEMENT.sub(b"", _ATTRIBUTE.sub(b"", metadata.xmp))
    return Metadata(_bytes(_copied(exif, gps=False)) if metadata.exif else b"", b"" if _LEFT.search(xmp) else xmp)


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return the dots per inch that the EXIF data state; None where they state none."""
    try:
        exif = image.getexif()
        across, down, unit = exif.get(282), exif.get(283), exif.get(296, 2)
        factor = {2: 1.0, 3: 2.54}.get(unit)
        return (float(across) * factor, float(down) * factor) if factor and across and down else None
    except Exception:  # broken data
        return None


def _copied(exif: Image.Exif, gps: bool = True) -> Image.Exif:
    """Return what describes the picture."""
    result = Image.Exif()
    for tag in DESCRIPTIVE:
        if tag in exif:
            result[tag] = exif[tag]
    camera = {tag: value for tag, value in exif.get_ifd(EXIF).items() if tag not in LAYOUT}
    if camera:
        result.get_ifd(EXIF).update(camera)
    if gps and (place := dict(exif.get_ifd(GPS))):
        result.get_ifd(GPS).update(place)
    return result


def _bytes(exif: Image.Exif) -> bytes:
    """TIFF bytes; none where nothing is said."""
    directories: Any = exif._ifds
    for tag in [tag for tag, values in directories.items() if not values]:
        del directories[tag]
    if not len(exif) and not directories:
        return b""
    data: bytes = exif.tobytes()
    return data.removeprefix(b"Exif\0\0")
