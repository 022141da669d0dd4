"""The result for one picture, and its views. To add a view: a function and a row in `VIEWS`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import models
from figureground._deprecated import old_names, with_old_keys
from figureground.errors import IncompatibleParts, NameCollision, UnknownName, UsageError
from figureground.executor import limit_threads
from figureground.io.color_modes import Pixels, by_strips
from figureground.io.encode import ARRAYS, EncodeOptions, check_options, encode, over, parse_color, to_8_bits
from figureground.io.files import write
from figureground.io.metadata import without_gps
from figureground.io.picture import Picture
from figureground.io.png import Effort, png
from figureground.masks.components import ConnectedComponents, Shape
from figureground.methods import METHODS, Method, called
from figureground.types import MAP_WORDS, THRESHOLD, DepthMap, Image8, InstanceMap, LabelMap, Map, Mask, SaliencyMap

N = TypeVar("N", np.uint8, np.float32)
P = ParamSpec("P")
T = TypeVar("T")
CERTAINTY_SIDE = 512  # rows and columns of the mask that certainty is taken from, at most
PREVIEW_SIDE = 512  # pixels: the longer side of what a notebook shows, at most
NO_FOREGROUND = "no foreground was found"


def _within_threads(method: Callable[Concatenate["Separation", P], T]) -> Callable[Concatenate["Separation", P], T]:
    """Let a method of Separation use no more threads than the separation may."""

    @wraps(method)
    def limited(self: "Separation", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with limit_threads(self.threads):
            return method(self, *args, **kwargs)

    return limited


@old_names
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Separation:
    """A picture, its mask and the model's map; `seconds` holds the time of each stage.

    Examples
    --------
    >>> import numpy as np
    >>> from figureground.methods import METHODS
    >>> mask = np.eye(4, dtype=np.float32)
    >>> done = Separation(Picture.read(np.zeros((4, 4, 3), np.uint8)), mask, SaliencyMap(mask), METHODS["subject"])
    >>> done
    <Separation of the array: 4 × 4, 25.0% foreground within (0, 0, 4, 4), by model 'saliency'>
    >>> done.to_pil().mode
    'RGBA'
    """

    picture: Picture
    mask: Mask
    map: Map
    method: Method
    seconds: Mapping[str, float] = field(default_factory=dict)
    license: str = ""
    """Of the weights that looked; by default what the model's card says."""
    agreement: float | None = None
    """Of two methods joined: the intersection over union of what each of them found, in [0, 1]."""
    threads: int = 0
    """Threads that its views may use; 0 for as many as there are cores."""
    keep_colors: bool = False
    """Whether soft edges of the cut-out keep the picture's own colors, in which the old background is mixed."""

    def __post_init__(self) -> None:
        if not self.license:
            object.__setattr__(self, "license", models.card(self.method.model).license)

    def __repr__(self) -> str:
        height, width = self.mask.shape
        inside = self._inside()
        share = np.count_nonzero(inside) / inside.size
        summary = f"{share:.1%} foreground within {_box(inside)}" if share else NO_FOREGROUND
        return f"<Separation of {self.picture.source}: {width} × {height}, {summary}, by model '{self.method.model}'>"

    @_within_threads
    def cutout(self) -> Pixels:
        """Return the subject with straight alpha, (H, W, 4) in the picture's depth, without the old background's colors.

        With `keep_colors` they are the picture's own, as they are.
        """
        from figureground.compositing.foreground_colors import cut_out, with_alpha

        finish = with_alpha if self.keep_colors else cut_out
        return finish(self._whole().original, self.mask, self.picture.alpha)

    @_within_threads
    def foreground(self) -> Pixels:
        """Return the picture × the mask, (H, W, 3) in the picture's depth: the subject on black."""
        return self._times(lambda mask: mask)

    @_within_threads
    def background(self) -> Pixels:
        """Return the picture × (1 − the mask), (H, W, 3) in the picture's depth: the background, with the subject black."""
        return self._times(lambda mask: 1 - mask)

    def mask8(self) -> Image8:
        """Return the mask, (H, W) uint8; 255 is foreground."""
        import cv2

        return np.asarray(cv2.convertScaleAbs(self.mask, alpha=255), np.uint8)

    @_within_threads
    def overlay(self) -> Image8:
        """Return the picture with a dim background and a line around the subject, (H, W, 3) uint8, to check a mask by eye."""
        import cv2

        rgb = self._whole().rgb
        image = by_strips(rgb.shape, rgb.dtype, lambda rows: _weighed(rgb[rows], 0.35 + 0.65 * self.mask[rows]))
        outlines, _ = cv2.findContours((self.mask >= THRESHOLD).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        thick = max(1, round(max(image.shape) / 500))
        cv2.drawContours(image, outlines, -1, (255, 64, 129), thick, cv2.LINE_AA)
        return image

    def trimap(self) -> Image8:
        """Return the trimap for matting, (H, W) uint8: 255 foreground, 0 background, 128 unknown."""
        from figureground.masks.adjust import trimap

        return trimap(self.mask)

    def labels(self) -> Image8:
        """Return the classes or objects in colors, over a legend with names and shares, (H + legend, W, 3) uint8.

        Raises Mismatch where the method names neither.
        """
        from figureground.compositing.visualization import render

        if not isinstance(self.map, LabelMap | InstanceMap):
            raise _mismatch("labels", type(self.map), self.method)
        return render(self.map, self.mask)

    def depth(self) -> Image8:
        """Return how near each pixel is as colors, (H, W, 3) uint8: from blue, far, to yellow, near.

        Raises Mismatch where the method knows no depth.
        """
        from figureground.compositing.visualization import nearness

        if not isinstance(self.map, DepthMap):
            raise _mismatch("depth", type(self.map), self.method)
        return nearness(self.map)

    def _whole(self) -> Picture:
        """Return the picture; raises UsageError for a draft."""
        if self.picture.own_shape is not None:
            raise _no_pixels("this view")
        return self.picture

    @_within_threads
    def view(self, name: str) -> Pixels:
        """Return the view of that name; raises UnknownName, or IncompatibleParts where the method does not have it."""
        return view_function(name)(self)

    @_within_threads
    def to_pil(self, view: str = "cutout", *, background: str | None = None) -> Image.Image:
        """Return a view as a PIL image of 8 bits a channel: RGBA for `cutout`, L for `mask`, RGB for the others.

        Parameters
        ----------
        view : str
            One of `VIEWS`.
        background : str, optional
            A color put behind the cut-out, which makes it RGB: a name, ``#rrggbb`` or ``rgb(…)``.

        Returns
        -------
        PIL.Image.Image
            Its ``info`` holds the resolution and, where the colors are the picture's own, the ICC profile, which
            Pillow's ``save`` writes to PNG files. Pillow has no RGB or RGBA of 16 bits: for these there are `save`,
            `to_bytes`, and the arrays of `cutout`, `foreground` and `background`.

        Raises
        ------
        UsageError
            For an unknown view or color, a view that the method does not have, or a background behind another view.
        """
        options = self.encode_options(view, EncodeOptions(background))
        check_output(view, ".png", options)
        pixels = to_8_bits(self.view(view))
        if background is not None:
            pixels = over(pixels, parse_color(background))
        image = Image.fromarray(pixels)
        image.info |= {name: value for name, value in (("icc_profile", options.icc), ("dpi", options.dpi)) if value}
        return image

    @_within_threads
    def to_bytes(
        self,
        format: str = "png",  # noqa: A002  # as in Pillow's `save`
        view: str = "cutout",
        *,
        background: str | None = None,
        quality: int | None = None,
        png_effort: Effort = "fast",
    ) -> bytes:
        """Return a view as the bytes of a file, in the picture's depth where the format has it, with its ICC profile.

        Parameters
        ----------
        format : str
            A suffix of `figureground.io.encode.ENCODERS`, with or without the dot: ``png``, ``webp``, ``jpg``, ``avif``,
            or ``npy`` for the mask's own floats.
        view : str
            One of `VIEWS`.
        background : str, optional
            A color put behind the cut-out; white where the format has no transparency.
        quality : int, optional
            1 to 100, for JPEG, WebP and AVIF; WebP is lossless without it.
        png_effort : {"fast", "best"}
            ``best`` writes smaller PNG files, in many times the time.

        Raises
        ------
        UsageError
            For a view, format or option that is unknown, or that does not go with the others.
        """
        suffix = f".{format.removeprefix('.')}".lower()
        options = self.encode_options(view, EncodeOptions(background, quality, png_effort))
        check_output(view, suffix, options)
        return encode(self.pixels_for(view, suffix), suffix, options)

    def save(
        self,
        path: str | os.PathLike[str],
        view: str = "cutout",
        *,
        background: str | None = None,
        quality: int | None = None,
        png_effort: Effort = "fast",
    ) -> None:
        """Write a view to a file, whole or not at all; the suffix decides the format. See `to_bytes` for the rest.

        A file that is there is replaced, except the picture itself. 16-bit pictures give 16-bit PNG files.

        Raises
        ------
        UsageError
            As `to_bytes`, and NameCollision for the file that the picture was read from.
        WriteFailed
            When the file cannot be written.

        Examples
        --------
        >>> done.save("white.jpg", background="white")  # doctest: +SKIP
        >>> done.save("mask.png", "mask")  # doctest: +SKIP
        """
        target = Path(path)
        if target.exists() and os.path.realpath(target) == os.path.realpath(self.picture.source):
            raise NameCollision(f"'{target}' is the picture itself, which is never written over; name another file")
        data = self.to_bytes(target.suffix, view, background=background, quality=quality, png_effort=png_effort)
        write(data, target)

    def pixels_for(self, view: str, suffix: str) -> Pixels | Mask:
        """Return what a file of that suffix holds: the pixels of a view, or the floats of the mask."""
        return self.mask if suffix in ARRAYS else self.view(view)

    def encode_options(self, view: str, options: EncodeOptions) -> EncodeOptions:
        """Return the options with the picture's resolution, its ICC profile if the view has colors, and metadata to keep."""
        view_function(view)
        metadata = None
        if options.keep_metadata:
            metadata = self.picture.metadata if options.keep_gps else without_gps(self.picture.metadata)
        icc = self.picture.icc if VIEWS[view].own_colors else None
        return replace(options, icc=icc, dpi=self.picture.dpi, metadata=metadata)

    def _repr_png_(self) -> bytes:
        """Return the cut-out as PNG for notebooks, at most 512 pixels on a side."""
        from figureground.compositing.foreground_colors import cut_out

        height, width = self.mask.shape
        scale = min(1.0, PREVIEW_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        alpha = self.picture.alpha
        opaque = None if alpha is None else _resized(alpha, size)
        return png(cut_out(_resized(self.picture.rgb, size), _resized(self.mask, size), opaque))

    def has_foreground(self) -> bool:
        """Return whether there is any foreground."""
        return bool(self.mask.max() >= THRESHOLD)

    def box(self) -> tuple[int, int, int, int] | None:
        """Return the box of the foreground: left, top, right, bottom in pixels, the last two exclusive; None without any."""
        return _box(self._inside())

    def certainty(self) -> float | None:
        """Return how sure the method is of the foreground, in [0, 1]; None where there is none.

        The soft intersection over union of the foreground (mask ≥ 0.5) with the model's own probabilities, or with the mask
        where the model gives none; times √(share of the foreground in its largest connected part); times 1 − (share of holes
        in the foreground with its holes filled). 1 for a solid subject of which every pixel is certain. Taken from every
        n-th row and column, at most 512 of each.
        """
        inside = self._inside()
        return self._certainty(inside) if inside.any() else None

    def _inside(self) -> Shape:
        """Return which pixels are foreground, (H, W) bool."""
        return np.asarray(self.mask >= THRESHOLD)

    def _certainty(self, inside: Shape) -> float:
        """Return `certainty` where there is foreground."""
        step = -(-max(self.mask.shape) // CERTAINTY_SIDE)
        probability = self.map.values if isinstance(self.map, SaliencyMap) else self.mask
        thinned = probability[::step, ::step]
        foreground = inside[::step, ::step]
        count = np.count_nonzero(foreground)
        if not count:  # it lies between the rows and columns that are looked at
            return 0.0
        overlap_sum = float(thinned.sum(where=foreground, dtype=np.float64))
        overlap = overlap_sum / (count + float(thinned.sum(dtype=np.float64)) - overlap_sum)
        largest = ConnectedComponents(foreground, 8).areas.max()
        gaps = ConnectedComponents(~foreground, 4)
        (height, width), (left, top, right, bottom) = foreground.shape, gaps.boxes.T
        holes = gaps.areas[(left > 0) & (top > 0) & (right < width) & (bottom < height)].sum()
        return float(overlap * np.sqrt(largest / count) * count / (count + holes))

    def info(self) -> dict[str, Any]:
        """Return the result as plain data, as `--json` prints it."""
        height, width = self.mask.shape
        inside = self._inside()  # the one time that the mask is read; all below counts in this
        area, box = int(np.count_nonzero(inside)), _box(inside)
        facts: dict[str, Any] = {
            "picture": self.picture.source,
            "width": width,
            "height": height,
            "found": area > 0,
            "box": list(box) if box else None,
            "area": area,
            "coverage": round(area / (height * width), 6),
            "certainty": round(self._certainty(inside), 4) if area else None,
            "method": {
                "model": self.method.model,
                "rule": self.method.rule,
                "refiner": self.method.refiner,
                "options": with_old_keys(self.method.options),
            },
            "license": self.license,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "warnings": [*self.picture.warnings, *([] if area else [NO_FOREGROUND])],
        }
        if self.method.second is not None:
            facts["method"] |= {"second": self.method.second.model, "combine": self.method.combine}
            facts["agreement"] = round(self.agreement or 0.0, 4)
        if isinstance(self.map, LabelMap | InstanceMap):
            from figureground.compositing.visualization import classes_found, objects_found

            if isinstance(self.map, LabelMap):
                facts["labels"] = classes_found(self.map, inside)
            else:
                facts["instances"] = objects_found(self.map, inside)
        facts["method"] = with_old_keys(facts["method"])
        return with_old_keys(facts)

    def _times(self, weight: Callable[[Mask], Mask]) -> Pixels:
        own = self._whole().original
        most = np.float32(np.iinfo(own.dtype).max)

        def strip(rows: slice) -> Pixels:
            colors: Pixels = own[rows, :, :3]
            if own.shape[2] == 4:  # over white: what is transparent has no color to show
                opaque = own[rows, :, 3:] / most
                colors = np.rint(colors * opaque + most * (1 - opaque)).astype(own.dtype)  # type: ignore[assignment]
            return _weighed(colors, weight(self.mask[rows]))

        return by_strips((*self.mask.shape, 3), own.dtype, strip)


def _resized(values: NDArray[N], size: tuple[int, int]) -> NDArray[N]:
    """Return an (H, W, …) array at another size; each pixel is the mean of those that it replaces."""
    import cv2

    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), values.dtype)


def _box(inside: Shape) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the pixels that are True, the last two exclusive; None where none is."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _weighed(colors: Pixels, weight: Mask) -> Pixels:
    """Return (h, w, 3) × (h, w), rounded."""
    import cv2

    kind = cv2.CV_8U if colors.dtype == np.uint8 else cv2.CV_16U
    weighed: Pixels = cv2.multiply(colors, cv2.merge((weight, weight, weight)), dtype=kind)  # type: ignore[assignment]
    return weighed


@dataclass(frozen=True, slots=True)
class View:
    """A function that renders a separation, and the types of map that it needs."""

    render: Callable[[Separation], Pixels]
    needs: tuple[type[Map], ...] = get_args(Map)
    pixels: bool = False
    """Whether it shows the picture's own pixels, which a draft (`Settings.draft`) does not have."""
    own_colors: bool = False
    """Whether its colors are the picture's own, so that the picture's ICC profile belongs to them."""
    transparent: bool = False
    """Whether it has an alpha channel, behind which a background color can be put."""
    suffix: str | None = None
    """The one format of its files, where there is only one."""
    animated: bool = True
    """Whether there is sense in it as an animation: it has the mask, which is steadied, and keeps its size."""


VIEWS: dict[str, View] = {
    "cutout": View(Separation.cutout, pixels=True, own_colors=True, transparent=True),
    "foreground": View(Separation.foreground, pixels=True, own_colors=True),
    "background": View(Separation.background, pixels=True, own_colors=True),
    "mask": View(Separation.mask8),
    "overlay": View(Separation.overlay, pixels=True),
    "trimap": View(Separation.trimap),
    "svg": View(Separation.mask8, suffix=".svg", animated=False),
    "labels": View(Separation.labels, needs=(LabelMap, InstanceMap), animated=False),
    "depth": View(Separation.depth, needs=(DepthMap,), animated=False),
}


def view_function(name: str) -> Callable[[Separation], Pixels]:
    """Return the function of a view; raises UnknownName."""
    if name not in VIEWS:
        raise UnknownName("view", name, VIEWS)
    return VIEWS[name].render


def check_output(view: str, suffix: str, options: EncodeOptions) -> None:
    """Raise UnknownName or UsageError where files of this suffix cannot hold the view, or an option has no effect on it."""
    check_options(suffix, options)
    own = VIEWS[view].suffix
    if own not in (None, suffix):
        raise UsageError(f"the view '{view}' is written to files {own}, but got the suffix {suffix}")
    if suffix == ".svg" and view not in ("mask", "svg"):
        raise UsageError(f"{suffix} holds the subject's outline, so it goes with the view 'svg', but got the view '{view}'")
    if suffix in ARRAYS and view not in ("mask", "svg"):
        raise UsageError(f"{suffix} holds a mask's floats, so it goes with the view 'mask', but got the view '{view}'")
    if options.background is not None and not VIEWS[view].transparent:
        able = ", ".join(name for name, row in VIEWS.items() if row.transparent)
        raise UsageError(f"a background goes behind what is transparent, the view {able}, but got the view '{view}'")


def check_views(names: tuple[str, ...], method: Method, draft: bool = False) -> None:
    """Raise UnknownName, Mismatch or UsageError for a view that this method, or a draft, cannot give, before all loading."""
    output_type = models.card(method.model).output_type
    for name in names:
        view_function(name)
        if output_type not in VIEWS[name].needs:
            raise _mismatch(name, output_type, method)
        if draft and VIEWS[name].pixels:
            raise _no_pixels(f"the view '{name}'")


def _no_pixels(what: str) -> UsageError:
    able = ", ".join(name for name, view in VIEWS.items() if not view.pixels)
    return UsageError(f"{what} shows the picture's own pixels, which a draft lacks; leave out --draft, or take --view {able}")


def _mismatch(view: str, output_type: type[Map], method: Method) -> IncompatibleParts:
    needs = " or ".join(MAP_WORDS[kind] for kind in VIEWS[view].needs)
    able = ", ".join(name for name, row in METHODS.items() if models.card(row.model).output_type in VIEWS[view].needs)
    given = MAP_WORDS[output_type]
    return IncompatibleParts(f"the view '{view}' shows {needs}, but {called(method)} gives {given}; methods for it: {able}")
