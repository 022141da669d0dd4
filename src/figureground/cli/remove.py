"""The command `remove`: several pictures, a few at a time, told of in their order, each written as soon as it is done."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from figureground import executor
from figureground._machine import cores
from figureground.cli.console import note, say
from figureground.cli.options import job_options, json_option
from figureground.errors import InputError, NoForeground, OutputError, UsageError, WriteFailed
from figureground.executor import ExecutorConfig
from figureground.io.encode import ENCODERS, OPAQUE, encoder
from figureground.io.files import STDOUT, Plan, make_folder, plan, refuse_existing, write
from figureground.io.picture import stem
from figureground.jobs import JobSpec, run_job
from figureground.pipeline import Clock, Separator
from figureground.separation import NO_FOREGROUND

MAX_WORKERS = 4  # pictures at once, where nobody says: each holds some 25 bytes for every pixel

Say = Callable[..., None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asked for."""

    pictures: Sequence[str]
    spec: JobSpec
    output: str | None = None
    out_dir: Path | None = None
    suffix: str | None = None
    overwrite: bool = False
    as_json: bool = False
    timings: bool = False
    workers: int | None = None


@click.command()
@click.argument("pictures", nargs=-1, required=True)
@job_options
@click.option("-o", "--output", metavar="FILE", help="The file to write, for one picture and one view; - is standard output.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for <stem>.<view>.png; else beside each picture.")
@click.option("--format", "suffix", type=click.Choice([s[1:] for s in ENCODERS]), help="Of files named by us, and of -o -.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--workers", type=click.IntRange(1), help="Pictures worked on at once; else as many as cores, at most 4.")
@json_option("A line of JSON for each picture on standard output.")
@click.option("--timings", is_flag=True, help="Say how long each stage took, on standard error.")
def remove(pictures: tuple[str, ...], spec: JobSpec, **options: Any) -> int:
    """Separate PICTURES: paths, http(s) addresses, or - for standard input."""
    return run(Job(pictures, spec, **options), echo=click.echo, note=note, say=say)


def run(job: Job, echo: Say, note: Say, say: Say) -> int:
    """Do the job; returns the exit code: 0, or 1 where some picture failed.

    echo : prints a line of results. note : prints a remark. say : prints an error (error, as_json).
    Raises UsageError before anything is read, WeightsError and MissingExtra before anything is written.
    """
    job.spec.validate()
    plans = _plan(job)
    _remark(job, plans, note)
    workers = min(len(plans), job.workers or min(cores(), MAX_WORKERS))
    config = ExecutorConfig("thread", workers).share_threads(job.spec.settings.threads)
    separate = Separator(job.spec.method, replace(job.spec.settings, threads=config.threads))

    def one(each: Plan) -> dict[str, Any]:
        return _one(job, each, separate)

    failed, results = 0, executor.map(one, plans, config, faults=(InputError, OutputError, NoForeground))
    for result in results if len(plans) < 2 or job.as_json else _with_progress(results, len(plans)):
        if result.error is not None:  # this picture is at fault; anything else ends the run
            failed += 1
            result.error.picture = result.error.picture or result.source.source
            say(result.error, job.as_json)
        else:
            _report(job, result.source, result.get(), echo, note)
    if failed and len(plans) > 1:
        note(f"{failed} of {len(plans)} pictures failed")
    return 1 if failed else 0


def _with_progress(results: Iterable[T], total: int) -> Iterable[T]:
    """The results, with a bar on a terminal; what draws it is loaded only where there is something to draw."""
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(results, total=total, disable=None, unit="picture")
    return bar


def _plan(job: Job) -> list[Plan]:
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
    job.spec.check_format(suffix)
    if job.pictures.count("-") > 1:
        raise UsageError("standard input (-) can be read once, but was named several times")
    return plan(job.pictures, [stem(source) for source in job.pictures], job.spec.views, job.output, job.out_dir, suffix)


def _remark(job: Job, plans: Sequence[Plan], note: Say) -> None:
    suffixes = {_suffix(job, path) for each in plans for path in each.targets.values()}
    if "cutout" in job.spec.views and job.spec.encode_options.background is None and suffixes & OPAQUE:
        note("JPEG has no transparency: white is put behind the cut-out; choose another color with --background")


def _suffix(job: Job, path: Path) -> str:
    return f".{job.suffix or 'png'}" if path == STDOUT else path.suffix.lower()


def _one(job: Job, each: Plan, separate: Separator) -> dict[str, Any]:
    """Separate one picture and write its views; returns `Separation.info`, with the seconds of every stage."""
    files = [path for path in each.targets.values() if path != STDOUT]
    for path in files:
        if job.output is not None and not path.parent.is_dir():
            raise WriteFailed(f"'{path}' cannot be written: there is no folder '{path.parent}'; make it first")
    if not (job.overwrite or job.output is not None):
        refuse_existing(files)
    clock = Clock()
    result = run_job(job.spec, separate, each.source, {v: _suffix(job, p) for v, p in each.targets.items()}, each.source, clock)
    for view, path in each.targets.items():
        if job.out_dir is not None and path != STDOUT:
            make_folder(path.parent)
        clock("write", write, result.files[view], path)
    return {**result.facts, "seconds": {stage: round(seconds, 4) for stage, seconds in clock.seconds.items()}}


def summary(facts: Mapping[str, Any]) -> str:
    """What was found, in a line."""
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
