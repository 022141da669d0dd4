"""Every frame of an animated picture: separated, its mask steadied in time, edited, and written as an animation again.

The frames are decoded twice, one at a time: once to find the masks, which are kept compressed, and once to show them. Between,
the masks say where the subject is in all frames together, so that crop and canvas are the same for each.
"""

import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from figureground.compositing.canvas import Box, Layout, subject_box
from figureground.compositing.options import EditOptions
from figureground.editing import adjust_mask, lay_out, layout_around, render
from figureground.errors import UsageError
from figureground.io.animation import Animation, opaque, read_animation
from figureground.io.animation_writers import WRITERS, AnimationWriter, animation_writer
from figureground.io.encode import EncodeOptions, encoder
from figureground.io.picture import Encoded, Source
from figureground.masks.adjust import subject_side
from figureground.masks.head import head_box
from figureground.masks.steady import steady
from figureground.methods import DEFAULT
from figureground.pipeline import Clock, Separator, memory_errors
from figureground.prompts import Prompt
from figureground.separation import NO_FOREGROUND, VIEWS, Separation, check_output, check_views
from figureground.settings import Settings
from figureground.types import THRESHOLD, Mask, Rgb, SaliencyMap

T = TypeVar("T")
SAMPLED = 8  # frames that a palette is made of, at most


@dataclass(frozen=True, slots=True, eq=False)
class SeparatedAnimation:
    """An animation and the mask of each frame, steadied.

    masks : compressed; see `mask`. durations : of each frame, in milliseconds. transparent : whether any frame is, somewhere.
    first : the first frame's separation. certainty : the lowest of all frames that have foreground; None where none has.
    """

    animation: Animation
    masks: tuple[bytes, ...]
    durations: tuple[float, ...]
    transparent: bool
    first: Separation
    certainty: float | None

    def mask(self, number: int) -> Mask:
        """Return the steadied mask of a frame, (H, W) float32."""
        values = np.frombuffer(zlib.decompress(self.masks[number]), "<u2").reshape(self.first.mask.shape)
        return np.asarray(values * np.float32(1 / 65535), np.float32)

    def frames(self) -> Iterator[tuple[Separation, float]]:
        """Yield each frame with its steadied mask, and its duration; the frames are decoded anew."""
        for number, (picture, duration) in enumerate(self.animation.frames()):
            mask = self.mask(number)
            picture = picture if self.transparent else opaque(picture)  # noqa: PLW2901
            yield replace(self.first, picture=picture, mask=mask, map=SaliencyMap(mask)), duration


@dataclass(frozen=True, slots=True)
class Extent:
    """What an animation's edited masks cover together.

    box : the smallest box that holds the foreground of all frames. area : the mean of the frames' foreground, in pixels.
    side : what per cent of the subject are of while the mask is changed, and edited_side afterwards, in pixels of the picture.
    layout : as of `editing.Edited`.
    """

    box: Box | None
    area: float
    side: float
    edited_side: float
    layout: Layout | None


def check_frames(views: tuple[str, ...], *suffixes: str) -> None:
    """Raise UsageError for views that make no sense as an animation, and for formats that hold one image."""
    for view in views:
        if view in VIEWS and not VIEWS[view].animated:
            able = ", ".join(name for name, row in VIEWS.items() if row.animated)
            raise UsageError(f"--frames all goes with --view {able}, but got --view {view}; leave out --frames or the view")
    for suffix in suffixes:
        if suffix.lower() not in WRITERS:
            raise UsageError(f"--frames all writes {', '.join(WRITERS)} files, but got the suffix {suffix}; choose one of them")


def separate_animation(
    animation: Animation, separate: Separator, prompt: Prompt | None = None, clock: Clock | None = None
) -> SeparatedAnimation:
    """Separate every frame of an animation, and steady the masks in time.

    Parameters
    ----------
    animation : Animation
        As `figureground.io.animation.read_animation` gives it.
    separate : Separator
    prompt : Prompt, optional
        The same for every frame.
    clock : Clock, optional
        Gets the seconds of every stage.

    Raises
    ------
    InputError
        For a frame that cannot be read.
    """
    clock = clock or Clock()
    durations: list[float] = []
    first: list[Separation] = []
    certainties: list[float] = []
    transparent = False

    def looked_at() -> Iterator[tuple[Rgb, Mask]]:
        nonlocal transparent
        for picture, duration in _timed(clock, "decode", animation.frames()):
            separation = separate(picture, prompt)
            for stage, seconds in separation.seconds.items():
                clock.seconds[stage] = clock.seconds.get(stage, 0.0) + seconds
            transparent = transparent or bool(picture.original[..., 3].min() < 255)
            durations.append(duration)
            certainty = separation.certainty()
            certainties.extend([] if certainty is None else [certainty])
            if not first:
                first.append(separation)
            yield picture.rgb, separation.mask

    began, before = time.perf_counter(), sum(clock.seconds.values())
    masks = tuple(_packed(mask) for mask in steady(looked_at()))
    others = sum(clock.seconds.values()) - before
    clock.seconds["steady"] = max(0.0, time.perf_counter() - began - others)
    return SeparatedAnimation(
        animation, masks, tuple(durations), transparent, first[0], min(certainties) if certainties else None
    )


