"""The command `doctor`: what this machine can do, and what each method would run with."""

import json
from typing import Any

import click

from figureground.cli.options import json_option, runtime_options, settings_from


@click.command()
@runtime_options
@json_option("As JSON.")
def doctor(as_json: bool, **options: Any) -> None:
    """Say what this machine can do, what is installed, and what each method would run with."""
    from figureground.diagnostics import examine, text

    report = examine(settings_from(options))
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else text(report))
