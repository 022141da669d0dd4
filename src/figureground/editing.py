"""What people do with a separation: change its mask, crop it, put it on a canvas, and lay it over a background.

`EditOptions` says what; each step is a plain function of masks/adjust.py and compositing/. The order is: mask, layout,
background, shadow, outline, subject. Lengths are measured after the layout, so they are pixels of the output.
"""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.compositing import backgrounds, effects
from figureground.compositing.blend import composite, paint
from figureground.compositing.canvas import (
    Box,
    Layout,
    apply_layout,
    parse_align,
    parse_canvas,
    parse_scale,
    plan_layout,
    subject_box,
)
from figureground.compositing.fill import clean_plate, fill
from figureground.compositing.lengths import Length
from figureground.compositing.options import EditOptions
from figureground.io.color_modes import Pixels, from_srgb
from figureground.io.encode import over
from figureground.io.picture import Picture
from figureground.masks.adjust import feather, grow, invert, subject_side, threshold
from figureground.masks.head import head_box
from figureground.separation import Separation
from figureground.settings import Settings
from figureground.types import InstanceMap, Map, Mask, SaliencyMap


@dataclass(frozen=True, slots=True)
class Edited:
    """A separation as it is shown, and where it comes from.

    separation : with its mask changed, and picture, mask and map laid out.
    layout : how; None: the whole picture at its size.
    """

    separation: Separation
    layout: Layout | None

    def info(self) -> dict[str, Any]:
        """Return what the output shows, as plain data: its size, the subject's box on it, and the window that it shows."""
        height, width = self.separation.mask.shape
        box = self.separation.box()
        whole = (0, 0, width, height)
        return {
            "width": width,
            "height": height,
            "box": list(box) if box else None,
            "source": list(self.layout.source if self.layout else whole),
            "target": list(self.layout.target if self.layout else whole),
        }


def adjust_mask(mask: Mask, options: EditOptions, side: float | None = None) -> Mask:
    """Return the mask as `threshold`, `invert`, `grow`, `shrink` and `feather` change it, in this order.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    options : EditOptions
    side : float, optional
        What per cent are of, in pixels; None: the longer side of the subject's box.

    Examples
    --------
    >>> adjust_mask(np.array([[0.2, 0.9]], np.float32), EditOptions(threshold=0.5, invert=True)).tolist()
    [[1.0, 0.0]]
    """
    side = subject_side(mask) if side is None else side
    if options.threshold is not None:
        mask = threshold(mask, options.threshold)
    if options.invert:
        mask = invert(mask)
    for text, change in ((options.grow, grow), (options.shrink, _shrunk), (options.feather, feather)):
        if text is not None:
            mask = change(mask, Length.parse(text).pixels(side))
    return mask


def _shrunk(mask: Mask, pixels: float) -> Mask:
    return grow(mask, -pixels)


def layout_for(mask: Mask, options: EditOptions) -> Layout | None:
    """Return where the picture of a mask lies on the output.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    options : EditOptions

    Returns
    -------
    Layout or None
        None where the picture stays as it is.
    """
    return layout_around(mask.shape, box_to_show(mask, options), options) if options.has_layout else None


def layout_around(shape: tuple[int, ...], box: Box | None, options: EditOptions) -> Layout | None:
    """Return where a picture lies on the output, by the box that is shown.

    Parameters
    ----------
    shape : height and width of the picture
    box : the box to show; None for the whole picture
    options : EditOptions

    Returns
    -------
    Layout or None
        None where the picture stays as it is.
    """
    if not options.has_layout:
        return None
    height, width = shape
    background = options.parsed_background()
    layout = plan_layout(
        (height, width),
        box,
        crop=options.crop,
        margin=Length.parse(options.margin, "--margin") if options.margin is not None else None,
        square=options.square,
        canvas=parse_canvas(options.canvas) if options.canvas is not None else None,
        scale=parse_scale(options.scale) if options.scale is not None else None,
        align=parse_align(options.align) if options.align is not None else None,
        inside=background is not None and background.kind in backgrounds.SCENE,
    )
    unchanged = layout.size == (width, height) and layout.source == layout.target == (0, 0, width, height)
    return None if unchanged else layout


def box_to_show(mask: Mask, options: EditOptions) -> Box | None:
    """Return what is cropped to: the head where that is asked for and there is one, else the subject."""
    head = head_box(mask, options.crop_threshold) if options.crop_to == "head" else None
    return head or subject_box(mask, options.crop_threshold)