def _packed(mask: Mask) -> bytes:
    return zlib.compress(np.rint(mask * np.float32(65535)).astype("<u2").tobytes(), 1)


def _timed(clock: Clock, stage: str, items: Iterator[T]) -> Iterator[T]:
    """Yield the items, and note the seconds that each took."""
    end: Any = object()
    while (item := clock(stage, next, items, end)) is not end:
        yield item


def extent(done: SeparatedAnimation, options: EditOptions) -> Extent:
    """Return what the masks cover in all frames together, edited, and where the picture lies on the output."""
    numbers = range(len(done.masks))
    side = max(subject_side(done.mask(number)) for number in numbers) if options.adjusts_mask else 0.0
    area, edited_side = 0, 0.0
    box: Box | None = None
    shown: Box | None = None
    head: Box | None = None
    for number in numbers:
        mask = adjust_mask(done.mask(number), options, side)
        area += int(np.count_nonzero(mask >= THRESHOLD))
        edited_side = max(edited_side, subject_side(mask))
        box = _union(box, subject_box(mask, THRESHOLD))
        if options.has_layout:
            shown = _union(shown, subject_box(mask, options.crop_threshold))
            if options.crop_to == "head":
                head = _union(head, head_box(mask, options.crop_threshold))
    layout = layout_around(done.first.mask.shape, head or shown, options)
    return Extent(box, area / len(done.masks), side, edited_side, layout)


def _union(one: Box | None, other: Box | None) -> Box | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def facts_of(done: SeparatedAnimation, measured: Extent) -> dict[str, Any]:
    """Return what was found, as `Separation.info`: box of all frames, mean area and coverage, lowest certainty, `frames`."""
    mask = done.mask(0)
    facts = replace(done.first, mask=mask, map=SaliencyMap(mask)).info()
    has_foreground = measured.box is not None
    return {
        **facts,
        "found": has_foreground,
        "box": None if measured.box is None else list(measured.box),
        "area": round(measured.area),
        "coverage": round(measured.area / mask.size, 6),
        "certainty": None if done.certainty is None or not has_foreground else round(done.certainty, 4),
        "warnings": [*done.first.picture.warnings, *([] if has_foreground else [NO_FOREGROUND])],
        "frames": {
            "count": len(done.masks),
            "durations": [round(duration, 3) for duration in done.durations],
            "plays": done.animation.plays,
        },
    }


