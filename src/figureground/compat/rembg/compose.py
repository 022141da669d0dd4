"""rembg's `remove`: from a picture and its masks to a cut-out, in the kind of data that came in."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.compat.rembg.session import DEFAULT, SESSION_KEYWORDS, RembgSession, new_session, warn
from figureground.errors import UsageError
from figureground.settings import Settings

Pixels = NDArray[np.uint8]
Data = TypeVar("Data", bytes, Image.Image, NDArray[Any])
KEYWORDS = SESSION_KEYWORDS | {"putalpha"}
"""Keywords of rembg's beside those that `remove` names; others have no effect, with a warning."""


def remove(
    data: Data,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: RembgSession | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    vitmatte: bool = False,
    vitmatte_model: str | None = None,
    bgcolor: Sequence[int] | None = None,
    force_return_bytes: bool = False,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Remove the background of a picture, with rembg's arguments and results.

    Parameters
    ----------
    data : bytes, PIL.Image.Image or array
        The picture; bytes are those of a file.
    alpha_matting : bool
        Refine the edge by closed-form matting.
    alpha_matting_foreground_threshold, alpha_matting_background_threshold : int
        Above and below which value of the mask, 0 to 255, a pixel is certain.
    alpha_matting_erode_size : int
        How many pixels certain regions are eroded.
    session : RembgSession, optional
        As `new_session` gives it; or anything that has rembg's `predict`.
    only_mask : bool
        Return the mask, of mode L.
    post_process_mask : bool
        Open the mask, smooth it, and make it 0 or 255.
    decontaminate : bool
        Estimate the subject's own colors at its edge.
    vitmatte, vitmatte_model
        ViTMatte is not part of figureground: alpha matting is used, with a warning.
    bgcolor : four numbers, optional
        Color behind the cut-out: red, green, blue and alpha, 0 to 255.
    force_return_bytes : bool
        Take and return bytes.
    **kwargs
        ``putalpha``; without a session, those of `new_session`. Others have no effect, with a warning.

    Returns
    -------
    bytes, PIL.Image.Image or array
        The same kind as `data`: a PNG file's bytes, an image, or (H, W, 4) uint8.

    Raises
    ------
    UsageError, WeightsError
        As `new_session`.
    MissingExtra
        `alpha_matting` without the extra `matting`.
    InputError
        For bytes that are not a picture that can be read, or that has more pixels than the limits allow.
    """
    image, convert = _taken(data, force_return_bytes)
    for name in sorted(set(kwargs) - KEYWORDS):
        warn(f"remove: the keyword '{name}' has no effect")
    if vitmatte:
        warn("remove: ViTMatte is not part of figureground; alpha matting is used")
    if session is None:
        session = new_session(DEFAULT, *args, **{name: kwargs[name] for name in SESSION_KEYWORDS & set(kwargs)})
    thresholds = alpha_matting_foreground_threshold, alpha_matting_background_threshold
    done = []
    for mask in session.predict(image, *args, **kwargs):
        finished = post_process(mask) if post_process_mask else mask
        if only_mask:
            done.append(finished)
        elif alpha_matting or vitmatte:
            done.append(_matted(image, finished, *thresholds, alpha_matting_erode_size, bool(kwargs.get("putalpha"))))
        elif kwargs.get("putalpha"):
            done.append(with_alpha(image, finished))
        else:
            done.append(decontaminated(image, finished) if decontaminate else cut_out(image, finished))
    result = _stacked(done) if done else image
    return convert(_over(result, bgcolor) if bgcolor is not None and not only_mask else result)


def _taken(data: Any, force_bytes: bool) -> tuple[Image.Image, Callable[[Image.Image], Any]]:
    """Return the picture, upright, and what turns a result into the kind of data that came."""
    from PIL import ImageOps

    if isinstance(data, bytes | bytearray) or (force_bytes and not isinstance(data, Image.Image | np.ndarray)):
        return _upright(_decoded(bytes(data))), encoded
    if isinstance(data, Image.Image):
        turned = ImageOps.exif_transpose(data)
        return turned, encoded if force_bytes else lambda image: image
    if isinstance(data, np.ndarray):
        return Image.fromarray(data), encoded if force_bytes else np.asarray
    raise UsageError(f"a picture is bytes, a PIL image or an array, but got {type(data).__name__}")


def _decoded(data: bytes) -> Image.Image:
    """Return the picture of a file's bytes, under the limits of the settings; raises InputError."""
    from figureground.io.decode import decode

    return decode(data, Settings.from_environment()).image


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def encoded(image: Image.Image) -> bytes:
    """Return a PNG file's bytes."""
    from figureground.io.png import png

    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return png(np.asarray(image))
    import io

    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the picture under its mask, RGBA. As in rembg, colors become darker where the mask is soft."""
    return Image.composite(image, Image.new("RGBA", image.size, 0), mask)


def with_alpha(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the picture's own colors with the mask as alpha; the picture that was given stays as it is."""
    copy = image.copy()
    copy.putalpha(mask)
    return copy


def decontaminated(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the mask as alpha, and the subject's own colors at its edge, RGBA."""
    from figureground.compositing.foreground_colors import cut_out as with_own_colors

    alpha: Pixels = np.asarray(mask.convert("L"))
    pixels = with_own_colors(np.asarray(image.convert("RGB")), alpha.astype(np.float32) / np.float32(255))
    return Image.fromarray(pixels.astype(np.uint8, copy=False))


def post_process(mask: Image.Image) -> Image.Image:
    """Return the mask opened by a cross of 3 × 3 pixels, smoothed by a Gaussian of 2 pixels, then 0 below 127, and 255."""
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    opened = cv2.morphologyEx(np.asarray(mask), cv2.MORPH_OPEN, cross).astype(np.float64)
    smooth = cv2.GaussianBlur(opened, (17, 17), 2, borderType=cv2.BORDER_REFLECT)
    return Image.fromarray(np.where(smooth < 127, 0, 255).astype(np.uint8))


def trimap(mask: Pixels, foreground: int, background: int, erode: int) -> Pixels:
    """0 where a mask is certain background, 255 where it is certain foreground, 128 between, (H, W) uint8.

    Each certain region is eroded by a square of `erode` pixels; beyond the border there is background.
    """
    import cv2

    erode = max(0, erode)
    square = np.ones((erode, erode), np.uint8) if erode > 0 else cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    anchor = (square.shape[1] // 2, square.shape[0] // 2)

    def eroded(certain: NDArray[np.bool_], beyond: int) -> NDArray[np.bool_]:
        source = np.pad(certain.astype(np.uint8), (erode + 1, erode + 1), constant_values=beyond)
        shrunk = np.asarray(cv2.erode(source, square, anchor=anchor))
        return shrunk[erode + 1 : -erode - 1, erode + 1 : -erode - 1] > 0

    result = np.full(mask.shape, 128, np.uint8)
    result[eroded(mask > foreground, 0)] = 255
    result[eroded(mask < background, 1)] = 0
    return result


def _matted(image: Image.Image, mask: Image.Image, foreground: int, background: int, erode: int, putalpha: bool) -> Image.Image:
    """Return the cut-out with its edge found by closed-form matting; where nothing is certain, the mask as it is."""
    from figureground.masks.matting import pymatting

    rgb: Pixels = np.asarray(image.convert("RGB"))
    certain = trimap(np.asarray(mask.convert("L")), foreground, background, erode)
    try:
        alpha = pymatting().estimate_alpha_cf(rgb / 255.0, certain / 255.0)
    except ValueError:
        return with_alpha(image, mask) if putalpha else decontaminated(image, mask)
    return decontaminated(image, Image.fromarray((alpha * 255).astype(np.uint8)))


def _stacked(images: list[Image.Image]) -> Image.Image:
    """One image, or several below each other, RGBA."""
    if len(images) == 1:
        return images[0]
    result = Image.new("RGBA", (max(each.width for each in images), sum(each.height for each in images)))
    top = 0
    for each in images:
        result.paste(each, (0, top))
        top += each.height
    return result


def _over(image: Image.Image, color: Sequence[int]) -> Image.Image:
    if len(color) != 4 or not all(0 <= value <= 255 for value in color):
        raise UsageError(f"bgcolor is four numbers from 0 to 255, but got {tuple(color)}")
    behind = Image.new("RGBA", image.size, (int(color[0]), int(color[1]), int(color[2]), int(color[3])))
    return Image.alpha_composite(behind, image.convert("RGBA"))
