"""The command `labels`: which classes there are, and which a picture shows."""

import json
from typing import Any

import click

from figureground.cli.options import chosen, draft_option, runtime_options, settings_from
from figureground.errors import IncompatibleParts
from figureground.inference.label_sets import ade20k
from figureground.methods import Method
from figureground.models import card
from figureground.pipeline import Separator
from figureground.settings import Settings
from figureground.types import InstanceMap, LabelMap, Map


@click.command()
@click.argument("picture", required=False)
@click.option("-m", "--method", default="stuff", show_default=True, metavar="NAME", help="A method whose model names classes.")
@click.option("--weights", help="Hub id or local folder of another checkpoint.")
@runtime_options
@draft_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def labels(picture: str | None, method: str, weights: str | None, as_json: bool, **options: Any) -> None:
    """List the classes that PICTURE shows, with their shares; without PICTURE, all that the model knows.

    With --method instance: its objects, by the numbers that --instance takes.
    """
    chosen_method = chosen(method, {"weights": weights})
    rows = known() if picture is None else foreground_share(picture, chosen_method, settings_from(options))
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        number = f"{row['number']:3}  " if "number" in row else ""
        share = f"{row['share']:7.2%}  " if "share" in row else ""
        score = f"  (score {row['score']:.2f})" if "score" in row else ""
        click.echo(f"{number}{share}{'stuff' if row['stuff'] else 'thing'}  {row['name']}{score}")


def known() -> list[dict[str, Any]]:
    """The 150 classes of ADE20K in the order of the SegFormer checkpoints: name, and whether it is stuff."""
    return [{"index": index, "name": name.strip(), "stuff": stuff} for index, (name, stuff) in enumerate(ade20k())]


def foreground_share(picture: str, method: Method, settings: Settings) -> list[dict[str, Any]]:
    """The classes that a picture shows, the largest first, or its objects by number; raises Mismatch where there are none."""
    kinds: dict[type[Map], str] = {LabelMap: "labels", InstanceMap: "instances"}
    output_type = card(method.model).output_type
    if output_type not in kinds:
        raise IncompatibleParts(f"model '{method.model}' names no classes; take a method such as stuff or instance")
    rows: list[dict[str, Any]] = Separator(method, settings)(picture).info()[kinds[output_type]]
    return rows