def edit(separation: Separation, options: EditOptions) -> Edited:
    """Return the separation with its mask changed, on its canvas: every view of it shows the output.

    Parameters
    ----------
    separation : Separation
    options : EditOptions
        Of which background, shadow, outline and fill are left to `compose` and `filled_background`.

    Returns
    -------
    Edited

    Examples
    --------
    >>> from figureground.methods import find
    >>> from figureground.types import SaliencyMap
    >>> mask = np.zeros((8, 8), np.float32)
    >>> mask[2:6, 3:5] = 1
    >>> picture = Picture.read(np.zeros((8, 8, 3), np.uint8))
    >>> separation = Separation(picture, mask, SaliencyMap(mask), find("subject"))
    >>> edit(separation, EditOptions(crop=True)).info()["source"]
    [3, 2, 5, 6]
    """
    mask = adjust_mask(separation.mask, options) if options.adjusts_mask else separation.mask
    return lay_out(separation, mask, layout_for(mask, options))


def lay_out(separation: Separation, mask: Mask, layout: Layout | None) -> Edited:
    """Return a separation with another mask, laid out.

    Parameters
    ----------
    separation : Separation
    mask : (H, W) float32 in [0, 1]
    layout : Layout or None
        None leaves the picture as it is.

    Returns
    -------
    Edited
    """
    if layout is not None:
        mask = apply_layout(mask, layout)
        # a saliency map is looked at no more: the mask stands for it
        map_found = SaliencyMap(mask) if isinstance(separation.map, SaliencyMap) else _map_laid_out(separation.map, layout)
        changed = replace(separation, picture=_laid_out(separation.picture, layout), mask=mask, map=map_found)
        return Edited(changed, layout)
    return Edited(separation if mask is separation.mask else replace(separation, mask=mask), None)


def _laid_out(picture: Picture, layout: Layout) -> Picture:
    if picture.own_shape is not None:  # a draft: nothing that is allowed shows its pixels
        return replace(picture, own_shape=layout.size[::-1])
    original = apply_layout(picture.original, layout, edge=picture.original.shape[2] == 3)
    rgb = original if picture.rgb is picture.original else apply_layout(picture.rgb, layout, edge=True)
    original.flags.writeable = rgb.flags.writeable = False
    return replace(picture, rgb=rgb, original=original)


def _map_laid_out(map_found: Map, layout: Layout) -> Map:
    """Return the map moved with the picture; an InstanceMap loses the objects that were cropped away."""
    values = {each.name: getattr(map_found, each.name) for each in fields(map_found)}
    moved: dict[str, Any] = {
        name: apply_layout(value, layout, nearest=value.dtype.kind != "f", edge=True)
        for name, value in values.items()
        if isinstance(value, np.ndarray)
    }
    result: Map = replace(map_found, **moved)
    if isinstance(result, InstanceMap):
        left = np.flatnonzero(result.areas())
        numbers = np.zeros(len(result.objects) + 1, np.uint16)
        numbers[left + 1] = np.arange(1, left.size + 1)
        result = InstanceMap(numbers[result.numbers], tuple(result.objects[index] for index in left))
    return result


def render(
    separation: Separation,
    view: str,
    options: EditOptions,
    settings: Settings | None = None,
    side: float | None = None,
) -> Pixels:
    """Return a view of an edited separation, with background, shadow, outline and fill.

    Parameters
    ----------
    separation : Separation
        As `edit` returns it.
    view : str
        A name in `VIEWS`.
    options : EditOptions
    settings, side
        As of `compose`.

    Returns
    -------
    (H, W), (H, W, 3) or (H, W, 4) array
    """
    if options.keep_colors:
        separation = replace(separation, keep_colors=True)
    if view == "cutout" and options.composes:
        return compose(separation, options, settings, side)
    if view == "background" and options.fill:
        return filled_background(separation)
    return separation.view(view)


def compose(
    separation: Separation, options: EditOptions, settings: Settings | None = None, side: float | None = None
) -> Pixels:
    """Return the cut-out with its background, shadow and outline.

    Parameters
    ----------
    separation : Separation
        As `edit` gives it.
    options : EditOptions
    settings : Settings, optional
        Limits for a background that is a picture.
    side : float, optional
        What per cent are of, in pixels of the output; None: the longer side of the subject's box.

    Returns
    -------
    (H, W, 3) or (H, W, 4) of the picture's type
        In the picture's color space; with alpha where something is transparent.

    Examples
    --------
    >>> from figureground.methods import find
    >>> from figureground.types import SaliencyMap
    >>> mask = np.zeros((8, 8), np.float32)
    >>> picture = Picture.read(np.zeros((8, 8, 3), np.uint8))
    >>> compose(Separation(picture, mask, SaliencyMap(mask), find("subject")), EditOptions(background="white"))[0, 0].tolist()
    [255, 255, 255]
    """
    if options.keep_colors:
        separation = replace(separation, keep_colors=True)
    cutout = separation.cutout()
    if not options.composes:
        return cutout
    background = options.parsed_background()
    is_opaque = background is not None and background.kind == "color" and background.color[3] == 255
    if background is not None and is_opaque and options.shadow is None and options.outline is None:
        return over(cutout, _in_space(background.color[:3], separation.picture.icc))
    back = background_of(separation, cutout, options, settings)
    side = subject_side(separation.mask) if side is None else side
    if options.shadow is not None:
        back = paint(_shadow(separation, cutout, options, side), (0, 0, 0), back)
    line = options.parsed_outline()
    if line is not None:
        color = _in_space(line[1], separation.picture.icc)
        back = paint(effects.outline(_alpha(cutout), line[0].pixels(side)), color, back)
    return composite(cutout, back)


