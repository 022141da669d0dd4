"""What the user says of a picture besides the method: phrases, points, a box. To add a kind: a field in `Prompt`."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsFloat

from figureground.errors import UsageError

Kind = Literal["text", "places"]
"""What a model's card says it takes: phrases, or points and a box."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_COORDINATE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A number on the x or y axis: pixels from the left or top edge, or per cent of the side."""

    value: float
    percent: bool = False

    def on(self, side: int) -> float:
        """Return the coordinate in pixels, for a side of so many."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.percent else ''}"


Point = tuple[Coordinate, Coordinate]
"""x and y."""
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
"""Left, top, right and bottom."""
Number = SupportsFloat | str | Coordinate
"""What `Prompt` takes for a coordinate: a number of pixels, a share such as `"50%"`, or a Coordinate."""

_POINTS = "points are (x, y) pairs in pixels or per cent, such as [(320, 240)] or [('50%', '40%')]"
_BOX = "a box is (left, top, right, bottom) in pixels or per cent, such as (50, 40, 600, 470)"
_TEXT = "a phrase is text, such as 'the dog', or several such texts"


def point(text: str) -> Point:
    """Parse a point: `320,240` in pixels, or `50%,40%` of width and height; raises UsageError."""
    return _numbers(text, 2, "a point is x,y in pixels or per cent, such as 320,240 or 50%,40%")  # type: ignore[return-value]


def box(text: str) -> Box:
    """Parse a box: left, top, right and bottom in pixels or per cent, such as `50,40,600,470`; raises UsageError."""
    return _numbers(text, 4, "a box is left,top,right,bottom in pixels or per cent, such as 50,40,600,470")  # type: ignore[return-value]


def _numbers(text: str, count: int, wanted: str) -> tuple[Coordinate, ...]:
    matches = [_COORDINATE.fullmatch(part) for part in text.split(",")]
    if len(matches) != count or not all(matches):
        raise UsageError(f"{wanted}, but got '{text[:60]}'")
    return tuple(Coordinate(float(one[1]), bool(one[2])) for one in matches if one)


@dataclass(frozen=True, slots=True, init=False)
class Prompt:
    """Phrases for models that read, points and a box for models that take places; plain data that travels.

    Parameters
    ----------
    text : str or iterable of str
        What is foreground, each phrase for itself.
    without : str or iterable of str
        What is taken away from it.
    points : iterable of (x, y)
        Places that are foreground. A coordinate is a number of pixels from the left or the top edge, a share of the side
        such as ``"50%"``, or a `Coordinate`; a point is also a text such as ``"50%,40%"``.
    not_points : iterable of (x, y)
        Places that are background.
    box : (left, top, right, bottom), optional
        The foreground lies inside.

    Raises
    ------
    UsageError
        For what is no point, box or phrase, and for pixels that are all at most 1: shares are written ``"50%"``.

    Examples
    --------
    >>> Prompt(points=[(320, 240)], not_points=[("10%", "5%")], box=(50, 40, 600, 470)).places(640, 480)
    Places(points=((320.0, 240.0),), not_points=((64.0, 24.0),), box=(50.0, 40.0, 600.0, 470.0))
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

    def __init__(
        self,
        text: str | Iterable[str] = (),
        without: str | Iterable[str] = (),
        points: Iterable[Iterable[Number]] = (),
        not_points: Iterable[Iterable[Number]] = (),
        box: Iterable[Number] | None = None,
    ) -> None:
        corners = None if box is None else _coordinates(box, 4, _BOX, box)
        fields = {
            "text": _phrases(text),
            "without": _phrases(without),
            "points": _points(points),
            "not_points": _points(not_points),
            "box": corners,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)  # the class is frozen

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of input that the prompt has; empty for an empty prompt."""
        kinds: set[Kind] = set()
        if self.text or self.without:
            kinds.add("text")
        if self.points or self.not_points or self.box:
            kinds.add("places")
        return frozenset(kinds)

    def places(self, width: int, height: int) -> "Places":
        """Return points and box in pixels.

        Parameters
        ----------
        width, height : int
            Of the picture.

        Returns
        -------
        Places

        Raises
        ------
        UsageError
            If a place lies outside the picture, or the box is empty.
        """
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
    """Points and box of a prompt in pixels of one picture; x from the left, y from the top, pixel centers at + 0.5."""

    points: tuple[tuple[float, float], ...] = field(default=())
    not_points: tuple[tuple[float, float], ...] = field(default=())
    box: tuple[float, float, float, float] | None = None


def _phrases(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the phrases as a tuple; a single string is one phrase. Raises UsageError."""
    phrases = (given,) if isinstance(given, str) else _listed(given, _TEXT, given)
    if not all(isinstance(phrase, str) for phrase in phrases):
        raise UsageError(f"{_TEXT}, but got {_shown(given)}")
    return phrases


def _points(given: Iterable[Iterable[Number]]) -> tuple[Point, ...]:
    """Return the points as coordinates; raises UsageError."""
    if isinstance(given, str):
        raise UsageError(f"{_POINTS}, but got {_shown(given)}")
    pairs = _listed(given, _POINTS, given)
    return tuple(_coordinates(pair, 2, _POINTS, given) for pair in pairs)


def _coordinates(numbers: Any, count: int, wanted: str, given: object) -> tuple[Any, ...]:
    """So many coordinates; a message says that `wanted` was expected and `given` was received."""
    values = numbers.split(",") if isinstance(numbers, str) else _listed(numbers, wanted, given)
    coordinates = tuple(_coordinate(value) for value in values)
    if len(coordinates) != count or None in coordinates:
        raise UsageError(f"{wanted}, but got {_shown(given)}")
    pixels = [each.value for each in coordinates if each is not None and not each.percent]
    if len(pixels) == count and all(0 <= value <= 1 for value in pixels) and any(0 < value < 1 for value in pixels):
        place, shares = ", ".join(f"{value:g}" for value in pixels), ", ".join(f"{100 * value:g}%" for value in pixels)
        raise UsageError(f"coordinates are in pixels, but ({place}) are all at most 1; for shares of the sides, write {shares}")
    return coordinates


def _coordinate(value: Any) -> Coordinate | None:
    """Convert a finite number, `"50%"` or a Coordinate to a Coordinate; None for anything else."""
    if isinstance(value, Coordinate):
        return value if math.isfinite(value.value) else None
    if isinstance(value, str):
        match = _COORDINATE.fullmatch(value)
        return Coordinate(float(match[1]), bool(match[2])) if match else None
    if type(value).__name__ in ("bool", "bool_"):  # numpy's too
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return Coordinate(number) if math.isfinite(number) else None


def _listed(given: Any, wanted: str, whole: object) -> tuple[Any, ...]:
    try:
        return tuple(given)
    except TypeError:
        raise UsageError(f"{wanted}, but got {_shown(whole)}") from None


def _shown(given: object) -> str:
    """Return the given value as short text on one line."""
    text = " ".join(repr(given).split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def _within(x: Coordinate, y: Coordinate, width: int, height: int) -> tuple[float, float]:
    across, down = x.on(width), y.on(height)
    if not (0 <= across <= width and 0 <= down <= height) or not math.isfinite(across + down):
        raise UsageError(f"the point {_spelled(x, y)} lies outside the picture, which is {width} × {height} pixels")
    return min(across, math.nextafter(width, 0)), min(down, math.nextafter(height, 0))  # 100 % is the last pixel, not the next


def _spelled(*numbers: Coordinate) -> str:
    return ",".join(map(str, numbers))
