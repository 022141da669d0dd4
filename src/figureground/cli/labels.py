"""The command `labels`: which classes there are, and which a picture shows."""

import json
from typing import Any

import click

from figureground.cli.command import command
from figureground.cli.options import build_method, json_option, runtime_and_draft_options
from figureground.errors import IncompatibleParts, UsageError
from figureground.methods import Method
from figureground.models import card, module
from figureground.pipeline import Separator
from figureground.settings import Settings
from figureground.types import InstanceMap, LabelMap, Map


@command()
@click.argument("picture", required=False)
@click.option("-m", "--method", default="stuff", show_default=True, metavar="NAME", help="A method whose model names classes.")
@click.option("--weights", help="Hub id or local folder of another checkpoint.")
@runtime_and_draft_options
@json_option("Print the list as JSON.")
def labels(picture: str | None, method: str, weights: str | None, settings: Settings, as_json: bool) -> None:
    """List the classes in PICTURE, or those a model knows.

    With PICTURE each class has its share of the picture.

    With --method instance: its objects, by the numbers that --instance takes.
    """
    chosen_method = build_method(method, weights=weights)
    rows = known(chosen_method) if picture is None else classes_in(picture, chosen_method, settings)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        number = f"{row['number']:3}  " if "number" in row else ""
        share = f"{row['share']:7.2%}  " if "share" in row else ""
        score = f"  (score {row['score']:.2f})" if "score" in row else ""
        click.echo(f"{number}{share}{'stuff' if row['stuff'] else 'thing'}  {row['name']}{score}")


def known(method: Method) -> list[dict[str, Any]]:
    """Return the classes of a method's model in its own order: index, name, and whether it is stuff.

    Raises IncompatibleParts for a model that names none, UsageError for a checkpoint that must be loaded to know them.
    """
    _output_key(method)
    file = module(method.model)
    weights = method.options.get("weights")
    if weights and weights not in {card(method.model).weights, *file.SHORT}:
        raise UsageError(f"the classes of '{weights}' are read from the checkpoint; name a picture too, or leave out --weights")
    return [{"index": index, "name": name.strip(), "stuff": stuff} for index, (name, stuff) in enumerate(file.CLASSES())]


def classes_in(picture: str, method: Method, settings: Settings) -> list[dict[str, Any]]:
    """Return the classes that a picture shows, the largest first, or its objects by number; raises IncompatibleParts."""
    key = _output_key(method)
    rows: list[dict[str, Any]] = Separator(method, settings)(picture).info()[key]
    return rows


def _output_key(method: Method) -> str:
    keys: dict[type[Map], str] = {LabelMap: "labels", InstanceMap: "instances"}
    output_type = card(method.model).output_type
    if output_type not in keys:
        raise IncompatibleParts(f"model '{method.model}' names no classes; take a method such as stuff or instance")
    return keys[output_type]
