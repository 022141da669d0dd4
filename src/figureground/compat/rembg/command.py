"""rembg's command: `i` for a file, `p` for a folder, `b` for raw pictures, `s` for a server, `d` to fetch networks."""

import importlib.util
import json
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import click

import figureground
from figureground.compat.rembg.session import CUSTOM, DEFAULT, RembgSession, new_session
from figureground.errors import FigureGroundError, InputError, MissingExtra, OutputError, UsageError
from figureground.models.onnx_saliency import NETWORKS

F = TypeVar("F", bound=Callable[..., Any])
STOP = "stop.txt"
"""A file of this name in a watched folder ends the watch."""
PAUSE = 1.0
"""Seconds between two looks into a watched folder."""


class _Group(click.Group):
    """A group whose every error and warning is one line on standard error, with an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and end the process: 0 all done, 1 some picture failed, 2 usage, 3 could not run."""
        logger = logging.getLogger("figureground")
        logger.handlers[:] = [_Lines()]
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *_, **__: click.echo(f"figureground: {message}", err=True)
            try:
                code = super().main(*args, **{**kwargs, "standalone_mode": False})
                sys.exit(code if isinstance(code, int) else 0)
            except click.exceptions.NoArgsIsHelpError as error:
                click.echo(error.ctx.get_help())
                sys.exit(2)
            except click.ClickException as error:
                click.echo(f"figureground: usage: {error.format_message()}", err=True)
                sys.exit(2)
            except FigureGroundError as error:
                click.echo(f"figureground: {error.code}: {error}", err=True)
                sys.exit(error.exit_code)
            except (KeyboardInterrupt, click.Abort):
                click.echo("figureground: stopped", err=True)
                sys.exit(130)
            except BrokenPipeError:
                sys.stderr.close()
                sys.exit(1)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"figureground: {record.getMessage()}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["--help"], "max_content_width": 110})
@click.version_option(figureground.__version__, prog_name="figureground, as rembg")
def main() -> None:
    """Do what rembg's command does."""


def _options(*, decontaminate: bool) -> Callable[[F], F]:
    """Add the options that `i`, `p` and `b` share."""
    edge = [click.option("-dc", "--decontaminate", is_flag=True, help="Remove the background's colors from the edge.")]
    options = [
        click.option("-m", "--model", default=DEFAULT, show_default=True, help="Network, or a method of figureground."),
        click.option("-a", "--alpha-matting", is_flag=True, help="Refine the edge by closed-form matting."),
        click.option("-af", "--alpha-matting-foreground-threshold", default=240, show_default=True, help="Certain above."),
        click.option("-ab", "--alpha-matting-background-threshold", default=10, show_default=True, help="Certain below."),
        click.option("-ae", "--alpha-matting-erode-size", default=10, show_default=True, help="Pixels that regions shrink."),
        click.option("-om", "--only-mask", is_flag=True, help="Write the mask."),
        click.option("-ppm", "--post-process-mask", is_flag=True, help="Smooth the mask and make it 0 or 255."),
        *(edge if decontaminate else []),
        click.option("-vm", "--vitmatte", is_flag=True, help="Not supported: closed-form matting is used."),
        click.option("-bgc", "--bgcolor", type=(int, int, int, int), default=(0, 0, 0, 0), help="R G B A behind the cut-out."),
        click.option("-x", "--extras", callback=_extras, default="{}", help="More keywords, as JSON."),
    ]

    def decorate(function: F) -> F:
        for each in reversed(options):
            function = each(function)
        return function

    return decorate


