"""What is put behind a cut-out: a color, a picture, the blurred, gray or unchanged background, a checkerboard.

To add a kind: a name in `NAMED`, a function here, and a branch of `editing.background_of`.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import ImageColor

from figureground.compositing.fill import smooth_fill
from figureground.compositing.lengths import Length
from figureground.errors import UsageError
from figureground.io.color_modes import Pixels, by_strips
from figureground.types import Mask

Fit = Literal["cover", "contain", "stretch", "tile"]
Kind = Literal["color", "picture", "blur", "gray", "original", "checker"]
NAMED: tuple[Kind, ...] = ("blur", "gray", "original", "checker")
SCENE: frozenset[Kind] = frozenset({"blur", "gray", "original"})
"""Kinds that show the picture's own background."""
BLUR = Length(2, percent=True)
"""The standard deviation of `blur`, of the longer side, where none is given."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".jp2")


@dataclass(frozen=True, slots=True)
class Background:
    """A background as the user names it.

    kind : what it is.
    color : red, green, blue and alpha, 0 to 255, of a color.
    source : the path or address of a picture.
    radius : of a blur.
    """

    kind: Kind
    color: tuple[int, int, int, int] = (0, 0, 0, 0)
    source: str = ""
    radius: Length = BLUR

    @classmethod
    def parse(cls, text: str) -> "Background":
        """Return the background that `text` names.

        Parameters
        ----------
        text : str
            A color (`white`, `#rrggbb`, `#rrggbbaa`, `rgb(…)`, `transparent`), `blur`, `blur:12`, `blur:3%`, `gray`,
            `original`, `checker`, or the path or address of a picture.

        Raises
        ------
        UsageError
            For anything else.

        Examples
        --------
        >>> Background.parse("#ff000080").color
        (255, 0, 0, 128)
        >>> Background.parse("blur:12").radius.pixels(100)
        12.0
        """
        name, colon, rest = text.partition(":")
        if name == "blur":
            return cls("blur", radius=Length.parse(rest, "--background blur:RADIUS") if colon else BLUR)
        if text == "transparent":
            return cls("color")
        if text in NAMED:
            return cls(text)
        try:
            red, green, blue, alpha = (*ImageColor.getrgb(text), 255)[:4]
            return cls("color", (red, green, blue, alpha))
        except ValueError:
            pass
        if "://" in text or "/" in text or Path(text).suffix.lower() in PICTURES or (text and Path(text).is_file()):
            return cls("picture", source=text)
        raise UsageError(
            f"expected a background such as white, #rrggbb, {', '.join(NAMED)} or the path of a picture, but got '{text[:40]}'"
        )


def solid(shape: tuple[int, int], color: tuple[int, ...], kind: type[np.uint8] | type[np.uint16] = np.uint8) -> Pixels:
    """Return an image of one color.

    Parameters
    ----------
    shape : height and width
    color : red, green, blue, and alpha if it has some, 0 to 255
    kind : uint8 or uint16

    Returns
    -------
    (H, W, 3) or (H, W, 4)

    Examples
    --------
    >>> solid((1, 2), (255, 0, 0)).tolist()
    [[[255, 0, 0], [255, 0, 0]]]
    """
    image: Any = np.empty((*shape, len(color)), kind)
    image[:] = [value * (np.iinfo(kind).max // 255) for value in color]
    return image  # type: ignore[no-any-return]


def checker(shape: tuple[int, int], cell: int | None = None) -> Pixels:
    """Return the usual gray and white squares that stand for transparency.

    Parameters
    ----------
    shape : height and width
    cell : int, optional
        The side of a square in pixels; None: a fortieth of the longer side, at least 4.

    Returns
    -------
    (H, W, 3) uint8

    Examples
    --------
    >>> checker((2, 4), 2)[0, :, 0].tolist()
    [255, 255, 204, 204]
    """
    side = cell or max(4, max(shape) // 40)
    across, down = (np.arange(length) // side % 2 for length in (shape[1], shape[0]))
    plane = np.where(np.bitwise_xor.outer(down, across), 204, 255).astype(np.uint8)
    return np.repeat(plane[..., None], 3, axis=2)


def fit_picture(image: Pixels, shape: tuple[int, int], fit: Fit = "cover") -> Pixels:
    """Return a picture brought to a size.

    Parameters
    ----------
    image : (h, w, 3) or (h, w, 4) uint8 or uint16
    shape : height and width wanted
    fit : {'cover', 'contain', 'stretch', 'tile'}
        `cover` fills the size and cuts what is over, `contain` shows all of it on transparent bars, `stretch` changes its
        proportions, `tile` repeats it at its own size from the top left.

    Returns
    -------
    (H, W, 3) or (H, W, 4) of the same type
        With an alpha channel where `image` has one or `contain` leaves bars.

    Examples
    --------
    >>> image = np.zeros((10, 20, 3), np.uint8)
    >>> fit_picture(image, (10, 10), "cover").shape, fit_picture(image, (10, 10), "contain").shape
    ((10, 10, 3), (10, 10, 4))
    """
    height, width = shape
    if fit == "tile":
        rows, columns = -(-height // image.shape[0]), -(-width // image.shape[1])
        tiled: Any = np.tile(image, (rows, columns, 1))
        return tiled[:height, :width]  # type: ignore[no-any-return]
    if fit == "stretch":
        return resize(image, (height, width))
    if fit not in get_args(Fit):
        raise UsageError(f"a background fits as one of {', '.join(get_args(Fit))}, but got '{fit}'")
    across, down = width / image.shape[1], height / image.shape[0]
    scale = max(across, down) if fit == "cover" else min(across, down)
    size = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    if fit == "cover":
        large: Any = resize(image, (max(size[0], height), max(size[1], width)))
        top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
        return np.ascontiguousarray(large[top : top + height, left : left + width])
    small = resize(image, (min(size[0], height), min(size[1], width)))
    if small.shape[:2] == shape:
        return small
    result: Pixels = np.zeros((height, width, 4), image.dtype)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    place = result[top : top + small.shape[0], left : left + small.shape[1]]
    place[..., 3] = np.iinfo(image.dtype).max
    place[..., : small.shape[2]] = small
    return result


def resize(image: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return an image at another height and width: areas averaged where it shrinks, bicubic where it grows.

    Colors of images with alpha are weighted by it, so that hidden colors stay hidden.
    """
    import cv2

    height, width = shape
    if image.shape[:2] == shape:
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    if image.ndim < 3 or image.shape[2] < 4:
        resized: Pixels = cv2.resize(image, (width, height), interpolation=how)  # type: ignore[assignment]
        return resized
    large = np.asarray(cv2.resize(premultiplied(image), (width, height), interpolation=how), np.float32)
    return straight(large, image.dtype)


