"""The command `evaluate`: how good a method is on labeled pictures."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from figureground.cli.command import command
from figureground.cli.options import json_option, method_options, runtime_options
from figureground.methods import Method, find
from figureground.settings import Settings
from figureground.types import Mask, Rgb

if TYPE_CHECKING:
    from figureground.pipeline import Separator


@command()
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
@click.option("--overwrite", is_flag=True, help="Replace the files of --csv, --plot and --report that are there already.")
@json_option("Print all figures as JSON, a line for each method.")
def evaluate(
    data: tuple[str, ...],
    method: Method,
    settings: Settings,
    against: tuple[str, ...],
    table: Path | None,
    groups: Path | None,
    plot: Path | None,
    report: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure how good methods are on labeled pictures.

    DATA is folders, zip archives or lists of pictures with masks. --against compares other methods.

    Figures are given of all pictures and by size and thinness of the subject. --csv and --plot are of the method itself; the
    options of models, rules and refiners too.
    """
    from figureground.evaluation.dataset import labeled_images, warn_single_class
    from figureground.evaluation.evaluate import evaluate as measure
    from figureground.evaluation.groups import read_categories
    from figureground.evaluation.plots import plot_result
    from figureground.evaluation.report import Evaluated, page
    from figureground.io.files import write
    from figureground.pipeline import Separator

    targets = _checked({"--csv": table, "--plot": plot, "--report": report}, overwrite)  # before the work, not after it
    method_name = click.get_current_context().params["method"]
    labeled_images_or_folders = labeled_images(data)
    categories = read_categories(groups, [pair.name for pair in labeled_images_or_folders]) if groups is not None else None
    asked = {method_name: method} | {name: find(name) for name in against if name != method_name}
    evaluated = []
    for name, each in asked.items():
        separate = Separator(each, settings)
        answer = partial(_mask, separate)
        evaluated.append(Evaluated(name, measure(answer, labeled_images_or_folders, not as_json, categories), answer))
    result = evaluated[0].result
    warn_single_class([row.name for row in result.rows], [row.truth for row in result.rows], to_learn=False)
    if table is not None:
        write(result.csv().encode(), table)
    if plot is not None:
        plot_result(result, plot)
    if report is not None:
        write(
            page(
                evaluated, labeled_images_or_folders, f"{', '.join(asked)} on {', '.join(Path(each).name for each in data)}"
            ).encode(),
            report,
        )
    for one in evaluated:
        figures = {"method": one.name, **one.result.as_dict()} if as_json else {}
        click.echo(json.dumps(figures, ensure_ascii=False) if as_json else f"{one.name}: {one.result.table()}")
    if not as_json:
        click.echo("".join(f"{path}: written\n" for path in targets if path.is_file()), nl=False)


def _checked(targets: Mapping[str, Path | None], overwrite: bool) -> list[Path]:
    """Return the files to be written, given by option; raises OutputExists, and UnknownName for a plot of unknown format."""
    from figureground.io.encode import encoder
    from figureground.io.files import refuse_existing

    named = {option: path for option, path in targets.items() if path is not None}
    if "--plot" in named:
        encoder(named["--plot"].suffix)
    for option, path in named.items():
        if not overwrite:
            refuse_existing([path], option)
    return list(named.values())


def _mask(separate: "Separator", rgb: Rgb) -> Mask:
    return separate(rgb).mask
