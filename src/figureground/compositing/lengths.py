"""Lengths in pixels or per cent, as users write them: `12`, `12px`, `5%`."""

import math
import re
from dataclasses import dataclass

from figureground.errors import UsageError

_LENGTH = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(px|%|)\s*")


@dataclass(frozen=True, slots=True)
class Length:
    """A number of pixels, or a share of some side in per cent.

    Examples
    --------
    >>> Length.parse("5%").pixels(400), Length.parse("12px").pixels(400)
    (20.0, 12.0)
    """

    value: float
    percent: bool = False

    @classmethod
    def parse(cls, text: "str | float | Length", name: str = "a length", signed: bool = False) -> "Length":
        """Return the length that `text` states.

        Parameters
        ----------
        text : str, float or Length
            `12`, `12px` or `5%`; a number is pixels.
        name : str
            What messages call it, such as `--margin`.
        signed : bool
            Whether it may be negative.

        Raises
        ------
        UsageError
            For anything else.
        """
        if isinstance(text, Length):
            return text
        match = _LENGTH.fullmatch(str(text))
        value = float(match[1]) if match else math.nan
        if not math.isfinite(value) or (value < 0 and not signed):
            wanted = "pixels or per cent, such as 12 or 5%" if signed else "pixels or per cent, 0 or more, such as 12 or 5%"
            raise UsageError(f"{name} is a length in {wanted}, but got '{str(text)[:40]}'")
        return cls(value, bool(match and match[2] == "%"))

    def pixels(self, side: float) -> float:
        """Return the length in pixels; per cent are of `side` pixels."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.percent else ''}"
