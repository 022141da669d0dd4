"""The command `methods`: what there is, under which license, trained on what."""

import json

import click

from figureground._deprecated import with_old_keys
from figureground.cli.command import command
from figureground.cli.options import json_option
from figureground.methods import DEFAULT, METHODS
from figureground.models import card


@command()
@json_option("As JSON.")
def methods(as_json: bool) -> None:
    """List the methods, with their licenses and training data."""
    rows = []
    for name, method in METHODS.items():
        label = card(method.model)
        parts = {
            "method": name,
            "model": method.model,
            "rule": method.rule,
            "refiner": method.refiner,
            "about": method.about,
        }
        terms = {"weights": label.weights, "license": label.license, "permissive": label.permissive, "data": label.data}
        rows.append(with_old_keys({**parts, **terms}))
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        click.echo(f"{row['method']}{' (default)' if row['method'] == DEFAULT else ''}: {row['about']}")
        click.echo(f"    {row['model']} → {row['rule']} → {row['refiner']}")
        click.echo(f"    weights: {row['weights']}; {row['license']}")
        click.echo(f"    trained on: {row['data']}")
