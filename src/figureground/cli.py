"""The command line: it parses and presents, and decides nothing.

To add a command, add a function under `main`, or in a module of its own and a row in `ELSEWHERE`.
"""

import json
import logging
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

import figureground
from figureground.errors import FigureGroundError, UsageError
from figureground.flags import chosen, draft_option, product_from, product_options, runtime_options, settings_from
from figureground.io.encode import ENCODERS
from figureground.methods import DEFAULT, METHODS
from figureground.models import card
from figureground.telling import note, say

ELSEWHERE = {"batch": "figureground.many"} | dict.fromkeys(
    ("adapt", "evaluate", "export", "split", "train"), "figureground.learning"
)
"""The commands that stand in modules of their own, which are loaded when they are wanted: `remove` starts sooner so."""


STOPPED = 130
"""The exit code of what a signal has stopped, as shells give it."""


class OneLine(click.Group):
    """A group whose every error is one line on stderr, with the exit code of its class."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, those of `ELSEWHERE` too."""
        return sorted({*super().list_commands(context), *ELSEWHERE})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name, from wherever it stands."""
        if name in ELSEWHERE:
            command: click.Command = getattr(import_module(ELSEWHERE[name]), name)
            return command
        return super().get_command(context, name)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and end the process: 0 all done, 1 some picture failed, 2 usage, 3 could not run."""
        words = list(args[0] if args else kwargs.pop("args", None) or sys.argv[1:])
        logging.getLogger("figureground").handlers[:] = [_Stderr()]
        try:
            code = super().main(words, *args[1:], **{**kwargs, "standalone_mode": False})
            if code == STOPPED:
                _stopped()
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help())
            sys.exit(2)
        except click.ClickException as error:
            say(UsageError(error.format_message()))
            sys.exit(2)
        except FigureGroundError as error:
            say(error, "--json" in words)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            _stopped("figureground: stopped")
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has gone: nothing is left to say, and nobody to say it to
            sys.exit(1)


def _stopped(last_words: str = "") -> NoReturn:
    """End with 130; who presses Ctrl-C once more while Python takes itself down changes nothing by it."""
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
    if last_words:
        click.echo(last_words, err=True)
    sys.exit(STOPPED)


class _Stderr(logging.Handler):
    """What the library has to say, one line each, without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(figureground.__version__, prog_name="figureground")
def main() -> None:
    """Tell foreground from background in a picture.

    \b
    figureground remove photo.jpg                 → photo.cutout.png, the subject on transparent
    figureground remove *.jpg --view cutout,mask --out-dir out
    """


@main.command()
@click.argument("pictures", nargs=-1, required=True)
@product_options
@click.option("-o", "--output", metavar="FILE", help="The file to write, for one picture and one view; - is standard output.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for <stem>.<view>.png; else beside each picture.")
@click.option("--format", "suffix", type=click.Choice([s[1:] for s in ENCODERS]), help="Of files named by us, and of -o -.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--workers", type=click.IntRange(1), help="Pictures worked on at once; else as many as cores, at most 4.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each picture on standard output.")
@click.option("--timings", is_flag=True, help="Say how long each stage took, on standard error.")
def remove(pictures: tuple[str, ...], **options: Any) -> int:
    """Separate PICTURES: paths, http(s) addresses, or - for standard input."""
    from figureground.remove import Job, run

    return run(Job(pictures, product_from(options), **options), echo=click.echo, note=note, say=say)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def methods(as_json: bool) -> None:
    """List the methods, with the licence of their weights and the terms of their training data."""
    rows = []
    for name, method in METHODS.items():
        label = card(method.model)
        parts = {
            "method": name,
            "model": method.model,
            "rule": method.rule,
            "refiner": method.refiner,
            "about": method.about,
        }
        terms = {"weights": label.weights, "licence": label.licence, "permissive": label.permissive, "data": label.data}
        rows.append({**parts, **terms})
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        click.echo(f"{row['method']}{' (default)' if row['method'] == DEFAULT else ''}: {row['about']}")
        click.echo(f"    {row['model']} → {row['rule']} → {row['refiner']}")
        click.echo(f"    weights: {row['weights']}; {row['licence']}")
        click.echo(f"    trained on: {row['data']}")


@main.command()
@click.argument("picture", required=False)
@click.option("-m", "--method", default="stuff", show_default=True, metavar="NAME", help="A method whose model names classes.")
@click.option("--weights", help="Hub id or local folder of another checkpoint.")
@runtime_options
@draft_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def labels(picture: str | None, method: str, weights: str | None, as_json: bool, **options: Any) -> None:
    """List the classes that PICTURE shows, with their shares; without PICTURE, all that the model knows.

    With --method instance: its objects, by the numbers that --instance takes.
    """
    from figureground.labels import found, known

    chosen_method = chosen(method, {"weights": weights})
    rows = known() if picture is None else found(picture, chosen_method, settings_from(options))
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        number = f"{row['number']:3}  " if "number" in row else ""
        share = f"{row['share']:7.2%}  " if "share" in row else ""
        score = f"  (score {row['score']:.2f})" if "score" in row else ""
        click.echo(f"{number}{share}{'stuff' if row['stuff'] else 'thing'}  {row['name']}{score}")


@main.command()
@click.argument("name")
@click.option("--weights", help="Hub id or local folder of another checkpoint for the model NAME.")
@runtime_options
def pull(name: str, weights: str | None, **options: Any) -> None:
    """Fetch and convert the weights of NAME beforehand: a method, a model, or weights such as segformer-b5."""
    from figureground.models import pull as fetch

    kept = fetch(METHODS[name].model if name in METHODS else name, settings_from(options), weights)
    click.echo(f"{name}: " + ("in the package, nothing to fetch" if kept is None else f"ready, kept as {kept}"))


@main.command()
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool, **options: Any) -> None:
    """Say what this machine can do, what is installed, and what each method would run with."""
    from figureground.diagnostics import examine, text

    report = examine(settings_from(options))
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else text(report))
