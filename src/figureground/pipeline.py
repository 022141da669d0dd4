"""The main path: a model analyzes a picture, a rule turns its output into a mask, a refiner improves the mask's edge."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground import executor, models
from figureground.errors import PictureTooLarge, UsageError
from figureground.executor import ExecutorConfig, Result, limit_threads
from figureground.io.picture import Picture, Source
from figureground.masks.interactive import within_box
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import DEFAULT, Combine, Keyword, Method, check_prompt, configure, split_options
from figureground.prompts import Prompt
from figureground.separation import Separation
from figureground.settings import Settings
from figureground.types import THRESHOLD, Map, Mask

P = ParamSpec("P")
S = TypeVar("S", bound=Source | Picture)
T = TypeVar("T")
NO_MEMORY = ("Insufficient memory", "Failed to allocate memory", "bad_alloc")
"""How OpenCV's and onnxruntime's own errors say it."""


JOINS: Mapping[Combine, Callable[[Mask, Mask], Mask]] = {
    "mean": lambda one, other: (one + other) * np.float32(0.5),
    "max": np.maximum,
    "min": np.minimum,
    "product": np.multiply,
}
"""How two methods' masks become one; `product` and `min` let the second veto the first."""


class Separator:
    """A method made ready: load once, call often, from many threads.

    Parameters
    ----------
    method : str or Method
        A name, such as those in `METHODS`; two names joined, such as ``"subject+stuff"``; a file that ``figureground adapt``
        wrote; or a `Method`.
    settings : Settings, optional
        Limits and the machine; by default those of the environment.
    **keywords
        Options of the method (``quality="best"``), its parts (``refiner="guided"``) and fields of `Settings`
        (``device="cuda"``, ``threads=2``), which replace those of `method` and `settings`.

    Raises
    ------
    UsageError
        For a name or an option that is not known, with those that are, and for parts that do not go together.
    MissingExtra, WeightsError
        When the method needs what is not installed, or weights that cannot be had.
    InputError
        When it is called with a picture that cannot be read.

    Examples
    --------
    >>> separate = Separator("subject", quality="fast", threads=1)
    >>> separate("photo.jpg").save("photo.png")  # doctest: +SKIP
    """

    def __init__(self, method: Method | str = DEFAULT, settings: Settings | None = None, **keywords: Keyword) -> None:
        self.method, self.settings = configure(method, settings, keywords)
        options = split_options(self.method)
        self._model = models.load(self.method.model, self.settings, **options.model)
        self._license = getattr(self._model, "license", "")
        self._rule, self._rule_options = RULES[self.method.rule], options.rule
        self._refiner, self._refiner_options = REFINERS[self.method.refiner], options.refiner
        self._prompt_kinds = models.card(self.method.model).prompt_kinds
        self._second = Separator(self.method.second, self.settings) if self.method.second else None

    def __repr__(self) -> str:
        parts = [f"model '{self.method.model}'", f"rule '{self.method.rule}'", f"refiner '{self.method.refiner}'"]
        if self.method.second is not None:
            parts.append(f"joined by {self.method.combine} with model '{self.method.second.model}'")
        options = [f"{name}={value!r}" for name, value in self.method.options.items()]
        return f"<Separator: {', '.join([*parts, *options])}>"

    def __call__(self, source: Source | Picture, prompt: Prompt | None = None) -> Separation:
        """Separate one picture: a path, a URL, bytes, a stream, an array, a PIL image, or a Picture that was read before.

        Parameters
        ----------
        source : path, URL, bytes, binary stream, array, PIL image or Picture
            The picture.
        prompt : Prompt, optional
            Phrases, points or a box, for methods that take them.

        Returns
        -------
        Separation
            The mask, and what was found.

        Raises
        ------
        UsageError
            For a prompt that the method does not take, and for points outside the picture.
        InputError
            For a picture that cannot be read.
        """
        check_prompt(self.method, prompt)
        with limit_threads(self.settings.threads):
            return self._separate(source, prompt)

    def _separate(self, source: Source | Picture, prompt: Prompt | None) -> Separation:
        clock = Clock()
        picture = source if isinstance(source, Picture) else clock("decode", Picture.read, source, self.settings)
        if picture.own_shape is not None and prompt is not None and "places" in prompt.kinds:
            raise UsageError("points and boxes are in the whole picture's pixels, but this is a draft of it; leave out --draft")
        agreement = None
        with memory_errors(picture.source):
            map_found, coarse = self._analyze(picture, prompt, clock)
            if self._second is not None:
                _, other = self._second._analyze(picture, prompt, clock)
                agreement = _agreement(coarse, other)
                coarse = JOINS[self.method.combine](coarse, other)
            mask = clock("refine", self._refiner, picture.rgb, coarse, **self._refiner_options)
            if prompt is not None and prompt.box is not None:
                mask = within_box(mask, coarse, prompt.places(*mask.shape[::-1]))
            if picture.own_shape is not None:
                map_found, mask = clock("refine", _as_large, map_found, mask, picture.own_shape)
        return Separation(picture, mask, map_found, self.method, clock.seconds, self._license, agreement, self.settings.threads)

    def _analyze(self, picture: Picture, prompt: Prompt | None, clock: "Clock") -> tuple[Map, Mask]:
        """Return the model's map and the mask that the rule makes of it."""
        arguments = (picture.rgb, prompt) if prompt and self._prompt_kinds & prompt.kinds else (picture.rgb,)
        map_found = clock("network", self._model, *arguments)
        return map_found, clock("rule", self._rule, map_found, **self._rule_options)

    @overload
    def map(
        self, sources: Iterable[S], workers: int | None = None, *, prompt: Prompt | None = None
    ) -> Generator[Result[S, Separation], None, None]: ...

    @overload
    def map(
        self,
        sources: Iterable[S],
        workers: int | None = None,
        *,
        finish: Callable[[Separation], T],
        prompt: Prompt | None = None,
    ) -> Generator[Result[S, T], None, None]: ...

    def map(
        self,
        sources: Iterable[S],
        workers: int | None = None,
        *,
        finish: Callable[[Separation], Any] | None = None,
        prompt: Prompt | None = None,
    ) -> Generator[Result[S, Any], None, None]:
        """Separate many pictures, several at once; yields a `Result` for each, in their order.

        Parameters
        ----------
        sources : iterable
            Pictures in any form that `Separator` takes; may be endless. At most 2 × `workers` of them are read ahead of the
            results, so memory stays flat.
        workers : int, optional
            How many pictures are processed at once; by default one for each core. They share one network and its threads.
        finish : callable, optional
            Called in the workers with each Separation, for example to encode and write it. Its return value becomes the
            result's value in place of the Separation.
        prompt : Prompt, optional
            The same for every picture.

        Yields
        ------
        Result
            Has an `error` if a picture cannot be read (InputError), or if `finish` cannot write a file (OutputError); the next
            picture follows. Any other exception ends the run. Leaving the loop ends the threads.

        Raises
        ------
        UsageError
            For `workers` below 1.

        Examples
        --------
        >>> separate = Separator("subject")
        >>> for result in separate.map(["a.jpg", "b.jpg"]):  # doctest: +SKIP
        ...     print(result.source, result.error or result.value.box())
        """
        check_prompt(self.method, prompt)

        def one(source: S) -> Separation | Any:
            separation = self(source, prompt)
            if finish is None:
                return separation
            with memory_errors(separation.picture.source):
                return finish(separation)

        config = ExecutorConfig("thread", workers)
        return executor.map(one, sources, config.share_threads(self.settings.threads))