def render_animation(
    done: SeparatedAnimation,
    suffixes: Mapping[str, str],
    options: EditOptions | None = None,
    encode_options: EncodeOptions | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
    measured: Extent | None = None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what was found, and the file of each view with all frames, their durations, and how often it plays.

    Parameters
    ----------
    done : SeparatedAnimation
    suffixes : mapping
        The suffix of each view's file: ``{"cutout": ".webp"}``.
    options : EditOptions, optional
        The layout is one for all frames; per cent of the subject are of its longest side in any frame.
    encode_options : EncodeOptions, optional
    settings : Settings, optional
        Limits for a background that is a picture.
    clock : Clock, optional
        Gets the seconds of every stage.
    measured : Extent, optional
        As `extent` gives it for these options.

    Raises
    ------
    UsageError
        For a view or a format that cannot be an animation.
    """
    options, encode_options, clock = options or EditOptions(), encode_options or EncodeOptions(), clock or Clock()
    check_frames(tuple(suffixes), *suffixes.values())
    measured = measured or clock("edit", extent, done, options)
    writers = {
        view: animation_writer(suffix, done.animation.plays, done.first.encode_options(view, encode_options))
        for view, suffix in suffixes.items()
    }
    sampled = {view: writer for view, writer in writers.items() if writer.needs_sample}
    if sampled:
        count = len(done.masks)
        chosen = {round(number) for number in np.linspace(0, count - 1, min(SAMPLED, count))}
        for number, (frame, _) in enumerate(_timed(clock, "decode", done.frames())):
            if number in chosen:
                _each(frame, sampled, options, settings, clock, measured, None)
    output_box: Box | None = None
    for frame, duration in _timed(clock, "decode", done.frames()):
        output_box = _union(output_box, _each(frame, writers, options, settings, clock, measured, duration))
    files = {view: clock("encode", writer.finish) for view, writer in writers.items()}
    facts = facts_of(done, measured)
    for suffix in dict.fromkeys(suffixes[view] for view, writer in writers.items() if writer.rounded):
        facts["warnings"].append(f"durations are rounded to {WRITERS[suffix].step} ms in {suffix} files; their sum is kept")
    if options != EditOptions():
        facts["output"] = _output(measured, done.first.mask.shape, output_box)
    return facts, files


def _each(
    frame: Separation,
    writers: Mapping[str, AnimationWriter],
    options: EditOptions,
    settings: Settings | None,
    clock: Clock,
    measured: Extent,
    duration: float | None,
) -> Box | None:
    """Edit a frame and give every view to its writer, only to look at without a duration; returns the subject's box on it."""
    mask = adjust_mask(frame.mask, options, measured.side) if options.adjusts_mask else frame.mask
    edited = clock("edit", lay_out, frame, mask, measured.layout).separation
    side = measured.edited_side * (measured.layout.zoom if measured.layout else 1.0)
    for view, writer in writers.items():
        image = clock("view", render, edited, view, options, settings, side)
        if duration is None:
            writer.learn(image)
        else:
            clock("encode", writer.add, image, duration)
    return edited.box()


def _output(measured: Extent, shape: tuple[int, ...], box: Box | None) -> dict[str, Any]:
    """Return what the output shows, as `editing.Edited.info`; the box is that of all frames."""
    whole = (0, 0, shape[1], shape[0])
    width, height = measured.layout.size if measured.layout else (shape[1], shape[0])
    return {
        "width": width,
        "height": height,
        "box": list(box) if box else None,
        "source": list(measured.layout.source if measured.layout else whole),
        "target": list(measured.layout.target if measured.layout else whole),
    }


def remove_animation(
    source: Source,
    suffix: str = ".webp",
    separate: Separator | None = None,
    *,
    view: str = "cutout",
    options: EditOptions | None = None,
    encode_options: EncodeOptions | None = None,
    prompt: Prompt | None = None,
) -> bytes:
    """Remove the background of every frame of an animated picture.

    Parameters
    ----------
    source : path, URL, bytes or binary stream
        An animated GIF, WebP or PNG.
    suffix : {".webp", ".png", ".apng", ".gif"}
        The format of the result. GIF pixels are opaque or transparent, by an alpha of one half.
    separate : Separator, optional
        By default one of the default method, under the settings of the environment.
    view : str
        One of `VIEWS` that can be an animation.
    options : EditOptions, optional
        Background, crop, shadow and so on.
    encode_options : EncodeOptions, optional
    prompt : Prompt, optional
        The same for every frame.

    Returns
    -------
    bytes
        A file with the durations and the number of plays of the source.

    Raises
    ------
    UsageError
        For a picture of one frame, and for views, formats and options that do not go together.
    InputError
        For a picture that cannot be read.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> ground = np.full((48, 64, 3), 40, np.uint8)
    >>> frames = [ground.copy() for _ in range(3)]
    >>> for step, frame in enumerate(frames):
    ...     frame[12:36, 10 + 4 * step : 34 + 4 * step] = (230, 180, 60)
    >>> first, *others = [Image.fromarray(frame) for frame in frames]
    >>> buffer = BytesIO()
    >>> first.save(buffer, "GIF", save_all=True, append_images=others, duration=80, loop=0)
    >>> result = remove_animation(buffer.getvalue(), ".webp", options=EditOptions(background="white"))
    >>> image = Image.open(BytesIO(result))
    >>> image.size, image.n_frames, image.info["loop"]
    ((64, 48), 3, 0)
    """
    separate = separate or Separator(DEFAULT)
    options, encode_options = options or EditOptions(), encode_options or EncodeOptions()
    encoder(suffix)
    options.validate()
    check_views((view,), separate.method)
    check_frames((view,), suffix)
    check_output(view, suffix.lower(), encode_options)
    animation = read_animation(source, separate.settings)
    if not isinstance(animation, Animation):
        label = animation.source if isinstance(animation, Encoded) else "the picture"
        raise UsageError(f"an animated GIF, WebP or PNG is expected, but {label} has one frame; use figureground.remove")
    with memory_errors(animation.source):
        done = separate_animation(animation, separate, prompt)
        return render_animation(done, {view: suffix}, options, encode_options, separate.settings)[1][view]