def background_of(separation: Separation, cutout: Pixels, options: EditOptions, settings: Settings | None = None) -> Pixels:
    """Return what lies behind the cut-out.

    Parameters
    ----------
    separation : Separation
    cutout : (H, W, 4) of the picture's type
    options : EditOptions
    settings : Settings, optional
        Limits for a background that is a picture.

    Returns
    -------
    (H, W, 3) or (H, W, 4) of the picture's type
        In the picture's color space; with alpha where it is transparent.
    """
    picture, mask = separation.picture, separation.mask
    kind, shape = picture.original.dtype.type, (mask.shape[0], mask.shape[1])
    background = options.parsed_background()
    if background is None:
        return backgrounds.solid(shape, (0, 0, 0, 0), kind)
    if background.kind in backgrounds.SCENE:
        return _scene(picture, mask, cutout, background)
    if background.kind == "picture":
        behind = _picture_behind(background.source, settings)
        image: Any = backgrounds.fit_picture(behind, shape, options.background_fit or "cover")
    elif background.kind == "checker":
        image = backgrounds.checker(shape)
    else:
        alpha = background.color[3:] if background.color[3] < 255 else ()
        return backgrounds.solid(shape, (*_in_space(background.color[:3], picture.icc), *alpha), kind)
    colors = from_srgb(image[..., :3], picture.icc)
    image = colors if image.shape[2] == 3 else np.dstack([colors, image[..., 3]])
    return image if kind is np.uint8 else image.astype(np.uint16) * np.uint16(257)  # type: ignore[no-any-return]


def _in_space(color: tuple[int, int, int], icc: bytes | None) -> tuple[int, int, int]:
    """Convert an sRGB color to the color space of a profile."""
    red, green, blue = from_srgb(np.asarray([[color]], np.uint8), icc)[0, 0].tolist()
    return red, green, blue


def _scene(picture: Picture, mask: Mask, cutout: Pixels, background: backgrounds.Background) -> Pixels:
    """Return the picture's own background, blurred, gray or unchanged."""
    own = picture.original[..., :3]
    if background.kind == "blur":
        image: Any = backgrounds.blur(own, mask, background.radius.pixels(max(mask.shape)))
    else:
        image = clean_plate(own, cutout, mask)
        if background.kind == "gray":
            image = backgrounds.gray(image)
    if picture.original.shape[2] == 4:
        image = np.dstack([image, picture.original[..., 3]])
    return image  # type: ignore[no-any-return]


def check_background(options: EditOptions, settings: Settings | None = None) -> None:
    """Read the picture that is to be a background, once for all pictures.

    Parameters
    ----------
    options : EditOptions
    settings : Settings, optional
        The limits for reading it.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    background = options.parsed_background()
    if background is not None and background.kind == "picture":
        _picture_behind(background.source, settings)


def _picture_behind(source: str, settings: Settings | None) -> NDArray[np.uint8]:
    return _read_behind(source, replace(settings or Settings.from_environment(), draft=False))


@lru_cache(maxsize=2)
def _read_behind(source: str, settings: Settings) -> NDArray[np.uint8]:
    """Return a background, (h, w, 3) or (h, w, 4) uint8, sRGB, read within the limits and addresses of the settings."""
    picture = Picture.read(source, settings)
    alpha = picture.alpha
    if alpha is None:
        return picture.rgb
    # models see pictures over white; here transparent parts stay so
    colors = np.array(picture.original[..., :3] if picture.original.dtype == np.uint8 else picture.rgb)
    return np.dstack([colors, np.rint(alpha * 255).astype(np.uint8)])


def _alpha(cutout: Pixels) -> Mask:
    return np.asarray(cutout[..., 3] * np.float32(1 / np.iinfo(cutout.dtype).max), np.float32)


def _shadow(separation: Separation, cutout: Pixels, options: EditOptions, side: float) -> Mask:
    """Return the coverage of the requested shadow."""
    opacity = options.shadow_opacity
    if options.shadow == "keep":
        return effects.ground_shadow(separation.picture.rgb, separation.mask, 1.0 if opacity is None else opacity)
    blur = Length.parse(options.shadow_blur or "3%", "--shadow-blur").pixels(side)
    right, down = (each.pixels(side) for each in options.parsed_offset())
    return effects.drop_shadow(_alpha(cutout), blur, (right, down), 0.45 if opacity is None else opacity)


def filled_background(separation: Separation) -> Pixels:
    """Return the picture with the subject's place filled, (H, W, 3) in the picture's type."""
    return fill(separation.picture.original[..., :3], separation.mask)
