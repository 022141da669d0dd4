"""The command `doctor`: what this machine and this installation can do."""

import json

import click

from figureground.cli.command import command
from figureground.cli.options import json_option, runtime_options
from figureground.settings import Settings


@command()
@runtime_options
@json_option("Print the report as JSON.")
def doctor(settings: Settings, as_json: bool) -> None:
    """Show what this machine and this installation can do."""
    from figureground.diagnostics import examine, text

    report = examine(settings)
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else text(report))