def _extras(context: click.Context, parameter: click.Parameter, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise UsageError(f"-x is a JSON object, such as '{{\"model_path\": \"my.onnx\"}}', but got '{text}'")
    return values


def _session(model: str, extras: dict[str, Any]) -> RembgSession:
    """Load the network with the keywords that are a session's."""
    keywords = {name: extras.pop(name) for name in ("model_path", "providers") if name in extras}
    return new_session(model, **keywords)


@main.command("i")
@_options(decontaminate=True)
@click.argument("input", required=False)
@click.argument("output", required=False)
def file_command(model: str, extras: dict[str, Any], input: str | None, output: str | None, **keywords: Any) -> None:  # noqa: A002
    """Cut out the picture INPUT, or that of standard input, to OUTPUT, or standard output."""
    from figureground.compat.rembg.compose import remove

    if input is None and sys.stdin.isatty():
        raise UsageError("name a picture, or give one on standard input")
    data = _read(input)
    if output is None and input not in (None, "-") and sys.stdout.isatty():
        output = str(Path(str(input)).with_suffix(".out.png"))
    session = _session(model, extras)
    _write(remove(data, session=session, **{**keywords, **extras}), output)


def _read(path: str | None) -> bytes:
    from figureground.io.picture import Encoded
    from figureground.settings import Settings

    if path in (None, "-"):
        return sys.stdin.buffer.read()
    return Encoded.of_file(str(path), Settings.from_environment()).data


def _write(data: bytes, path: str | None) -> None:
    if path in (None, "-"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    from figureground.io.files import make_folder, write

    target = Path(str(path))
    make_folder(target.parent)
    write(data, target)


@main.command("p")
@_options(decontaminate=True)
@click.option("-w", "--watch", is_flag=True, help=f"Wait for new pictures until a file {STOP} appears.")
@click.option("-d", "--delete_input", is_flag=True, help="Delete a picture when its cut-out is written.")
@click.option("--accept-usage-cost", is_flag=True, help="Is taken; nothing here costs anything.")
@click.argument("input", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def folder_command(
    model: str,
    extras: dict[str, Any],
    input: Path,  # noqa: A002
    output: Path,
    watch: bool,
    delete_input: bool,
    accept_usage_cost: bool,
    **keywords: Any,
) -> int:
    """Cut out the pictures of the folder INPUT and those below it, to OUTPUT; leave out those that are there."""
    from figureground.compat.rembg.compose import remove

    session = _session(model, extras)

    def one(pair: tuple[Path, Path]) -> None:
        source, target = pair
        if not target.exists():
            _write(remove(_read(str(source)), session=session, **{**keywords, **extras}), str(target))
            if watch:
                click.echo(f"processed: {source.absolute()} -> {target.absolute()}")
        if delete_input:
            source.unlink()

    failed = _each(one, targets(_pictures(input.glob("**/*"), output), input, output))
    while watch and not (input / STOP).exists():
        time.sleep(PAUSE)
        failed += _each(one, targets(_pictures(input.glob("*"), output), input, output), only_new=True)
    if watch:
        (input / STOP).unlink()
    return 1 if failed else 0


def _pictures(paths: Iterable[Path], output: Path) -> list[Path]:
    """Return the files whose suffix is a picture's, sorted; not those of the output folder."""
    from figureground.io.formats import SUFFIXES

    files = (path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in files if output.resolve() not in path.resolve().parents)


def targets(sources: Iterable[Path], folder: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the file of each picture: its name with .png in the output folder, as in rembg.

    Of several that would be written to one file, the others go to a sub-folder as in `folder`, else get .png behind their name.
    """
    taken: set[Path] = set()
    pairs = []
    for source in sources:
        below = output / source.relative_to(folder)
        choices = (output / source.with_suffix(".png").name, below.with_suffix(".png"), below.with_name(f"{below.name}.png"))
        target = next(path for path in choices if path not in taken)
        if target != choices[0]:
            warnings.warn(f"'{choices[0]}' is the cut-out of another picture; '{source}' goes to '{target}'", stacklevel=2)
        taken.add(target)
        pairs.append((source, target))
    return pairs


def _each(one: Callable[[tuple[Path, Path]], None], pairs: list[tuple[Path, Path]], only_new: bool = False) -> int:
    """Call `one` for each pair, several at once; returns how many failed."""
    from figureground import executor
    from figureground._machine import cores
    from figureground.executor import ExecutorConfig

    pairs = [pair for pair in pairs if not (only_new and pair[1].exists())]
    failed = 0
    config = ExecutorConfig("thread", min(len(pairs), cores(), 4) or 1)
    for result in executor.map(one, pairs, config, faults=(InputError, OutputError)):
        if result.error is not None:
            failed += 1
            click.echo(f"figureground: {result.error.code}: {result.error}", err=True)
    return failed


@main.command("b")
@_options(decontaminate=False)
@click.option("-o", "--output_specifier", help="Names of the files, such as out-%d.png; else standard output.")
@click.argument("image_width", type=click.IntRange(1))
@click.argument("image_height", type=click.IntRange(1))
def stream_command(
    model: str, extras: dict[str, Any], image_width: int, image_height: int, output_specifier: str | None, **keywords: Any
) -> None:
    """Cut out raw pictures of standard input, of 3 bytes a pixel (RGB24), and write PNG files."""
    from PIL import Image

    from figureground.compat.rembg.compose import encoded, remove

    if output_specifier is not None and _named(output_specifier, 0) == _named(output_specifier, 1):
        raise UsageError(f"-o is a pattern with a number, such as out-%d.png, but got '{output_specifier}'")
    session = _session(model, extras)
    for number, data in enumerate(_frames(sys.stdin.buffer, image_width * image_height * 3)):
        image = Image.frombytes("RGB", (image_width, image_height), data)
        done = encoded(remove(image, session=session, **{**keywords, **extras}))
        _write(done, None if output_specifier is None else _named(output_specifier, number))


def _named(pattern: str, number: int) -> str:
    try:
        return str(Path(pattern % number).expanduser())
    except (TypeError, ValueError):
        return pattern


def _frames(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Whole pictures; what is left at the end is no picture."""
    while len(data := stream.read(size)) == size:
        yield data
    if data:
        warnings.warn(f"the stream ends with {len(data):,} bytes of a picture of {size:,}; they are left out", stacklevel=2)


@main.command("s")
@click.option("-p", "--port", default=7000, show_default=True, help="Port.")
@click.option("-h", "--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104  # rembg's
@click.option("-l", "--log_level", default="info", help="Has no effect.")
@click.option("-t", "--threads", type=click.IntRange(1), help="Processor threads.")
@click.option("--no-ui", is_flag=True, help="Has no effect.")
def server_command(port: int, host: str, log_level: str, threads: int | None, no_ui: bool) -> int:
    """Start the HTTP server, which answers rembg's requests."""
    if importlib.util.find_spec("figureground.server") is None:
        raise MissingExtra("the server", "server")
    words = ["serve", "--host", host, "--port", str(port), *(["--threads", str(threads)] if threads else [])]
    return subprocess.run([sys.executable, "-m", "figureground", *words], check=False).returncode  # noqa: S603


@main.command("d")
@click.argument("models", nargs=-1)
def download_command(models: tuple[str, ...]) -> int:
    """Fetch networks: those that are named, or all."""
    from figureground.models.onnx_saliency import pull
    from figureground.settings import Settings

    settings, failed = Settings.from_environment(), 0
    for name in models or NETWORKS:
        if name in CUSTOM:
            raise UsageError(f"'{name}' has no file to fetch; it reads a file of yours")
        try:
            click.echo(f"{name}: {pull(settings, name)}")
        except FigureGroundError as error:
            if len(models) == 1:
                raise
            failed += 1
            click.echo(f"figureground: {error.code}: {error}", err=True)
    return 3 if failed else 0