@contextmanager
def memory_errors(source: str) -> Iterator[None]:
    """Turn running out of memory into a PictureTooLarge of this picture, so that the next one can be processed."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            message = f"'{source}' needs more memory than there is; shrink it, or lower FIGUREGROUND_MAX_PIXELS"
            raise PictureTooLarge(message, code="resource_limit", picture=source) from None
        raise


def _agreement(one: Mask, other: Mask) -> float:
    """Return the intersection over union of the two foregrounds, in [0, 1]; 1 where both are empty."""
    ours, theirs = one >= THRESHOLD, other >= THRESHOLD
    either = int(np.count_nonzero(ours | theirs))
    return int(np.count_nonzero(ours & theirs)) / either if either else 1.0


def _as_large(map_found: Map, mask: Mask, shape: tuple[int, int]) -> tuple[Map, Mask]:
    """Resize the map and mask of a draft to the picture's own size: floats bilinearly, integers by nearest neighbor."""
    import cv2

    def enlarged(values: NDArray[Any]) -> NDArray[Any]:
        how = cv2.INTER_LINEAR if values.dtype.kind == "f" else cv2.INTER_NEAREST
        return np.asarray(cv2.resize(values, shape[::-1], interpolation=how), values.dtype)

    values = {each.name: getattr(map_found, each.name) for each in fields(map_found)}
    large: dict[str, Any] = {name: enlarged(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(map_found, **large), enlarged(mask)


class Clock:
    """Measures how many seconds functions take, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `call(*args, **kwargs)` and add its time to the stage."""
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def separate(
    source: Source | Picture,
    method: Method | str = DEFAULT,
    settings: Settings | None = None,
    prompt: Prompt | None = None,
    **options: Keyword,
) -> Separation:
    """Separate one picture; the options are those of `Separator`.

    For several pictures, make a `Separator` once: it loads its network once.
    """
    return Separator(method, settings, **options)(source, prompt)


def remove(
    source: Source | Picture,
    method: Method | str = DEFAULT,
    settings: Settings | None = None,
    prompt: Prompt | None = None,
    **options: Keyword,
) -> Image.Image:
    """Remove the background of one picture.

    Parameters
    ----------
    source : path, URL, bytes, binary stream, array, PIL image or Picture
        The picture.
    method, settings, **options
        As of `Separator`.
    prompt : Prompt, optional
        Phrases, points or a box, for methods that take them.

    Returns
    -------
    PIL.Image.Image
        The subject alone, mode RGBA, 8 bits a channel, with the picture's ICC profile and resolution in its ``info``.
        Pillow has no RGBA of 16 bits: of a picture of 16 bits, ``separate(source).save("photo.png")`` and
        ``separate(source).cutout()`` keep them.

    Examples
    --------
    >>> remove("photo.jpg").save("photo.png")  # doctest: +SKIP
    """
    return separate(source, method, settings, prompt, **options).to_pil()
