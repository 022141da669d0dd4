"""Remarks and errors on standard error: one line each, above a progress bar."""

import json
import re
import sys

import click

from figureground.errors import FigureGroundError, UsageError


def note(text: str) -> None:
    """Print a remark on standard error, above a progress bar."""
    from tqdm import tqdm

    with tqdm.external_write_mode(sys.stderr):
        click.echo(f"figureground: {text}", err=True)


def say(error: FigureGroundError, as_json: bool = False) -> None:
    """Print an error: its code and one line, or an object with --json."""
    text = with_flags(str(error)) if isinstance(error, UsageError) else str(error)
    if as_json:
        click.echo(json.dumps({**error.as_dict(), "message": text}, ensure_ascii=False), err=True)
    else:
        where = f"'{error.picture}': " if error.picture and error.picture not in text else ""
        note(f"{error.code}: {where}{text}")


def with_flags(text: str) -> str:
    """Return a message of the library with options as the command line spells them: `min_part` becomes `--min-part`."""
    from figureground.methods import all_options

    for name in (*all_options(), "png_effort"):
        flag = "--" + name.replace("_", "-")
        text = re.sub(
            rf"(?<![\w-]){name}(?![\w-])" if "_" in name else rf"'{name}'(?= (?:is no option|belongs to))", flag, text
        )
    return text.replace("quality applies to", "--encoder-quality applies to")
