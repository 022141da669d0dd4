"""Decode bytes to a picture, with limits on bytes, pixels and scans. To add a format, add a row to FORMATS.

Pillow does the parsing. Only the formats listed here ever reach a parser, and the size that the header states is
checked before a pixel is decoded. Nothing global of Pillow is changed: the lenient way works on one picture.
"""

import ctypes
import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from figureground.errors import FigureGroundError, PictureTooLarge, UnreadablePicture
from figureground.io.metadata import Metadata, read_metadata
from figureground.settings import Settings

FORMATS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "DIB": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "HEIF": "pillow_heif",
}
"""Pillow's name of each format that is read, and the module that reads it; HEIF only where pillow-heif is installed."""
ANIMATED = ("GIF", "WEBP", "PNG")
"""Those of which all frames can be read (`io/animation.py`); others give their first picture."""
MAX_SCANS = 100
"""A JPEG of more scans is refused: each costs a pass over all pixels. Encoders write 1 to 20."""
DRAFT = 640
"""Pixels that a draft keeps of each side at least: as many as the networks look at."""
MAX_DEEP = 500_000_000
"""Bytes of 16-bit colors; larger pictures are read in 8, since OpenCV takes twice as much, beside Pillow's own copy."""
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")  # those with a length, and the end; 00 is data, not a marker
_CUT_SHORT = ("truncated", "not enough", "unexpected end", "premature")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PNG = b"\x89PNG\r\n\x1a\n"
_PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

