"""The command `pull`: download and convert weights beforehand."""

import click

from figureground._deprecated import current
from figureground.cli.command import command
from figureground.cli.options import runtime_options
from figureground.methods import METHODS
from figureground.settings import Settings


@command()
@click.argument("name")
@click.option("--weights", help="Hub id or local folder of another checkpoint for the model NAME.")
@runtime_options
def pull(name: str, weights: str | None, settings: Settings) -> None:
    """Download and convert the weights of NAME beforehand.

    NAME is a method, a model, or weights such as segformer-b5.
    """
    from figureground.models import pull as fetch

    name = current("method", name)
    path = fetch(METHODS[name].model if name in METHODS else name, settings, weights)
    click.echo(f"{name}: " + ("in the package, nothing to fetch" if path is None else f"ready, kept as {path}"))
