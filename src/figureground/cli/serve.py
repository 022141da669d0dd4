"""The command `serve`: the HTTP API."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from figureground._machine import cores
from figureground.cli.command import command, inject, option
from figureground.cli.console import note
from figureground.cli.options import import_part, runtime_options
from figureground.errors import UsageError
from figureground.executor import ExecutorConfig
from figureground.methods import DEFAULT, METHODS
from figureground.server.config import ServerConfig, is_loopback, server_settings
from figureground.server.keys import new_key
from figureground.settings import Settings

MAX_WORKERS = 4  # where nobody says: each holds a network and a picture


def _names(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


methods_option = option(
    "--methods",
    default=DEFAULT,
    show_default=True,
    callback=_names,
    metavar="NAME,…",
    group="Method",
    common=True,
    help=f"Methods that requests may name, the default first: {', '.join(METHODS)}.",
)
"""--methods, which the command gets as `methods`."""

_LIMITS = (
    option(
        "--workers",
        type=click.IntRange(1),
        group="Performance",
        common=True,
        help="Worker processes, each for one picture at a time; else as many as cores, at most 4.",
    ),
    option(
        "--queue",
        type=click.IntRange(0),
        default=16,
        show_default=True,
        group="Limits",
        common=True,
        help="Pictures that may wait for a worker; more are refused.",
    ),
    option(
        "--picture-seconds",
        "seconds",
        type=click.FloatRange(0.1),
        default=30.0,
        show_default=True,
        group="Limits",
        help="Time that a picture may take, and that it may wait.",
    ),
    option(
        "--picture-memory",
        "memory",
        type=click.IntRange(0),
        default=1500,
        show_default=True,
        metavar="MB",
        group="Limits",
        help="Memory that a picture may need beyond what its worker holds (Linux); 0 for no limit.",
    ),
    option(
        "--worker-memory",
        "recycle",
        type=click.IntRange(0),
        default=1500,
        show_default=True,
        metavar="MB",
        group="Limits",
        help="Memory that an idle worker may hold before another takes its place (Linux); 0 for no limit.",
    ),
    option(
        "--preload/--no-preload", default=True, show_default=True, group="Performance", help="Load the network at the start."
    ),
    methods_option,
)
_DOORS = (
    option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        group="Other",
        common=True,
        help="Address to listen on; 0.0.0.0 for all.",
    ),
    option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        group="Other",
        common=True,
        help="Port; 0: any.",
    ),
    option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="NAME",
        group="Other",
        help="Name that the server goes by; may be repeated.",
    ),
    option(
        "--origin",
        "origins",
        multiple=True,
        metavar="URL",
        group="Other",
        help="Origin of pages that may use the API, such as https://example.com; may be repeated.",
    ),
    option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        group="Output",
        help="Folder for jobs and their results, which then survive a restart; else a temporary one.",
    ),
    option(
        "--keep-seconds",
        type=click.FloatRange(1),
        default=3600.0,
        show_default=True,
        group="Output",
        help="Time that the results of a job are kept.",
    ),
    option("--keys", type=click.Path(dir_okay=False, path_type=Path), group="Other", common=True, help="File with API keys."),
)
_CONFIG = (
    "workers",
    "queue",
    "seconds",
    "memory",
    "recycle",
    "preload",
    "methods",
    "host",
    "port",
    "hosts",
    "origins",
    "keys",
    "state",
    "keep_seconds",
)


def _config(**values: Any) -> dict[str, Any]:
    return values


@command()
@inject("config", _config, _CONFIG, *_DOORS, *_LIMITS)
@runtime_options
@option("--without-keys", is_flag=True, group="Other", help="Let everybody in who can connect, beyond this machine too.")
@option("--new-key", is_flag=True, group="Other", common=True, help="Add an API key to --keys, print it, and exit.")
@option("--key-name", default="", metavar="TEXT", group="Other", help="What logs call the new key.")
@option(
    "--key-rate",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    group="Other",
    help="Requests a minute of the new key; 0: no limit.",
)
@option(
    "--key-quota",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    group="Other",
    help="Requests a day of the new key; 0: no limit.",
)
def serve(
    config: dict[str, Any],
    settings: Settings,
    without_keys: bool,
    new_key: bool,
    key_name: str,
    key_rate: int,
    key_quota: int,
) -> int:
    """Serve the HTTP API.

    On this machine alone, unless --host says otherwise.

    Its description is at /docs, a form at /. The clients of remove.bg and rembg work with its address.
    """
    if new_key:
        click.echo(_new_key(config["keys"], key_name, key_rate, key_quota))
        return 0
    run = import_part("figureground.server.run", "serve", "server")
    run.serve(build_config(config, settings, without_keys), lambda address: note(f"listens on {address}"))
    return 0


def _new_key(path: Path | None, name: str, rate: int, quota: int) -> str:
    if path is None:
        raise UsageError("--new-key needs the file that it is added to: --keys FILE")
    return new_key(path, name, rate, quota)


def build_config(values: dict[str, Any], settings: Settings, without_keys: bool) -> ServerConfig:
    """Return the configuration of the flags; raises UsageError where anybody could use the server unasked."""
    loopback = is_loopback(values["host"])
    if not (loopback or without_keys or values["keys"]):
        raise UsageError(
            f"--host {values['host']} lets other machines in: name the file of API keys with --keys, or say --without-keys"
        )
    limits = server_settings(settings, loopback)
    values = {**values, "workers": values["workers"] or min(cores(), MAX_WORKERS)}
    threads = ExecutorConfig("process", values["workers"]).share_threads(limits.threads).threads
    return ServerConfig(replace(limits, threads=threads), max_body=limits.max_bytes, **values)
