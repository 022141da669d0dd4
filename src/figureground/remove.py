"""The command `remove`: several pictures, one after the other, each written as soon as it is done."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from figureground.errors import InputError, NoForeground, PictureTooLarge, UsageError, WriteFailed
from figureground.maps import Image8, Mask
from figureground.methods import Method, check
from figureground.output import (
    ARRAYS,
    OPAQUE,
    STDOUT,
    Look,
    Plan,
    colour,
    encode,
    encoder,
    plan,
    refuse_existing,
    write,
)
from figureground.picture import stem
from figureground.pipeline import Clock, Separator
from figureground.separation import FOUND, VIEWS, Separation, check_views
from figureground.settings import Settings

Say = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asked for."""

    pictures: Sequence[str]
    method: Method
    settings: Settings
    view: str = "cutout"
    output: str | None = None
    out_dir: Path | None = None
    suffix: str | None = None
    overwrite: bool = False
    background: str | None = None
    quality: int | None = None
    require_subject: bool = False
    as_json: bool = False
    timings: bool = False

    @property
    def views(self) -> tuple[str, ...]:
        """The views asked for, each once, in order."""
        return tuple(dict.fromkeys(name.strip() for name in self.view.split(",") if name.strip()))


def run(job: Job, echo: Say, note: Say, say: Say) -> int:
    """Do the job; returns the exit code: 0, or 1 where some picture failed.

    echo : prints a line of results. note : prints a remark. say : prints an error (error, as_json).
    Raises UsageError before anything is read, WeightsError and MissingExtra before anything is written.
    """
    from tqdm import tqdm

    check(job.method)
    check_views(job.views, job.method)
    plans = _plan(job)
    _remark(job, plans, note)
    separate = Separator(job.method, job.settings)
    failed = 0
    for each in tqdm(plans, disable=True if len(plans) < 2 or job.as_json else None, unit="picture"):
        try:
            done = _within_memory(job, each, separate)
        except (InputError, NoForeground) as error:  # this picture is at fault; anything else ends the run
            failed += 1
            error.picture = error.picture or each.source
            say(error, job.as_json)
        else:
            _report(job, each, done, echo, note)
    if failed and len(plans) > 1:
        note(f"{failed} of {len(plans)} pictures failed")
    return 1 if failed else 0


def _plan(job: Job) -> list[Plan]:
    if not job.views:
        raise UsageError(f"--view wants at least one of {', '.join(VIEWS)}")
    if job.background is not None:
        colour(job.background)
    if job.output == "-" and job.as_json:
        raise UsageError(
            "-o - and --json would both write to standard output; write the picture to a file, or leave out --json"
        )
    suffix = f".{job.suffix or 'png'}"
    if job.output not in (None, "-"):
        suffix = Path(str(job.output)).suffix
        encoder(suffix)
        if job.suffix and encoder(f".{job.suffix}") is not encoder(suffix):
            raise UsageError(f"-o {job.output} ends in {suffix}, but --format says {job.suffix}; leave one out")
    if suffix.lower() in ARRAYS and job.views != ("mask",):
        raise UsageError(f"{suffix} holds a mask's floats, so it goes with --view mask, but --view {job.view} came")
    if job.pictures.count("-") > 1:
        raise UsageError("standard input (-) can be read once, but was named several times")
    return plan(job.pictures, [stem(source) for source in job.pictures], job.views, job.output, job.out_dir, suffix)


def _remark(job: Job, plans: Sequence[Plan], note: Say) -> None:
    suffixes = {_suffix(job, path) for each in plans for path in each.targets.values()}
    if "cutout" in job.views and job.background is None and suffixes & OPAQUE:
        note("JPEG has no transparency: white is put behind the cut-out; choose another colour with --background")


def _suffix(job: Job, path: Path) -> str:
    return f".{job.suffix or 'png'}" if path == STDOUT else path.suffix.lower()


def _within_memory(job: Job, each: Plan, separate: Separator) -> Separation:
    """`_one`, where running out of memory is the picture's fault and not the end of the run."""
    try:
        return _one(job, each, separate)
    except Exception as error:
        if isinstance(error, MemoryError) or "Insufficient memory" in str(error):  # OpenCV's own error says it in words
            message = f"'{each.source}' needs more memory than there is; shrink it, or lower FIGUREGROUND_MAX_PIXELS"
            raise PictureTooLarge(message, code="resource_limit") from None
        raise


def _one(job: Job, each: Plan, separate: Separator) -> Separation:
    """Separate one picture and write its views."""
    files = [path for path in each.targets.values() if path != STDOUT]
    for path in files:
        if job.output is not None and not path.parent.is_dir():
            raise WriteFailed(f"'{path}' cannot be written: there is no folder '{path.parent}'; make it first")
    if not (job.overwrite or job.output is not None):
        refuse_existing(files)
    done = separate(each.source)
    if job.require_subject and not done.found():
        raise NoForeground(f"'{each.source}': no foreground was found; try another --method, or leave out --require-subject")
    clock = Clock()
    clock.seconds.update(done.seconds)
    files_made = {}
    for view, path in each.targets.items():
        image = clock("view", _image, done, view, _suffix(job, path))
        look = _look(job, done, view)
        files_made[path] = clock("encode", encode, image, _suffix(job, path), look)
    for path, data in files_made.items():
        if job.out_dir is not None and path != STDOUT:
            _make_folder(path.parent)
        clock("write", write, data, path)
    return replace(done, seconds=clock.seconds)


def _image(done: Separation, view: str, suffix: str) -> Image8 | Mask:
    return done.mask if suffix in ARRAYS else done.view(view)


def _look(job: Job, done: Separation, view: str) -> Look:
    icc = done.picture.icc if VIEWS[view].own_colours else None
    return Look(job.background, job.quality, icc, done.picture.dpi)


def summary(done: Separation) -> str:
    """What was found, in a line."""
    height, width = done.mask.shape
    box, seconds = done.box(), sum(done.seconds.values())
    if box is None:
        return f"no foreground in {width} × {height} ({seconds:.2f} s)"
    share = float((done.mask >= FOUND).mean())
    return f"{share:.1%} of {width} × {height} is foreground, within {box[0]},{box[1]} to {box[2]},{box[3]} ({seconds:.2f} s)"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"the folder '{folder}' cannot be made: {error.strerror}") from error


def _report(job: Job, each: Plan, done: Separation, echo: Say, note: Say) -> None:
    if job.as_json:
        written = {view: str(path) for view, path in each.targets.items()}
        echo(json.dumps({**done.info(), "files": written}, ensure_ascii=False))
    else:
        for text in done.picture.warnings:
            note(f"'{each.source}': {text}")
        files = [str(path) for path in each.targets.values() if path != STDOUT]
        if files:
            echo("\n  ".join([f"{each.source}: {summary(done)}", *files]))
    if not done.found():
        note(f"'{each.source}': no foreground was found")
    if job.timings:
        stages = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in done.seconds.items())
        note(f"'{each.source}': {stages}, in all {1000 * sum(done.seconds.values()):.0f} ms")
