"""The command `completion`: the script that lets a shell complete commands, options and names of methods."""

import click
from click.shell_completion import get_completion_class

from figureground.cli.command import command

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/figureground",
    "zsh": "a folder of $fpath, as _figureground",
    "fish": "~/.config/fish/completions/figureground.fish",
}


@command()
@click.argument("shell", type=click.Choice(list(PLACES)))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: bash, zsh or fish.

    \b
    bash: figureground completion bash >
            ~/.local/share/bash-completion/completions/figureground
    zsh:  figureground completion zsh > "${fpath[1]}/_figureground"
    fish: figureground completion fish >
            ~/.config/fish/completions/figureground.fish
    """  # noqa: D301 - click needs the character itself
    from figureground.cli.main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"the shell '{shell}' is not known")
    click.echo(kind(main, {}, "figureground", "_FIGUREGROUND_COMPLETE").source())
