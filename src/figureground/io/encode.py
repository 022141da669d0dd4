"""Encode images as files, by suffix. To add a format, add a function and a row to `ENCODERS`."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from figureground._deprecated import current, module_attribute
from figureground.errors import UnknownName, UsageError
from figureground.io.color_modes import Pixels, eight_bits, strips, to_rgb8
from figureground.io.metadata import Metadata
from figureground.io.outlines import svg
from figureground.io.png import EFFORTS, Effort, png
from figureground.io.tiff import tiff
from figureground.types import Mask


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """The options of encoding an image."""

    background: str | None = None
    """A color put behind what is transparent: a name, #rrggbb or rgb(…)."""
    quality: int | None = None
    """1 to 100 for JPEG, WebP and AVIF; None: what suits the format, lossless for WebP."""
    png_effort: Effort = "fast"
    """`best` writes smaller PNG files, in many times the time."""
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    metadata: Metadata | None = None
    """What is written of the picture's EXIF and XMP."""
    keep_metadata: bool = False
    """Whether jobs write each picture's own metadata, all but its position."""
    keep_gps: bool = False
    """Whether they write its position too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "png_effort", current("PNG effort", self.png_effort))


Encoder = Callable[[Pixels | Mask, EncodeOptions], bytes]


def _save(image: Pixels | Mask, options: EncodeOptions, **arguments: Any) -> bytes:
    if options.icc:
        arguments["icc_profile"] = options.icc
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **arguments)
    return buffer.getvalue()


def _dpi(options: EncodeOptions) -> dict[str, Any]:
    return {"dpi": options.dpi} if options.dpi else {}


def _metadata(options: EncodeOptions, with_dpi: bool = False) -> dict[str, Any]:
    """EXIF and XMP as Pillow takes them; with the resolution for formats that have no other place for it."""
    metadata = options.metadata or Metadata()
    metadata = metadata.with_resolution(options.dpi) if with_dpi else metadata
    return {
        name: value for name, value in (("exif", metadata.exif and b"Exif\0\0" + metadata.exif), ("xmp", metadata.xmp)) if value
    }


def _png(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    metadata = options.metadata or Metadata()
    return png(image, options.icc, options.dpi, options.png_effort, metadata.exif, metadata.xmp)  # type: ignore[arg-type]


def _webp(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    if options.quality is None:
        return _save(image, options, format="WEBP", lossless=True, quality=0, method=0, **_metadata(options, True))
    return _save(image, options, format="WEBP", quality=options.quality, method=0, **_metadata(options, True))


def _jpeg(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    arguments = {**_dpi(options), **_metadata(options)}
    return _save(image, options, format="JPEG", quality=options.quality or 92, subsampling=0, **arguments)


def _avif(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    return _save(image, options, format="AVIF", quality=options.quality or 80, speed=9, **_metadata(options, True))


def _tiff(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    return tiff([image], [options.icc], options.dpi, metadata=options.metadata)  # type: ignore[list-item]  # no floats


def _gif(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    buffer = io.BytesIO()
    if options.icc and image.ndim == 3:  # the format has no profiles
        colors = to_rgb8(np.ascontiguousarray(image[..., :3]), options.icc)  # type: ignore[arg-type]  # no floats
        image = colors if image.shape[2] == 3 else np.dstack([colors, image[..., 3].astype(np.uint8)])
    palette_image(image).save(buffer, format="GIF")  # type: ignore[arg-type]  # no floats
    return buffer.getvalue()


def _svg(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    if image.ndim != 2:
        raise UsageError(f".svg holds the outline of a mask, (H, W), but got an image of shape {image.shape}")
    most = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(image.dtype, 1)
    return svg(np.asarray(image / np.float32(most), np.float32)).encode()


def palette_image(image: Pixels) -> Image.Image:
    """Return an image of at most 255 colors, dithered; what is more than half transparent is transparent."""
    if image.ndim < 3 or image.shape[2] < 4:
        return Image.fromarray(image).convert("P", palette=Image.Palette.ADAPTIVE, colors=255)
    clear = image[..., 3] < 128
    colors = Image.fromarray(np.where(clear[..., None], 0, image[..., :3]).astype(np.uint8))
    indices = np.array(paletted := colors.convert("P", palette=Image.Palette.ADAPTIVE, colors=255))
    indices[clear] = 255
    result = Image.fromarray(indices)
    result.putpalette(paletted.getpalette() or [])
    result.info["transparency"] = 255
    return result


def _npy(image: Pixels | Mask, options: EncodeOptions) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image, allow_pickle=False)
    return buffer.getvalue()


ENCODERS: Mapping[str, Encoder] = {
    ".png": _png, ".webp": _webp, ".jpg": _jpeg, ".jpeg": _jpeg, ".avif": _avif, ".npy": _npy,
    ".tif": _tiff, ".tiff": _tiff, ".gif": _gif, ".svg": _svg, ".apng": _png,
}  # fmt: skip
OPAQUE = frozenset({".jpg", ".jpeg"})  # formats without alpha
ARRAYS = frozenset({".npy", ".svg"})  # formats that are made of the mask's own floats
PAGED = frozenset({".tif", ".tiff"})  # formats that hold several images
DEEP = ARRAYS | PAGED | {".png", ".apng"}  # formats that hold 16 bits
FRAMED = (".webp", ".png", ".apng", ".gif")  # formats that hold the frames of an animation
LOSSY = OPAQUE | {".webp", ".avif"}  # formats that have a quality


def encoder(suffix: str) -> Encoder:
    """Return the encoder of a suffix such as `.png`; raises UnknownName."""
    if suffix.lower() not in ENCODERS:
        raise UnknownName("output format", suffix or "(no suffix)", ENCODERS, ordered=True, cutoff=0.75)
    return ENCODERS[suffix.lower()]


def encode(image: Pixels | Mask, suffix: str, options: EncodeOptions | None = None) -> bytes:
    """Return the bytes of an image file.

    Parameters
    ----------
    image : (H, W), (H, W, 3) or (H, W, 4) uint8 or uint16, or a mask (H, W) float32
    suffix : str
        Such as ``.png``; it decides the format.
    options : EncodeOptions, optional

    Returns
    -------
    bytes
        Transparent parts become `options.background`, or white, where the format has no transparency; 16 bits become 8 where
        the format has no more.

    Raises
    ------
    UnknownName
        If no encoder has this suffix.
    """
    options = options or EncodeOptions()
    suffix = suffix.lower()
    if image.dtype == np.uint16 and suffix not in DEEP:
        image = to_8_bits(image)
    if image.ndim == 3 and image.shape[2] == 4 and (options.background or suffix in OPAQUE):
        image = over(image, parse_color(options.background or "white"))  # type: ignore[arg-type]  # floats have no alpha
    return encoder(suffix)(image, options)


def encode_pages(pages: Sequence[tuple[str, Pixels]], options: Sequence[EncodeOptions]) -> bytes:
    """Return the bytes of a TIFF file with one image on each page.

    Parameters
    ----------
    pages : sequence of (str, array)
        The name and the image of each page.
    options : sequence of EncodeOptions
        Of each page; resolution and metadata are taken from the first.

    Returns
    -------
    bytes
    """
    images = [
        over(image, parse_color(each.background)) if each.background and image.shape[2:] == (4,) else image
        for (_, image), each in zip(pages, options, strict=True)
    ]
    return tiff(images, [each.icc for each in options], options[0].dpi, [name for name, _ in pages], options[0].metadata)


def check_options(suffix: str, options: EncodeOptions) -> None:
    """Raise UnknownName or UsageError for an unknown suffix, a wrong value, or an option without effect on such files."""
    encoder(suffix)
    if options.background is not None:
        parse_color(options.background)
    if options.png_effort not in EFFORTS:
        raise UsageError(f"png_effort is one of {', '.join(EFFORTS)}, but got '{str(options.png_effort)[:40]}'")
    if options.png_effort != "fast" and suffix not in (".png", ".apng"):
        raise UsageError(f"png_effort applies to .png files, but got the suffix {suffix}")
    if options.quality is None:
        return
    if suffix not in LOSSY:
        files = ", ".join(sorted(LOSSY))
        raise UsageError(f"quality applies to {files} files, but got the suffix {suffix}, which loses nothing")
    quality: object = options.quality
    if isinstance(quality, bool) or not (isinstance(quality, int | np.integer) and 1 <= quality <= 100):
        raise UsageError(f"quality is a whole number from 1 to 100, but got {str(options.quality)[:40]}")


def to_8_bits(image: Pixels | Mask) -> Pixels:
    """Return 16 bits as the nearest 8, strip by strip; 8 bits as they are."""
    if image.dtype == np.uint8:
        return image  # type: ignore[return-value]
    result = np.empty(image.shape, np.uint8)
    for rows in strips(*image.shape[:2]):
        result[rows] = eight_bits(image[rows])
    return result


def parse_color(text: str) -> tuple[int, int, int]:
    """Return red, green and blue of a color's name, #rrggbb or rgb(…); raises UsageError."""
    try:
        return ImageColor.getrgb(text)[:3]
    except (ValueError, TypeError, AttributeError):  # the last two where it is no text
        raise UsageError(f"expected a color such as white or #rrggbb, but got '{str(text)[:40]}'") from None


def over(image: Pixels, behind: tuple[int, int, int]) -> Pixels:
    """Return an image laid over a color.

    Parameters
    ----------
    image : (H, W, 4) uint8 or uint16
        With straight alpha.
    behind : (int, int, int)
        Red, green and blue, 0 to 255.

    Returns
    -------
    (H, W, 3) of the same type
    """
    most = np.iinfo(image.dtype).max
    result: Pixels = np.empty((*image.shape[:2], 3), image.dtype)
    for rows in strips(*image.shape[:2]):
        alpha = image[rows, :, 3] * np.float32(1 / most)
        for channel in range(3):
            color_behind = np.float32(behind[channel] * (most // 255))
            result[rows, :, channel] = np.rint(image[rows, :, channel] * alpha + color_behind * (1 - alpha))
    return result


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