def premultiplied(image: Pixels) -> np.typing.NDArray[np.float32]:
    """Return an image with alpha, its colors weighted by it, (H, W, 4) float32."""
    alpha = image[..., 3:].astype(np.float32)
    return np.concatenate([image[..., :3] * (alpha / np.iinfo(image.dtype).max), alpha], axis=2)


def straight(weighted: np.typing.NDArray[np.float32], kind: np.dtype[Any]) -> Pixels:
    """Return what `premultiplied` gave with straight alpha again, of type `kind`; black where it is transparent."""
    most = np.iinfo(kind).max
    share = np.clip(weighted[..., 3:], 0, most)
    colors = weighted[..., :3] / np.maximum(share / most, 1e-6)
    result: Pixels = np.rint(np.clip(np.concatenate([colors, share], axis=2), 0, most)).astype(kind)
    result[share[..., 0] < 0.5] = 0
    return result


def blur(picture: Pixels, mask: Mask, radius: float | None = None) -> Pixels:
    """Return the background blurred, as if it were out of focus; nothing of the subject gets into it.

    The subject's place is filled smoothly from the background around it before the blur, so that no halo is left around the
    subject: what a blur of the whole picture would smear of it into its surroundings.

    Parameters
    ----------
    picture : (H, W, 3) uint8 or uint16
    mask : (H, W) float32 in [0, 1]
        1 is foreground; pixels above 0.02 count as part of the subject.
    radius : float, optional
        The standard deviation of the Gaussian, in pixels; None: 2 % of the longer side.

    Returns
    -------
    (H, W, 3) of the same type

    References
    ----------
    Knutsson and Westin, "Normalized and Differential Convolution" (CVPR 1993), for filters that leave pixels out.

    Examples
    --------
    >>> picture = np.full((20, 20, 3), 80, np.uint8)
    >>> picture[8:12, 8:12] = 255
    >>> mask = np.zeros((20, 20), np.float32)
    >>> mask[8:12, 8:12] = 1
    >>> np.unique(blur(picture, mask, 3)).tolist()
    [80]
    """
    sigma = BLUR.pixels(max(mask.shape)) if radius is None else radius
    return gaussian(smooth_fill(picture, mask), sigma)


def gaussian(image: Pixels, sigma: float) -> Pixels:
    """Return an image blurred by a Gaussian; a wide one is applied to a smaller copy, which looks the same."""
    import cv2

    if sigma <= 0:
        return image
    step = max(1, int(sigma / 4))
    height, width = image.shape[:2]
    if step == 1:
        blurred: Pixels = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)  # type: ignore[assignment]
        return blurred
    size = (math.ceil(width / step), math.ceil(height / step))
    framed = cv2.copyMakeBorder(image, 0, size[1] * step - height, 0, size[0] * step - width, cv2.BORDER_REFLECT)
    small = np.asarray(cv2.resize(framed, size, interpolation=cv2.INTER_AREA), np.float32)
    # the average over a cell, and the bilinear way back, blur a little themselves
    rest = math.sqrt(max((sigma / step) ** 2 - 1 / 12 - 1 / 6, 0.05))
    small = np.asarray(cv2.GaussianBlur(small, (0, 0), rest, borderType=cv2.BORDER_REFLECT), np.float32)
    most = np.iinfo(image.dtype).max
    whole: Any = np.clip(np.rint(_enlarged(small, step)), 0, most)[:height, :width]
    return whole.astype(image.dtype)  # type: ignore[no-any-return]


def _enlarged(small: np.typing.NDArray[np.float32], step: int) -> np.typing.NDArray[np.float32]:
    import cv2

    size = (small.shape[1] * step, small.shape[0] * step)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.float32)


def gray(picture: Pixels) -> Pixels:
    """Return a picture without its colors: the luma of Rec. 601 in all three channels.

    Examples
    --------
    >>> gray(np.array([[[255, 0, 0]]], np.uint8)).tolist()
    [[[76, 76, 76]]]
    """
    import cv2

    weights = np.array([0.299, 0.587, 0.114], np.float32)

    def strip(rows: slice) -> Any:
        luma: Any = np.rint(picture[rows, :, :3] @ weights).astype(picture.dtype)
        return cv2.merge((luma, luma, luma))

    return by_strips((*picture.shape[:2], 3), picture.dtype, strip)
