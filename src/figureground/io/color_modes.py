"""Convert a loaded picture of any mode to arrays: its own colors, upright, and sRGB. Each mode is a branch of `_reader`.

Work goes in strips, so that beside the picture and the result hardly any memory is needed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.executor import map_parts
from figureground.io.decode import Loaded
from figureground.io.metadata import Metadata, read_metadata, resolution
from figureground.io.orientation import as_stored, exif_orientation
from figureground.types import Rgb

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W, 3) RGB or (H, W, 4) RGB and straight alpha; uint8 or uint16, 255 or 65535 is white and opaque."""
Reader = Callable[[Image.Image], NDArray[Any]]

STRIP = 1 << 20  # pixels at a time
SMALL_STRIP = 1 << 17  # pixels at a time, for what is to stay in the processor's cache
WHITES = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}
"""What counts as white in the modes without a fixed range: the first that no value exceeds; else the largest value."""
CONVERTED = {"1": "L", "La": "LA", "RGBX": "RGB", "RGBa": "RGBA", "HSV": "RGB", "YCbCr": "RGB"}
GRAY = ("1", "L", "LA", "La", "I", "F")
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""The color space, in the words of ICC.1, of a profile that pictures of these modes may carry."""


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """A picture as arrays: `pixels` in their own color space, which the RGB profile `icc` describes (None: sRGB)."""

    pixels: Pixels
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None
    """The picture's own height and width, where `pixels` are a draft of it."""
    metadata: Metadata = field(default_factory=Metadata)
    """What its file says of it besides."""


def upright(loaded: Loaded) -> Upright:
    """Rotate `loaded` by its EXIF orientation; gray becomes RGB, and CMYK, LAB and gray with a profile become sRGB.

    16 bits stay 16 bits; the modes I and F are scaled into them, not clipped: see WHITES. Broken EXIF data and
    profiles are passed over.
    """
    orientation, key = exif_orientation(loaded.image), _transparent_color(loaded)
    transform, icc, remarks = _profile(loaded.image)
    if loaded.deep is not None and orientation == 1 and key is None:
        pixels: Pixels = loaded.deep
    else:
        pixels = _gathered(loaded, orientation, key, transform)
    dpi = _dpi(loaded.image.info.get("dpi") or resolution(loaded.image), orientation > 4 or loaded.quarter_turned)
    shape = None if loaded.size is None else loaded.size if orientation > 4 else loaded.size[::-1]
    metadata = read_metadata(loaded.image) if loaded.metadata is None else loaded.metadata
    return Upright(pixels, icc, dpi, (*loaded.warnings, *remarks), shape, metadata)


def _gathered(loaded: Loaded, orientation: int, key: NDArray[Any] | None, transform: "ImageCmsTransform | None") -> Pixels:
    """Read all strips, convert them to sRGB if needed, and store them upright."""
    image, read = loaded.image, _reader(loaded.image, transform)
    deep = loaded.deep is not None or image.mode[0] in "IF"
    size = (image.width, image.height) if orientation > 4 else (image.height, image.width)
    channels = 4 if key is not None or _has_alpha(image) else 3
    pixels = np.empty((*size, channels), np.uint16 if deep else np.uint8)
    ramp = _ramp(transform, deep) if transform and _is_gray(image.mode) else None
    stored = as_stored(pixels, orientation)
    for rows in strips(image.height, image.width):
        strip = loaded.deep[rows] if loaded.deep is not None else read(_crop(image, rows))
        _place(strip, stored[rows], key, ramp)
    return pixels


