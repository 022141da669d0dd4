"""The main path: a model looks at a picture, a rule decides what is foreground, a refiner finishes the edge."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from figureground import models
from figureground.methods import DEFAULT, Method, check, find
from figureground.picture import Picture, Source
from figureground.refine import REFINERS
from figureground.rules import RULES
from figureground.separation import Separation
from figureground.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class Separator:
    """A method made ready: load once, call often, from many threads.

    Raises UnknownName, UnknownOption, Mismatch, MissingExtra or WeightsError when it is made, InputError when called.

    >>> separate = Separator("small")
    >>> separate("photo.jpg").cutout().shape  # doctest: +SKIP
    (480, 640, 4)
    """

    def __init__(self, method: Method | str = DEFAULT, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self.method = find(method) if isinstance(method, str) else method
        options = check(self.method)
        self._model = models.load(self.method.model, self.settings, **options.model)
        self._licence = getattr(self._model, "licence", "")
        self._rule, self._rule_options = RULES[self.method.rule], options.rule
        self._refiner, self._refiner_options = REFINERS[self.method.refiner], options.refiner

    def __call__(self, source: Source | Picture) -> Separation:
        """Separate one picture: a path, a URL, bytes, a stream, an array, a PIL image, or a Picture that was read before."""
        clock = Clock()
        picture = source if isinstance(source, Picture) else clock("decode", Picture.read, source, self.settings)
        seen = clock("network", self._model, picture.rgb)
        rough = clock("rule", self._rule, seen, **self._rule_options)
        mask = clock("refine", self._refiner, picture.rgb, rough, **self._refiner_options)
        return Separation(picture, mask, seen, self.method, clock.seconds, self._licence)


class Clock:
    """Calls a function and notes under a name how many seconds it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call(*args, **kwargs)`, timed."""
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def separate(source: Source | Picture, method: Method | str = DEFAULT, settings: Settings | None = None) -> Separation:
    """Separate one picture. For several, make a `Separator` once: it loads its network once."""
    return Separator(method, settings)(source)
