"""What is made of a picture: which method looks, and the files of which views come of it. Plain data; it travels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from figureground._deprecated import module_attribute, old_names
from figureground.animation import check_frames, extent, render_animation, separate_animation
from figureground.compositing.options import EditOptions
from figureground.editing import Edited, adjust_mask, check_background, edit, render
from figureground.errors import NoForeground, UsageError
from figureground.executor import limit_threads
from figureground.io.animation import Animation, read_animation
from figureground.io.color_modes import Pixels
from figureground.io.encode import ARRAYS, EncodeOptions, check_options, encode, encode_pages, parse_color
from figureground.io.picture import Source
from figureground.methods import Method, check_prompt, split_options
from figureground.pipeline import Clock, Separator, memory_errors
from figureground.prompts import Prompt
from figureground.separation import VIEWS, Separation, check_views
from figureground.settings import Settings
from figureground.types import Mask

PAGES = "pages"
"""Stands for all views, where they are pages of one file."""
Frames = Literal["first", "all"]
"""Which frames of an animated picture are separated."""


@old_names
@dataclass(frozen=True, slots=True)
class JobSpec:
    """A method, its settings, and what to make of each picture."""

    method: Method
    settings: Settings
    views: tuple[str, ...] = ("cutout",)
    encode_options: EncodeOptions = field(default_factory=EncodeOptions)
    """Quality, PNG effort and whether metadata are kept; profile, resolution and metadata are each picture's own."""
    prompt: Prompt | None = None
    require_subject: bool = False
    """Whether a picture without foreground is an error."""
    edit_options: EditOptions = field(default_factory=EditOptions)
    """What is done with mask, cut-out and canvas."""
    frames: Frames = "first"
    """`all` separates every frame of animated GIF, WebP and PNG pictures, and writes animations of them."""

    def validate(self) -> None:
        """Refuse what cannot be made, before anything is read: UsageError and its kin."""
        split_options(self.method)
        check_prompt(self.method, self.prompt)
        check_views(self.views, self.method, self.settings.draft)
        if not self.views:
            raise UsageError(f"--view needs at least one of {', '.join(VIEWS)}")
        if self.encode_options.background is not None:
            parse_color(self.encode_options.background)
            if not any(VIEWS[view].transparent for view in self.views):
                able = ", ".join(name for name, view in VIEWS.items() if view.transparent)
                raise UsageError(f"--background goes behind --view {able}, but got --view {','.join(self.views)}")
        if self.encode_options.keep_gps and not self.encode_options.keep_metadata:
            raise UsageError("--keep-gps keeps the position among the metadata; give --keep-metadata too")
        self.edit_options.validate()
        self._check_edits()
        if self.frames not in get_args(Frames):
            raise UsageError(f"--frames is one of {', '.join(get_args(Frames))}, but got '{str(self.frames)[:40]}'")
        if self.frames == "all":
            check_frames(self.views)
        check_background(self.edit_options, self.settings)

    def _check_edits(self) -> None:
        if self.edit_options.fill and "background" not in self.views:
            raise UsageError(f"--fill fills the view background, but got --view {','.join(self.views)}")
        if self.edit_options.background is not None and "cutout" not in self.views:
            raise UsageError(f"--background goes behind --view cutout, but got --view {','.join(self.views)}")
        if self.edit_options.keep_colors and "cutout" not in self.views:
            raise UsageError(f"--keep-colors applies to --view cutout, but got --view {','.join(self.views)}")
        for name in ("shadow", "outline"):
            if getattr(self.edit_options, name) is not None and "cutout" not in self.views:
                raise UsageError(f"--{name} applies to --view cutout, but got --view {','.join(self.views)}")

    def endings(self, suffix: str) -> dict[str, str]:
        """Return the ends of the names of each view's files, for images of this suffix."""
        return {view: VIEWS[view].suffix or f".{view}{suffix}" for view in self.views}

    def check_format(self, suffix: str) -> None:
        """Raise UsageError where files of this suffix cannot hold the views, or an option has no effect on them."""
        check_options(suffix, self.encode_options)
        if self.frames == "all":
            check_frames(self.views, suffix)
        if suffix.lower() == ".npy" and self.views != ("mask",):
            raise UsageError(
                f"{suffix} holds a mask's floats, so it goes with --view mask, but got --view {','.join(self.views)}"
            )
        if suffix.lower() == ".svg" and not {"mask", "svg"}.issuperset(self.views):
            raise UsageError(
                f"{suffix} holds the subject's outline, so it goes with --view svg, but got --view {','.join(self.views)}"
            )