def to_rgb8(pixels: Pixels, icc: bytes | None) -> Rgb:
    """Return `pixels` as models read them: 8 bits, sRGB by the perceptual intent of `icc`, over white."""
    transform = to_srgb(icc, "RGB") if icc else None
    if transform and _changes_nothing(transform):
        transform = None
    if transform is None and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    rgb = np.empty((*pixels.shape[:2], 3), np.uint8)
    for rows in strips(*pixels.shape[:2]):
        strip = eight_bits(pixels[rows])
        colors = _apply(transform, np.ascontiguousarray(strip[..., :3])) if transform else strip[..., :3]
        rgb[rows] = colors if pixels.shape[2] == 3 else _over_white(colors, strip[..., 3:])
    return rgb


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert uint16 to the nearest uint8, 65535 to 255; return uint8 unchanged."""
    return values if values.dtype == np.uint8 else ((values + np.uint32(128)) // 257).astype(np.uint8)


def to_srgb(icc: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the transform from the profile `icc` of `mode` (RGB, L, CMYK) to sRGB; None if it is broken or does not fit."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if profile.profile.xcolor_space != SPACES[mode]:
            return None
        return _transform(profile, mode)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None


def from_srgb(rgb: NDArray[np.uint8], icc: bytes | None) -> NDArray[np.uint8]:
    """Return sRGB colors, (H, W, 3), in the RGB space of the profile `icc`; as they are where there is none, or it is sRGB."""
    from PIL import ImageCms

    if not icc or (forth := to_srgb(icc, "RGB")) is None or _changes_nothing(forth):
        return rgb
    profile = ImageCms.ImageCmsProfile(BytesIO(icc))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        back = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB", intent)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):  # a profile that only leads to sRGB
        return rgb
    return _apply(back, np.ascontiguousarray(rgb))


def _transform(profile: Any, mode: str) -> "ImageCmsTransform":
    from PIL import ImageCms

    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL)


def _apply(transform: "ImageCmsTransform", values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(transform.apply(Image.fromarray(values)))


def _changes_nothing(transform: "ImageCmsTransform") -> bool:
    """Return whether a profile is sRGB itself, by whatever name: it moves no color by more than 1/255."""
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)
    return bool(np.abs(_apply(transform, colors).astype(int) - colors).max() <= 1)


def _is_gray(mode: str) -> bool:
    return mode in GRAY or mode.startswith("I;16")


def _has_alpha(image: Image.Image) -> bool:
    if image.mode == "P":
        return "transparency" in image.info or (image.palette is not None and image.palette.mode.endswith("A"))
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa")


def _profile(image: Image.Image) -> "tuple[ImageCmsTransform | None, bytes | None, list[str]]":
    """Return the transform to sRGB that the pixels need, or the RGB profile that they keep, and a warning on a bad one."""
    from PIL import ImageCms

    if image.mode == "LAB":
        return _transform(ImageCms.createProfile("LAB"), "LAB"), None, []
    icc = image.info.get("icc_profile")
    if not icc:
        return None, None, []
    own = "L" if _is_gray(image.mode) else "CMYK" if image.mode == "CMYK" else "RGB"
    if own != "CMYK" and to_srgb(icc, "RGB"):
        return None, icc, []  # a gray picture may carry an RGB profile, and is RGB from here on
    transform = to_srgb(icc, own) if own != "RGB" else None
    return transform, None, [] if transform else ["its color profile is unsound: sRGB is assumed"]


def _reader(image: Image.Image, transform: "ImageCmsTransform | None") -> Reader:
    """Return how to read a strip: (h, w) gray, (h, w, 2) gray and alpha, (h, w, 3) RGB, (h, w, 4) RGBA."""
    mode = image.mode
    if mode in ("CMYK", "LAB"):
        return lambda strip: np.asarray(transform.apply(strip) if transform else strip.convert("RGB"))
    if mode in ("I", "F"):
        black, white = _range(image)
        return lambda strip: _spread(np.asarray(strip), black, white)
    if mode.startswith("I;16"):
        return _sixteen_reader(image)
    if mode in ("P", "PA"):
        if image.palette is None:
            raise ValueError("it has no palette")
        return lambda strip: np.asarray(strip.convert("RGBA" if _has_alpha(image) else "RGB"))
    return lambda strip: np.asarray(strip.convert(CONVERTED.get(mode, mode)))


def _sixteen_reader(image: Image.Image) -> Reader:
    """Return 16-bit gray; a TIFF may hold 12 bits, or count from white to black, which Pillow does not convert."""
    tags = getattr(image, "tag_v2", {})
    scale = 65535 / 4095 if tags.get(258) == (12,) else 1

    def read(strip: Image.Image) -> NDArray[np.uint16]:
        values = np.asarray(strip)
        gray = values.astype(np.uint16) if scale == 1 else np.rint(values * scale).astype(np.uint16)
        return 65535 - gray if tags.get(262) == 0 else gray

    return read


def _range(image: Image.Image) -> tuple[float, float]:
    """Return what is black and what is white in a picture of mode I or F."""
    low, high = math.inf, -math.inf
    for rows in strips(image.height, image.width):
        values = np.asarray(_crop(image, rows))
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low < 0:
        return low, high if high > low else low + 1
    return 0.0, next((white for white in WHITES[image.mode] if high <= white), high)


def _spread(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint16]:
    """Scale black to 0 and white to 65535; not-a-number becomes black."""
    finite = np.nan_to_num(values.astype(np.float64), nan=black, posinf=white, neginf=black)
    return np.rint((finite - black) / (white - black) * 65535).astype(np.uint16)


def _transparent_color(loaded: Loaded) -> NDArray[Any] | None:
    """Return the one color that a tRNS chunk declares transparent, in the units of the decoded pixels."""
    key, mode, rawmode = loaded.image.info.get("transparency"), loaded.image.mode, loaded.rawmode
    if mode == "RGB" and isinstance(key, tuple) and len(key) == 3:
        return np.array(key) >> (8 if ";16" in rawmode and loaded.deep is None else 0)
    if (mode in ("1", "L") or mode.startswith("I;16")) and isinstance(key, int):
        return np.array([key * {"L;2": 85, "L;4": 17}.get(rawmode, 1)])
    return None


def _ramp(transform: "ImageCmsTransform", deep: bool) -> Pixels:
    """Return the sRGB color of each gray level of a gray profile: (256, 3) uint8 or (65536, 3) uint16."""
    levels = np.arange(256)
    eight: NDArray[np.uint8] = _apply(transform, levels.astype(np.uint8)[None])[0]
    if not deep:
        return eight
    ramp = np.empty((65536, 3), np.uint16)
    for channel in range(3):
        ramp[:, channel] = np.rint(np.interp(np.arange(65536) / 257, levels, eight[:, channel] * 257.0))
    return ramp


def _place(strip: NDArray[Any], target: Pixels, key: NDArray[Any] | None, ramp: Pixels | None) -> None:
    """Write what a Reader gave into `target`, (h, w, 3) or (h, w, 4)."""
    strip = strip[..., None] if strip.ndim == 2 else strip
    colors = strip[..., :-1] if strip.shape[2] in (2, 4) else strip
    target[..., :3] = ramp[colors[..., 0]] if ramp is not None else colors
    if key is not None:
        target[..., 3] = np.where((colors == key).all(-1), 0, np.iinfo(target.dtype).max)
    elif target.shape[2] == 4:
        target[..., 3] = strip[..., -1]


def _over_white(colors: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if alpha.min() == 255:
        return colors
    weight = alpha.astype(np.uint16)
    return ((colors * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def strips(height: int, width: int, size: int | None = None) -> Iterator[slice]:
    """Return slices of rows, about `size` pixels each (STRIP)."""
    step = max(1, (size or STRIP) // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def by_strips(shape: tuple[int, ...], kind: np.dtype[Any], function: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:
    """Make an array strip by strip in threads, so that no intermediate array has the whole picture."""
    result = np.empty(shape, kind)

    def fill(rows: slice) -> None:
        result[rows] = function(rows)

    map_parts(fill, strips(shape[0], shape[1], SMALL_STRIP))
    return result


def _crop(image: Image.Image, rows: slice) -> Image.Image:
    return image.crop((0, rows.start, image.width, rows.stop))


def _dpi(value: Any, turned: bool) -> tuple[float, float] | None:
    """Return dots per inch, across and down, of the upright picture; None for impossible values."""
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    if not (1 <= across <= 100_000 and 1 <= down <= 100_000):
        return None
    return (down, across) if turned else (across, down)
