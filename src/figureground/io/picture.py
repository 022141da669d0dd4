"""Read a picture from any source: `Picture.read`. To read another kind of source, add a case to it."""

import os
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import RefusedAddress, UnreadablePicture
from figureground.io.color_modes import Pixels, Upright, strips, to_rgb8, upright
from figureground.io.decode import Loaded, check_bytes, check_size, decode, decode_errors, quiet
from figureground.io.metadata import Metadata
from figureground.settings import Settings
from figureground.types import Mask, Rgb

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(data|file|blob|javascript|mailto):", re.IGNORECASE)
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a picture that were read already, and their source for messages."""

    data: bytes
    source: str

    @classmethod
    def of_file(cls, path: str, settings: Settings) -> "Encoded":
        """Read all of a regular file, of at most `settings.max_bytes`. Raises UnreadablePicture, PictureTooLarge."""
        with decode_errors(printable(path)):
            return cls(_from_file(path, settings), path)


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Encoded | BinaryIO | NDArray[Any] | Image.Image
"""A path, an http(s) URL, '-' for stdin, an encoded picture as bytes or a binary stream, an array, a PIL image."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """An upright picture; both arrays are read-only, and are the same for 8-bit sRGB without alpha.

    Attributes
    ----------
    rgb : ndarray
        (H, W, 3) uint8, sRGB, over white: what models see.
    original : ndarray
        (H, W, 3) or (H, W, 4) uint8 or uint16: the picture's own values in its own RGB space, with alpha.
    icc : bytes or None
        The RGB profile of `original`; None for sRGB.
    dpi : tuple or None
        Dots per inch, across and down, if the file states them.
    name : str
        The first part of the names of output files.
    source : str
        The name of the picture in messages.
    warnings : tuple of str
        Remarks on how it was read, one sentence each.
    metadata : Metadata
        What its file says of it: EXIF without orientation and thumbnail, and XMP.
    own_shape : tuple or None
        Its height and width if both arrays are a smaller draft of it (`Settings.draft`).
    """

    rgb: Rgb
    original: Pixels
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    name: str = "picture"
    source: str = "the picture"
    warnings: tuple[str, ...] = ()
    own_shape: tuple[int, int] | None = None
    metadata: Metadata = field(default_factory=Metadata)

    def __repr__(self) -> str:
        height, width = self.own_shape or self.original.shape[:2]
        return f"<Picture {self.source}: {width} × {height}, {self.original.shape[2]} channels of {self.original.dtype}>"

    @classmethod
    def read(cls, source: Source, settings: Settings | None = None) -> "Picture":
        """Read the picture that `source` names or holds.

        Parameters
        ----------
        source : path, URL, bytes, binary stream, array or PIL image
            An array is (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, of
            uint8, uint16, bool, or floats in [0, 1], in sRGB.
        settings : Settings, optional
            The limits; by default those of the environment.

        Returns
        -------
        Picture
            The picture, upright.

        Raises
        ------
        InputError
            UnreadablePicture, PictureTooLarge, RefusedAddress or DownloadFailed.
        """
        limits = settings or Settings.from_environment()
        if isinstance(source, np.ndarray):
            return cls.loaded_by(lambda _: _from_array(source, limits), "array", "the array")
        if isinstance(source, Image.Image):
            return cls.loaded_by(lambda _: upright(_from_pil(source, limits)), "image", "the image")
        name, label, data = encoded(source, limits)
        return cls.loaded_by(lambda label: upright(decode(data(), limits, label)), name, label)

    @classmethod
    def loaded_by(cls, load: Callable[[str], Upright], name: str, label: str) -> "Picture":
        """Return the picture that `load` gives, by its name and label; raises UnreadablePicture where that fails."""
        with decode_errors(label), quiet():
            picture = load(label)
            rgb = to_rgb8(picture.pixels, picture.icc)
        picture.pixels.flags.writeable = rgb.flags.writeable = False
        return cls(
            rgb, picture.pixels, picture.icc, picture.dpi, name, label, picture.warnings, picture.shape, picture.metadata
        )

    @property
    def alpha(self) -> Mask | None:
        """The picture's own transparency, (H, W) float32 in [0, 1], 1 is opaque; None where it has none."""
        if self.original.shape[2] == 3:
            return None
        return np.divide(self.original[..., 3], np.iinfo(self.original.dtype).max, dtype=np.float32)


def stem(source: str) -> str:
    """Return the name for the outputs of the picture at `source` (a path, a URL, '-'), without reading it."""
    if source == "-":
        return "stdin"
    if _SCHEME.match(source):
        return _stem_of_url(source)
    return Path(source).stem or "picture"


def encoded(source: Any, settings: Settings) -> tuple[str, str, Callable[[], bytes]]:
    """Return name, label and a function for the bytes of a source that holds an encoded picture."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "bytes", "the picture", lambda: bytes(source)
    if isinstance(source, Encoded):
        return stem(source.source), printable(source.source), lambda: source.data
    if source == "-":
        return stem("-"), "stdin", lambda: _from_stdin(settings)
    if isinstance(source, str) and (scheme := _SCHEME.match(source)):
        return _from_url(source, (scheme[1] or scheme[2]).lower(), settings)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return stem(path), printable(path), lambda: _from_file(path, settings)
    if callable(getattr(source, "read", None)):
        given = getattr(source, "name", None)
        path = given if isinstance(given, str) and given else "stream"
        return stem(path), printable(path), lambda: from_stream(source, settings, printable(path))
    raise UnreadablePicture(
        f"a picture is a path, a URL, bytes, a binary stream, an array or a PIL image, not a {type(source).__name__}",
        code="unsupported_format",
    )


def _from_url(url: str, scheme: str, settings: Settings) -> tuple[str, str, Callable[[], bytes]]:
    from figureground.io.download import fetch, shown

    if scheme not in ("http", "https"):
        raise RefusedAddress(f"a '{scheme}:' address is not read; give http:, https: or a path", picture=f"{scheme}:…")
    return stem(url), shown(url), lambda: fetch(url, settings)


def _stem_of_url(url: str) -> str:
    """Return the last segment of a URL's path without its suffix, as a safe file name of at most 80 characters."""
    try:
        segment = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2], errors="replace")
    except ValueError:
        segment = ""
    name = Path(_UNSAFE.sub("_", segment)).stem.strip(" .")
    return "".join(c for c in name if c.isprintable())[:80].strip(" .") or "picture"


