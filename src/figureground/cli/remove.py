"""The command `remove`: pictures are processed a few at a time, written when they are done, and reported in order."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from figureground import executor
from figureground._machine import cores
from figureground._words import count
from figureground.cli.command import command, option
from figureground.cli.console import note, say
from figureground.cli.options import job_options, json_option
from figureground.cli.targets import Output, Source, find_sources, looks_like_output, without_outputs
from figureground.errors import InputError, NoForeground, OutputError, UsageError, WriteFailed
from figureground.executor import ExecutorConfig
from figureground.io.encode import ENCODERS, OPAQUE, EncodeOptions
from figureground.io.files import STDOUT, Plan, make_folder, refuse_existing, write
from figureground.jobs import PAGES, JobSpec, run_job
from figureground.pipeline import Clock, Separator
from figureground.separation import NO_FOREGROUND, VIEWS, check_output

MAX_WORKERS = 4  # pictures at once, where nobody says: each holds some 25 bytes for every pixel

Say = Callable[..., None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """The arguments of the command line."""

    sources: Sequence[Source]
    spec: JobSpec
    output: Output = field(default_factory=Output)
    overwrite: bool = False
    skip_existing: bool = False
    as_json: bool = False
    quiet: bool = False
    timings: bool = False
    workers: int | None = None


@command()
@click.argument("pictures", nargs=-1, required=True, metavar="IN...")
@job_options
@option("--recursive", is_flag=True, group="Input", common=True, help="Read the pictures in the folders below IN too.")
@option(
    "-o",
    "--output",
    metavar="OUT",
    group="Output",
    common=True,
    help="A file, a folder (with a / at the end it is made), a pattern such as '{stem}-cut.png', or - for standard output.",
)
@option("--out-dir", type=click.Path(path_type=Path), group="Output", help="A folder, as -o FOLDER/.")
@option(
    "--format",
    type=click.Choice([suffix[1:] for suffix in ENCODERS]),
    group="Output",
    common=True,
    help="Format of the files, where -o does not say it.  [default: png]",
)
@option(
    "--suffix",
    metavar="TEXT",
    group="Output",
    common=True,
    help="End of the names in place of .VIEW: -cut gives photo-cut.png.",
)
@option("-f", "--overwrite", is_flag=True, group="Output", common=True, help="Replace files that exist.")
@option("--skip-existing", is_flag=True, group="Output", common=True, help="Leave out pictures whose files exist.")
@option(
    "--workers",
    type=click.IntRange(1),
    group="Performance",
    help="Pictures processed at once; else as many as cores, at most 4.",
)
@json_option("Print a line of JSON for each picture.")
@option("-q", "--quiet", is_flag=True, group="Output", common=True, help="Print errors only.")
@option("--timings", is_flag=True, group="Output", help="Print how long each stage took, on standard error.")
def remove(
    pictures: tuple[str, ...],
    spec: JobSpec,
    recursive: bool,
    output: str | None,
    out_dir: Path | None,
    format: str | None,  # noqa: A002  # the option's name
    suffix: str | None,
    **options: Any,
) -> int:
    """Remove the background of pictures.

    IN is a picture, a folder, an http(s) address, or - for standard input. Without -o each result lies beside its picture:
    photo.cutout.png, the subject on transparent.
    """
    if looks_like_output(pictures):
        hint = f"figureground remove {pictures[0]} -o {pictures[1]}"
        raise UsageError(f"'{pictures[1]}' does not exist; to write to it, give it to -o: {hint}")
    job = Job(find_sources(pictures, recursive), spec, Output(output, out_dir, format, suffix), **options)
    return run(job, echo=click.echo, note=note, say=say)


def run(job: Job, echo: Say, note: Say, say: Say) -> int:
    """Do the job; returns the exit code: 0, or 1 where some picture failed.

    echo : prints a line of results. note : prints a remark. say : prints an error (error, as_json).
    Raises UsageError before anything is read, WeightsError and MissingExtra before anything is written.
    """
    if job.quiet:
        echo = note = _ignore
    job.spec.validate()
    plans = _plan(job, echo, note)
    workers = min(len(plans), job.workers or min(cores(), MAX_WORKERS)) or 1
    config = ExecutorConfig("thread", workers).share_threads(job.spec.settings.threads)
    separate = Separator(job.spec.method, replace(job.spec.settings, threads=config.threads))

    def one(each: Plan) -> dict[str, Any]:
        return _one(job, each, separate)

    failed, results = 0, executor.map(one, plans, config, faults=(InputError, OutputError, NoForeground))
    for result in results if len(plans) < 2 or job.as_json or job.quiet else _with_progress(results, len(plans)):
        if result.error is not None:  # this picture is at fault; anything else ends the run
            failed += 1
            result.error.picture = result.error.picture or result.source.source
            say(result.error, job.as_json)
        else:
            _report(job, result.source, result.get(), echo, note)
    if failed and len(plans) > 1:
        note(f"{failed} of {len(plans)} pictures failed")
    return 1 if failed else 0


def _ignore(*_: object, **__: object) -> None:
    """Print nothing."""


def _with_progress(results: Iterable[T], total: int) -> Iterable[T]:
    """Show a progress bar on a terminal; tqdm is imported only then."""
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(results, total=total, disable=None, unit="picture")
    return bar


def _plan(job: Job, echo: Say, note: Say) -> list[Plan]:
    """Return which file each view of each picture goes to; with --skip-existing without the pictures whose files exist."""
    if job.output.output == "-" and job.as_json:
        raise UsageError(
            "-o - and --json would both write to standard output; write the picture to a file, or leave out --json"
        )
    if job.overwrite and job.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other; leave one out")
    sources, left_out = without_outputs(job.sources)
    plans, remarks = job.output.plan(sources, job.spec.views)
    suffixes = {job.output.file_suffix(path, view) for each in plans for view, path in each.targets.items()}
    _check_formats(job, plans)
    if left_out:
        remarks.append(f"left out {count(left_out, 'output')} of an earlier run, such as photo.cutout.png beside photo.jpg")
    has_background = job.spec.encode_options.background is not None or job.spec.edit_options.background is not None
    if "cutout" in job.spec.views and not has_background and suffixes & OPAQUE:
        remarks.append("JPEG has no transparency: white is put behind the cut-out; choose another color with --background")
    for remark in remarks:
        note(remark)
    return _without_existing(job, plans, echo, note) if job.skip_existing else plans


def _check_formats(job: Job, plans: Sequence[Plan]) -> None:
    """Raise UsageError where a file cannot hold its view."""
    pairs = {(view, job.output.file_suffix(path, view)) for each in plans for view, path in each.targets.items()}
    for view, suffix in sorted(pairs):
        if view == PAGES and job.spec.frames == "all":
            job.spec.check_format(suffix)
        if view != PAGES and suffix != VIEWS[view].suffix:
            job.spec.check_format(suffix)
            check_output(view, suffix, EncodeOptions())


def _without_existing(job: Job, plans: Sequence[Plan], echo: Say, note: Say) -> list[Plan]:
    waiting = [each for each in plans if not all(path.exists() for path in each.targets.values())]
    skipped = [each for each in plans if each not in waiting]
    for each in skipped if job.as_json else ():
        paths = {view: str(path) for view, path in each.targets.items()}
        echo(json.dumps({"picture": each.source, "skipped": True, "files": paths}, ensure_ascii=False))
    if skipped:
        note(f"skipped {count(len(skipped), 'picture')} whose files exist")
    return waiting


def _one(job: Job, each: Plan, separate: Separator) -> dict[str, Any]:
    """Separate one picture and write its views; returns `Separation.info`, with the seconds of every stage."""
    files = [path for path in each.targets.values() if path != STDOUT]
    named = job.output.names_files
    for path in files:
        if named and not path.parent.is_dir():
            raise WriteFailed(f"'{path}' cannot be written: there is no folder '{path.parent}'; make it first")
    if not (job.overwrite or job.skip_existing or job.output.names_one_file):
        refuse_existing(files)
    clock = Clock()
    suffixes = {view: job.output.file_suffix(path, view) for view, path in each.targets.items()}
    result = run_job(job.spec, separate, each.source, suffixes, each.source, clock)
    for view, path in each.targets.items():
        if not named and path != STDOUT:
            make_folder(path.parent)
        clock("write", write, result.files[view], path)
    return {**result.facts, "seconds": {stage: round(seconds, 4) for stage, seconds in clock.seconds.items()}}


def summary(facts: Mapping[str, Any]) -> str:
    """Return the result of one picture as a line of text."""
    size, box, seconds = f"{facts['width']} × {facts['height']}", facts["box"], sum(facts["seconds"].values())
    if box is None:
        return f"no foreground in {size} ({seconds:.2f} s)"
    share = f"{facts['coverage']:.1%} of {size} is foreground"
    return f"{share}, within {box[0]},{box[1]} to {box[2]},{box[3]} ({seconds:.2f} s)"


def _report(job: Job, each: Plan, facts: Mapping[str, Any], echo: Say, note: Say) -> None:
    if job.as_json:
        paths = {view: str(path) for view, path in each.targets.items()}
        echo(json.dumps({**facts, "files": paths}, ensure_ascii=False))
        if not facts["found"]:
            note(f"'{each.source}': {NO_FOREGROUND}")
    else:
        for text in facts["warnings"]:
            note(f"'{each.source}': {text}")
        files = [str(path) for path in each.targets.values() if path != STDOUT]
        if files:
            echo("\n  ".join([f"{each.source}: {summary(facts)}", *files]))
    if job.timings:
        stages = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in facts["seconds"].items())
        note(f"'{each.source}': {stages}, in all {1000 * sum(facts['seconds'].values()):.0f} ms")