Opener = tuple[Callable[[IO[bytes], str], ImageFile.ImageFile], Callable[[bytes], bool | str]]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A picture in memory, as its file stores it.

    image : the picture, loaded; 8 bits where Pillow has no mode for more.
    deep : (H, W, 3) or (H, W, 4) uint16 in RGB(A) order: its 16 bits a channel, where Pillow keeps only 8.
    rawmode : how the file packs its pixels, in Pillow's words, e.g. "L;4".
    quarter_turned : whether Pillow has already exchanged width and height to set it upright.
    warnings : what the user should know, one sentence each.
    metadata : what its file says of it, where that must be read before the pixels.
    size : the width and height that the file states, where `image` is a draft, a fraction as large.
    """

    image: Image.Image
    deep: NDArray[np.uint16] | None = None
    rawmode: str = ""
    quarter_turned: bool = False
    warnings: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None
    metadata: Metadata | None = None


def decode(data: bytes, settings: Settings, source: str = "the picture") -> Loaded:
    """Decode a picture; of several in one file the first, with a warning.

    Parameters
    ----------
    data : bytes
    settings : Settings
        The limits on pixels and memory.
    source : str
        What messages call the picture.

    Returns
    -------
    Loaded

    Raises
    ------
    UnreadablePicture
        With the code empty_file, unsupported_format, decode_error or truncated.
    PictureTooLarge
        With the code too_large, or resource_limit where the memory does not suffice.
    """
    if not data:
        raise UnreadablePicture(f"{source} is empty (0 bytes)", code="empty_file", picture=source)
    check_bytes(len(data), settings, source)
    _check_scans(data, source)
    with decode_errors(source), quiet():
        try:
            return _decoded(data, settings, source)
        except (MemoryError, PictureTooLarge):
            raise
        except Exception as error:
            if data.startswith(_PNG) and "MAX_TEXT" in str(error):  # Pillow's bound on text, no fault of the picture
                return _decoded(_picture_chunks(data), settings, source)
            if settings.lenient:
                return _decoded(_mended(data), settings, source, lenient=True)
            raise


def _decoded(data: bytes, settings: Settings, source: str, lenient: bool = False) -> Loaded:
    image = open_header(data, source)
    tags = getattr(image, "tag_v2", {})
    check_size(*image.size, settings, source)
    if isinstance(tags.get(322), int) and isinstance(tags.get(323), int):  # a TIFF's tiles are decoded whole
        check_size(tags[322], tags[323], settings, f"a tile of {source}")
    packed, turned, notes = rawmode(image), tags.get(274) in (5, 6, 7, 8), _several(image)
    size = _drafted(image) if settings.draft else None
    metadata = read_metadata(image) if image.format == "TIFF" else None  # Pillow closes the file of a TIFF after its pixels
    _load(image, lenient)
    if lenient:
        notes.append("cut short or damaged: what could be read is used")
    deep = None
    if re.match(r"(RGB|LA).*;16", packed) and (deep := None if lenient else _sixteen_bits(data, image)) is None:
        notes.append("its 16 bits a channel are read as 8")
    return Loaded(image, deep, packed, turned, notes, size, metadata)


def _drafted(image: ImageFile.ImageFile) -> tuple[int, int] | None:
    """Decode a JPEG at an eighth, a quarter or half of its size, if at least `DRAFT` pixels a side are left."""
    own = image.size
    if image.format == "JPEG":
        image.draft(None, (DRAFT, DRAFT))
    return own if image.size != own else None


def check_bytes(count: int, settings: Settings, source: str) -> None:
    """Raise PictureTooLarge where `count` bytes are more than `settings.max_bytes`."""
    if count > settings.max_bytes:
        message = f"{source} has {count:,} bytes; at most {settings.max_bytes:,} are read (FIGUREGROUND_MAX_BYTES)"
        raise PictureTooLarge(message, picture=source)


def check_size(width: int, height: int, settings: Settings, source: str) -> None:
    """Raise PictureTooLarge above `settings.max_pixels`, UnreadablePicture where there is no pixel at all."""
    if width < 1 or height < 1:
        raise UnreadablePicture(f"{source} has no pixels ({width} × {height})", picture=source)
    if width * height > settings.max_pixels:
        size, limit = f"{width} × {height} = {width * height / 1e6:,.1f} megapixels", f"{settings.max_pixels / 1e6:,.6g}"
        message = f"{source} is {size}; at most {limit} are read (--max-pixels, FIGUREGROUND_MAX_PIXELS)"
        raise PictureTooLarge(message, picture=source)


@contextmanager
def decode_errors(source: str) -> Iterator[None]:
    """Turn whatever a parser raises on bad bytes into one line for the user."""
    try:
        yield
    except FigureGroundError:
        raise
    except MemoryError:
        message = f"{source} needs more memory than there is; shrink it, or lower FIGUREGROUND_MAX_PIXELS"
        raise PictureTooLarge(message, code="resource_limit", picture=source) from None
    except Image.DecompressionBombError as error:
        raise PictureTooLarge(f"{source} is too large: {_reason(error)}", picture=source) from None
    except Exception as error:  # parsers raise OSError, SyntaxError, ValueError, KeyError, RuntimeError …
        reason = _reason(error)
        if isinstance(error, EOFError) or any(words in reason.lower() for words in _CUT_SHORT):
            message = f"{source} is cut short ({reason}); get the whole file; --lenient uses what can be read"
            raise UnreadablePicture(message, code="truncated", picture=source) from None
        raise UnreadablePicture(f"{source} cannot be decoded: {reason}", picture=source) from None


def _reason(error: Exception) -> str:
    text = "".join(c if c.isprintable() else " " for c in str(error)) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "…"


def _check_scans(data: bytes, source: str) -> None:
    """Refuse a JPEG with so many scans that it would decode for minutes. Counts them by walking from marker to marker."""
    if not data.startswith(b"\xff\xd8") or data.count(b"\xff\xda") <= MAX_SCANS:
        return
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := _MARKER.search(data, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    if scans > MAX_SCANS:
        raise PictureTooLarge(f"{source} is a JPEG of more than {MAX_SCANS} scans", picture=source)


@cache
def _opener(name: str) -> Opener | None:
    """Return the functions that read and recognize format `name`; None if its module is not installed."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr where logging is not set up
    try:
        module = import_module(FORMATS[name])
    except ImportError:
        return None
    if name == "TIFF":
        with suppress(AttributeError, ImportError, OSError):  # libtiff tells stderr what Pillow raises anyway
            ctypes.CDLL(import_module("PIL._imaging").__file__).TIFFSetErrorHandler(None)
    if name == "HEIF":
        return module.HeifImageFile, lambda prefix: prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS
    return Image.OPEN[name]  # type: ignore[return-value]  # every listed plugin recognizes its format