def printable(path: str) -> str:
    """Return `path` for a message: on one line, without control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path) or "''"


def _from_file(path: str, settings: Settings) -> bytes:
    """Read all of a regular file, but no pipe, no device, and no file that is too large."""
    label = printable(path)
    try:
        _check_file(Path(path).stat(), settings, label)
        # what lies there may have changed since: do not wait for it, and look again
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_file(status, settings, label)
            return file.read(status.st_size + 1)  # no more than is there: Python makes room for all that is asked for
    except PermissionError:
        message = f"{label} cannot be read: permission denied"
        raise UnreadablePicture(message, code="permission_denied", picture=label) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadablePicture(f"{label} cannot be read: {reason}", code="not_found", picture=label) from None


def _check_file(status: os.stat_result, settings: Settings, label: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UnreadablePicture(f"{label} is {kind}; name a picture", code="not_a_regular_file", picture=label)
    check_bytes(status.st_size, settings, label)


def _from_stdin(settings: Settings) -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise UnreadablePicture("stdin is a terminal; pipe a picture into it", code="empty_file", picture="stdin")
    return from_stream(sys.stdin.buffer, settings, "stdin")


def from_stream(stream: Any, settings: Settings, label: str) -> bytes:
    """Read to the end, but no further than the limit, whatever sizes the stream's reads come in."""
    parts, count = [], 0
    with decode_errors(label):
        while part := stream.read(min(1 << 20, settings.max_bytes + 1 - count)):
            if isinstance(part, str):
                raise UnreadablePicture(f"{label} is a stream of text; open it with mode 'rb'", picture=label)
            parts.append(part)
            count += len(part)
            check_bytes(count, settings, label)
    return b"".join(parts)


def _from_pil(image: Image.Image, settings: Settings) -> Loaded:
    check_size(*image.size, settings, "the image")
    image.load()
    return Loaded(image)


def _from_array(array: NDArray[Any], settings: Settings) -> Upright:
    label, kind = "the array", f"shape {array.shape} and type {array.dtype}"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise UnreadablePicture(f"expected an array (H, W) or (H, W, 1 to 4), but got {kind}", picture=label)
    if array.dtype.kind not in "fbu" or (array.dtype.kind == "u" and array.dtype.itemsize > 2):
        wanted = "uint8, uint16, bool, or floats in [0, 1]"
        raise UnreadablePicture(f"expected an array of {wanted}, but got {kind}", picture=label)
    check_size(array.shape[1], array.shape[0], settings, label)
    values = _whole(array[..., None] if array.ndim == 2 else array)
    gray, has_alpha = values.shape[2] < 3, values.shape[2] in (2, 4)
    pixels: Pixels = np.empty((*values.shape[:2], 4 if has_alpha else 3), values.dtype)
    pixels[..., :3] = values[..., :1] if gray else values[..., :3]
    if has_alpha:
        pixels[..., 3] = values[..., -1]
    return Upright(pixels)


def _whole(array: NDArray[Any]) -> Pixels:
    """Return the array as uint8 or uint16."""
    if array.dtype.kind == "b":
        return np.where(array, 255, 0).astype(np.uint8)
    if array.dtype.kind == "u":
        return array.astype(np.uint8) if array.dtype.itemsize == 1 else array.astype(np.uint16)
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # also where either is not a number
        raise UnreadablePicture(f"expected floats in [0, 1], but got {low:g} to {high:g}", picture="the array")
    pixels = np.empty(array.shape, np.uint16)
    for rows in strips(*array.shape[:2]):
        pixels[rows] = np.rint(np.clip(array[rows], 0, 1).astype(np.float64) * 65535)
    return pixels
