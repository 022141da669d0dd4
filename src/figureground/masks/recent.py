"""Remember what was computed of a picture for as long as its array is alive: corrections ask again."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from figureground.types import Rgb

T = TypeVar("T")


class Recent(Generic[T]):
    """A function of a picture that remembers its last value while the picture's array is alive.

    Arrays that can be written to may change, so nothing is remembered of them; those of a `Picture` are read-only.
    """

    def __init__(self, function: Callable[[Rgb], T]) -> None:
        self.function = function
        self.last: tuple[weakref.ref[Rgb], T] | None = None

    def __call__(self, rgb: Rgb) -> T:
        """Return the value for a picture."""
        last = self.last
        if last is not None and last[0]() is rgb:
            return last[1]
        value = self.function(rgb)
        if not rgb.flags.writeable:
            self.last = weakref.ref(rgb, self._forget), value
        return value

    def _forget(self, reference: "weakref.ref[Rgb]") -> None:
        if self.last is not None and self.last[0] is reference:
            self.last = None
