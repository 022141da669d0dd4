"""The command `config`: which settings and presets are in effect, and where they come from."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from figureground.cli.command import command, option
from figureground.cli.options import json_option
from figureground.cli.presets import read_config
from figureground.settings import Settings


@command()
@option("--config", "file", type=click.Path(path_type=Path), group="Input", common=True, help="File with presets.")
@json_option("Print one JSON object.")
def config(file: Path | None, as_json: bool) -> None:
    """Show the settings and presets in effect, and their sources.

    Settings are environment variables, such as FIGUREGROUND_THREADS. Presets are tables of a TOML file: --preset shop uses
    the options of [shop], and those of [default] are always used. The file is that of --config, of FIGUREGROUND_CONFIG, or
    config.toml in your folder for configurations; a file in the current folder is never read by itself.
    """
    presets, settings = read_config(file), Settings.from_environment()
    rows: dict[str, dict[str, Any]] = {}
    for field in fields(Settings):
        variable = f"FIGUREGROUND_{field.name.upper()}"
        value = getattr(settings, field.name)
        shown = str(value) if isinstance(value, Path) else value
        rows[field.name] = {"value": shown, "from": variable if os.environ.get(variable, "").strip() else "default"}
    facts: dict[str, Any] = {
        "file": str(presets.path),
        "named_by": presets.source,
        "exists": presets.exists,
        "presets": presets.presets,
        "settings": rows,
    }
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1, default=str))
        return
    click.echo(f"file: {presets.path} ({'named by ' + presets.source if presets.source != 'user' else 'yours'}"
               f"{'' if presets.exists else '; it does not exist'})")  # fmt: skip
    for name, options in presets.presets.items():
        click.echo(f"[{name}]  " + ", ".join(f"{key} = {json.dumps(value, default=str)}" for key, value in options.items()))
    click.echo("settings:")
    for name, row in rows.items():
        click.echo(f"  {name:14} {row['value']!s:28} {row['from']}")
