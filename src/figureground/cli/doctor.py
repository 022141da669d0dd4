"""The command `doctor`: what this machine and this installation can do."""

import json

import click

from figureground.cli.command import command, option
from figureground.cli.options import json_option, runtime_options
from figureground.settings import Settings


@command()
@runtime_options
@option("--verify", metavar="NAME", group="Other", common=True, help="Check the file of a network, such as u2net, instead.")
@json_option("Print the report as JSON.")
def doctor(settings: Settings, verify: str | None, as_json: bool) -> None:
    """Show what this machine and this installation can do."""
    if verify is not None:
        _verify(verify, settings, as_json)
        return
    from figureground.diagnostics import examine, text

    report = examine(settings)
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else text(report))


def _verify(name: str, settings: Settings, as_json: bool) -> None:
    """Print what was looked at in the file of a network; raises WeightsError where something does not agree."""
    from figureground.models.onnx_saliency import verify

    report = {"network": name}
    for what, result in verify(name, settings):
        report[what] = result
        if not as_json:
            click.echo(f"{what:8}{result}")
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else f"{name} agrees with what is known of it")
