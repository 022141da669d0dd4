"""What a command says on standard error: remarks and errors, a line each, above a progress bar."""

import json
import sys

import click

from figureground.errors import FigureGroundError


def note(text: str) -> None:
    """A remark on standard error, above a progress bar."""
    from tqdm import tqdm

    with tqdm.external_write_mode(sys.stderr):
        click.echo(f"figureground: {text}", err=True)


def say(error: FigureGroundError, as_json: bool = False) -> None:
    """An error: its code and one line, or an object with --json."""
    if as_json:
        click.echo(json.dumps(error.as_dict(), ensure_ascii=False), err=True)
    else:
        where = f"'{error.picture}': " if error.picture and error.picture not in str(error) else ""
        note(f"{error.code}: {where}{error}")
