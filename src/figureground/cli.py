"""The command line: it parses and presents, and decides nothing. To add a command, add a function under `main`."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

import figureground
from figureground.errors import FigureGroundError, UsageError
from figureground.flags import flag, given
from figureground.methods import DEFAULT, METHODS, Method, all_options, find
from figureground.models import card
from figureground.output import ENCODERS
from figureground.separation import VIEWS
from figureground.settings import Settings
from figureground.training.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])


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


def method_options(command: F) -> F:
    """--method, its parts, and the options of every model, rule and refiner, read from their signatures."""
    for option in sorted(all_options().values(), key=lambda option: option.name, reverse=True):
        command = flag(option.name, option.kind, option.help, option.default)(command)
    for part in ("refiner", "rule", "model"):
        command = flag(part, str, f"Another {part} than the method's own.")(command)
    return click.option("-m", "--method", default=DEFAULT, show_default=True, metavar="NAME", help=", ".join(METHODS))(command)


def chosen(method: str, options: dict[str, Any]) -> Method:
    """The method that the flags describe; raises UnknownName."""
    set_here = given(options)
    parts = {part: set_here.pop(part) for part in ("model", "rule", "refiner") if part in set_here}
    return replace(find(method), **parts).with_options(**set_here)


@main.command()
@click.argument("pictures", nargs=-1, required=True)
@method_options
@click.option("--view", default="cutout", show_default=True, metavar="NAME,…", help=f"What to write: {', '.join(VIEWS)}.")
@click.option("-o", "--output", metavar="FILE", help="The file to write, for one picture and one view; - is standard output.")
@click.option("--out-dir", type=click.Path(path_type=Path), help="Folder for <stem>.<view>.png; else beside each picture.")
@click.option("--format", "suffix", type=click.Choice([s[1:] for s in ENCODERS]), help="Of files named by us, and of -o -.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--background", metavar="COLOUR", help="Put a colour behind the cut-out: white, #rrggbb …")
@click.option("--quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF; WebP is lossless without it.")
@click.option("--require-subject", is_flag=True, help="A picture without foreground is an error.")
@click.option("--lenient", is_flag=True, help="Take what can be read of truncated pictures.")
@click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger pictures.  [default: 100000000]")
@click.option("--threads", type=click.IntRange(1), help="Threads of the network; else as many as cores.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each picture on standard output.")
@click.option("--timings", is_flag=True, help="Say how long each stage took, on standard error.")
def remove(pictures: tuple[str, ...], method: str, **given_options: Any) -> int:
    """Separate PICTURES: paths, http(s) addresses, or - for standard input."""
    from figureground.remove import Job, run

    names = set(all_options()) | {"model", "rule", "refiner"}
    options = {name: given_options.pop(name) for name in list(given_options) if name in names}
    limits = given({name: given_options.pop(name) for name in ("max_pixels", "threads")})
    settings = replace(Settings.from_environment(), **limits)
    if given_options.pop("lenient"):
        settings = replace(settings, lenient=True)
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
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def labels(picture: str | None, method: str, weights: str | None, as_json: bool) -> None:
    """List the classes that PICTURE shows, with their shares; without PICTURE, all that the model knows."""
    from figureground.labels import found, known

    chosen_method = chosen(method, {"weights": weights})
    rows = known() if picture is None else found(picture, chosen_method, Settings.from_environment())
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        share = f"{row['share']:7.2%}  " if "share" in row else ""
        click.echo(f"{share}{'stuff' if row['stuff'] else 'thing'}  {row['name']}")


@main.command()
@click.argument("name")
@click.option("--weights", help="Hub id or local folder of another checkpoint for the model NAME.")
def pull(name: str, weights: str | None) -> None:
    """Fetch and convert the weights of NAME beforehand: a method, a model, or weights such as segformer-b5."""
    from figureground.models import pull as fetch

    kept = fetch(METHODS[name].model if name in METHODS else name, Settings.from_environment(), weights)
    click.echo(f"{name}: " + ("in the package, nothing to fetch" if kept is None else f"ready, kept as {kept}"))


@main.command()
@click.argument("data", nargs=-1, required=True)
@method_options
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Write the figures of each picture here.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(data: tuple[str, ...], method: str, table: Path | None, as_json: bool, **options: Any) -> None:
    """Measure a method on DATA: folders or zip archives with images/ and masks/."""
    from figureground.dataset import pairs
    from figureground.evaluate import evaluate as measure
    from figureground.output import write
    from figureground.pipeline import Separator

    labelled = pairs(data)
    separate = Separator(chosen(method, options), Settings.from_environment())
    result = measure(lambda rgb: separate(rgb).mask, labelled, progress=not as_json)
    if table is not None:
        write(result.csv().encode(), table)
    click.echo(json.dumps(result.as_dict(), ensure_ascii=False) if as_json else result.table())


def recipe_options(command: F) -> F:
    """Every field of a Recipe as a flag."""
    for field in reversed(fields(Recipe)):
        command = flag(field.name, field.type, "", field.default)(command)
    return command


@main.command()
@click.argument("data", nargs=-1, required=True)
@click.option("--val", required=True, multiple=True, help="Data to choose the weights by; may be given several times.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for weights, log and plot.")
@click.option("--from", "start", type=click.Path(exists=True, path_type=Path), help="Weights (safetensors) to begin from.")
@recipe_options
def train(data: tuple[str, ...], val: tuple[str, ...], out: Path, start: Path | None, **recipe: Any) -> None:
    """Train the embedded network on DATA (folders or zip archives with images/ and masks/) and export it as ONNX.

    A run that was stopped goes on when the same command is given again.
    """
    from figureground.dataset import pairs

    training = _part("figureground.training.loop", "training", "train")
    best = training.train(pairs(data), pairs(val), out, Recipe(**given(recipe)), start)
    _export(best, best.with_suffix(".onnx"), None)


@main.command()
@click.argument("weights", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write.")
@click.option("--size", type=int, default=None, help="Pixels of a side; else what the network was last trained at.")
def export(weights: Path, out: Path, size: int | None) -> None:
    """Turn trained WEIGHTS (safetensors) into one ONNX file with float16 weights."""
    _export(weights, out, size)


def _export(weights: Path, out: Path, size: int | None) -> None:
    exporting = _part("figureground.training.export", "export", "train")
    apart = exporting.export(weights, out, size)
    size_now = f"{out.stat().st_size / 2**20:.2f} MiB"
    click.echo(f"{weights} → {out}: {size_now}, at most {apart['after']:.1e} from torch in probability")


def _part(module: str, what: str, extra: str) -> Any:
    """A module that needs an extra; raises MissingExtra."""
    from importlib import import_module

    from figureground.errors import MissingExtra

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} ({error.name})", extra) from error
