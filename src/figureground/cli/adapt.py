"""The command `adapt`: the embedded network, or a SegFormer, adapted to labeled pictures of the user."""

import json
from pathlib import Path
from typing import Any

import click

from figureground.cli.command import command
from figureground.cli.options import import_part, json_option, threads_option
from figureground.settings import Settings


@command()
@click.argument("data", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write, then: --method FILE.")
@click.option("--deep", is_flag=True, help="Train the decoder instead of a linear head: slower, needs 20 pictures.")
@click.option("--from", "start", metavar="CHECKPOINT", help="Train a head for this SegFormer instead: a hub id or a folder.")
@click.option("--minutes", type=float, default=8.0, show_default=True, help="Time for the training, about.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed for held-back pictures and augmentation.")
@threads_option
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
@json_option("Print the result as JSON.")
def adapt(data: tuple[str, ...], out: Path, settings: Settings, as_json: bool, **options: Any) -> None:
    """Adapt the embedded network to your own pictures.

    DATA is as for train, or two folders PICTURES MASKS. The result is one ONNX file. The encoder of the network stays as it
    is, and a linear head is trained on 5 pictures or more. Pictures held back decide whether the result is any better; where
    it is not, the network is written unchanged, and gives the masks of subject.
    """
    from figureground.evaluation.dataset import labeled_images_or_folders

    adapting = import_part("figureground.training.adapt.adapt", "adapting", "train")
    result = adapting.adapt(labeled_images_or_folders(data), out, settings=settings, quiet=as_json, **options)
    click.echo(json.dumps(result.as_dict(), ensure_ascii=False) if as_json else result.text())
