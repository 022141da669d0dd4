"""The commands over labelled pictures: measure, split, train, export. cli.py hangs them under `main`."""

import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from figureground.flags import chosen, flag, given, method_options, runtime_options, settings_from
from figureground.methods import find
from figureground.training.config import Recipe
from figureground.types import Mask, Rgb

if TYPE_CHECKING:
    from figureground.pipeline import Separator

F = TypeVar("F", bound=Callable[..., Any])


@click.command()
@click.argument("data", nargs=-1, required=True)
@method_options
@runtime_options
@click.option("--against", multiple=True, metavar="NAME", help="Another method to compare with; may be given several times.")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Write the figures of each picture here.")
@click.option(
    "--groups", type=click.Path(path_type=Path), help="CSV with the columns name and group: figures of each group too."
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw precision over recall and reliability here.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page with figures, curves and pictures here (HTML).")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON, a line for each method.")
def evaluate(
    data: tuple[str, ...],
    method: str,
    against: tuple[str, ...],
    table: Path | None,
    groups: Path | None,
    plot: Path | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure a method on DATA: folders, zip archives or lists of pictures with masks; or several methods against it.

    Figures are given of all pictures and by size and thinness of the subject. --csv and --plot are of the method itself; the
    options of models, rules and refiners too.
    """
    from figureground.evaluation.dataset import pairs, tell_one_class
    from figureground.evaluation.evaluate import evaluate as measure
    from figureground.evaluation.groups import read_categories
    from figureground.evaluation.plots import plot_result
    from figureground.evaluation.report import Evaluated, page
    from figureground.io.encode import encoder, write
    from figureground.pipeline import Separator

    if plot is not None:
        encoder(plot.suffix)  # an unknown format is told before the work, not after it
    labelled, settings = pairs(data), settings_from(options)
    categories = read_categories(groups, [pair.name for pair in labelled]) if groups is not None else None
    asked = {name: find(name) for name in (method, *against)} | {method: chosen(method, options)}
    evaluated = []
    for name, each in asked.items():
        separate = Separator(each, settings)
        answer = partial(_mask, separate)
        evaluated.append(Evaluated(name, measure(answer, labelled, not as_json, categories), answer))
    result = evaluated[0].result
    tell_one_class([row.name for row in result.rows], [row.truth for row in result.rows], to_learn=False)
    if table is not None:
        write(result.csv().encode(), table)
    if plot is not None:
        plot_result(result, plot)
    if report is not None:
        write(
            page(evaluated, labelled, f"{', '.join(asked)} on {', '.join(Path(each).name for each in data)}").encode(), report
        )
    for one in evaluated:
        figures = {"method": one.name, **one.result.as_dict()} if as_json else {}
        click.echo(json.dumps(figures, ensure_ascii=False) if as_json else f"{one.name}: {one.result.table()}")


def _mask(separate: "Separator", rgb: Rgb) -> Mask:
    return separate(rgb).mask


@click.command()
@click.argument("data", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for train.txt, val.txt and test.txt.")
@click.option("--val", default=0.1, show_default=True, help="Share of the pictures to choose by.")
@click.option("--test", default=0.1, show_default=True, help="Share of the pictures to judge by at the very end.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other lists.")
@click.option("--alike", default=48, show_default=True, help="Bits of 256 in which hashes of near-duplicates differ at most.")
@click.option("--overwrite", is_flag=True, help="Replace lists that are there already.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def split(data: tuple[str, ...], out: Path, overwrite: bool, as_json: bool, **shares: Any) -> None:
    """Deal DATA out into lists for training, validation and test; near-duplicates stay together.

    The lists are data themselves: figureground train lists/train.txt --val lists/val.txt …
    """
    from figureground.evaluation.dataset import pairs
    from figureground.evaluation.split import lines
    from figureground.evaluation.split import split as deal
    from figureground.io.encode import make_folder, refuse_existing, write

    made = deal(pairs(data), **shares)
    files = {part: out / f"{part}.txt" for part in made.parts}
    if not overwrite:
        refuse_existing(files.values())
    make_folder(out)
    for part, file in files.items():
        write(lines(made.parts[part], out).encode(), file)
    if as_json:
        counts = {part: len(chosen_here) for part, chosen_here in made.parts.items()}
        click.echo(json.dumps({**counts, "near_duplicates": made.groups}, ensure_ascii=False))
        return
    for part, file in files.items():
        click.echo(f"{file}: {len(made.parts[part])} pictures")
    for group in made.groups:
        click.echo(f"near-duplicates, kept together: {', '.join(group)}")


def recipe_options(command: F) -> F:
    """Every field of a Recipe as a flag."""
    for field in reversed(fields(Recipe)):
        command = flag(field.name, field.type, "", field.default)(command)
    return command


@click.command()
@click.argument("data", nargs=-1, required=True, metavar="DATA[=SHARE]...")
@click.option("--val", required=True, multiple=True, help="Data to choose the weights by; may be given several times.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for weights, log and plot.")
@click.option("--from", "start", type=click.Path(exists=True, path_type=Path), help="Weights (safetensors) to begin from.")
@click.option(
    "--encoder-weights",
    metavar="PATH|none",
    help="ImageNet weights of the encoder, or none for random ones.  [default: those of the installed package]",
)
@recipe_options
def train(
    data: tuple[str, ...], val: tuple[str, ...], out: Path, start: Path | None, encoder_weights: str | None, **recipe: Any
) -> None:
    """Train the embedded network on DATA (folders, zip archives or lists of pictures with masks) and export it as ONNX.

    DATA=SHARE gives a source its share of the samples: portraits.zip=0.15 makes them 15 % of each epoch, however many they
    are. A run that was stopped continues when the same command is given again.
    """
    from figureground.evaluation.dataset import pairs

    training = _part("figureground.training.trainer", "training", "train")
    feed = _part("figureground.training.data_loader", "training", "train")
    chosen_recipe = Recipe(**given(recipe))
    sources, shares = zip(*map(_with_share, data), strict=True)
    groups = [pairs([source]) for source in sources]
    weights = feed.sampling_weights([len(group) for group in groups], shares)
    best = training.train(
        [pair for group in groups for pair in group],
        pairs(val),
        out,
        chosen_recipe,
        start,
        encoder_weights=encoder_weights if encoder_weights in {None, "none"} else Path(str(encoder_weights)),
        weights=weights,
    )
    _export(best, best.with_suffix(".onnx"), None)


def _with_share(text: str) -> tuple[str, float | None]:
    """DATA or DATA=SHARE as source and share; raises UsageError. A file that is named with its = is taken as it is."""
    from figureground.errors import UsageError

    source, equals, share = text.rpartition("=")
    if not equals or Path(text).exists():
        return text, None
    try:
        return source, float(share)
    except ValueError:
        raise UsageError(f"expected DATA=SHARE with a share such as 0.15, but got '{text}'") from None


@click.command()
@click.argument("weights", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write.")
@click.option("--size", type=int, default=None, help="Pixels of a side; else any multiple of 32 from 64 to 1024.")
def export(weights: Path, out: Path, size: int | None) -> None:
    """Turn trained WEIGHTS (safetensors) into one ONNX file with float16 weights."""
    _export(weights, out, size)


@click.command()
@click.argument("data", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write, then: --method FILE.")
@click.option("--deep", is_flag=True, help="Train the decoder, not a linear head alone: slower, for 20 pictures or more.")
@click.option("--from", "start", metavar="CHECKPOINT", help="Give a head to this SegFormer: a hub id or a folder.")
@click.option("--minutes", type=float, default=8.0, show_default=True, help="About how long it may take.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is held back and how pictures are altered.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads; else as many as cores.")
@click.option("--overwrite", is_flag=True, help="Replace --out where it is there already.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def adapt(data: tuple[str, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Adapt the embedded network to your own pictures: DATA as for train, or two folders PICTURES MASKS, into one ONNX file.

    Its encoder stays as it is and a linear head is trained on 5 pictures or more. Pictures held back decide whether the
    result is any better; where it is not, the network is written as it was.
    """
    from figureground.evaluation.dataset import labelled

    adapting = _part("figureground.training.adapt.adapt", "adapting", "train")
    settings = settings_from(options)
    result = adapting.adapt(labelled(data), out, settings=settings, quiet=as_json, **options)
    click.echo(json.dumps(result.as_dict(), ensure_ascii=False) if as_json else result.text())


def _export(weights: Path, out: Path, size: int | None) -> None:
    exporting = _part("figureground.training.export", "export", "train")
    apart = exporting.export(weights, out, size)
    size_now = f"{out.stat().st_size / 2**20:.2f} MiB"
    click.echo(f"{weights} → {out}: {size_now}, at most {apart['after']:.1e} from torch in probability")


def _part(module: str, what: str, extra: str) -> Any:
    """A module that needs an extra; raises MissingExtra."""
    from importlib import import_module

    from figureground.errors import MissingExtra

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} ({error.name})", extra) from error
