"""The command `train`: the embedded network on labeled pictures. Every field of `Recipe` is a flag."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from figureground.cli.command import command
from figureground.cli.export import write_graph
from figureground.cli.options import flag, given, import_part
from figureground.errors import UsageError
from figureground.training.config import DETAIL, Recipe

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(command: F) -> F:
    """Every field of a Recipe as a flag."""
    for field in reversed(fields(Recipe)):
        command = flag(field.name, field.type, "", field.default)(command)
    return command


@command()
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
    """Train the embedded network and export it as ONNX.

    --network detail trains the network that refines edges.

    DATA is folders, zip archives or lists of pictures with masks.

    DATA=SHARE gives a source its share of the samples: portraits.zip=0.15 makes them 15 % of each epoch, however many they
    are. A run that was stopped continues when the same command is given again.
    """
    from figureground.evaluation.dataset import labeled_images

    detail = recipe.get("network") == DETAIL
    training = import_part(f"figureground.training{'.detail' if detail else ''}.trainer", "training", "train")
    feed = import_part("figureground.training.data_loader", "training", "train")
    chosen_recipe = Recipe(**given(recipe))
    sources, shares = zip(*map(_with_share, data), strict=True)
    groups = [labeled_images([source]) for source in sources]
    weights = feed.sampling_weights([len(group) for group in groups], shares)
    if detail and encoder_weights is not None:
        raise UsageError("the network 'detail' has no encoder; leave out --encoder-weights")
    encoder = (
        {} if detail else {"encoder_weights": encoder_weights if encoder_weights in {None, "none"} else Path(encoder_weights)}
    )
    pictures = [pair for group in groups for pair in group]
    best = training.train(pictures, labeled_images(val), out, chosen_recipe, start, weights=weights, **encoder)
    write_graph(best, best.with_suffix(".onnx"), None)


def _with_share(text: str) -> tuple[str, float | None]:
    """Split DATA or DATA=SHARE into source and share; raises UsageError. The name of an existing file may contain =."""
    source, equals, share = text.rpartition("=")
    if not equals or Path(text).exists():
        return text, None
    try:
        return source, float(share)
    except ValueError:
        raise UsageError(f"expected DATA=SHARE with a share such as 0.15, but got '{text}'") from None
