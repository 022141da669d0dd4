"""Presets: named options of the command line, from a TOML file of the user; those of `compositing/options.py` are always there.

Each table of the file is a preset; its keys are options, without the dashes at the front. The table `default` is always used::

    [default]
    out-dir = "cutouts"

    [shop]
    background = "white"
    encoder-quality = 90
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from figureground.compositing.options import PRESETS
from figureground.errors import UnknownName, UsageError

VARIABLE = "FIGUREGROUND_CONFIG"
DEFAULT = "default"
PRESET_OPTIONS = ("preset", "config")


@dataclass(frozen=True, slots=True)
class Config:
    """The presets of a file.

    path : the file. source : what named it: ``--config``, the environment variable, or the folder of the user's settings.
    exists : whether it is there. presets : the options of each preset, by name, as the file has them.
    """

    path: Path
    source: str
    exists: bool
    presets: Mapping[str, Mapping[str, Any]]


def read_config(named: Path | None = None) -> Config:
    """Read the file that is named, or that FIGUREGROUND_CONFIG names, or that of the user; never one of the current folder.

    Raises UsageError where a named file does not exist, or where a file is no such table of tables.
    """
    path, source = _location(named)
    if not path.is_file():
        if source != "user":
            raise UsageError(f"the configuration '{path}' ({source}) does not exist; make it, or name another file")
        return Config(path, source, False, {})
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the configuration '{path}' cannot be read ({error})") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"the configuration '{path}' holds presets, tables such as [shop], but '{name}' is not in one")
    return Config(path, source, True, tables)


def _location(named: Path | None) -> tuple[Path, str]:
    if named is not None:
        return named, "--config"
    if variable := os.environ.get(VARIABLE, "").strip():
        return Path(variable), VARIABLE
    return Path(click.get_app_dir("figureground")) / "config.toml", "user"


def apply_presets(command: click.Command, context: click.Context, words: list[str]) -> None:
    """Make the options of the presets that the words name the defaults of the command. Raises UsageError and its kin."""
    given, _, _ = command.make_parser(_silent(command, context)).parse_args(list(words))
    config = read_config(Path(given["config"]) if given.get("config") else None)
    values: dict[str, Any] = {}
    for name in (DEFAULT, *(given.get("preset") or ())):
        if name in config.presets:
            values |= _options(command, name, config)
        elif name in PRESETS:
            values |= PRESETS[name]
        elif name != DEFAULT:
            if not config.exists:
                raise UsageError(
                    f"no preset is called '{name}'. Known: {', '.join(PRESETS)}; presets of your own are read from"
                    f" '{config.path}', which does not exist"
                )
            raise UnknownName("preset", name, {*config.presets, *PRESETS} - {DEFAULT})
    context.default_map = {**(context.default_map or {}), **values}


def _silent(command: click.Command, context: click.Context) -> click.Context:
    """Return a context that parses words without complaint; the real parser complains."""
    return click.Context(
        command, parent=context.parent, ignore_unknown_options=True, allow_extra_args=True, resilient_parsing=True
    )


def _options(command: click.Command, name: str, config: Config) -> dict[str, Any]:
    """Return a preset's values by the names of the command's parameters; the table `default` may have other commands' too."""
    known = {flag.lstrip("-"): param for param in command.params for flag in param.opts if flag.startswith("--")}
    values: dict[str, Any] = {}
    for key, value in config.presets[name].items():
        param = known.get(key.replace("_", "-"))
        if param is None and name == DEFAULT:
            continue
        if param is None or param.name in (*PRESET_OPTIONS, None):
            raise UsageError(f"the preset '{name}' in '{config.path}' has '{key}', which is no option of {command.name}")
        values[param.name] = [value] if getattr(param, "multiple", False) and not isinstance(value, list) else value
    return values
