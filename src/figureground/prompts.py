"""What the user says of a picture besides the method: phrases, points, a box. To add a kind: a field in `Prompt`."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from figureground.errors import UsageError

Kind = Literal["text", "places"]
"""What a model's card says it takes: phrases, or points and a box."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_COORDINATE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One number on the x or the y axis: pixels from the left or the top edge, or per cent of the side."""

    value: float
    percent: bool = False

    def on(self, side: int) -> float:
        """In pixels on a side of so many."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.percent else ''}"


Point = tuple[Coordinate, Coordinate]
"""x and y."""
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
"""Left, top, right and bottom."""


def point(text: str) -> Point:
    """`320,240` in pixels, or `50%,40%` of width and height; raises UsageError."""
    return _numbers(text, 2, "a point is x,y in pixels or per cent, such as 320,240 or 50%,40%")  # type: ignore[return-value]


def box(text: str) -> Box:
    """`50,40,600,470`: left, top, right and bottom, in pixels or per cent; raises UsageError."""
    return _numbers(text, 4, "a box is left,top,right,bottom in pixels or per cent, such as 50,40,600,470")  # type: ignore[return-value]


def _numbers(text: str, count: int, wanted: str) -> tuple[Coordinate, ...]:
    matches = [_COORDINATE.fullmatch(part) for part in text.split(",")]
    if len(matches) != count or not all(matches):
        raise UsageError(f"{wanted}, but got '{text[:60]}'")
    return tuple(Coordinate(float(one[1]), bool(one[2])) for one in matches if one)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Phrases for models that read, points and a box for models that take places; plain data that travels.

    >>> Prompt(points=(point("50%,50%"),)).places(640, 480).points
    ((320.0, 240.0),)
    """

    text: tuple[str, ...] = ()
    """What is foreground, each phrase for itself."""
    without: tuple[str, ...] = ()
    """What is taken away from it."""
    points: tuple[Point, ...] = ()
    """Places that are foreground."""
    not_points: tuple[Point, ...] = ()
    """Places that are background."""
    box: Box | None = None
    """The foreground lies inside."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What of a prompt is there; empty where nothing was said."""
        kinds: set[Kind] = set()
        if self.text or self.without:
            kinds.add("text")
        if self.points or self.not_points or self.box:
            kinds.add("places")
        return frozenset(kinds)

    def places(self, width: int, height: int) -> "Places":
        """Points and box in pixels of a picture of that size; raises UsageError for what lies outside, or an empty box."""
        points, not_points = (
            tuple(_within(x, y, width, height) for x, y in chosen) for chosen in (self.points, self.not_points)
        )
        if self.box is None:
            return Places(points, not_points, None)
        left, top, right, bottom = (side.on((width, height)[i % 2]) for i, side in enumerate(self.box))
        if not (left < right and top < bottom):
            raise UsageError(
                f"the box {_spelled(*self.box)} is empty; it is left,top,right,bottom, with left < right and top < bottom"
            )
        if left < 0 or top < 0 or right > width or bottom > height:
            raise UsageError(f"the box {_spelled(*self.box)} reaches out of the picture, which is {width} × {height} pixels")
        return Places(points, not_points, (left, top, right, bottom))


@dataclass(frozen=True, slots=True)
class Places:
    """Points and box of a prompt in pixels of one picture: x from the left, y from the top; a pixel's center is at + 0.5."""

    points: tuple[tuple[float, float], ...] = field(default=())
    not_points: tuple[tuple[float, float], ...] = field(default=())
    box: tuple[float, float, float, float] | None = None


def _within(x: Coordinate, y: Coordinate, width: int, height: int) -> tuple[float, float]:
    across, down = x.on(width), y.on(height)
    if not (0 <= across <= width and 0 <= down <= height) or not math.isfinite(across + down):
        raise UsageError(f"the point {_spelled(x, y)} lies outside the picture, which is {width} × {height} pixels")
    return min(across, math.nextafter(width, 0)), min(down, math.nextafter(height, 0))  # 100 % is the last pixel, not the next


def _spelled(*numbers: Coordinate) -> str:
    return ",".join(map(str, numbers))
