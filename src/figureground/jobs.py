"""What is made of a picture: which method looks, and the files of which views come of it. Plain data; it travels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from figureground._deprecated import module_attribute, old_names
from figureground.errors import NoForeground, UsageError
from figureground.executor import limit_threads
from figureground.io.encode import ARRAYS, EncodeOptions, check_options, encode, parse_color
from figureground.io.picture import Source
from figureground.methods import Method, check_prompt, split_options
from figureground.pipeline import Clock, Separator, memory_errors
from figureground.prompts import Prompt
from figureground.separation import VIEWS, Separation, check_views
from figureground.settings import Settings


@old_names
@dataclass(frozen=True, slots=True)
class JobSpec:
    """A method, its settings, and what is wanted of each picture."""

    method: Method
    settings: Settings
    views: tuple[str, ...] = ("cutout",)
    encode_options: EncodeOptions = field(default_factory=EncodeOptions)
    """Background color, quality and PNG effort; profile and resolution are each picture's own."""
    prompt: Prompt | None = None
    require_subject: bool = False
    """Whether a picture without foreground is an error."""

    def validate(self) -> None:
        """Refuse what cannot be made, before anything is read: UsageError and its kin."""
        split_options(self.method)
        check_prompt(self.method, self.prompt)
        check_views(self.views, self.method, self.settings.draft)
        if not self.views:
            raise UsageError(f"--view wants at least one of {', '.join(VIEWS)}")
        if self.encode_options.background is not None:
            parse_color(self.encode_options.background)
            if not any(VIEWS[view].transparent for view in self.views):
                able = ", ".join(name for name, view in VIEWS.items() if view.transparent)
                raise UsageError(f"--background goes behind --view {able}, but got --view {','.join(self.views)}")

    def check_format(self, suffix: str) -> None:
        """Raise UsageError where files of this suffix cannot hold the views, or an option has no effect on them."""
        check_options(suffix, self.encode_options)
        if suffix.lower() in ARRAYS and self.views != ("mask",):
            raise UsageError(
                f"{suffix} holds a mask's floats, so it goes with --view mask, but got --view {','.join(self.views)}"
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
        held = [separate(source, spec.prompt)]
        facts = held[0].info()
        if spec.require_subject and not facts["found"]:
            wanted = "try another --method, or leave out --require-subject"
            raise NoForeground(f"'{label}': no foreground was found; {wanted}", picture=label)
        clock.seconds.update(held[0].seconds)
        return JobResult(facts, _encoded(spec, held, suffixes, clock))


def _encoded(spec: JobSpec, held: list[Separation], suffixes: Mapping[str, str], clock: Clock) -> dict[str, bytes]:
    """Every file's bytes; takes the separation out of `held`, so that picture, map and mask make room for the last encoder."""
    files, last = {}, list(suffixes)[-1]
    for view, suffix in suffixes.items():
        done = held.pop() if view == last else held[0]
        options = done.encode_options(view, spec.encode_options)
        image = clock("view", done.pixels_for, view, suffix)
        del done
        files[view] = clock("encode", encode, image, suffix, options)
    return files


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
