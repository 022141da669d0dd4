"""The command `app`: the server with its page in the browser."""

import threading
import webbrowser
from dataclasses import replace
from typing import Any

import click

from figureground.cli.command import command, option
from figureground.cli.console import note
from figureground.cli.options import import_part, runtime_options
from figureground.cli.serve import build_config, methods_option
from figureground.settings import Settings

PAGE_SECONDS = 60.0


@command()
@methods_option
@option("--port", type=click.IntRange(0, 65535), default=0, group="Other", common=True, help="Port; any free one by default.")
@option("--no-browser", is_flag=True, group="Other", common=True, help="Print the address only.")
@option(
    "--page-seconds",
    type=click.FloatRange(0.1),
    default=PAGE_SECONDS,
    show_default=True,
    group="Other",
    help="Seconds after the last page was closed when the command ends.",
)
@runtime_options
def app(methods: tuple[str, ...], port: int, no_browser: bool, page_seconds: float, settings: Settings) -> int:
    """Open a page that removes backgrounds.

    It is a server on this machine alone, with its page in the browser. Ends a minute after the last page is closed, or with
    Ctrl-C.
    """
    run = import_part("figureground.server.run", "app", "server")
    values: dict[str, Any] = {"host": "127.0.0.1", "port": port, "methods": methods, "workers": 1, "keys": None}
    config = replace(build_config(values, settings, without_keys=False), page_seconds=page_seconds)

    def ready(address: str) -> None:
        note(f"listens on {address}; press Ctrl-C to end")
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    run.serve(config, ready)
    return 0
