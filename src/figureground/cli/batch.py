"""The command `batch`: many pictures, with a ledger."""

import json
from pathlib import Path
from typing import Any

import click

from figureground._deprecated import current
from figureground.cli.console import note
from figureground.cli.options import inject, job_options, json_option
from figureground.errors import UsageError
from figureground.executor import ExecutorConfig, Payload
from figureground.io.encode import ENCODERS

PICTURE_SECONDS = 300  # what a picture may take, where it is not said


def _shard(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise click.BadParameter(f"a shard is i/n with 1 <= i <= n, such as 2/8, but got '{text}'")
    return int(first), int(second)


def _workers(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """The fewest and the most."""
    if text is None:
        return None
    first, _, second = text.partition("-")
    second = second or first
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise click.BadParameter(f"workers are a number, or with --engine ray a range such as 2-16, but got '{text}'")
    return int(first), int(second)


def _executor(
    engine: str,
    workers: tuple[int, int] | None,
    picture_seconds: float | None,
    picture_memory: int,
    address: str,
    rows: Payload,
) -> ExecutorConfig:
    """Return where the batch runs and within which limits."""
    if picture_seconds is None:
        picture_seconds = 0 if engine in ("inline", "thread") else PICTURE_SECONDS
    min_workers, max_workers = workers or (0, None)
    return ExecutorConfig(
        current("engine", engine), max_workers, 0, picture_seconds, picture_memory, address, min_workers, rows
    )


executor_options = inject(
    "executor",
    _executor,
    ("engine", "workers", "picture_seconds", "picture_memory", "address", "rows"),
    click.option(
        "--rows",
        type=click.Choice(["paths", "bytes"]),
        default="paths",
        show_default=True,
        help="What a Ray cluster's actors get: paths of a disk that they share, or pictures themselves.",
    ),
    click.option("--address", default="auto", show_default=True, help="Of a Ray cluster: auto, local, or ray://HOST:PORT."),
    click.option(
        "--engine",
        default="process",
        show_default=True,
        metavar="NAME",
        help="Where pictures are processed: process, thread, inline (this thread), or ray (a cluster).",
    ),
    click.option(
        "--picture-memory",
        type=click.IntRange(0),
        default=0,
        metavar="MB",
        help="What a picture may take above what its worker holds (Linux); else any.",
    ),
    click.option(
        "--picture-seconds", type=click.FloatRange(0), help=f"What a picture may take; 0: any.  [default: {PICTURE_SECONDS}]"
    ),
    click.option(
        "--workers",
        callback=_workers,
        metavar="N",
        help="Processes, threads, or actors of a cluster (N-M: a range); else one a core.",
    ),
)


FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("inputs", nargs=-1, metavar="[IN]...")
@click.argument("out")
@job_options
@click.option(
    "--format", "suffix", type=click.Choice([s[1:] for s in ENCODERS]), default="png", show_default=True, help="Of the files."
)
@click.option("--column", default="", metavar="NAME", help="Of a CSV table: where paths or addresses stand.")
@click.option("--follow-links", is_flag=True, help="Read links that lead out of a folder too.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Let stand what is done; else begin anew.")
@click.option("--retry-failed", is_flag=True, help="Do again what failed.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there and that the ledger does not know.")
@executor_options
@click.option("--shard", callback=_shard, metavar="I/N", help="Do the I-th of N parts: one job of an array of jobs.")
@click.option("--ledger", type=FOLDER, help="Folder for the ledger; else the folder of the outputs.")
@click.option("--watch", is_flag=True, help="Go on as pictures come, until stopped.")
@click.option(
    "--settle", type=click.FloatRange(0), default=2, show_default=True, help="Seconds in which a file must not change."
)
@click.option("--delete-inputs", is_flag=True, help="Delete each picture when its files were written and read back.")
@click.option("--move-inputs", type=FOLDER, help="Move each picture below this folder then.")
@click.option("--status", is_flag=True, help="Say how the batch in OUT stands, and end.")
@click.option("--report", type=FOLDER, help="Write a page on the batch in OUT here (HTML), doubtful pictures first, and end.")
@json_option("A line of JSON for each picture, and a summary, on standard output.")
def batch(inputs: tuple[str, ...], out: str, status: bool, report: Path | None, **options: Any) -> int:
    """Separate many pictures, from IN (folders, globs, @list.txt, CSV tables, archives, addresses) into the folder OUT.

    A run that was stopped goes on when the same command is given again: OUT holds a ledger of what became of each picture.
    """
    if status or report:
        return _print_status(inputs, options["ledger"] or Path(out), Path(out), status, report, options["as_json"])
    if not inputs:
        raise UsageError("batch wants what to work on and a folder for the outputs: figureground batch IN OUT")
    from figureground.batch.inputs import InputOptions
    from figureground.batch.runner import Batch, run
    from figureground.batch.watch import InputDisposal

    input_options = InputOptions(options.pop("column"), options.pop("follow_links"))
    input_disposal = InputDisposal(options.pop("delete_inputs"), options.pop("move_inputs"))
    suffix = f".{options.pop('suffix')}"
    batch = Batch(inputs, out, suffix=suffix, input_options=input_options, input_disposal=input_disposal, **options)
    return run(batch, echo=click.echo, note=note)


def _print_status(inputs: tuple[str, ...], ledger: Path, out: Path, status: bool, report: Path | None, as_json: bool) -> int:
    """How the batch stands, and the page."""
    from figureground.batch.status import summary, text

    if inputs:
        raise UsageError(f"--status and --report want the folder of the outputs alone, but got '{inputs[0]}' too")
    facts = summary(ledger)
    if status:
        click.echo(json.dumps(facts) if as_json else text(facts))
    if report is not None:
        from figureground.batch.report import page
        from figureground.io.files import write

        write(page(ledger, out).encode(), report)
    return 0
