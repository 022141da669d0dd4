"""The command `batch`: many pictures, with a ledger."""

import json
from pathlib import Path
from typing import Any

import click

from figureground._deprecated import current
from figureground.cli.command import command, inject, option
from figureground.cli.console import note
from figureground.cli.options import job_options, json_option
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
    """Parse a number of workers, or a range, as (least, most)."""
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
    option(
        "--rows",
        type=click.Choice(["paths", "bytes"]),
        default="paths",
        show_default=True,
        group="Performance",
        help="What the actors of a Ray cluster get: paths on a disk that they share, or the pictures themselves.",
    ),
    option(
        "--address",
        default="auto",
        show_default=True,
        group="Performance",
        help="Address of a Ray cluster: auto, local, or ray://HOST:PORT.",
    ),
    option(
        "--engine",
        default="process",
        show_default=True,
        metavar="NAME",
        group="Performance",
        common=True,
        help="Where pictures are processed: process, thread, inline (this thread), or ray (a cluster).",
    ),
    option(
        "--picture-memory",
        type=click.IntRange(0),
        default=0,
        metavar="MB",
        group="Limits",
        help="Memory that a picture may need beyond what its worker holds (Linux); no limit by default.",
    ),
    option(
        "--picture-seconds",
        type=click.FloatRange(0),
        group="Limits",
        help=f"Time that a picture may take; 0 for no limit.  [default: {PICTURE_SECONDS}]",
    ),
    option(
        "--workers",
        callback=_workers,
        metavar="N",
        group="Performance",
        common=True,
        help="Number of processes, threads, or actors of a cluster (N-M: a range); one for each core by default.",
    ),
)


FOLDER = click.Path(path_type=Path)


@command()
@click.argument("inputs", nargs=-1, metavar="[IN]...")
@click.argument("out")
@job_options
@option(
    "--format",
    "suffix",
    type=click.Choice([suffix[1:] for suffix in ENCODERS]),
    default="png",
    show_default=True,
    group="Output",
    common=True,
    help="Format of the files.",
)
@option("--column", default="", metavar="NAME", group="Input", help="Column of a CSV table that holds paths or addresses.")
@option("--follow-links", is_flag=True, group="Input", help="Read links that lead out of a folder too.")
@option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    group="Input",
    help="Keep the results of earlier runs, or process every picture again.",
)
@option("--retry-failed", is_flag=True, group="Input", common=True, help="Process pictures that failed again.")
@option("-f", "--overwrite", is_flag=True, group="Output", common=True, help="Replace files that the ledger does not know.")
@executor_options
@option("--shard", callback=_shard, metavar="I/N", group="Input", help="Process part I of N, for one of N jobs of a scheduler.")
@option("--ledger", type=FOLDER, group="Output", help="Folder for the ledger; the folder of the outputs by default.")
@option("--watch", is_flag=True, group="Input", common=True, help="Wait for new pictures and process them, until stopped.")
@option(
    "--settle",
    type=click.FloatRange(0),
    default=2,
    show_default=True,
    group="Input",
    help="With --watch: seconds without a change until a file counts as complete.",
)
@option("--delete-inputs", is_flag=True, group="Input", help="Delete each picture after its files were written and read back.")
@option("--move-inputs", type=FOLDER, group="Input", help="Move each picture to this folder after its files were written.")
@option("--status", is_flag=True, group="Other", common=True, help="Print the state of the batch in OUT and exit.")
@option("--failed", is_flag=True, group="Other", common=True, help="List the failed pictures of the batch in OUT and exit.")
@option(
    "--report",
    type=FOLDER,
    group="Other",
    common=True,
    help="Write a page (HTML) about the batch in OUT, doubtful pictures first, and exit.",
)
@json_option("Print a line of JSON for each picture, and a summary.")
def batch(
    inputs: tuple[str, ...], out: str, status: bool, failed: bool, report: Path | None, as_json: bool, **options: Any
) -> int:
    """Remove the background of many pictures, with a ledger.

    IN is a folder, a glob, @list.txt, a CSV table, an archive or an address; OUT is a folder. A run that was stopped
    continues when the same command is given again: OUT holds a ledger with the state of each picture.
    """
    if status or failed or report:
        if inputs:
            raise UsageError(f"--status, --failed and --report need the folder of the outputs alone, but got '{inputs[0]}' too")
        return _show(options["ledger"] or Path(out), Path(out), status, failed, report, as_json, options["overwrite"])
    if not inputs:
        raise UsageError("batch needs pictures and a folder for the outputs: figureground batch IN OUT")
    from figureground.batch.inputs import InputOptions
    from figureground.batch.runner import Batch, run
    from figureground.batch.watch import InputDisposal

    input_options = InputOptions(options.pop("column"), options.pop("follow_links"))
    input_disposal = InputDisposal(options.pop("delete_inputs"), options.pop("move_inputs"))
    suffix = f".{options.pop('suffix')}"
    asked = Batch(
        inputs, out, suffix=suffix, input_options=input_options, input_disposal=input_disposal, as_json=as_json, **options
    )
    return run(asked, echo=click.echo, note=note)


def _show(ledger: Path, out: Path, status: bool, failed: bool, report: Path | None, as_json: bool, overwrite: bool) -> int:
    """Print the state of a batch and its failed pictures, and write its page."""
    from figureground.batch.status import rows, summary, text

    facts = summary(ledger)
    if status:
        click.echo(json.dumps(facts) if as_json else text(facts))
    for row in rows(ledger, "state = 'failed'", "number") if failed else ():
        line = {"picture": row.source, "code": row.code or "", "message": row.message or ""}
        click.echo(json.dumps(line, ensure_ascii=False) if as_json else "\t".join(line.values()))
    if report is not None:
        from figureground.batch.report import page
        from figureground.io.files import refuse_existing, write

        if not overwrite:
            refuse_existing([report])
        write(page(ledger, out).encode(), report)
        if not as_json:
            click.echo(f"{report}: the batch in {out}")
    return 0
