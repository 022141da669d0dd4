"""The command line: it parses and presents, and decides nothing. To add a command, add a function under `main`."""

import json
import logging
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

import figureground
from figureground.errors import FigureGroundError, UsageError
from figureground.flags import chosen, method_options, prompt_from, prompt_options, runtime_options, settings_from
from figureground.learning import adapt, evaluate, export, split, train
from figureground.methods import DEFAULT, METHODS, all_options
from figureground.models import card
from figureground.output import ENCODERS
from figureground.png import EFFORTS
from figureground.separation import VIEWS


class OneLine(click.Group):
    """A group whose every error is one line on stderr, with the exit code of its class."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and end the process: 0 all done, 1 some picture failed, 2 usage, 3 could not run."""
        words = list(args[0] if args else kwargs.pop("args", None) or sys.argv[1:])
        logging.getLogger("figureground").handlers[:] = [_Stderr()]
        try:
            code = super().main(words, *args[1:], **{**kwargs, "standalone_mode": False})
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help())
            sys.exit(2)
        except click.ClickException as error:
            _say(UsageError(error.format_message()))
            sys.exit(2)
        except FigureGroundError as error:
            _say(error, "--json" in words)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("figureground: stopped", err=True)
            sys.exit(130)
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has gone: nothing is left to say, and nobody to say it to
            sys.exit(1)


class _Stderr(logging.Handler):
    """What the library has to say, one line each, without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        _note(record.getMessage())


def _note(text: str) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(sys.stderr):
        click.echo(f"figureground: {text}", err=True)


def _say(error: FigureGroundError, as_json: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(error.as_dict(), ensure_ascii=False), err=True)
    else:
        where = f"'{error.picture}': " if error.picture and error.picture not in str(error) else ""
        _note(f"{error.code}: {where}{error}")


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
@method_options
@click.option("--view", default="cutout", show_default=True, metavar="NAME,…", help=f"What to write: {', '.join(VIEWS)}.")
@click.option("-o", "--output", metavar="FILE", help="The file to write, for one picture and one view; - is standard output.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for <stem>.<view>.png; else beside each picture.")
@click.option("--format", "suffix", type=click.Choice([s[1:] for s in ENCODERS]), help="Of files named by us, and of -o -.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--background", metavar="COLOUR", help="Put a colour behind the cut-out: white, #rrggbb …")
@click.option("--encoder-quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF; WebP is lossless without it.")
@click.option(
    "--png-effort",
    type=click.Choice(list(EFFORTS)),
    default="fast",
    show_default=True,
    help="Of PNG; small takes many times as long.",
)
@prompt_options
@click.option("--require-subject", is_flag=True, help="A picture without foreground is an error.")
@click.option("--lenient", is_flag=True, help="Take what can be read of truncated pictures.")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger pictures.  [default: 100000000]")
@runtime_options
@click.option("--workers", type=click.IntRange(1), help="Pictures worked on at once; else as many as cores, at most 4.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each picture on standard output.")
@click.option("--timings", is_flag=True, help="Say how long each stage took, on standard error.")
def remove(pictures: tuple[str, ...], method: str, **given_options: Any) -> int:
    """Separate PICTURES: paths, http(s) addresses, or - for standard input."""
    from figureground.remove import Job, run

    names = set(all_options()) | {"model", "rule", "refiner", "combine"}
    options = {name: given_options.pop(name) for name in list(given_options) if name in names}
    given_options["lenient"] = given_options["lenient"] or None  # a flag that is not given leaves the environment's word
    settings = settings_from(given_options)
    given_options["quality"] = given_options.pop("encoder_quality")
    given_options["prompt"] = prompt_from(given_options)
    job = Job(pictures, chosen(method, options), settings, **given_options)
    return run(job, echo=click.echo, note=_note, say=_say)


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
    from figureground.doctor import examine, text

    report = examine(settings_from(options))
    click.echo(json.dumps(report, ensure_ascii=False, indent=1) if as_json else text(report))


for command in (evaluate, split, train, adapt, export):
    main.add_command(command)