def open_header(data: bytes, source: str) -> ImageFile.ImageFile:
    """Return the picture with its header read. Not Image.open, which warns or raises by Pillow's process-wide pixel limit."""
    known, fault = "", Exception()
    for name in FORMATS:
        opener = _opener(name)
        if opener is None or len(data) < 4 or not opener[1](data[:32]):
            continue
        try:
            return opener[0](BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            known, fault = name, error
    if known:
        raise UnreadablePicture(f"{source} begins like {known}, but cannot be read: {_reason(fault)}", picture=source)
    message = f"{source} is not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or, with figureground[formats], HEIC picture"
    raise UnreadablePicture(message, code="unsupported_format", picture=source)


def _mended(data: bytes) -> bytes:
    """Reduce a PNG to its picture; complete the end of a truncated JPEG, so that libjpeg gives what there is."""
    return _picture_chunks(data) if data.startswith(_PNG) else data + b"\xff\xd9" * data.startswith(b"\xff\xd8")


def _picture_chunks(data: bytes, but: bytes = b"") -> bytes:
    """Return a PNG reduced to the chunks that make its picture."""
    chunks, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if (kind := data[at + 4 : at + 8]) in _PICTURE_CHUNKS and kind != but:
            chunks.append(data[at:end])
        at = end
    return b"".join(chunks)


def rawmode(image: ImageFile.ImageFile) -> str:
    """Return how a picture whose header was read packs its pixels, in Pillow's words; empty where that is not known."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _several(image: ImageFile.ImageFile) -> list[str]:
    """Return a warning where a file holds more than the one picture that is used."""
    with suppress(Exception):  # a broken second frame is no fault of the first
        if not getattr(image, "is_animated", False) or image.format in ("MPO", "HEIF"):
            return []  # a phone's JPEG and HEIC carry previews and depth beside the picture
        if image.format == "TIFF":
            return ["of several pages, the first is used"]
        hint = " (--frames all takes every one)" if image.format in ANIMATED else ""
        return [f"animated: the first frame is used{hint}"]
    return []


class _Once:
    """A stand-in for a WebP decoder: it gives one frame, then frees its two canvases before Pillow makes its copy."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def get_next(self) -> Any:
        """Return the first frame."""
        frame, self.decoder = self.decoder.get_next(), None
        return frame


def _load(image: ImageFile.ImageFile, lenient: bool) -> None:
    """Decode the pixels; leniently, keeps those that came before a fault."""
    if image.format == "WEBP":
        image._decoder = _Once(image._decoder)  # type: ignore[attr-defined]
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        if not lenient or getattr(image, "_im", None) is None:
            raise
        image.tile = []  # nothing left to decode: what is there is the picture
        with suppress(Exception):  # what is left to do, such as setting a TIFF upright
            image.load_end()


def _sixteen_bits(data: bytes, image: Image.Image) -> NDArray[np.uint16] | None:
    """Return the 16 bits a channel that Pillow cuts to 8, read by OpenCV; None if their upper 8 bits differ from Pillow's."""
    import cv2

    if image.width * image.height * len(image.getbands()) * 2 > MAX_DEEP:
        return None
    if data.startswith(_PNG):
        data = _picture_chunks(data, but=b"tRNS")  # OpenCV would turn it to alpha, and talk about the others on stderr
    level = cv2.utils.logging.setLogLevel(0)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape != (image.height, image.width, len(image.getbands())):
        return None
    deep = pixels.view(np.uint16)
    for top in range(0, image.height, 64):
        rows = deep[top : top + 64]
        rows[..., :3] = rows[..., 2::-1].copy()
        if not np.array_equal(rows >> 8, np.asarray(image.crop((0, top, image.width, top + len(rows))))):
            return None
    return deep


_inside: ContextVar[bool] = ContextVar("figureground.inside_pillow", default=False)


class _Inside:
    """A module filter for `warnings` that matches Pillow's modules within `quiet`."""

    def match(self, module: str) -> bool:
        return _inside.get() and module.startswith(("PIL", "pillow_heif"))


_FILTER: Any = ("ignore", None, Warning, _Inside(), 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's own warnings on odd files off stderr in this context; other threads and callers keep their filters."""
    if _FILTER not in warnings.filters:
        warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]  # typeshed has a read-only sequence
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)
