"""What is done with a cut-out, as plain data: each field is declared once, and is a flag of the command line too.

To add an option: a field here, its check in `validate`, and what it does in `editing.py`. To add a preset: a row in `PRESETS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

from figureground.compositing.backgrounds import SCENE, Background, Fit
from figureground.compositing.canvas import parse_align, parse_canvas, parse_scale
from figureground.compositing.lengths import Length
from figureground.errors import UnknownName, UsageError
from figureground.io.encode import parse_color

Shadow = Literal["drop", "keep"]
CropTo = Literal["subject", "head"]


@dataclass(frozen=True, slots=True)
class EditOptions:
    """What is done with mask, cut-out and canvas, in this order; lengths are pixels (`12`) or per cent (`5%`).

    Per cent are of the longer side of the subject's box; those of `background` blur are of the output's longer side.
    """

    threshold: Annotated[float | None, "Make the mask hard: foreground from this value on, above 0 to 1."] = None
    invert: Annotated[bool, "Exchange foreground and background."] = False
    grow: Annotated[str | None, "Move the subject's edge outwards, by pixels or per cent.", "LENGTH"] = None
    shrink: Annotated[str | None, "Move the subject's edge inwards, by pixels or per cent.", "LENGTH"] = None
    feather: Annotated[str | None, "Make the subject's edge softer, by pixels or per cent.", "LENGTH"] = None
    crop: Annotated[bool, "Crop to the subject's box."] = False
    crop_to: Annotated[CropTo | None, "What is cropped to; head: what lies above a person's neck, if there is one."] = None
    crop_threshold: Annotated[float, "What counts as subject for crop and scale: a mask of this value or more."] = 0.5
    margin: Annotated[str | None, "Room around the cropped subject, in pixels or per cent.", "LENGTH"] = None
    square: Annotated[bool, "Make the output square."] = False
    canvas: Annotated[str | None, "The output's size in pixels, such as 2000x2000.", "WxH"] = None
    scale: Annotated[str | None, "The subject's share of the output's width or height, such as 80%.", "SHARE"] = None
    align: Annotated[str | None, "Where the subject stands: center, top, bottom, left, right, or X%,Y%.", "PLACE"] = None
    background: Annotated[
        str | None, "Behind the cut-out: a color, a picture, blur[:RADIUS], gray, original or checker.", "WHAT"
    ] = None
    background_fit: Annotated[Fit | None, "How a picture fits behind; else cover."] = None
    keep_colors: Annotated[bool, "Keep the picture's own colors at soft edges, with the old background in them."] = False
    fill: Annotated[bool, "Fill the subject's place in the view background."] = False
    shadow: Annotated[Shadow | None, "A soft shadow behind the subject, or the ground's own below it."] = None
    shadow_blur: Annotated[str | None, "Softness of a drop shadow; else 3%.", "LENGTH"] = None
    shadow_offset: Annotated[str | None, "Right and down, of a drop shadow; else 1%,3%.", "X,Y"] = None
    shadow_opacity: Annotated[float | None, "How dark the shadow is, 0 to 1; else 0.45 for drop, 1 for keep."] = None
    outline: Annotated[str | None, "A line around the subject, such as 8:white or 2%:#ff0000.", "WIDTH:COLOR"] = None

    @property
    def adjusts_mask(self) -> bool:
        """Whether the mask changes."""
        return self.invert or any(each is not None for each in (self.threshold, self.grow, self.shrink, self.feather))

    @property
    def has_layout(self) -> bool:
        """Whether the output shows something else than the whole picture at its size."""
        return self.crop or self.square or self.canvas is not None or self.scale is not None

    @property
    def composes(self) -> bool:
        """Whether something is put behind the cut-out."""
        return self.background is not None or self.shadow is not None or self.outline is not None

    def parsed_background(self) -> Background | None:
        """Return the background; raises UsageError."""
        return None if self.background is None else Background.parse(self.background)

    def parsed_offset(self) -> tuple[Length, Length]:
        """Return how far right and down the drop shadow lies; raises UsageError."""
        first, comma, second = (self.shadow_offset or "1%,3%").partition(",")
        if not comma:
            raise UsageError(f"--shadow-offset is X,Y, such as 4,8 or 1%,3%, but got '{first[:40]}'")
        return Length.parse(first, "--shadow-offset", signed=True), Length.parse(second, "--shadow-offset", signed=True)

    def parsed_outline(self) -> tuple[Length, tuple[int, int, int]] | None:
        """Return width and color of the outline; raises UsageError."""
        if self.outline is None:
            return None
        width, _, color = self.outline.partition(":")
        try:
            return Length.parse(width, "--outline"), parse_color(color or "white")
        except UsageError as error:
            message = f"--outline is WIDTH or WIDTH:COLOR, such as 8, 8:white or 2%:#ff0000, but got '{self.outline}'"
            raise UsageError(message) from error

    def validate(self) -> None:
        """Raise UsageError for values that mean nothing, and for options that exclude each other."""
        for name in ("grow", "shrink", "feather", "margin", "shadow_blur"):
            if (text := getattr(self, name)) is not None:
                Length.parse(text, _flag(name))
        for name, low in (("threshold", 0.001), ("crop_threshold", 0.001), ("shadow_opacity", 0.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= 1:
                raise UsageError(f"{_flag(name)} is a number from {low:g} to 1, but got {value:g}")
        for parse, text in ((parse_canvas, self.canvas), (parse_scale, self.scale), (parse_align, self.align)):
            if text is not None:
                parse(text)
        self.parsed_offset()
        self.parsed_outline()
        self._check_pairs(self.parsed_background())

    def _check_pairs(self, background: Background | None) -> None:
        scene = background is not None and background.kind in SCENE
        free_room = self.square or self.canvas is not None or self.scale is not None
        drop_only = next((name for name in ("shadow_blur", "shadow_offset") if getattr(self, name) is not None), "")
        for wrong, message in (
            (self.grow is not None and self.shrink is not None, "--grow and --shrink undo each other; give one of them"),
            (self.margin is not None and not self.crop, "--margin is room around the subject; give --crop too"),
            (
                self.margin is not None and self.scale is not None,
                "--margin and --scale both say how large the subject is; give one of them",
            ),
            (
                self.square and self.canvas is not None,
                "--square and --canvas both say what shape the output has; give one of them",
            ),
            (
                self.align is not None and not free_room,
                "--align places the subject in free room; give --square, --canvas or --scale too",
            ),
            (
                self.crop_threshold != 0.5 and not (self.crop or self.scale is not None),
                "--crop-threshold says what --crop and --scale count as subject; give one of them too",
            ),
            (
                self.crop_to is not None and not (self.crop or self.scale is not None),
                "--crop-to says what --crop and --scale measure; give one of them too",
            ),
            (
                self.background_fit is not None and (background is None or background.kind != "picture"),
                "--background-fit says how a picture fits; give --background the path of one",
            ),
            (
                bool(drop_only) and self.shadow != "drop",
                f"{_flag(drop_only)} applies to a drop shadow; give --shadow drop",
            ),
            (self.shadow_opacity is not None and self.shadow is None, "--shadow-opacity needs a shadow; give --shadow too"),
            (
                self.shadow == "keep" and scene,
                "--shadow keep puts the ground's shadow on another background; this one shows it already",
            ),
        ):
            if wrong:
                raise UsageError(message)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "shop": {"crop": True, "square": True, "margin": "7%", "background": "white"},
    "sticker": {
        "crop": True, "margin": "6%", "outline": "2.5%:white", "shadow": "drop",
        "shadow_blur": "1%", "shadow_offset": "0,0.8%", "shadow_opacity": 0.4,
    },
    "portrait": {"crop": True, "crop_to": "head", "margin": "75%", "canvas": "1080x1350", "background": "blur:2%"},
    "passport": {
        "crop": True, "crop_to": "head", "canvas": "826x1062", "scale": "68%", "align": "50%,35%", "background": "#e8ecf0",
    },
    "social": {
        "crop": True, "margin": "12%", "canvas": "1080x1080", "background": "#ffc83d",
        "outline": "1.5%:white", "shadow": "drop",
    },
}  # fmt: skip
"""Fields of `EditOptions` by the name of what they make."""


def with_preset(name: str | None, options: Mapping[str, Any]) -> EditOptions:
    """Return the options of a preset with those that are given over them.

    Parameters
    ----------
    name : str, optional
        Of a row in `PRESETS`.
    options : mapping
        Fields of `EditOptions`; None is not given.

    Raises
    ------
    UnknownName
        For a preset that does not exist.

    Examples
    --------
    >>> options = with_preset("shop", {"background": "beige"})
    >>> options.margin, options.background
    ('7%', 'beige')
    """
    if name is not None and name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    known = {field.name for field in fields(EditOptions)}
    chosen = {key: value for key, value in options.items() if key in known and value is not None}
    return replace(EditOptions(), **{**(PRESETS[name] if name else {}), **chosen})
