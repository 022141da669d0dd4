"""The command `split`: labeled pictures as lists for training, validation and test."""

import json
from pathlib import Path
from typing import Any

import click

from figureground._words import count
from figureground.cli.command import command
from figureground.cli.options import json_option


@command()
@click.argument("data", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for train.txt, val.txt and test.txt.")
@click.option("--val", default=0.1, show_default=True, help="Share of the pictures to choose by.")
@click.option("--test", default=0.1, show_default=True, help="Share of the pictures to judge by at the very end.")
@click.option("--seed", default=0, show_default=True, help="Seed of the shuffle; another seed gives other lists.")
@click.option("--alike", default=48, show_default=True, help="Bits of 256 in which hashes of near-duplicates differ at most.")
@click.option("--overwrite", is_flag=True, help="Replace lists that exist.")
@json_option("Print the result as JSON.")
def split(data: tuple[str, ...], out: Path, overwrite: bool, as_json: bool, **shares: Any) -> None:
    """Split DATA into lists for training, validation and test.

    Near-duplicates stay together.

    The lists are data themselves: figureground train lists/train.txt --val lists/val.txt …
    """
    from figureground.evaluation.dataset import labeled_images
    from figureground.evaluation.split import lines
    from figureground.evaluation.split import split as deal
    from figureground.io.files import make_folder, refuse_existing, write

    lists = deal(labeled_images(data), **shares)
    files = {part: out / f"{part}.txt" for part in lists.parts}
    if not overwrite:
        refuse_existing(files.values(), "--out")
    make_folder(out)
    for part, file in files.items():
        write(lines(lists.parts[part], out).encode(), file)
    if as_json:
        counts = {part: len(chosen_here) for part, chosen_here in lists.parts.items()}
        click.echo(json.dumps({**counts, "near_duplicates": lists.groups}, ensure_ascii=False))
        return
    for part, file in files.items():
        click.echo(f"{file}: {count(len(lists.parts[part]), 'picture')}")
    for group in lists.groups:
        click.echo(f"near-duplicates, kept together: {', '.join(group)}")