@dataclass(frozen=True, slots=True)
class JobResult:
    """What was found in a picture, as plain data (`Separation.info`), and the files made of it, by view."""

    facts: dict[str, object]
    files: dict[str, bytes]


def run_job(
    spec: JobSpec, separate: Separator, source: Source, suffixes: Mapping[str, str], label: str, clock: Clock
) -> JobResult:
    """Separate one picture and encode its views, each for the suffix given.

    label : what messages call the picture. clock : gets the seconds of every stage. Raises InputError and NoForeground.
    """
    with memory_errors(label), limit_threads(spec.settings.threads):
        if spec.frames == "all":
            opened = clock("decode", read_animation, source, spec.settings)
            if isinstance(opened, Animation):
                return _animated(spec, separate, opened, suffixes, label, clock)
            source = opened
        return finish_job(spec, separate(source, spec.prompt), suffixes, label, clock)


def finish_job(spec: JobSpec, separation: Separation, suffixes: Mapping[str, str], label: str, clock: Clock) -> JobResult:
    """Edit a separation and encode its views, as `run_job` does."""
    with memory_errors(label), limit_threads(spec.settings.threads):
        options = spec.edit_options
        held = [Edited(separation, None) if options == EditOptions() else clock("edit", edit, separation, options)]
        facts = _facts(separation, held[0], options)
        _check_subject(spec, facts, label)
        clock.seconds.update(separation.seconds)
        del separation
        if list(suffixes) == [PAGES]:
            return JobResult(facts, {PAGES: _encoded_pages(spec, held[0].separation, clock)})
        return JobResult(facts, _encoded(spec, held, suffixes, clock))


def _animated(
    spec: JobSpec, separate: Separator, animation: Animation, suffixes: Mapping[str, str], label: str, clock: Clock
) -> JobResult:
    """Separate every frame and encode the animations."""
    done = separate_animation(animation, separate, spec.prompt, clock)
    measured = clock("edit", extent, done, spec.edit_options)
    _check_subject(spec, {"found": measured.box is not None}, label)
    facts, files = render_animation(done, suffixes, spec.edit_options, spec.encode_options, spec.settings, clock, measured)
    return JobResult(facts, files)


def _check_subject(spec: JobSpec, facts: Mapping[str, Any], label: str) -> None:
    """Raise NoForeground where there is none and there must be."""
    if spec.require_subject and not facts["found"]:
        wanted = "try another --method, or leave out --require-subject"
        raise NoForeground(f"'{label}': no foreground was found; {wanted}", picture=label)


def _facts(separation: Separation, edited: Edited, options: EditOptions) -> dict[str, Any]:
    """Return the facts about the edited mask, in the picture's own pixels, and about the output."""
    if options == EditOptions():
        return separation.info()
    changed = replace(separation, mask=adjust_mask(separation.mask, options))
    certainty = separation.certainty()
    return {**changed.info(), "certainty": None if certainty is None else round(certainty, 4), "output": edited.info()}


def _encoded(spec: JobSpec, held: list[Edited], suffixes: Mapping[str, str], clock: Clock) -> dict[str, bytes]:
    """Every file's bytes; takes the separation out of `held`, so that picture, map and mask make room for the last encoder."""
    files, last = {}, list(suffixes)[-1]
    for view, suffix in suffixes.items():
        done = (held.pop() if view == last else held[0]).separation
        options = done.encode_options(view, spec.encode_options)
        image = clock("view", _image, spec, done, view, suffix)
        del done
        files[view] = clock("encode", encode, image, suffix, options)
    return files


def _encoded_pages(spec: JobSpec, done: Separation, clock: Clock) -> bytes:
    """Encode a file with every view on a page of its own."""
    pages = [(view, clock("view", _image, spec, done, view, ".tif")) for view in spec.views]
    options = [done.encode_options(view, spec.encode_options) for view in spec.views]
    return clock("encode", encode_pages, pages, options)  # type: ignore[arg-type]  # no floats in TIFF files


def _image(spec: JobSpec, done: Separation, view: str, suffix: str) -> Pixels | Mask:
    if suffix in ARRAYS:
        return done.mask
    return render(done, view, spec.edit_options, spec.settings)


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
